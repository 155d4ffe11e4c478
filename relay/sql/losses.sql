-- What becomes of endpoints when a day of the log goes that they need. Locks in the room's order.

-- Whoever has a cursor, a row or a replay up to the end of the day; the sequence is the last of the day.
-- name: lock_losing_endpoints :many
select p.endpoint_id, l.sequence
from endpoints p
join last_sequences($1) l
on l.merchant_id = p.merchant_id
where p.deleted_at is null
  and (
    exists (select from endpoint_cursors c where c.endpoint_id = p.endpoint_id and c.sequence < l.sequence)
    or exists (select from delivery_exceptions x where x.endpoint_id = p.endpoint_id and x.sequence <= l.sequence)
    or exists (select from endpoint_replays r where r.endpoint_id = p.endpoint_id and r.sequence < l.sequence)
  )
order by p.endpoint_id
for no key update of p;

-- A new filter revision: what lanes still want to write about these events is refused, and they begin again.
-- name: pass_lost_events :many
with ours as (
  select c.endpoint_id, c.sequence as after_sequence, lost.sequence as last_sequence
  from endpoint_cursors c
  join unnest($1::uuid[], $2::bigint[]) as lost (endpoint_id, sequence)
  on lost.endpoint_id = c.endpoint_id
  order by c.endpoint_id
  for update of c
)
update endpoint_cursors c
set sequence = greatest(c.sequence, ours.last_sequence), filter_revision = c.filter_revision + 1
from ours
where c.endpoint_id = ours.endpoint_id
returning c.endpoint_id, ours.after_sequence, ours.last_sequence;

-- What was covered goes without a word: what stands for it was delivered, is still to come, or is lost itself.
-- name: delete_lost_rows :many
with gone as (
  delete from delivery_exceptions x
  using unnest($1::uuid[], $2::bigint[]) as lost (endpoint_id, sequence)
  where x.endpoint_id = lost.endpoint_id and x.sequence <= lost.sequence
  returning x.endpoint_id, x.sequence, x.object_id, x.replay, x.state
)
select endpoint_id, object_id, replay, state = 'exhausted' as exhausted, min(sequence) as first_sequence,
  max(sequence) as last_sequence, count(*) as events
from gone
where state <> 'covered'
group by endpoint_id, object_id, replay, state = 'exhausted';

-- name: pass_lost_replays :many
with cut as (
  select r.replay_id, r.endpoint_id, r.object_id, r.exhausted_since, r.sequence as after_sequence, r.sequence_last,
    least(r.sequence_last, lost.sequence) as last_sequence
  from endpoint_replays r
  join unnest($1::uuid[], $2::bigint[]) as lost (endpoint_id, sequence)
  on lost.endpoint_id = r.endpoint_id and r.sequence < lost.sequence
  order by r.replay_id
  for update of r
),
ended as (
  delete from endpoint_replays r
  using cut
  where r.replay_id = cut.replay_id and cut.sequence_last = cut.last_sequence
),
passed as (
  update endpoint_replays r
  set sequence = cut.last_sequence
  from cut
  where r.replay_id = cut.replay_id and cut.sequence_last > cut.last_sequence
)
select cut.endpoint_id, p.merchant_id, cut.object_id, cut.exhausted_since, cut.after_sequence, cut.last_sequence
from cut
join endpoints p
on p.endpoint_id = cut.endpoint_id;

-- What a replay of one object loses with a day: the object's events, not all that stand between them.
-- name: measure_lost_object :one
select min(sequence) as first_sequence, max(sequence) as last_sequence, count(*) as events
from events_of_object($1, $2, $3, array[$5::date], null)
where sequence <= $4;

-- name: insert_losses :exec
insert into endpoint_losses (endpoint_id, first_sequence, last_sequence, reason, events, lost_at)
select endpoint_id, first_sequence, last_sequence, reason, events, lost_at
from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::timestamptz[])
  as new (endpoint_id, first_sequence, last_sequence, reason, events, lost_at)
on conflict (endpoint_id, first_sequence, reason) do update
set last_sequence = greatest(endpoint_losses.last_sequence, excluded.last_sequence),
  events = endpoint_losses.events + excluded.events, lost_at = excluded.lost_at;

-- name: raise_losing_endpoints :many
update endpoints
set version = version + 1, revision = revision + 1, updated_at = $2
where endpoint_id = any($1::uuid[])
returning endpoint_id, merchant_id, version, state;
