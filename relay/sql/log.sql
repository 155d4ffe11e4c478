-- The event log: appending, reading for merchants, epochs, partitions, audit.
-- Locking comes last in every transaction, by id in one statement: two chains that pay the same merchants never deadlock.

-- One round trip: locks, events, the days they begin, the heads behind them, and one notice for all.
-- name: append_events :many
select merchant_id, log_epoch, sequence, head_hash, head_at, hash_after
from append_events(
  $1::uuid[], $2::integer[], $3::timestamptz, $4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::text[],
  $9::bytea[], $10::bytea[]
);

-- name: load_event_ids :many
select event_id
from events_with_ids($1::uuid[], $2::date[], $3);

-- name: load_leaves_by_id :many
select merchant_id, event_id
from event_leaves
where event_id = any($1::uuid[]);

-- name: load_events_after :many
select sequence, event_id, type, body
from events_between($1, $2, $3, $4::text[], $5)
order by sequence;

-- name: load_event :one
select sequence, event_id, type, body
from events_with_ids(array[$1::uuid], $3::date[], 1)
where merchant_id = $2;

-- name: load_events_of_object :many
select sequence, event_id, type, body
from events_of_object($1, $2, $3, $4::date[], $5)
order by sequence;

-- name: load_head :one
select log_epoch, sequence, head_hash, head_at
from newest_heads(array[$1::uuid]);

-- name: load_newest_epoch :one
select coalesce(max(log_epoch), 1)
from log_epochs;

-- name: load_oldest_sequence :one
select first_sequence
from event_days
where merchant_id = $1
order by first_sequence
limit 1;

-- The days these logs have, newest first; those before the one that holds the event behind $2 are left out.
-- name: load_days_of_logs :many
select distinct d.day
from event_days d
where d.merchant_id = any($1::uuid[]) and d.first_sequence >= coalesce((
  select max(b.first_sequence)
  from event_days b
  where b.merchant_id = d.merchant_id and b.first_sequence <= $2::bigint + 1
), 1)
order by d.day desc;

-- Where a stretch of the log ends that has at most $3 events and touches at most $4 days.
-- name: load_stretch_end :one
select least($2::bigint + $3::bigint, (
  select d.first_sequence - 1
  from event_days d
  where d.merchant_id = $1 and d.first_sequence > $2 + 1
  order by d.first_sequence
  offset $4::bigint - 1
  limit 1
));

-- Whoever begins to need events that are kept holds this until it commits; retention takes it alone.
-- name: hold_retention :exec
select pg_advisory_xact_lock_shared(hashtext('chainbell-events-retention'));

-- name: lock_all_logs :exec
select
from log_locks
order by merchant_id
for update;

-- One epoch for all logs, also those that nothing was told in yet. Its number comes from the clock, in seconds since the
-- beginning of 2026, so that two restores of one backup begin two epochs.
-- name: raise_log_epochs :exec
with begun as (
  insert into log_epochs (log_epoch, began_at)
  select greatest(
    extract(epoch from now())::bigint - 1767225600,
    coalesce((select max(log_epoch) from log_epochs), 1) + 1,
    coalesce((select max(log_epoch) from merchant_logs), 1) + 1
  ), now()
  returning log_epoch
)
update merchant_logs m
set log_epoch = begun.log_epoch, epoch_after = m.sequence
from begun;

-- name: load_log_epochs :many
select log_epoch
from log_epochs
order by log_epoch;

-- name: make_events_partition :one
select make_events_partition($1::date);

-- name: load_partition_days :many
select to_date(right(c.relname, 10), 'YYYY_MM_DD') as day
from pg_inherits i
join pg_class c
on c.oid = i.inhrelid
where i.inhparent = 'events'::regclass and c.relname <> 'events_default'
order by 1;

-- name: load_days_without_partition :many
select distinct day_of(created_at) as day
from events_default
order by day;

-- name: load_events_to_audit :many
select sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at
from events_between($1, $2, $3, null, $4)
order by sequence;

-- name: load_stray_events :many
select stray as sequence
from stray_events($1, $2::date[]) as stray;

-- name: load_leaf :one
select body_hash
from event_leaves
where merchant_id = $1 and sequence = $2;

-- name: count_leaves_before :one
select count(*)
from event_leaves
where merchant_id = $1 and sequence < $2;

-- name: load_logged_merchants :many
select merchant_id
from merchant_logs
where sequence > 0 and merchant_id > $1
order by merchant_id
limit $2;

-- name: count_logged_events :one
select coalesce(sum(sequence), 0)::bigint
from merchant_logs;
