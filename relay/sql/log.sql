-- The event log: appending, reading for merchants, epochs, partitions, audit.
-- Locking comes last in every transaction, by id in one statement: two chains that pay the same merchants never deadlock.

-- name: lock_merchant_logs :many
insert into merchant_logs (merchant_id, log_epoch)
select merchant_id, coalesce((select max(log_epoch) from log_epochs), 1)
from unnest($1::uuid[]) as asked (merchant_id)
order by merchant_id
on conflict (merchant_id) do update set sequence = merchant_logs.sequence
returning merchant_id, log_epoch, sequence, head_hash, head_at;

-- name: load_reversible :many
select e.merchant_id, e.object_id, e.version, e.event_id
from unnest($1::uuid[], $2::text[], $3::bigint[]) as asked (merchant_id, object_id, version)
join events e
on e.merchant_id = asked.merchant_id and e.object_id = asked.object_id and e.version = asked.version
where e.type = 'deposit.confirmed';

-- name: load_leaves_by_id :many
select merchant_id, event_id
from event_leaves
where event_id = any($1::uuid[]);

-- One statement: the events, the heads behind them, and one notice for all.
-- name: insert_events :exec
with written as (
  insert into events (
    merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at
  )
  select merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at
  from unnest(
    $1::uuid[], $2::bigint[], $3::integer[], $4::uuid[], $5::text[],
    $6::bigint[], $7::text[], $8::bytea[], $9::bytea[], $10::timestamptz[]
  ) as new (merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at)
),
moved as (
  update merchant_logs m
  set sequence = head.sequence, head_hash = head.head_hash, head_at = head.head_at
  from unnest($11::uuid[], $12::bigint[], $13::bytea[], $14::timestamptz[])
    as head (merchant_id, sequence, head_hash, head_at)
  where m.merchant_id = head.merchant_id
)
select pg_notify('chainbell_events', $15);

-- name: load_events_after :many
select sequence, event_id, type, body
from events
where merchant_id = $1 and sequence > $2 and ($3::text[] is null or type = any($3))
order by sequence
limit $4;

-- name: load_event :one
select sequence, event_id, type, body
from events
where event_id = $1 and merchant_id = $2;

-- name: load_events_of_object :many
select sequence, event_id, type, body
from events
where merchant_id = $1 and object_id = $2 and sequence > $3
order by sequence
limit $4;

-- name: load_head :one
select log_epoch, sequence, head_hash, head_at
from merchant_logs
where merchant_id = $1;

-- name: load_newest_epoch :one
select coalesce(max(log_epoch), 1)
from log_epochs;

-- name: load_oldest_sequence :one
select sequence
from events
where merchant_id = $1
order by sequence
limit 1;

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

-- name: load_months_without_partition :many
select distinct date_trunc('month', created_at at time zone 'UTC')::date as month
from events_default
order by month;

-- name: load_events_to_audit :many
select sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at
from events
where merchant_id = $1 and sequence >= $2
order by sequence
limit $3;

-- name: load_last_leaf :one
select sequence, body_hash
from event_leaves
where merchant_id = $1
order by sequence desc
limit 1;

-- name: load_logged_merchants :many
select merchant_id
from merchant_logs
where sequence > 0 and merchant_id > $1
order by merchant_id
limit $2;
