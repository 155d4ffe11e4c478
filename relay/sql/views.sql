-- Read-only questions about deliveries and endpoints, and what merchants ask to be sent again.

-- Deliveries of a stretch of the log, in its order; the filter that held then decides what was one.
-- name: load_deliveries_by_sequence :many
select d.*
from (
  select e.sequence, e.event_id, e.type, e.object_id, e.version, e.created_at,
    coalesce(x.state, case when e.sequence <= c.sequence then 'delivered' else 'pending' end) as state,
    coalesce(x.attempts, 0) as attempts, x.retry_at, x.exhausted_at, x.covered_by
  from endpoint_cursors c
  join endpoints p
  on p.endpoint_id = c.endpoint_id
  cross join lateral events_between(p.merchant_id, $2, $5, null, $5::bigint - $2::bigint) e
  left join delivery_exceptions x
  on x.endpoint_id = c.endpoint_id and x.sequence = e.sequence
  left join lateral (
    select f.event_types, true as held
    from endpoint_filters f
    where f.endpoint_id = c.endpoint_id and f.after_sequence < e.sequence
    order by f.after_sequence desc
    limit 1
  ) f on true
  where c.endpoint_id = $1
    and (x.sequence is not null or (f.held and (f.event_types is null or e.type = any(f.event_types))))
) d
where $3::text is null or d.state = $3
order by d.sequence
limit $4;

-- name: load_deliveries_by_state :many
select x.sequence, x.event_id, x.type, x.object_id, x.version, x.event_at as created_at, x.state, x.attempts,
  x.retry_at, x.exhausted_at, x.covered_by
from delivery_exceptions x
where x.endpoint_id = $1 and x.state = $3 and x.sequence > $2
order by x.sequence
limit $4;

-- A delivery id is the endpoint's and the event's, exclusive-or: callers give every pair it could stand for.
-- name: find_delivery :one
select candidate.endpoint_id, e.merchant_id, e.sequence, e.event_id, e.type, e.object_id, e.version, e.created_at,
  coalesce(x.state, case when e.sequence <= c.sequence then 'delivered' else 'pending' end) as state,
  coalesce(
    x.attempts,
    (
      select count(*)
      from delivery_attempts a
      where a.endpoint_id = candidate.endpoint_id and a.sequence = e.sequence
    )
  ) as attempts,
  x.retry_at, x.exhausted_at, x.covered_by
from unnest($2::uuid[], $3::uuid[]) as candidate (endpoint_id, event_id)
join events_with_ids($3, $4::date[], 1) e
on e.event_id = candidate.event_id and e.merchant_id = $1
join endpoint_cursors c
on c.endpoint_id = candidate.endpoint_id
left join delivery_exceptions x
on x.endpoint_id = candidate.endpoint_id and x.sequence = e.sequence
left join lateral (
  select f.event_types, true as held
  from endpoint_filters f
  where f.endpoint_id = candidate.endpoint_id and f.after_sequence < e.sequence
  order by f.after_sequence desc
  limit 1
) f on true
where x.sequence is not null
  or (f.held and (f.event_types is null or e.type = any(f.event_types)))
  or exists (
    select
    from delivery_attempts a
    where a.endpoint_id = candidate.endpoint_id and a.sequence = e.sequence
  )
limit 1;

-- name: load_endpoint_ids :many
select endpoint_id
from endpoints
where merchant_id = $1 and deleted_at is null;

-- name: load_attempts :many
select number, started_at, duration_ms, outcome, status_code, excerpt, detail
from delivery_attempts
where endpoint_id = $1 and sequence = $2
order by number
limit $3;

-- name: load_queue_totals :one
select
  (
    select coalesce(sum(greatest(m.sequence - c.sequence, 0)), 0)
    from endpoint_cursors c
    join endpoints p
    on p.endpoint_id = c.endpoint_id
    join merchant_logs m
    on m.merchant_id = p.merchant_id
  )::bigint as events_behind,
  (select count(*) from delivery_exceptions where state in ('sending', 'retrying', 'waiting')) as troubled,
  (select count(*) from delivery_exceptions where state = 'exhausted') as exhausted,
  (select count(*) from endpoints where state = 'failing' and deleted_at is null) as failing_endpoints;

-- The newest event of a stretch of the log that an endpoint's filter matches.
-- name: load_last_matched :one
select max(sequence)
from events_between($1, $2, $3, $4::text[], $3::bigint - $2::bigint);

-- Behind which sequence to look for what came before $2: $3 events back, and $4 days that are kept.
-- name: load_look_back :one
select greatest($2::bigint - 1 - $3::bigint, (
  select coalesce(min(d.first_sequence), $2) - 1
  from (
    select first_sequence
    from event_days
    where merchant_id = $1 and first_sequence < $2
    order by first_sequence desc
    limit $4
  ) d
));

-- name: load_place :one
select p.merchant_id, m.sequence as head_sequence
from endpoint_cursors c
join endpoints p
on p.endpoint_id = c.endpoint_id
join merchant_logs m
on m.merchant_id = p.merchant_id
where c.endpoint_id = $1;

-- name: insert_replay :exec
insert into endpoint_replays (
  replay_id, endpoint_id, sequence, sequence_last, matched_sequence, created_at, object_id, exhausted_since
)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- Of the events about an object on these days: how many are kept, and what of them is a delivery up to $3 by the filter $4.
-- name: measure_object :one
select count(*) as kept,
  count(*) filter (where sequence <= $3 and ($4::text[] is null or type = any($4))) as deliveries,
  min(sequence) filter (where sequence <= $3 and ($4::text[] is null or type = any($4))) as first_sequence,
  max(sequence) filter (where sequence <= $3 and ($4::text[] is null or type = any($4))) as last_sequence
from events_of_object($1, $2, 0, $5::date[], null);

-- A row goes with its event, so what stands here can be sent.
-- name: measure_exhausted :one
select count(*) as deliveries, min(sequence) as sequence_first, max(sequence) as sequence_last
from delivery_exceptions
where endpoint_id = $1 and state = 'exhausted' and exhausted_at >= $2;

-- name: count_replays :one
select count(*)
from endpoint_replays
where endpoint_id = $1;

-- name: load_filter :one
select event_types
from endpoints
where endpoint_id = $1;

-- name: retry_row_now :exec
update delivery_exceptions
set retry_at = $3, free = true
where endpoint_id = $1 and sequence = $2 and state = 'retrying';
