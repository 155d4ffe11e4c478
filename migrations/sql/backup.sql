-- What a backup asks about the schema, and what a restore does around its COPYs.
-- Blocks in plpgsql take no parameters; what they need is set for the transaction first.

-- name: load_tables :many
-- Every table that holds rows: a partition is its own leaf, and belongs to its topmost parent. What retention took out
-- of the log and is about to drop belongs to nothing.
select
  leaf.relname::text as leaf,
  coalesce(root.relname, leaf.relname)::text as name,
  array(
    select attname::text
    from pg_attribute
    where attrelid = leaf.oid and attnum > 0 and not attisdropped and attgenerated = ''
    order by attnum
  ) as columns
from pg_class as leaf
left join pg_class as root on root.oid = pg_partition_root(leaf.oid)
where leaf.relnamespace = (select oid from pg_namespace where nspname = current_schema())
  and leaf.relkind = 'r'
  and leaf.relname <> 'schema_migrations'
  and leaf.relname !~ '^retired_'
order by name, leaf;

-- name: load_references :many
-- Which table must be filled before which: a foreign key's owner after its target.
select distinct
  coalesce(owner_root.relname, owner.relname)::text as name,
  coalesce(target_root.relname, target.relname)::text as needs
from pg_constraint
join pg_class as owner on owner.oid = conrelid
join pg_class as target on target.oid = confrelid
left join pg_class as owner_root on owner_root.oid = pg_partition_root(conrelid)
left join pg_class as target_root on target_root.oid = pg_partition_root(confrelid)
where contype = 'f'
  and conrelid <> confrelid
  and owner.relnamespace = (select oid from pg_namespace where nspname = current_schema());

-- name: load_sequences :many
-- Null: never used.
select sequencename::text as name, last_value
from pg_sequences
where schemaname = current_schema()
order by sequencename;

-- name: set_sequence :one
select setval($1::text::regclass, $2::bigint);

-- name: load_moment :one
select now() as taken_at, current_setting('server_version') as server_version;

-- name: hold_tables :exec
-- A partition that is dropped meanwhile would be missing from the archive.
do $$
declare
  found text;
begin
  for found in
    select relname
    from pg_class
    where relnamespace = (select oid from pg_namespace where nspname = current_schema())
      and relkind in ('r', 'p')
      and relname !~ '^retired_'
    order by relname
  loop
    execute format('lock table only %I in access share mode', found);
  end loop;
end
$$;

-- name: name_seeded_tables :one
select set_config('chainbell.seeded', $1, true);

-- name: take_over_empty_tables :exec
-- Locks every table against everybody, refuses one that holds rows, and empties those the migrations filled.
do $$
declare
  found record;
  filled boolean;
begin
  for found in
    select oid, relname, relkind
    from pg_class
    where relnamespace = (select oid from pg_namespace where nspname = current_schema())
      and relkind in ('r', 'p')
      and relname <> 'schema_migrations'
    order by relname
  loop
    execute format('lock table only %I in access exclusive mode', found.relname);
    execute format('alter table only %I disable trigger user', found.relname);
    if found.relname = any (string_to_array(current_setting('chainbell.seeded'), ',')) then
      execute format('delete from only %I', found.relname);
    else
      execute format('select exists (select from only %I)', found.relname) into filled;
      if filled then
        raise exception '%', found.relname using errcode = 'object_not_in_prerequisite_state';
      end if;
    end if;
  end loop;
end
$$;

-- name: enable_triggers :exec
do $$
declare
  found text;
begin
  for found in
    select relname
    from pg_class
    where relnamespace = (select oid from pg_namespace where nspname = current_schema())
      and relkind in ('r', 'p')
      and relname <> 'schema_migrations'
    order by relname
  loop
    execute format('alter table only %I enable trigger user', found);
  end loop;
end
$$;

-- name: refresh_statistics :exec
analyze;
