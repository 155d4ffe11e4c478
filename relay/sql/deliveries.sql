-- What sending needs: events behind cursors, rows that are due, and one settle for many endpoints.

-- name: load_heads :many
select merchant_id, sequence
from newest_heads($1);

-- name: load_positions :many
select c.endpoint_id, c.sequence, c.matched_sequence, c.filter_revision, c.wakes,
  c.drain_sequence,
  (
    select min(x.retry_at)
    from delivery_exceptions x
    where x.endpoint_id = c.endpoint_id and x.state in ('sending', 'retrying')
  ) as next_retry_at
from endpoint_cursors c
where c.endpoint_id = any($1::uuid[]);

-- name: load_rows_beyond_cursor :many
select x.endpoint_id, x.sequence
from endpoint_cursors c
join delivery_exceptions x
on x.endpoint_id = c.endpoint_id and x.sequence > c.sequence
where c.endpoint_id = any($1::uuid[]);

-- name: load_blocked_objects :many
select endpoint_id, object_id, count(*) as rows,
  bool_or(state = 'retrying' and attempts > 0) as failed,
  coalesce(max(sequence) filter (where state = 'waiting' and type = $2), 0) as reversal_sequence,
  min(sequence) as first_sequence
from delivery_exceptions
where endpoint_id = any($1::uuid[]) and state in ('sending', 'retrying', 'waiting') and not replay
group by endpoint_id, object_id;

-- What the filter leaves out has no body here, nor has what a drain leaves out. Without a drain nothing is asked for it.
-- name: load_events_behind :many
with behind as materialized (
  select b.*, b.sequence <= c.drain_sequence as drains,
    b.sequence <= c.drain_sequence and p.drain = 'latest_only' and b.body is not null as coverable
  from events_behind($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) b
  join endpoints p
  on p.endpoint_id = b.endpoint_id
  left join drain_sequences($1::uuid[]) c
  on c.endpoint_id = b.endpoint_id
),
asked as (
  select array_agg(endpoint_id) as endpoint_ids, array_agg(object_id) as object_ids, array_agg(version) as versions,
    array_agg(created_at) as moments
  from behind
  where coverable
  having count(*) > 0
),
covered as (
  select v.*
  from asked
  cross join lateral covering_sequences(asked.endpoint_ids, asked.object_ids, asked.versions, asked.moments) v
)
select b.endpoint_id, b.event_id, b.sequence, b.object_id, b.version, b.type, b.created_at,
  case when v.covered_by is null then b.body end as body, v.covered_by, w.covers_first, w.covers_last
from behind b
left join covered v
on v.endpoint_id = b.endpoint_id and v.sequence = b.sequence and b.coverable
cross join lateral (
  select min(x.sequence) as covers_first, max(x.sequence) as covers_last
  from delivery_exceptions x
  where b.drains and x.endpoint_id = b.endpoint_id and x.covered_by = b.sequence and x.state = 'covered'
) w
order by b.endpoint_id, b.sequence;

-- name: load_due_rows :many
with due as materialized (
  select *
  from delivery_exceptions
  where endpoint_id = $1 and state in ('sending', 'retrying') and retry_at <= $2
  order by retry_at, sequence
  limit $3
),
asked as (
  select merchant_id, array_agg(sequence) as sequences, array_agg(event_at) as moments
  from due
  group by merchant_id
)
select x.sequence, x.event_id, x.object_id, x.version, x.type, x.event_at, x.prev_sequence, x.state,
  x.failures, x.attempts, x.retry_at, x.free, x.replay, x.created_at, x.covered_by, e.body, w.covers_first, w.covers_last
from asked
cross join lateral event_bodies(asked.merchant_id, asked.sequences, asked.moments) e
join due x
on x.sequence = e.sequence
cross join lateral (
  select min(y.sequence) as covers_first, max(y.sequence) as covers_last
  from delivery_exceptions y
  where y.endpoint_id = x.endpoint_id and y.covered_by = x.sequence and y.state = 'covered'
) w
order by x.retry_at, x.sequence;

-- name: load_next_retry_at :one
select min(retry_at)
from delivery_exceptions
where endpoint_id = $1 and state in ('sending', 'retrying') and retry_at > $2;

-- name: load_oldest_row :one
select x.sequence, x.event_id, x.object_id, x.version, x.type, x.event_at, x.prev_sequence, x.state,
  x.failures, x.attempts, x.retry_at, x.free, x.replay, x.created_at, x.covered_by, e.body, w.covers_first, w.covers_last
from (
  select *
  from delivery_exceptions
  where endpoint_id = $1 and state in ('sending', 'retrying') and not replay
  order by sequence
  limit 1
) x
cross join lateral event_bodies(x.merchant_id, array[x.sequence], array[x.event_at]) e
cross join lateral (
  select min(y.sequence) as covers_first, max(y.sequence) as covers_last
  from delivery_exceptions y
  where y.endpoint_id = x.endpoint_id and y.covered_by = x.sequence and y.state = 'covered'
) w;

-- Who settles must still hold the shard: a takeover waits for this transaction, or this one finds a newer epoch.
-- name: lock_settling_shards :many
select s.shard
from relay_shards s
join unnest($1::smallint[], $2::bigint[]) as mine (shard, epoch)
on mine.shard = s.shard and mine.epoch = s.epoch
order by s.shard
for share of s;

-- What was decided before somebody resumed the endpoint does not undo that.
-- name: move_endpoint_state :one
update endpoints
set state = $2, state_reason = $3, state_since = $4, updated_at = $4, version = version + 1, revision = revision + 1
where endpoint_id = $1 and state = any($5::text[]) and wakes = $6 and deleted_at is null
returning version;

-- A cursor is the lock of everything its endpoint's rows hold; one whose filter changed stays where it is.
-- name: move_cursors :many
select move_cursors(
  $1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::text[],
  $9::bigint[]
) as endpoint_id;

-- name: delete_closed_rows :exec
delete from delivery_exceptions x
using unnest($1::uuid[], $2::bigint[]) as closed (endpoint_id, sequence)
where x.endpoint_id = closed.endpoint_id and x.sequence = closed.sequence;

-- Heads that step aside come first, then the rest by sequence: never two heads of one object, not even on the way.
-- name: upsert_rows :exec
insert into delivery_exceptions (
  endpoint_id, merchant_id, sequence, event_id, event_at, object_id, version, type, prev_sequence,
  state, failures, attempts, retry_at, free, replay, created_at, covered_by, exhausted_at
)
select endpoint_id, merchant_id, sequence, event_id, event_at, object_id, version, type, prev_sequence,
  state, failures, attempts, retry_at, free, replay, created_at, covered_by,
  case when state = 'exhausted' then $18::timestamptz end
from unnest(
  $1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::text[], $7::bigint[], $8::text[],
  $9::bigint[], $10::text[], $11::smallint[], $12::integer[], $13::timestamptz[], $14::boolean[], $15::boolean[],
  $16::timestamptz[], $17::bigint[]
) as new (
  endpoint_id, merchant_id, sequence, event_id, event_at, object_id, version, type, prev_sequence,
  state, failures, attempts, retry_at, free, replay, created_at, covered_by
)
order by endpoint_id, state <> 'exhausted', sequence
on conflict (endpoint_id, sequence) do update
set state = excluded.state, failures = excluded.failures, attempts = excluded.attempts,
  retry_at = excluded.retry_at, free = excluded.free, covered_by = excluded.covered_by,
  exhausted_at = case
    when excluded.state = 'exhausted' then coalesce(delivery_exceptions.exhausted_at, excluded.exhausted_at)
  end;

-- Of each object that lost its head, the oldest waiting row becomes due.
-- name: promote_waiting_rows :exec
update delivery_exceptions x
set state = 'retrying', retry_at = $4
from (
  select distinct on (w.endpoint_id, w.object_id, w.replay) w.endpoint_id, w.sequence
  from unnest($1::uuid[], $2::text[], $3::boolean[]) as freed (endpoint_id, object_id, replay)
  join delivery_exceptions w
  on w.endpoint_id = freed.endpoint_id and w.object_id = freed.object_id and w.replay = freed.replay
  where w.state = 'waiting'
    and not exists (
      select
      from delivery_exceptions h
      where h.endpoint_id = w.endpoint_id and h.object_id = w.object_id and h.replay = w.replay
        and h.state in ('sending', 'retrying')
    )
  order by w.endpoint_id, w.object_id, w.replay, w.sequence
) next
where x.endpoint_id = next.endpoint_id and x.sequence = next.sequence;

-- name: hurry_rows :exec
update delivery_exceptions x
set retry_at = least(x.retry_at, hurry.retry_at)
from unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[])
  as hurry (endpoint_id, object_id, before_sequence, retry_at)
where x.endpoint_id = hurry.endpoint_id and x.object_id = hurry.object_id and x.sequence < hurry.before_sequence
  and x.state = 'retrying' and not x.replay;

-- name: free_retrying_rows :exec
update delivery_exceptions
set retry_at = $2, free = true
where endpoint_id = any($1::uuid[]) and state = 'retrying';

-- name: insert_attempts :exec
insert into delivery_attempts (
  endpoint_id, sequence, number, started_at, duration_ms, outcome, status_code, excerpt, detail
)
select endpoint_id, sequence, number, started_at, duration_ms, outcome, status_code, excerpt, detail
from unnest(
  $1::uuid[], $2::bigint[], $3::integer[], $4::timestamptz[], $5::integer[], $6::text[], $7::smallint[], $8::bytea[],
  $9::text[]
) as new (endpoint_id, sequence, number, started_at, duration_ms, outcome, status_code, excerpt, detail)
on conflict (endpoint_id, sequence, number) do nothing;

-- name: lock_oldest_replay :one
select r.replay_id, r.endpoint_id, r.sequence, r.sequence_last, r.matched_sequence, r.object_id, r.exhausted_since,
  p.merchant_id, p.event_types,
  (
    select count(*)
    from delivery_exceptions x
    where x.endpoint_id = r.endpoint_id and x.replay and x.state <> 'exhausted'
  ) as unfinished
from endpoint_replays r
join endpoints p
on p.endpoint_id = r.endpoint_id
join endpoint_cursors c
on c.endpoint_id = r.endpoint_id
where r.endpoint_id = $1
order by r.created_at, r.replay_id
limit 1
for update of c, r;

-- name: load_events_to_replay :many
select sequence, event_id, object_id, version, type, created_at
from events_between($1, $2, $3, null, $4)
order by sequence;

-- name: load_object_events_to_replay :many
select sequence, event_id, object_id, version, type, created_at
from events_of_object($1, $2, $3, $4::date[], $5)
order by sequence;

-- name: load_exhausted_to_replay :many
select sequence, event_id, object_id, version, type, event_at as created_at, prev_sequence
from delivery_exceptions
where endpoint_id = $1 and state = 'exhausted' and sequence > $2 and sequence <= $3 and exhausted_at >= $4
order by sequence
limit $5;

-- A delivery that already has a row is only brought forward: it keeps its order and, unless it was over, its count.
-- name: insert_replay_rows :exec
insert into delivery_exceptions (
  endpoint_id, merchant_id, sequence, event_id, event_at, object_id, version, type, prev_sequence,
  state, failures, attempts, retry_at, free, replay, created_at
)
select $1, $2, new.sequence, new.event_id, new.event_at, new.object_id, new.version, new.type, new.prev_sequence,
  'waiting', 0,
  coalesce((select max(a.number) from delivery_attempts a where a.endpoint_id = $1 and a.sequence = new.sequence), 0),
  null, false, true, $10
from unnest($3::bigint[], $4::uuid[], $5::timestamptz[], $6::text[], $7::bigint[], $8::text[], $9::bigint[])
  as new (sequence, event_id, event_at, object_id, version, type, prev_sequence)
on conflict (endpoint_id, sequence) do update
set state = 'waiting', failures = 0, replay = true, exhausted_at = null, covered_by = null
where delivery_exceptions.state in ('exhausted', 'covered');

-- name: hasten_replayed_rows :exec
update delivery_exceptions
set retry_at = least(retry_at, $3)
where endpoint_id = $1 and sequence = any($2::bigint[]) and state = 'retrying';

-- name: move_replay :exec
update endpoint_replays
set sequence = $2, matched_sequence = $3
where replay_id = $1;

-- name: delete_replay :exec
delete from endpoint_replays
where replay_id = $1;

-- name: has_replay :one
select exists (select from endpoint_replays where endpoint_id = $1);
