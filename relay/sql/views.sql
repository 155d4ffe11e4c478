-- Read-only questions about deliveries and endpoints, and what merchants ask to be sent again.

-- Deliveries in the order of the log; the filter that held then decides what was one.
-- name: load_deliveries_by_sequence :many
select d.*
from (
  select e.sequence, e.event_id, e.type, e.object_id, e.version, e.created_at,
    coalesce(x.state, case when e.sequence <= c.sequence then 'delivered' else 'pending' end) as state,
    coalesce(x.attempts, 0) as attempts, x.retry_at, x.exhausted_at
  from endpoint_cursors c
  join endpoints p
  on p.endpoint_id = c.endpoint_id
  join events e
  on e.merchant_id = p.merchant_id and e.sequence > $2
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
  x.retry_at, x.exhausted_at
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
  x.retry_at, x.exhausted_at
from unnest($2::uuid[], $3::uuid[]) as candidate (endpoint_id, event_id)
join events e
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
select number, started_at, duration_ms, outcome, status_code, excerpt
from delivery_attempts
where endpoint_id = $1 and sequence = $2
order by number
limit $3;

-- name: count_rows_by_state :many
select state, count(*) as rows, min(event_at) as oldest_at
from delivery_exceptions
where endpoint_id = $1
group by state;

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

-- The event before a sequence that the endpoint's filter matches, looked for $4 events back. What lies further back is
-- unknown, and said to be there: a receiver that looks for nothing is better than one that misses something.
-- name: load_matched_before :one
select coalesce(
  (
    select e.sequence
    from events e
    where e.merchant_id = $1 and e.sequence < $2::bigint and e.sequence >= $2::bigint - $4::bigint
      and ($3::text[] is null or e.type = any($3))
    order by e.sequence desc
    limit 1
  ),
  greatest($2::bigint - $4::bigint - 1, 0)
);

-- name: insert_replay :exec
insert into endpoint_replays (
  replay_id, endpoint_id, sequence, sequence_last, matched_sequence, created_at, object_id, exhausted_since
)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: measure_object :one
select count(*) as kept,
  count(*) filter (where e.sequence <= $3 and ($4::text[] is null or e.type = any($4))) as deliveries,
  min(e.sequence) filter (where e.sequence <= $3 and ($4::text[] is null or e.type = any($4))) as sequence_first,
  max(e.sequence) filter (where e.sequence <= $3 and ($4::text[] is null or e.type = any($4))) as sequence_last
from events e
where e.merchant_id = $1 and e.object_id = $2;

-- name: measure_exhausted :one
select count(*) as deliveries, min(x.sequence) as sequence_first, max(x.sequence) as sequence_last
from delivery_exceptions x
where x.endpoint_id = $1 and x.state = 'exhausted' and x.exhausted_at >= $2
  and exists (
    select
    from events e
    where e.merchant_id = x.merchant_id and e.sequence = x.sequence and e.created_at = x.event_at
  );

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
