-- What retention allows: old attempts, and days of the log.

-- name: delete_old_attempts :one
with old as (
  select a.endpoint_id, a.sequence, a.number
  from delivery_attempts a
  where a.started_at < $1
    and not exists (
      select
      from delivery_exceptions x
      where x.endpoint_id = a.endpoint_id and x.sequence = a.sequence
    )
  order by a.started_at
  limit $2
),
gone as (
  delete from delivery_attempts d
  using old
  where d.endpoint_id = old.endpoint_id and d.sequence = old.sequence and d.number = old.number
  returning 1
)
select count(*)
from gone;

-- The oldest day the log has. Null also where that one still stands in the default partition: first it gets its own.
-- name: load_oldest_day :one
select part.day
from (
  select to_date(right(c.relname, 10), 'YYYY_MM_DD') as day
  from pg_inherits i
  join pg_class c
  on c.oid = i.inhrelid
  where i.inhparent = 'events'::regclass and c.relname ~ '^events_[0-9]{4}_[0-9]{2}_[0-9]{2}$'
  order by c.relname
  limit 1
) part
where not exists (select from event_days d where d.day < part.day);

-- name: load_needs :many
select n.endpoint_id, n.merchant_id, n.kind, n.sequence, n.day, p.state, p.state_since, p.warned_since,
  not exists (select from disabled_merchants d where d.merchant_id = n.merchant_id) as enabled
from endpoint_needs n
join endpoints p
on p.endpoint_id = n.endpoint_id
order by n.day, n.endpoint_id, n.sequence;

-- name: keep_event_leaves :one
select merchant_id, sequence
from keep_event_leaves($1, $2, $3, $4);

-- name: take_retention :one
select pg_try_advisory_xact_lock(hashtext('chainbell-events-retention'));

-- Others wait for what we hold; for what we wait, they do not wait long.
-- name: limit_waits :exec
set local lock_timeout = '1s';

-- name: retire_events_partition :one
select retire_events_partition($1);

-- name: drop_retired_partition :one
select drop_retired_partition();

-- Endpoints that were warned and are up to date again.
-- name: clear_warnings :exec
update endpoints
set warned_at = null, warned_since = null
where warned_at is not null and not endpoint_id = any($1::uuid[]);

-- name: mark_warned_endpoints :many
update endpoints
set warned_at = $2, warned_since = coalesce(warned_since, $2), version = version + 1
where endpoint_id = any($1::uuid[]) and (warned_at is null or warned_at <= $3)
returning endpoint_id, merchant_id, version, state, warned_since;

-- The days of the log with their sizes, for operators.
-- name: load_partitions :many
select to_date(right(c.relname, 10), 'YYYY_MM_DD') as day, pg_total_relation_size(c.oid) as bytes,
  coalesce(i.inhparent = 'events'::regclass, false) as attached,
  exists (select from event_days d where d.day = to_date(right(c.relname, 10), 'YYYY_MM_DD')) as told
from pg_class c
left join pg_inherits i
on i.inhrelid = c.oid
where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
  and c.relname ~ '^(retired_)?events_[0-9]{4}_[0-9]{2}_[0-9]{2}$'
order by 1;

-- Transactions that have the log's table open for longer than a step takes: while they last, no day can be taken out.
-- name: load_long_readers :many
select a.pid, a.application_name, a.state, a.xact_start as since
from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.xact_start < clock_timestamp() - make_interval(secs => $1::double precision)
  and exists (
    select
    from pg_locks l
    join pg_class c
    on c.oid = l.relation
    where l.pid = a.pid and l.granted and c.relname ~ '^events(_default|_[0-9_]+)?$'
  )
order by a.xact_start;
