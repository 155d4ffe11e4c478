-- What the end of an outage writes for endpoints that are drained of the latest only, and what another filter undoes of it.

-- Everything told so far may be covered. Whatever a lane still wants to write was decided before: it must begin again.
-- name: begin_short_drains :many
update endpoint_cursors c
set drain_sequence = greatest(c.drain_sequence, m.sequence), filter_revision = c.filter_revision + 1
from endpoints p
join merchant_logs m
on m.merchant_id = p.merchant_id
where p.endpoint_id = any($1::uuid[]) and p.drain = 'latest_only' and c.endpoint_id = p.endpoint_id
returning c.endpoint_id;

-- Rows that something newer stands for, and covered ones whose newest was not told yet. The newest must be still to come:
-- behind the cursor or a row. What is under way stays as it is.
-- name: load_superseded_rows :many
with tried as materialized (
  select endpoint_id, sequence, object_id, version, event_at
  from delivery_exceptions
  where endpoint_id = any($1::uuid[]) and state in ('retrying', 'waiting') and not replay
),
superseded as materialized (
  select *
  from tried
  union
  select x.endpoint_id, x.sequence, x.object_id, x.version, x.event_at
  from endpoint_cursors c
  join delivery_exceptions x
  on x.endpoint_id = c.endpoint_id and x.state = 'covered' and x.covered_by > c.sequence
  where c.endpoint_id = any($1::uuid[])
  union
  select x.endpoint_id, x.sequence, x.object_id, x.version, x.event_at
  from tried t
  join delivery_exceptions x
  on x.endpoint_id = t.endpoint_id and x.state = 'covered' and x.covered_by = t.sequence
),
asked as (
  select array_agg(endpoint_id) as endpoint_ids, array_agg(object_id) as object_ids, array_agg(version) as versions,
    array_agg(event_at) as moments
  from superseded
  having count(*) > 0
)
select s.endpoint_id, s.sequence, s.object_id, v.covered_by
from asked
cross join lateral covering_sequences(asked.endpoint_ids, asked.object_ids, asked.versions, asked.moments) v
join superseded s
on s.endpoint_id = v.endpoint_id and s.sequence = v.sequence
join endpoint_cursors c
on c.endpoint_id = v.endpoint_id
where v.covered_by > c.sequence
  or exists (select from tried t where t.endpoint_id = v.endpoint_id and t.sequence = v.covered_by);

-- name: cover_rows :exec
update delivery_exceptions x
set state = 'covered', covered_by = newer.covered_by, retry_at = null, free = false
from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as newer (endpoint_id, sequence, covered_by)
where x.endpoint_id = newer.endpoint_id and x.sequence = newer.sequence;

-- Another filter holds behind the endpoint's place: what is there is read again, in its order. A failure is written before
-- the cursor gets by, and its row would overtake what matches only now.
-- name: forget_rows_ahead :exec
delete from delivery_exceptions
where endpoint_id = $1 and sequence > $2 and state <> 'exhausted' and not replay;

-- What was to stand for these may not match that filter. Where something later of their object has a row, they would come
-- after what was tried: it stands for them now.
-- name: hand_over_covered_rows :exec
update delivery_exceptions x
set covered_by = later.sequence
from (
  select y.sequence as covered, max(b.sequence) as sequence
  from delivery_exceptions y
  join delivery_exceptions b
  on b.endpoint_id = y.endpoint_id and b.object_id = y.object_id and b.sequence > y.sequence and b.sequence < y.covered_by
    and b.state <> 'covered' and not b.replay
  where y.endpoint_id = $1 and y.state = 'covered' and y.covered_by > $2
  group by y.sequence
) later
where x.endpoint_id = $1 and x.sequence = later.covered;

-- The others are delivered themselves. Not where something later is exhausted, ahead of the cursor: that was tried, too.
-- name: uncover_passed_rows :many
update delivery_exceptions x
set state = 'waiting', covered_by = null
where x.endpoint_id = $1 and x.state = 'covered' and x.covered_by > $2
  and not exists (
    select
    from delivery_exceptions b
    where b.endpoint_id = x.endpoint_id and b.object_id = x.object_id and b.sequence > x.sequence
      and b.state <> 'covered' and not b.replay
  )
returning x.endpoint_id, x.object_id;
