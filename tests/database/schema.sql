-- The schema all migrations together make. Written by `make schema`; never edited.

CREATE FUNCTION public.append_events(merchant_ids uuid[], epochs integer[], moment timestamp with time zone, owners uuid[], event_ids uuid[], object_ids text[], versions bigint[], types text[], befores bytea[], afters bytea[]) RETURNS TABLE(merchant_id uuid, log_epoch integer, sequence bigint, head_hash bytea, head_at timestamp with time zone, hash_after bytea)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_column
declare
  head merchant_logs;
  heads merchant_logs[];
  told record;
  place integer := 0;
  last bigint;
  hash bytea;
  at timestamptz;
  body bytea;
  log_epochs integer[] := '{}';
  sequences bigint[] := '{}';
  prev_hashes bytea[] := '{}';
  bodies bytea[] := '{}';
  moments timestamptz[] := '{}';
  lasts bigint[] := '{}';
  hashes bytea[] := '{}';
  notice text;
  told_heads text[] := '{}';
  told_hashes text[] := '{}';
begin
  -- Locks without writing; what is returned is what was not there before, and gets a log.
  with made as (
    insert into log_locks (merchant_id)
    select asked.merchant_id
    from unnest(merchant_ids) as asked (merchant_id)
    order by asked.merchant_id
    on conflict (merchant_id) do update set merchant_id = log_locks.merchant_id
    where false
    returning log_locks.merchant_id
  )
  insert into merchant_logs (merchant_id, log_epoch)
  select made.merchant_id, coalesce((select max(e.log_epoch) from log_epochs e), 1)
  from made
  where not exists (select from merchant_logs m where m.merchant_id = made.merchant_id);

  for i in 1 .. cardinality(merchant_ids) loop
    select m.* into strict head
    from merchant_logs m
    where m.merchant_id = merchant_ids[i]
    order by m.sequence desc
    limit 1;
    heads[i] := head;
  end loop;
  if exists (
    select
    from unnest(heads) with ordinality as h
    where h.log_epoch <> epochs[h.ordinality]
  ) then
    return query
    select h.merchant_id, h.log_epoch, h.sequence, h.head_hash, h.head_at, null::bytea
    from unnest(heads) as h;
    return;
  end if;

  for told in
    select t.*
    from unnest(owners, befores, afters) with ordinality as t (owner, before, after, number)
    order by t.number
  loop
    if place = 0 or told.owner <> merchant_ids[place] then
      if place > 0 then
        lasts[place] := last;
        hashes[place] := hash;
      end if;
      place := place + 1;
      if told.owner is distinct from merchant_ids[place] then
        raise exception 'events are appended log by log';
      end if;
      head := heads[place];
      last := head.sequence;
      hash := head.head_hash;
      at := greatest(moment, head.head_at);
      if head.head_at is null or day_of(head.head_at) <> day_of(at) then
        insert into event_days (merchant_id, day, first_sequence)
        values (head.merchant_id, day_of(at), last + 1);
      end if;
    end if;
    last := last + 1;
    body := told.before || convert_to(format('%s,"prev_hash":"%s"', last, encode(hash, 'hex')), 'UTF8') || told.after;
    log_epochs := log_epochs || head.log_epoch;
    sequences := sequences || last;
    prev_hashes := prev_hashes || hash;
    bodies := bodies || body;
    moments := moments || at;
    hash := sha256(body);
  end loop;
  lasts[place] := last;
  hashes[place] := hash;

  insert into events (
    merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at
  )
  select n.merchant_id, n.sequence, n.log_epoch, n.event_id, n.object_id, n.version, n.type, n.prev_hash, n.body, n.created_at
  from unnest(owners, sequences, log_epochs, event_ids, object_ids, versions, types, prev_hashes, bodies, moments)
    as n (merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at);

  for i in 1 .. cardinality(merchant_ids) loop
    head := heads[i];
    update merchant_logs m
    set sequence = lasts[i], head_hash = hashes[i], head_at = greatest(moment, head.head_at)
    where m.merchant_id = head.merchant_id and m.sequence = head.sequence;
    if not found then
      raise exception 'the head of a log is not where it was while it was locked';
    end if;
    told_heads[i] := replace(head.merchant_id::text, '-', '') || ':' || lasts[i];
    told_hashes[i] := told_heads[i] || ':' || left(encode(hashes[i], 'hex'), 32);
  end loop;
  -- One notice for all, as much as fits into it: heads with half of their hashes, without, or nobody's name.
  notice := array_to_string(told_hashes, ',');
  if length(notice) > 7900 then
    notice := array_to_string(told_heads, ',');
  end if;
  perform pg_notify('chainbell_events', case when length(notice) <= 7900 then notice else '' end);
  return query
  select h.merchant_id, h.log_epoch, h.sequence, h.head_hash, h.head_at, hashes[h.ordinality]
  from unnest(heads) with ordinality as h;
end
$$;

CREATE FUNCTION public.covering_sequences(endpoint_ids uuid[], object_ids text[], versions bigint[], moments timestamp with time zone[]) RETURNS TABLE(endpoint_id uuid, sequence bigint, covered_by bigint)
    LANGUAGE sql
    AS $$
  select w.endpoint_id, w.sequence, w.newest
  from (
    select o.endpoint_id, o.sequence, o.takes_back,
      max(o.sequence) filter (
        where not o.takes_back and o.sequence <= c.drain_sequence
          and (p.event_types is null or o.type = any(p.event_types))
      ) over (
        partition by o.endpoint_id, o.object_id, versions_stretch(o.version), days_stretch(o.created_at), o.taken_back
      ) as newest
    from (
      select l.*, b.takes_back,
        count(*) filter (where b.takes_back) over (
          partition by l.endpoint_id, l.object_id, versions_stretch(l.version), days_stretch(l.created_at)
          order by l.version
        ) as taken_back
      from events_from_version(endpoint_ids, object_ids, versions, moments) l
      cross join lateral (select l.type in ('deposit.reversed', 'deposit.amended') as takes_back) b
    ) o
    join endpoints p
    on p.endpoint_id = o.endpoint_id
    join endpoint_cursors c
    on c.endpoint_id = o.endpoint_id
  ) w
  where not w.takes_back and w.newest > w.sequence
$$;

CREATE FUNCTION public.day_of(moment timestamp with time zone) RETURNS date
    LANGUAGE sql IMMUTABLE
    AS $$
  select (moment at time zone 'UTC')::date
$$;

CREATE FUNCTION public.days_stretch(moment timestamp with time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
  select (day_of(moment) - date '2000-01-01') / 100
$$;

CREATE FUNCTION public.default_has_events_of(day date) RETURNS boolean
    LANGUAGE sql
    AS $$
  select exists (
    select
    from events_default
    where created_at >= starts_of_day(day) and created_at < starts_of_day(day + 1)
  )
$$;

CREATE FUNCTION public.drain_sequences(endpoint_ids uuid[]) RETURNS TABLE(endpoint_id uuid, drain_sequence bigint)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_column
declare
  one uuid;
begin
  foreach one in array endpoint_ids loop
    return query
    select c.endpoint_id, c.drain_sequence
    from endpoint_cursors c
    where c.endpoint_id = one
    order by c.sequence desc
    limit 1;
  end loop;
end
$$;

CREATE FUNCTION public.drop_retired_partition() RETURNS boolean
    LANGUAGE plpgsql
    SET lock_timeout TO '100ms'
    AS $$
declare
  name text;
begin
  select t.relname
  into name
  from pg_class t
  where t.relkind = 'r' and t.relname ~ '^retired_events_' and t.relnamespace = current_schema()::regnamespace
  order by t.relname
  limit 1;
  if name is null then
    return false;
  end if;
  execute format('drop table %I', name);
  return true;
exception
  when lock_not_available then
    return false;
  when undefined_table then
    return true;  -- another worker was faster
end
$$;

CREATE FUNCTION public.event_bodies(merchant uuid, sequences bigint[], moments timestamp with time zone[]) RETURNS TABLE(sequence bigint, body bytea)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
declare
  one record;
begin
  for one in
    select day_of(k.told_at) as day, array_agg(k.sequence) as sequences
    from unnest(sequences, moments) as k (sequence, told_at)
    group by 1
  loop
    return query
    select e.sequence, e.body
    from events e
    where e.merchant_id = merchant and e.sequence = any(one.sequences)
      and e.created_at >= starts_of_day(one.day) and e.created_at < starts_of_day(one.day + 1);
  end loop;
end
$$;

CREATE FUNCTION public.events_behind(endpoint_ids uuid[], merchant_ids uuid[], afters bigint[], wanted bigint[]) RETURNS TABLE(endpoint_id uuid, event_id uuid, sequence bigint, object_id text, version bigint, type text, created_at timestamp with time zone, body bytea)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
declare
  one record;
begin
  for one in
    select d.day, array_agg(r.endpoint_id) as endpoint_ids, array_agg(r.merchant_id) as merchant_ids,
      array_agg(r.after_sequence) as afters, array_agg(r.wanted) as wanted
    from unnest(endpoint_ids, merchant_ids, afters, wanted) as r (endpoint_id, merchant_id, after_sequence, wanted)
    cross join lateral (
      select b.day
      from event_days b
      where b.merchant_id = r.merchant_id and b.first_sequence <= r.after_sequence + 1
      order by b.first_sequence desc
      limit 1
    ) d
    group by d.day
  loop
    return query
    select r.endpoint_id, e.event_id, e.sequence, e.object_id, e.version, e.type, e.created_at,
      case when p.event_types is null or e.type = any(p.event_types) then e.body end
    from unnest(one.endpoint_ids, one.merchant_ids, one.afters, one.wanted)
      as r (endpoint_id, merchant_id, after_sequence, wanted)
    join endpoints p
    on p.endpoint_id = r.endpoint_id
    cross join lateral (
      select *
      from events l
      where l.merchant_id = r.merchant_id and l.sequence > r.after_sequence
        and l.created_at >= starts_of_day(one.day) and l.created_at < starts_of_day(one.day + 1)
      order by l.sequence
      limit r.wanted
    ) e;
  end loop;
end
$$;

CREATE TABLE public.events (
    merchant_id uuid NOT NULL,
    sequence bigint NOT NULL,
    log_epoch integer NOT NULL,
    event_id uuid NOT NULL,
    object_id text NOT NULL,
    version bigint NOT NULL,
    type text NOT NULL,
    prev_hash bytea NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT events_body_check CHECK (((octet_length(body) >= 2) AND (octet_length(body) <= 262144))),
    CONSTRAINT events_log_epoch_check CHECK ((log_epoch >= 1)),
    CONSTRAINT events_object_id_check CHECK ((object_id <> ''::text)),
    CONSTRAINT events_prev_hash_check CHECK ((octet_length(prev_hash) = 32)),
    CONSTRAINT events_sequence_check CHECK ((sequence >= 1)),
    CONSTRAINT events_type_check CHECK ((type ~ '^[a-z_]+\.[a-z_]+$'::text)),
    CONSTRAINT events_version_check CHECK ((version >= 1))
)
PARTITION BY RANGE (created_at);

CREATE FUNCTION public.events_between(merchant uuid, after bigint, last bigint, wanted_types text[], wanted bigint) RETURNS SETOF public.events
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
declare
  lacking bigint := wanted;
  found_now bigint;
  one date;
begin
  for one in
    select d.day
    from event_days d
    where d.merchant_id = merchant and d.first_sequence <= last and d.first_sequence >= coalesce((
      select max(b.first_sequence)
      from event_days b
      where b.merchant_id = merchant and b.first_sequence <= after + 1
    ), 1)
    order by d.first_sequence
  loop
    return query
    select e.*
    from events e
    where e.merchant_id = merchant and e.sequence > after and e.sequence <= last
      and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1)
      and (wanted_types is null or e.type = any(wanted_types))
    order by e.sequence
    limit lacking;
    get diagnostics found_now = row_count;
    lacking := lacking - found_now;
    exit when lacking <= 0;
  end loop;
end
$$;

CREATE FUNCTION public.events_from_version(endpoint_ids uuid[], object_ids text[], versions bigint[], moments timestamp with time zone[]) RETURNS TABLE(endpoint_id uuid, object_id text, version bigint, sequence bigint, type text, created_at timestamp with time zone)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
declare
  one record;
begin
  for one in
    select d.day, array_agg(a.endpoint_id) as endpoint_ids, array_agg(p.merchant_id) as merchant_ids,
      array_agg(a.object_id) as object_ids, array_agg(a.version) as versions
    from (
      select k.endpoint_id, k.object_id, min(k.version) as version, min(k.told_at) as told_at
      from unnest(endpoint_ids, object_ids, versions, moments) as k (endpoint_id, object_id, version, told_at)
      group by k.endpoint_id, k.object_id, versions_stretch(k.version), days_stretch(k.told_at)
    ) a
    join endpoints p
    on p.endpoint_id = a.endpoint_id
    join endpoint_cursors c
    on c.endpoint_id = a.endpoint_id
    join event_days d
    on d.merchant_id = p.merchant_id and d.day >= day_of(a.told_at) and d.first_sequence <= c.drain_sequence
      and days_stretch(starts_of_day(d.day)) = days_stretch(a.told_at)
    group by d.day
  loop
    return query
    select r.endpoint_id, r.object_id, e.version, e.sequence, e.type, e.created_at
    from unnest(one.endpoint_ids, one.merchant_ids, one.object_ids, one.versions)
      as r (endpoint_id, merchant_id, object_id, version)
    cross join lateral (
      select l.version, l.sequence, l.type, l.created_at
      from events l
      where l.merchant_id = r.merchant_id and l.object_id = r.object_id
        and l.version >= r.version and l.version < (versions_stretch(r.version) + 1) * 256
        and l.created_at >= starts_of_day(one.day) and l.created_at < starts_of_day(one.day + 1)
      offset 0  -- asked once for each of the above
    ) e;
  end loop;
end
$$;

CREATE FUNCTION public.events_of_object(merchant uuid, object text, after bigint, days date[], wanted bigint) RETURNS SETOF public.events
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
declare
  lacking bigint := wanted;
  found_now bigint;
  one date;
begin
  foreach one in array days
  loop
    return query
    select e.*
    from events e
    where e.merchant_id = merchant and e.object_id = object and e.sequence > after
      and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1)
    order by e.sequence
    limit lacking;
    get diagnostics found_now = row_count;
    lacking := lacking - found_now;
    exit when lacking <= 0;
  end loop;
end
$$;

CREATE FUNCTION public.events_with_ids(ids uuid[], days date[], wanted bigint) RETURNS SETOF public.events
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
declare
  lacking bigint := wanted;
  found_now bigint;
  one date;
begin
  foreach one in array days
  loop
    return query
    select e.*
    from events e
    where e.event_id = any(ids) and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1);
    get diagnostics found_now = row_count;
    lacking := lacking - found_now;
    exit when lacking <= 0;
  end loop;
end
$$;

CREATE FUNCTION public.keep_event_leaves(old_day date, after_merchant uuid, after_sequence bigint, wanted bigint) RETURNS TABLE(merchant_id uuid, sequence bigint)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
begin
  return query
  with batch as materialized (
    select e.merchant_id, e.sequence, e.event_id, sha256(e.body) as body_hash
    from events e
    where (e.merchant_id, e.sequence) > (after_merchant, after_sequence)
      and e.created_at >= starts_of_day(old_day) and e.created_at < starts_of_day(old_day + 1)
    order by e.merchant_id, e.sequence
    limit wanted
  ),
  kept as (
    insert into event_leaves (merchant_id, sequence, event_id, body_hash)
    select b.merchant_id, b.sequence, b.event_id, b.body_hash
    from batch b
    on conflict do nothing
  )
  select b.merchant_id, b.sequence
  from batch b
  order by b.merchant_id desc, b.sequence desc
  limit 1;
end
$$;

CREATE FUNCTION public.last_sequences(old_day date) RETURNS TABLE(merchant_id uuid, sequence bigint)
    LANGUAGE sql STABLE
    AS $$
  select m.merchant_id, coalesce(
    (
      select min(later.first_sequence)
      from event_days later
      where later.merchant_id = m.merchant_id and later.day > old_day
    ),
    m.sequence + 1
  ) - 1
  from merchant_logs m
  where exists (select from event_days d where d.merchant_id = m.merchant_id and d.day <= old_day)
$$;

CREATE FUNCTION public.make_events_partition(day date) RETURNS text
    LANGUAGE plpgsql
    SET lock_timeout TO '100ms'
    AS $$
declare
  name text := partition_of(day);
begin
  if to_regclass(name) is not null then
    return 'there';
  end if;
  if not pg_try_advisory_xact_lock(hashtext('chainbell-events-partitions')) then
    return 'busy';
  end if;
  if to_regclass(name) is not null then
    return 'there';
  end if;
  -- Writers wait at the parent, before they choose a partition; at the default one it would be too late. Readers too, where
  -- rows move: planned before and run after, they would look for them where they were.
  if default_has_events_of(day) then
    lock table only events in access exclusive mode;
  else
    lock table only events in share row exclusive mode;
    if default_has_events_of(day) then
      raise lock_not_available;  -- told in the meantime; the next attempt knows
    end if;
  end if;
  lock table events_default in access exclusive mode;
  execute format('create table %I (like events including defaults including constraints)', name);
  perform set_config('chainbell.moving_events', 'on', true);
  execute format(
    'with moved as (delete from events_default where created_at >= %L and created_at < %L returning *)
     insert into %I select * from moved', starts_of_day(day), starts_of_day(day + 1), name);
  perform set_config('chainbell.moving_events', 'off', true);
  execute format('create unique index %I on %I (merchant_id, sequence)', name || '_sequence', name);
  execute format('create unique index %I on %I (event_id)', name || '_event_id', name);
  execute format('create unique index %I on %I (merchant_id, object_id, version)', name || '_version', name);
  execute format(
    'alter table events attach partition %I for values from (%L) to (%L)',
    name, starts_of_day(day), starts_of_day(day + 1));
  return 'made';
exception
  when lock_not_available then
    return 'busy';
end
$$;

CREATE FUNCTION public.move_cursors(endpoint_ids uuid[], filter_revisions bigint[], sequences_before bigint[], sequences bigint[], matched bigint[], successes timestamp with time zone[], failures timestamp with time zone[], failures_named text[], wakes_seen bigint[]) RETURNS SETOF uuid
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
declare
  i integer;
begin
  for i in
    select k.position
    from unnest(endpoint_ids) with ordinality as k (endpoint_id, position)
    order by k.endpoint_id
  loop
    update endpoint_cursors c
    set sequence = greatest(c.sequence, sequences[i]),
      matched_sequence = greatest(c.matched_sequence, matched[i]),
      last_success_at = coalesce(successes[i], c.last_success_at),
      last_failure_at = coalesce(failures[i], c.last_failure_at),
      last_failure = coalesce(failures_named[i], c.last_failure),
      wakes = coalesce(wakes_seen[i], c.wakes)
    where c.endpoint_id = endpoint_ids[i] and c.sequence >= sequences_before[i]
      and c.filter_revision = filter_revisions[i];
    if found then
      return next endpoint_ids[i];
    end if;
  end loop;
end
$$;

CREATE FUNCTION public.newest_heads(merchant_ids uuid[]) RETURNS TABLE(merchant_id uuid, log_epoch integer, sequence bigint, head_hash bytea, head_at timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_column
declare
  one uuid;
begin
  foreach one in array merchant_ids loop
    return query
    select m.merchant_id, m.log_epoch, m.sequence, m.head_hash, m.head_at
    from merchant_logs m
    where m.merchant_id = one
    order by m.sequence desc
    limit 1;
  end loop;
end
$$;

CREATE FUNCTION public.partition_of(day date) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
  select format(
    'events_%s_%s_%s', extract(year from day), lpad(extract(month from day)::text, 2, '0'),
    lpad(extract(day from day)::text, 2, '0')
  )
$$;

CREATE FUNCTION public.refuse_event_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if current_setting('chainbell.moving_events', true) = 'on' then
    return old;
  end if;
  raise exception 'events are append-only' using errcode = 'restrict_violation';
end
$$;

CREATE FUNCTION public.retire_events_partition(old_day date) RETURNS text
    LANGUAGE plpgsql
    SET lock_timeout TO '100ms'
    AS $$
declare
  name text := partition_of(old_day);
begin
  if not pg_try_advisory_xact_lock(hashtext('chainbell-events-partitions')) then
    return 'busy';
  end if;
  if to_regclass(name) is null then
    return 'gone';
  end if;
  if exists (select from endpoint_needs n where n.day <= old_day) then
    return 'needed';
  end if;
  lock table only events in access exclusive mode;
  lock table events_default in access exclusive mode;
  execute format('lock table only %I in access exclusive mode', name);
  -- Leaves are written in the order of sequences, so the last of a merchant stands for all of them.
  if exists (
    select
    from event_days d
    join last_sequences(old_day) l
    on l.merchant_id = d.merchant_id
    where d.day = old_day
      and not exists (
        select
        from event_leaves f
        where f.merchant_id = l.merchant_id and f.sequence = l.sequence
      )
  ) then
    return 'unproven';
  end if;
  execute format('alter table events detach partition %I', name);
  execute format('alter table %I rename to %I', name, 'retired_' || name);
  delete from event_days d
  where d.day = old_day;
  return 'retired';
exception
  when lock_not_available then
    return 'busy';
end
$$;

CREATE FUNCTION public.starts_of_day(day date) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
  select day::timestamp at time zone 'UTC'
$$;

CREATE FUNCTION public.stray_events(merchant uuid, days date[]) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
declare
  one date;
  first_own bigint;
  last_own bigint;
begin
  foreach one in array days
  loop
    select d.first_sequence
    into first_own
    from event_days d
    where d.day = one and d.merchant_id = merchant;
    select min(d.first_sequence) - 1
    into last_own
    from event_days d
    where d.merchant_id = merchant and d.first_sequence > first_own;
    return query
    select e.sequence
    from events e
    where e.merchant_id = merchant and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1)
      and (first_own is null or e.sequence < first_own or e.sequence > last_own)
    order by e.sequence;
  end loop;
end
$$;

CREATE FUNCTION public.versions_stretch(version bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$
  select version / 256
$$;

CREATE SEQUENCE public.addresses_watch_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.addresses (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    chain text NOT NULL,
    address bytea NOT NULL,
    reference text,
    metadata jsonb,
    from_height bigint,
    watching_from_height bigint NOT NULL,
    watching_from_hash bytea NOT NULL,
    effective_start bigint NOT NULL,
    pending_start bigint,
    watching_until bigint,
    watch_version bigint DEFAULT nextval('public.addresses_watch_version'::regclass) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    memo bytea,
    CONSTRAINT addresses_check CHECK (((deleted_at IS NULL) = (watching_until IS NULL))),
    CONSTRAINT addresses_effective_start_check CHECK ((effective_start >= 0)),
    CONSTRAINT addresses_memo CHECK (((octet_length(memo) >= 1) AND (octet_length(memo) <= 1024))),
    CONSTRAINT addresses_pending_start_check CHECK ((pending_start >= 0))
);

CREATE TABLE public.api_keys (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_scopes_check CHECK (((cardinality(scopes) >= 1) AND (cardinality(scopes) <= 16))),
    CONSTRAINT api_keys_secret_hash_check CHECK ((octet_length(secret_hash) = 32))
);

CREATE TABLE public.assets (
    chain text NOT NULL,
    asset text NOT NULL,
    symbol text NOT NULL,
    decimals smallint NOT NULL,
    start_height bigint NOT NULL,
    pending_start bigint,
    listed boolean DEFAULT true NOT NULL,
    held_reason text,
    held_from_height bigint,
    CONSTRAINT assets_decimals_check CHECK (((decimals >= 0) AND (decimals <= 255))),
    CONSTRAINT assets_held CHECK (((held_reason IS NULL) = (held_from_height IS NULL))),
    CONSTRAINT assets_pending_start_check CHECK ((pending_start >= 0))
);

CREATE TABLE public.audit_trail (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL
);

ALTER TABLE public.audit_trail ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_trail_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.blocks (
    chain text NOT NULL,
    height bigint NOT NULL,
    hash bytea NOT NULL,
    parent_hash bytea NOT NULL,
    block_time timestamp with time zone NOT NULL,
    tx_count integer NOT NULL,
    log_count integer,
    transfer_count integer,
    unlisted_transfer_count integer,
    level text NOT NULL,
    served_by text NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    work numeric,
    spared_version bigint,
    spared_assets bytea,
    CONSTRAINT blocks_height_check CHECK ((height >= 0)),
    CONSTRAINT blocks_level_check CHECK ((level = ANY (ARRAY['full'::text, 'partial'::text, 'consistent'::text]))),
    CONSTRAINT blocks_spared CHECK ((((spared_version IS NULL) = (spared_assets IS NULL)) AND ((spared_version IS NULL) = (log_count IS NOT NULL)) AND ((log_count IS NULL) = (transfer_count IS NULL)) AND ((log_count IS NULL) = (unlisted_transfer_count IS NULL)))),
    CONSTRAINT blocks_work_check CHECK ((work > (0)::numeric))
);

CREATE TABLE public.calls_in_progress (
    caller uuid NOT NULL,
    path text NOT NULL,
    key text NOT NULL,
    claim uuid NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT calls_in_progress_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

CREATE TABLE public.chain_status (
    chain text NOT NULL,
    alias text NOT NULL,
    head_height bigint,
    detail jsonb NOT NULL,
    reported_at timestamp with time zone NOT NULL,
    checks jsonb DEFAULT '[]'::jsonb NOT NULL
);

CREATE TABLE public.chains (
    chain text NOT NULL,
    alias text NOT NULL,
    genesis_hash bytea NOT NULL,
    lock_key integer NOT NULL,
    start_height bigint NOT NULL,
    tip_height bigint NOT NULL,
    tip_hash bytea NOT NULL,
    final_height bigint,
    safe_height bigint,
    agreed_height bigint NOT NULL,
    state text DEFAULT 'following'::text NOT NULL,
    halt_reason text,
    halted_at timestamp with time zone,
    halted_fork_height bigint,
    accepted_fork_hash bytea,
    disputed_fork_height bigint,
    conditions text[] DEFAULT '{}'::text[] NOT NULL,
    notice_version integer DEFAULT 0 NOT NULL,
    move_count bigint DEFAULT 0 NOT NULL,
    lease_holder text,
    lease_epoch bigint DEFAULT 0 NOT NULL,
    lease_expires_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    moved_at timestamp with time zone NOT NULL,
    held_height bigint,
    trusted_height bigint DEFAULT '-1'::integer NOT NULL,
    CONSTRAINT chains_check CHECK ((tip_height >= start_height)),
    CONSTRAINT chains_check1 CHECK ((final_height <= tip_height)),
    CONSTRAINT chains_check2 CHECK ((safe_height <= tip_height)),
    CONSTRAINT chains_check3 CHECK ((agreed_height <= tip_height)),
    CONSTRAINT chains_check4 CHECK (((state = 'halted'::text) = (halt_reason IS NOT NULL))),
    CONSTRAINT chains_held_height_check CHECK ((held_height >= 0)),
    CONSTRAINT chains_start_height_check CHECK ((start_height >= 0)),
    CONSTRAINT chains_state_check CHECK ((state = ANY (ARRAY['following'::text, 'halted'::text])))
);

ALTER TABLE public.chains ALTER COLUMN lock_key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.chains_lock_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.delivery_attempts (
    endpoint_id uuid NOT NULL,
    sequence bigint NOT NULL,
    number integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL,
    status_code smallint,
    excerpt bytea NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    CONSTRAINT delivery_attempts_detail_check CHECK ((length(detail) <= 200)),
    CONSTRAINT delivery_attempts_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT delivery_attempts_excerpt_check CHECK ((octet_length(excerpt) <= 4096)),
    CONSTRAINT delivery_attempts_number_check CHECK ((number >= 1)),
    CONSTRAINT delivery_attempts_status_code_check CHECK (((status_code >= 100) AND (status_code <= 999)))
);

CREATE TABLE public.delivery_exceptions (
    endpoint_id uuid NOT NULL,
    sequence bigint NOT NULL,
    merchant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_at timestamp with time zone NOT NULL,
    object_id text NOT NULL,
    version bigint NOT NULL,
    type text NOT NULL,
    prev_sequence bigint NOT NULL,
    state text NOT NULL,
    failures smallint DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    free boolean DEFAULT false NOT NULL,
    replay boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone NOT NULL,
    exhausted_at timestamp with time zone,
    covered_by bigint,
    CONSTRAINT delivery_exceptions_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT delivery_exceptions_check CHECK (((prev_sequence >= 0) AND (prev_sequence < sequence))),
    CONSTRAINT delivery_exceptions_check1 CHECK ((covered_by > sequence)),
    CONSTRAINT delivery_exceptions_check2 CHECK (((retry_at IS NOT NULL) = (state = ANY (ARRAY['sending'::text, 'retrying'::text])))),
    CONSTRAINT delivery_exceptions_check3 CHECK (((exhausted_at IS NOT NULL) = (state = 'exhausted'::text))),
    CONSTRAINT delivery_exceptions_check4 CHECK (((covered_by IS NOT NULL) = (state = 'covered'::text))),
    CONSTRAINT delivery_exceptions_check5 CHECK (((NOT free) OR (state = 'retrying'::text))),
    CONSTRAINT delivery_exceptions_failures_check CHECK ((failures >= 0)),
    CONSTRAINT delivery_exceptions_sequence_check CHECK ((sequence >= 1)),
    CONSTRAINT delivery_exceptions_state_check CHECK ((state = ANY (ARRAY['sending'::text, 'retrying'::text, 'waiting'::text, 'exhausted'::text, 'covered'::text])))
);

CREATE TABLE public.deposit_conflicts (
    chain text NOT NULL,
    key bytea NOT NULL,
    deposit_id uuid NOT NULL,
    CONSTRAINT deposit_conflicts_key_check CHECK (((octet_length(key) >= 1) AND (octet_length(key) <= 255)))
);

CREATE TABLE public.deposit_repeats (
    deposit_id uuid NOT NULL,
    chain text NOT NULL,
    height bigint NOT NULL,
    block_hash bytea NOT NULL,
    block_time timestamp with time zone NOT NULL,
    amount_base_units numeric(78,0) NOT NULL,
    noticed_at timestamp with time zone NOT NULL,
    "position" text NOT NULL COLLATE pg_catalog."C",
    senders bytea NOT NULL,
    memo bytea
);

CREATE TABLE public.deposits (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    address_id uuid NOT NULL,
    chain text NOT NULL,
    kind text NOT NULL,
    asset text NOT NULL,
    recipient bytea NOT NULL,
    tx_hash bytea NOT NULL,
    n integer NOT NULL,
    conflict_keys bytea NOT NULL,
    own_transfer boolean NOT NULL,
    published boolean NOT NULL,
    backfilled boolean NOT NULL,
    state text NOT NULL,
    version integer NOT NULL,
    amount_base_units numeric(78,0) NOT NULL,
    credited_base_units numeric(78,0) NOT NULL,
    height bigint,
    block_hash bytea,
    block_time timestamp with time zone,
    confirmations_required integer,
    confirmed_by text NOT NULL,
    confirmed_version integer,
    replaced_by bytea,
    first_seen_at timestamp with time zone NOT NULL,
    confirmed_at timestamp with time zone,
    final_at timestamp with time zone,
    changed_at timestamp with time zone NOT NULL,
    on_one_word boolean DEFAULT false NOT NULL,
    "position" text COLLATE pg_catalog."C",
    senders bytea NOT NULL,
    memo bytea,
    matures_after_blocks integer DEFAULT 0 NOT NULL,
    fee_rate_per_kvb bigint,
    has_unconfirmed_parents boolean,
    fee_rate_wanted_per_kvb bigint,
    expected_blocks integer,
    replaced_height bigint,
    CONSTRAINT deposits_amount_base_units_check CHECK ((amount_base_units > (0)::numeric)),
    CONSTRAINT deposits_check CHECK (((height IS NULL) = (block_hash IS NULL))),
    CONSTRAINT deposits_check1 CHECK (((height IS NOT NULL) = (state = ANY (ARRAY['included'::text, 'confirmed'::text, 'final'::text])))),
    CONSTRAINT deposits_check2 CHECK (((credited_base_units = (0)::numeric) OR ((credited_base_units = amount_base_units) AND (state = ANY (ARRAY['confirmed'::text, 'final'::text]))))),
    CONSTRAINT deposits_check3 CHECK (((NOT own_transfer) OR (credited_base_units = (0)::numeric))),
    CONSTRAINT deposits_check4 CHECK (((confirmed_by = 'depth'::text) = (confirmations_required IS NOT NULL))),
    CONSTRAINT deposits_confirmed_by_check CHECK ((confirmed_by = ANY (ARRAY['depth'::text, 'safe'::text, 'final'::text]))),
    CONSTRAINT deposits_credited_base_units_check CHECK ((credited_base_units >= (0)::numeric)),
    CONSTRAINT deposits_expected_blocks_check CHECK ((expected_blocks > 0)),
    CONSTRAINT deposits_fee_rate_per_kvb_check CHECK ((fee_rate_per_kvb >= 0)),
    CONSTRAINT deposits_fee_rate_wanted_per_kvb_check CHECK ((fee_rate_wanted_per_kvb >= 0)),
    CONSTRAINT deposits_fees CHECK ((((has_unconfirmed_parents IS NOT NULL) OR (num_nulls(fee_rate_per_kvb, fee_rate_wanted_per_kvb, expected_blocks) = 3)) AND ((has_unconfirmed_parents IS NULL) OR (state = 'seen'::text)))),
    CONSTRAINT deposits_kind_check CHECK ((kind = ANY (ARRAY['token'::text, 'native'::text, 'internal'::text, 'utxo'::text, 'trc10'::text]))),
    CONSTRAINT deposits_matures_after_blocks_check CHECK ((matures_after_blocks >= 0)),
    CONSTRAINT deposits_n_check CHECK ((n >= 0)),
    CONSTRAINT deposits_on_one_word_check CHECK (((NOT on_one_word) OR (state = 'included'::text))),
    CONSTRAINT deposits_position CHECK ((("position" IS NULL) = (height IS NULL))),
    CONSTRAINT deposits_replaced_height CHECK (((replaced_height IS NULL) OR (state = 'replaced'::text))),
    CONSTRAINT deposits_state_check CHECK ((state = ANY (ARRAY['seen'::text, 'included'::text, 'confirmed'::text, 'final'::text, 'orphaned'::text, 'replaced'::text, 'dropped'::text]))),
    CONSTRAINT deposits_version_check CHECK ((version >= 1))
);

CREATE TABLE public.disabled_merchants (
    merchant_id uuid NOT NULL,
    disabled_at timestamp with time zone NOT NULL
);

CREATE TABLE public.doubted_blocks (
    chain text NOT NULL,
    height bigint NOT NULL,
    served_by text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    CONSTRAINT doubted_blocks_height_check CHECK ((height >= 0))
);

CREATE TABLE public.endpoint_cursors (
    endpoint_id uuid NOT NULL,
    sequence bigint NOT NULL,
    matched_sequence bigint DEFAULT 0 NOT NULL,
    filter_revision bigint DEFAULT 1 NOT NULL,
    wakes bigint DEFAULT 0 NOT NULL,
    drain_sequence bigint DEFAULT 0 NOT NULL,
    last_success_at timestamp with time zone,
    last_failure_at timestamp with time zone,
    last_failure text,
    CONSTRAINT endpoint_cursors_check CHECK (((matched_sequence >= 0) AND (matched_sequence <= sequence))),
    CONSTRAINT endpoint_cursors_drain_sequence_check CHECK ((drain_sequence >= 0)),
    CONSTRAINT endpoint_cursors_sequence_check CHECK ((sequence >= 0))
)
WITH (fillfactor='50');

COMMENT ON COLUMN public.endpoint_cursors.filter_revision IS 'raised by whatever changes what a settle may say: another filter, an outage or a short drain that ends, a loss';

COMMENT ON COLUMN public.endpoint_cursors.drain_sequence IS 'the head of the log when the last outage ended, for an endpoint that is drained of the latest only';

CREATE TABLE public.endpoint_filters (
    endpoint_id uuid NOT NULL,
    after_sequence bigint NOT NULL,
    event_types text[],
    CONSTRAINT endpoint_filters_after_sequence_check CHECK ((after_sequence >= 0))
);

CREATE TABLE public.endpoint_keys (
    endpoint_id uuid NOT NULL,
    public_key bytea NOT NULL,
    seed_sealed bytea,
    valid_from timestamp with time zone NOT NULL,
    valid_until timestamp with time zone,
    CONSTRAINT endpoint_keys_check CHECK ((valid_until >= valid_from)),
    CONSTRAINT endpoint_keys_check1 CHECK (((seed_sealed IS NOT NULL) OR (valid_until IS NOT NULL))),
    CONSTRAINT endpoint_keys_public_key_check CHECK ((octet_length(public_key) = 32))
);

CREATE TABLE public.endpoint_losses (
    endpoint_id uuid NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    reason text NOT NULL,
    events bigint NOT NULL,
    lost_at timestamp with time zone NOT NULL,
    CONSTRAINT endpoint_losses_check CHECK ((last_sequence >= first_sequence)),
    CONSTRAINT endpoint_losses_events_check CHECK ((events >= 1)),
    CONSTRAINT endpoint_losses_first_sequence_check CHECK ((first_sequence >= 1)),
    CONSTRAINT endpoint_losses_reason_check CHECK ((reason = ANY (ARRAY['undelivered'::text, 'exhausted'::text])))
);

CREATE TABLE public.endpoint_replays (
    replay_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    sequence bigint NOT NULL,
    sequence_last bigint NOT NULL,
    matched_sequence bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    object_id text,
    exhausted_since timestamp with time zone,
    CONSTRAINT endpoint_replays_check CHECK ((sequence <= sequence_last)),
    CONSTRAINT endpoint_replays_check1 CHECK (((matched_sequence >= 0) AND (matched_sequence <= sequence))),
    CONSTRAINT endpoint_replays_check2 CHECK (((object_id IS NULL) OR (exhausted_since IS NULL))),
    CONSTRAINT endpoint_replays_sequence_check CHECK ((sequence >= 0))
);

CREATE TABLE public.endpoints (
    endpoint_id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    shard smallint NOT NULL,
    url text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    event_types text[],
    headers_sealed bytea,
    max_in_flight integer NOT NULL,
    rate_per_s integer,
    drain text DEFAULT 'all'::text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    state_reason text,
    state_since timestamp with time zone NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    wakes bigint DEFAULT 0 NOT NULL,
    start_sequence bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    warned_at timestamp with time zone,
    warned_since timestamp with time zone,
    deleted_at timestamp with time zone,
    verification text DEFAULT 'verified'::text NOT NULL,
    verification_failure text,
    challenges smallint DEFAULT 0 NOT NULL,
    challenge_at timestamp with time zone,
    CONSTRAINT endpoints_challenges_check CHECK ((challenges >= 0)),
    CONSTRAINT endpoints_check CHECK (((state = 'active'::text) OR (state_reason IS NOT NULL))),
    CONSTRAINT endpoints_check1 CHECK (((verification = 'pending'::text) OR ((challenge_at IS NULL) AND (verification_failure IS NULL)))),
    CONSTRAINT endpoints_check2 CHECK ((((warned_at IS NULL) = (warned_since IS NULL)) AND (warned_since <= warned_at))),
    CONSTRAINT endpoints_description_check CHECK ((length(description) <= 500)),
    CONSTRAINT endpoints_drain_check CHECK ((drain = ANY (ARRAY['all'::text, 'latest_only'::text]))),
    CONSTRAINT endpoints_event_types_check CHECK (((cardinality(event_types) >= 1) AND (cardinality(event_types) <= 64))),
    CONSTRAINT endpoints_max_in_flight_check CHECK (((max_in_flight >= 1) AND (max_in_flight <= 1000))),
    CONSTRAINT endpoints_rate_per_s_check CHECK (((rate_per_s >= 1) AND (rate_per_s <= 10000))),
    CONSTRAINT endpoints_shard_check CHECK (((shard >= 0) AND (shard <= 63))),
    CONSTRAINT endpoints_start_sequence_check CHECK ((start_sequence >= 0)),
    CONSTRAINT endpoints_state_check CHECK ((state = ANY (ARRAY['active'::text, 'failing'::text, 'paused'::text]))),
    CONSTRAINT endpoints_url_check CHECK (((url ~* '^https?://'::text) AND (length(url) <= 2048))),
    CONSTRAINT endpoints_verification_check CHECK ((verification = ANY (ARRAY['pending'::text, 'verified'::text]))),
    CONSTRAINT endpoints_version_check CHECK ((version >= 0))
);

COMMENT ON COLUMN public.endpoints.version IS 'of the endpoint as an object of the log: each endpoint.* event raises it';

COMMENT ON COLUMN public.endpoints.revision IS 'raised by every change that its lane must notice';

COMMENT ON COLUMN public.endpoints.wakes IS 'raised when what waits gets a free try at once; endpoint_cursors.wakes follows';

COMMENT ON COLUMN public.endpoints.warned_since IS 'the first of the warnings that retention gave it since it last was up to date';

COMMENT ON COLUMN public.endpoints.verification IS 'pending: whoever answers at the URL has yet to echo a challenge; no event is sent';

COMMENT ON COLUMN public.endpoints.challenge_at IS 'when it is asked next; null when it is not asked again by itself';

CREATE TABLE public.event_days (
    day date NOT NULL,
    merchant_id uuid NOT NULL,
    first_sequence bigint NOT NULL,
    CONSTRAINT event_days_first_sequence_check CHECK ((first_sequence >= 1))
);

CREATE TABLE public.merchant_logs (
    merchant_id uuid NOT NULL,
    log_epoch integer DEFAULT 1 NOT NULL,
    epoch_after bigint DEFAULT 0 NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    head_hash bytea DEFAULT decode(repeat('00'::text, 32), 'hex'::text) NOT NULL,
    head_at timestamp with time zone,
    CONSTRAINT merchant_logs_check CHECK (((sequence = 0) = (head_at IS NULL))),
    CONSTRAINT merchant_logs_check1 CHECK ((epoch_after <= sequence)),
    CONSTRAINT merchant_logs_epoch_after_check CHECK ((epoch_after >= 0)),
    CONSTRAINT merchant_logs_head_hash_check CHECK ((octet_length(head_hash) = 32)),
    CONSTRAINT merchant_logs_log_epoch_check CHECK ((log_epoch >= 1)),
    CONSTRAINT merchant_logs_sequence_check CHECK ((sequence >= 0))
);

COMMENT ON COLUMN public.merchant_logs.epoch_after IS 'behind so many events the epoch began; more than 0 after a restore';

CREATE VIEW public.endpoint_needs AS
 SELECT p.endpoint_id,
    p.merchant_id,
    need.kind,
    need.sequence,
    told.day
   FROM ((((public.endpoints p
     JOIN public.endpoint_cursors c ON ((c.endpoint_id = p.endpoint_id)))
     JOIN public.merchant_logs m ON ((m.merchant_id = p.merchant_id)))
     CROSS JOIN LATERAL ( SELECT 'cursor'::text AS kind,
            (c.sequence + 1) AS sequence
          WHERE (c.sequence < m.sequence)
        UNION ALL
         SELECT 'replay'::text,
            (min(r.sequence) + 1)
           FROM public.endpoint_replays r
          WHERE (r.endpoint_id = p.endpoint_id)
         HAVING (count(*) > 0)
        UNION ALL
         SELECT 'delivery'::text,
            min(x.sequence) AS min
           FROM (unnest(ARRAY['sending'::text, 'retrying'::text, 'waiting'::text]) s(state)
             CROSS JOIN LATERAL ( SELECT o.sequence
                   FROM public.delivery_exceptions o
                  WHERE ((o.endpoint_id = p.endpoint_id) AND (o.state = s.state))
                  ORDER BY o.sequence
                 LIMIT 1) x)
         HAVING (count(*) > 0)) need)
     CROSS JOIN LATERAL ( SELECT d.day
           FROM public.event_days d
          WHERE ((d.merchant_id = p.merchant_id) AND (d.first_sequence <= need.sequence))
          ORDER BY d.first_sequence DESC
         LIMIT 1) told)
  WHERE (p.deleted_at IS NULL);

CREATE TABLE public.endpoint_secrets (
    endpoint_id uuid NOT NULL,
    secret_id uuid NOT NULL,
    secret_sealed bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT endpoint_secrets_check CHECK ((expires_at >= created_at))
);

CREATE TABLE public.event_leaves (
    merchant_id uuid NOT NULL,
    sequence bigint NOT NULL,
    event_id uuid NOT NULL,
    body_hash bytea NOT NULL,
    CONSTRAINT event_leaves_body_hash_check CHECK ((octet_length(body_hash) = 32)),
    CONSTRAINT event_leaves_sequence_check CHECK ((sequence >= 1))
);

CREATE TABLE public.events_default (
    merchant_id uuid CONSTRAINT events_merchant_id_not_null NOT NULL,
    sequence bigint CONSTRAINT events_sequence_not_null NOT NULL,
    log_epoch integer CONSTRAINT events_log_epoch_not_null NOT NULL,
    event_id uuid CONSTRAINT events_event_id_not_null NOT NULL,
    object_id text CONSTRAINT events_object_id_not_null NOT NULL,
    version bigint CONSTRAINT events_version_not_null NOT NULL,
    type text CONSTRAINT events_type_not_null NOT NULL,
    prev_hash bytea CONSTRAINT events_prev_hash_not_null NOT NULL,
    body bytea CONSTRAINT events_body_not_null NOT NULL,
    created_at timestamp with time zone CONSTRAINT events_created_at_not_null NOT NULL,
    CONSTRAINT events_body_check CHECK (((octet_length(body) >= 2) AND (octet_length(body) <= 262144))),
    CONSTRAINT events_log_epoch_check CHECK ((log_epoch >= 1)),
    CONSTRAINT events_object_id_check CHECK ((object_id <> ''::text)),
    CONSTRAINT events_prev_hash_check CHECK ((octet_length(prev_hash) = 32)),
    CONSTRAINT events_sequence_check CHECK ((sequence >= 1)),
    CONSTRAINT events_type_check CHECK ((type ~ '^[a-z_]+\.[a-z_]+$'::text)),
    CONSTRAINT events_version_check CHECK ((version >= 1))
);

CREATE TABLE public.idempotency_keys (
    caller uuid NOT NULL,
    path text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status smallint NOT NULL,
    content_type text NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255))),
    CONSTRAINT idempotency_keys_request_hash_check CHECK ((octet_length(request_hash) = 32)),
    CONSTRAINT idempotency_keys_status_check CHECK (((status >= 200) AND (status <= 499)))
);

CREATE TABLE public.left_blocks (
    chain text NOT NULL,
    height bigint NOT NULL,
    hash bytea NOT NULL,
    parent_hash bytea NOT NULL,
    block_time timestamp with time zone NOT NULL,
    level text NOT NULL,
    served_by text NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    left_at timestamp with time zone NOT NULL,
    left_for bytea NOT NULL
);

CREATE TABLE public.log_checkpoints (
    checkpoint_id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    log_epoch integer NOT NULL,
    size bigint NOT NULL,
    root_hash bytea NOT NULL,
    note text NOT NULL,
    announced boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    cosignatures text DEFAULT ''::text NOT NULL,
    CONSTRAINT log_checkpoints_cosignatures_check CHECK ((length(cosignatures) <= 8192)),
    CONSTRAINT log_checkpoints_log_epoch_check CHECK ((log_epoch >= 1)),
    CONSTRAINT log_checkpoints_note_check CHECK ((length(note) <= 4096)),
    CONSTRAINT log_checkpoints_root_hash_check CHECK ((octet_length(root_hash) = 32)),
    CONSTRAINT log_checkpoints_size_check CHECK ((size >= 1))
);

CREATE TABLE public.log_epochs (
    log_epoch integer NOT NULL,
    began_at timestamp with time zone NOT NULL,
    CONSTRAINT log_epochs_log_epoch_check CHECK ((log_epoch > 1))
);

CREATE TABLE public.log_keys (
    merchant_id uuid NOT NULL,
    signing_key_sealed bytea NOT NULL,
    verify_key bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    log_id uuid GENERATED ALWAYS AS ((encode(SUBSTRING(sha256(verify_key) FROM 1 FOR 16), 'hex'::text))::uuid) STORED NOT NULL,
    CONSTRAINT log_keys_verify_key_check CHECK ((octet_length(verify_key) = 32))
);

CREATE TABLE public.log_locks (
    merchant_id uuid NOT NULL
);

CREATE TABLE public.log_nodes (
    merchant_id uuid NOT NULL,
    level smallint NOT NULL,
    "position" bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT log_nodes_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT log_nodes_level_check CHECK (((level >= 8) AND (level <= 62))),
    CONSTRAINT log_nodes_position_check CHECK (("position" >= 0))
);

CREATE TABLE public.merchants (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    disabled_at timestamp with time zone,
    CONSTRAINT merchants_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

CREATE TABLE public.relay_shards (
    shard smallint NOT NULL,
    owner uuid,
    epoch bigint DEFAULT 0 NOT NULL,
    leased_until timestamp with time zone,
    CONSTRAINT relay_shards_check CHECK (((owner IS NULL) = (leased_until IS NULL))),
    CONSTRAINT relay_shards_shard_check CHECK (((shard >= 0) AND (shard <= 63)))
)
WITH (fillfactor='50');

CREATE TABLE public.relay_workers (
    worker_id uuid NOT NULL,
    seen_at timestamp with time zone NOT NULL
);

CREATE TABLE public.rescans (
    id uuid NOT NULL,
    chain text NOT NULL,
    height_first bigint NOT NULL,
    height_last bigint NOT NULL,
    height_next bigint NOT NULL,
    address_id uuid,
    created_at timestamp with time zone NOT NULL,
    done_at timestamp with time zone,
    CONSTRAINT rescans_check CHECK ((height_first <= height_last)),
    CONSTRAINT rescans_check1 CHECK (((height_next >= (height_first - 1)) AND (height_next <= height_last))),
    CONSTRAINT rescans_height_first_check CHECK ((height_first >= 0))
);

CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_migrations_checksum_check CHECK ((length(checksum) = 32)),
    CONSTRAINT schema_migrations_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY public.events ATTACH PARTITION public.events_default DEFAULT;

ALTER TABLE ONLY public.addresses
    ADD CONSTRAINT addresses_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.assets
    ADD CONSTRAINT assets_pkey PRIMARY KEY (chain, asset);

ALTER TABLE ONLY public.audit_trail
    ADD CONSTRAINT audit_trail_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.blocks
    ADD CONSTRAINT blocks_pkey PRIMARY KEY (chain, height);

ALTER TABLE ONLY public.calls_in_progress
    ADD CONSTRAINT calls_in_progress_pkey PRIMARY KEY (caller, path, key);

ALTER TABLE ONLY public.chain_status
    ADD CONSTRAINT chain_status_pkey PRIMARY KEY (chain);

ALTER TABLE ONLY public.chains
    ADD CONSTRAINT chains_alias_key UNIQUE (alias);

ALTER TABLE ONLY public.chains
    ADD CONSTRAINT chains_lock_key_key UNIQUE (lock_key);

ALTER TABLE ONLY public.chains
    ADD CONSTRAINT chains_pkey PRIMARY KEY (chain);

ALTER TABLE ONLY public.delivery_attempts
    ADD CONSTRAINT delivery_attempts_pkey PRIMARY KEY (endpoint_id, sequence, number);

ALTER TABLE ONLY public.delivery_exceptions
    ADD CONSTRAINT delivery_exceptions_pkey PRIMARY KEY (endpoint_id, sequence);

ALTER TABLE ONLY public.deposit_conflicts
    ADD CONSTRAINT deposit_conflicts_pkey PRIMARY KEY (chain, key, deposit_id);

ALTER TABLE ONLY public.deposit_repeats
    ADD CONSTRAINT deposit_repeats_pkey PRIMARY KEY (deposit_id, height);

ALTER TABLE ONLY public.deposits
    ADD CONSTRAINT deposits_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.disabled_merchants
    ADD CONSTRAINT disabled_merchants_pkey PRIMARY KEY (merchant_id);

ALTER TABLE ONLY public.doubted_blocks
    ADD CONSTRAINT doubted_blocks_pkey PRIMARY KEY (chain, height);

ALTER TABLE ONLY public.endpoint_cursors
    ADD CONSTRAINT endpoint_cursors_pkey PRIMARY KEY (endpoint_id, sequence);

ALTER TABLE ONLY public.endpoint_filters
    ADD CONSTRAINT endpoint_filters_pkey PRIMARY KEY (endpoint_id, after_sequence);

ALTER TABLE ONLY public.endpoint_keys
    ADD CONSTRAINT endpoint_keys_pkey PRIMARY KEY (endpoint_id, public_key);

ALTER TABLE ONLY public.endpoint_losses
    ADD CONSTRAINT endpoint_losses_pkey PRIMARY KEY (endpoint_id, first_sequence, reason);

ALTER TABLE ONLY public.endpoint_replays
    ADD CONSTRAINT endpoint_replays_pkey PRIMARY KEY (replay_id);

ALTER TABLE ONLY public.endpoint_secrets
    ADD CONSTRAINT endpoint_secrets_pkey PRIMARY KEY (endpoint_id, secret_id);

ALTER TABLE ONLY public.endpoints
    ADD CONSTRAINT endpoints_pkey PRIMARY KEY (endpoint_id);

ALTER TABLE ONLY public.event_days
    ADD CONSTRAINT event_days_merchant_id_first_sequence_key UNIQUE (merchant_id, first_sequence);

ALTER TABLE ONLY public.event_days
    ADD CONSTRAINT event_days_pkey PRIMARY KEY (day, merchant_id);

ALTER TABLE ONLY public.event_leaves
    ADD CONSTRAINT event_leaves_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY public.event_leaves
    ADD CONSTRAINT event_leaves_pkey PRIMARY KEY (merchant_id, sequence);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (caller, path, key);

ALTER TABLE ONLY public.left_blocks
    ADD CONSTRAINT left_blocks_pkey PRIMARY KEY (chain, height, hash, left_at);

ALTER TABLE ONLY public.log_checkpoints
    ADD CONSTRAINT log_checkpoints_pkey PRIMARY KEY (checkpoint_id);

ALTER TABLE ONLY public.log_epochs
    ADD CONSTRAINT log_epochs_pkey PRIMARY KEY (log_epoch);

ALTER TABLE ONLY public.log_keys
    ADD CONSTRAINT log_keys_pkey PRIMARY KEY (merchant_id);

ALTER TABLE ONLY public.log_locks
    ADD CONSTRAINT log_locks_pkey PRIMARY KEY (merchant_id);

ALTER TABLE ONLY public.log_nodes
    ADD CONSTRAINT log_nodes_pkey PRIMARY KEY (merchant_id, level, "position");

ALTER TABLE ONLY public.merchant_logs
    ADD CONSTRAINT merchant_logs_pkey PRIMARY KEY (merchant_id, sequence);

ALTER TABLE ONLY public.merchants
    ADD CONSTRAINT merchants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.relay_shards
    ADD CONSTRAINT relay_shards_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.relay_workers
    ADD CONSTRAINT relay_workers_pkey PRIMARY KEY (worker_id);

ALTER TABLE ONLY public.rescans
    ADD CONSTRAINT rescans_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

CREATE INDEX addresses_by_chain_address ON public.addresses USING btree (chain, address);

CREATE INDEX addresses_by_start ON public.addresses USING btree (chain, effective_start);

CREATE UNIQUE INDEX addresses_by_watch_version ON public.addresses USING btree (chain, watch_version);

CREATE INDEX addresses_listing ON public.addresses USING btree (merchant_id, created_at, id);

CREATE UNIQUE INDEX addresses_once_per_merchant ON public.addresses USING btree (merchant_id, chain, address, COALESCE(memo, '\x'::bytea)) WHERE (deleted_at IS NULL);

CREATE INDEX addresses_pending ON public.addresses USING btree (chain, effective_start) WHERE (pending_start IS NOT NULL);

CREATE INDEX api_keys_listing ON public.api_keys USING btree (merchant_id, created_at, id);

CREATE INDEX audit_trail_by_subject ON public.audit_trail USING btree (subject, id);

CREATE INDEX audit_trail_by_time ON public.audit_trail USING btree (at);

CREATE INDEX delivery_attempts_by_time ON public.delivery_attempts USING btree (started_at);

CREATE INDEX delivery_exceptions_by_state ON public.delivery_exceptions USING btree (endpoint_id, state, sequence);

CREATE INDEX delivery_exceptions_covered ON public.delivery_exceptions USING btree (endpoint_id, covered_by, sequence) WHERE (state = 'covered'::text);

CREATE INDEX delivery_exceptions_due ON public.delivery_exceptions USING btree (endpoint_id, retry_at) WHERE (state = ANY (ARRAY['sending'::text, 'retrying'::text]));

CREATE UNIQUE INDEX delivery_exceptions_one_head ON public.delivery_exceptions USING btree (endpoint_id, object_id, replay) WHERE (state = ANY (ARRAY['sending'::text, 'retrying'::text]));

CREATE INDEX delivery_exceptions_waiting ON public.delivery_exceptions USING btree (endpoint_id, object_id, replay, sequence) WHERE (state = 'waiting'::text);

CREATE INDEX deposit_conflicts_by_deposit ON public.deposit_conflicts USING btree (deposit_id);

CREATE INDEX deposit_repeats_by_height ON public.deposit_repeats USING btree (chain, height);

CREATE INDEX deposits_awaiting_depth ON public.deposits USING btree (chain, (((height + confirmations_required) - 1))) WHERE ((state = 'included'::text) AND (confirmed_by = 'depth'::text) AND (NOT on_one_word));

CREATE INDEX deposits_awaiting_final ON public.deposits USING btree (chain, height) WHERE ((state = ANY (ARRAY['included'::text, 'confirmed'::text])) AND (NOT on_one_word));

CREATE INDEX deposits_awaiting_tag ON public.deposits USING btree (chain, height) WHERE ((state = 'included'::text) AND (confirmed_by <> 'depth'::text) AND (NOT on_one_word));

CREATE INDEX deposits_by_address ON public.deposits USING btree (address_id);

CREATE INDEX deposits_by_replaced_height ON public.deposits USING btree (chain, replaced_height) WHERE (replaced_height IS NOT NULL);

CREATE INDEX deposits_by_tx ON public.deposits USING btree (chain, tx_hash);

CREATE INDEX deposits_in_blocks ON public.deposits USING btree (chain, height) WHERE (height IS NOT NULL);

CREATE INDEX deposits_listing ON public.deposits USING btree (merchant_id, first_seen_at, id);

CREATE INDEX deposits_on_one_word ON public.deposits USING btree (chain, height) WHERE on_one_word;

CREATE INDEX deposits_undecided ON public.deposits USING btree (chain, first_seen_at, id) WHERE ((state = ANY (ARRAY['seen'::text, 'orphaned'::text, 'replaced'::text])) AND ((state <> 'replaced'::text) OR (replaced_height IS NULL)));

CREATE INDEX doubted_blocks_by_due ON public.doubted_blocks USING btree (chain, due_at, height);

CREATE UNIQUE INDEX endpoint_keys_one_current ON public.endpoint_keys USING btree (endpoint_id) WHERE (valid_until IS NULL);

CREATE INDEX endpoint_replays_by_endpoint ON public.endpoint_replays USING btree (endpoint_id, created_at, replay_id);

CREATE UNIQUE INDEX endpoint_secrets_one_current ON public.endpoint_secrets USING btree (endpoint_id) WHERE (expires_at IS NULL);

CREATE INDEX endpoints_by_challenge ON public.endpoints USING btree (challenge_at) WHERE ((challenge_at IS NOT NULL) AND (deleted_at IS NULL));

CREATE INDEX endpoints_by_merchant ON public.endpoints USING btree (merchant_id, created_at, endpoint_id) WHERE (deleted_at IS NULL);

CREATE INDEX endpoints_by_shard ON public.endpoints USING btree (shard) WHERE (deleted_at IS NULL);

CREATE UNIQUE INDEX events_default_event_id ON public.events_default USING btree (event_id);

CREATE UNIQUE INDEX events_default_sequence ON public.events_default USING btree (merchant_id, sequence);

CREATE UNIQUE INDEX events_default_version ON public.events_default USING btree (merchant_id, object_id, version);

CREATE INDEX idempotency_keys_by_expiry ON public.idempotency_keys USING btree (expires_at);

CREATE UNIQUE INDEX log_checkpoints_by_size ON public.log_checkpoints USING btree (merchant_id, size, log_epoch);

CREATE INDEX log_checkpoints_listing ON public.log_checkpoints USING btree (merchant_id, created_at, checkpoint_id);

CREATE UNIQUE INDEX log_keys_by_log_id ON public.log_keys USING btree (log_id);

CREATE INDEX merchants_listing ON public.merchants USING btree (created_at, id);

CREATE INDEX rescans_open ON public.rescans USING btree (chain, created_at) WHERE (done_at IS NULL);

CREATE TRIGGER events_are_append_only BEFORE DELETE OR UPDATE ON public.events FOR EACH ROW EXECUTE FUNCTION public.refuse_event_change();

ALTER TABLE ONLY public.addresses
    ADD CONSTRAINT addresses_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES public.merchants(id);

ALTER TABLE ONLY public.assets
    ADD CONSTRAINT assets_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);

ALTER TABLE ONLY public.blocks
    ADD CONSTRAINT blocks_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);

ALTER TABLE ONLY public.delivery_exceptions
    ADD CONSTRAINT delivery_exceptions_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoints(endpoint_id);

ALTER TABLE ONLY public.deposit_conflicts
    ADD CONSTRAINT deposit_conflicts_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);

ALTER TABLE ONLY public.deposit_conflicts
    ADD CONSTRAINT deposit_conflicts_deposit_id_fkey FOREIGN KEY (deposit_id) REFERENCES public.deposits(id);

ALTER TABLE ONLY public.deposit_repeats
    ADD CONSTRAINT deposit_repeats_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);

ALTER TABLE ONLY public.deposit_repeats
    ADD CONSTRAINT deposit_repeats_deposit_id_fkey FOREIGN KEY (deposit_id) REFERENCES public.deposits(id);

ALTER TABLE ONLY public.deposits
    ADD CONSTRAINT deposits_address_id_fkey FOREIGN KEY (address_id) REFERENCES public.addresses(id);

ALTER TABLE ONLY public.deposits
    ADD CONSTRAINT deposits_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);

ALTER TABLE ONLY public.doubted_blocks
    ADD CONSTRAINT doubted_blocks_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);

ALTER TABLE ONLY public.endpoint_cursors
    ADD CONSTRAINT endpoint_cursors_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoints(endpoint_id);

ALTER TABLE ONLY public.endpoint_filters
    ADD CONSTRAINT endpoint_filters_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoints(endpoint_id);

ALTER TABLE ONLY public.endpoint_keys
    ADD CONSTRAINT endpoint_keys_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoints(endpoint_id);

ALTER TABLE ONLY public.endpoint_losses
    ADD CONSTRAINT endpoint_losses_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoints(endpoint_id);

ALTER TABLE ONLY public.endpoint_replays
    ADD CONSTRAINT endpoint_replays_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoints(endpoint_id);

ALTER TABLE ONLY public.endpoint_secrets
    ADD CONSTRAINT endpoint_secrets_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoints(endpoint_id);

ALTER TABLE ONLY public.log_checkpoints
    ADD CONSTRAINT log_checkpoints_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES public.log_keys(merchant_id);

ALTER TABLE ONLY public.rescans
    ADD CONSTRAINT rescans_address_id_fkey FOREIGN KEY (address_id) REFERENCES public.addresses(id);

ALTER TABLE ONLY public.rescans
    ADD CONSTRAINT rescans_chain_fkey FOREIGN KEY (chain) REFERENCES public.chains(chain);
