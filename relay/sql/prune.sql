-- What retention allows: old attempts, and months of the log that no endpoint needs.

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

-- name: retire_events_partition :one
select retire_events_partition($1);

-- name: mark_warned_endpoints :many
update endpoints
set warned_at = $2, version = version + 1
where endpoint_id in (select endpoints_needing_events_before($1))
  and (warned_at is null or warned_at < $3)
returning endpoint_id, merchant_id, version, state;
