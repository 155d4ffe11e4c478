-- Signed checkpoints of logs: the keys, what was signed, whose turn it is, and where an event stands.

-- name: insert_log_key :exec
insert into log_keys (merchant_id, signing_key_sealed, verify_key, created_at)
values ($1, $2, $3, $4)
on conflict (merchant_id) do nothing;

-- name: lock_log_key :one
select signing_key_sealed, verify_key
from log_keys
where merchant_id = $1
for update;

-- name: load_log_key :one
select signing_key_sealed, verify_key
from log_keys
where merchant_id = $1;

-- name: load_log_to_sign :one
select log_epoch, epoch_after, sequence
from merchant_logs
where merchant_id = $1;

-- name: load_logs_to_sign :many
select m.merchant_id
from merchant_logs m
left join lateral (
  select c.size, c.log_epoch, c.announced, c.created_at
  from log_checkpoints c
  where c.merchant_id = m.merchant_id
  order by c.size desc, c.log_epoch desc
  limit 1
) last
on true
where m.sequence > 0
  and m.merchant_id > $1
  and (
    last.size is null
    or (
      last.created_at <= $2
      and (m.sequence > last.size + last.announced::integer or m.log_epoch > last.log_epoch)
    )
  )
order by m.merchant_id
limit $3;

-- name: load_next_signing :one
select min(last.created_at)
from merchant_logs m
cross join lateral (
  select c.size, c.log_epoch, c.announced, c.created_at
  from log_checkpoints c
  where c.merchant_id = m.merchant_id
  order by c.size desc, c.log_epoch desc
  limit 1
) last
where m.sequence > last.size + last.announced::integer or m.log_epoch > last.log_epoch;

-- name: insert_checkpoint :exec
insert into log_checkpoints (
  checkpoint_id, merchant_id, log_epoch, size, root_hash, note, announced, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: load_last_checkpoint :one
select c.checkpoint_id, c.merchant_id, c.log_epoch, c.size, c.root_hash, c.note, c.cosignatures, c.announced,
  c.created_at, k.verify_key
from log_checkpoints c
join log_keys k
on k.merchant_id = c.merchant_id
where c.merchant_id = $1 and ($2::bigint is null or c.size = $2)
order by c.size desc, c.log_epoch desc
limit 1;

-- name: load_checkpoints :many
select c.checkpoint_id, c.merchant_id, c.log_epoch, c.size, c.root_hash, c.note, c.cosignatures, c.announced,
  c.created_at, k.verify_key
from log_checkpoints c
join log_keys k
on k.merchant_id = c.merchant_id
where c.merchant_id = $1 and ($2::timestamptz is null or (c.created_at, c.checkpoint_id) > ($2, $3::uuid))
order by c.created_at, c.checkpoint_id
limit $4;

-- name: load_public_checkpoint :one
select c.checkpoint_id, c.merchant_id, c.log_epoch, c.size, c.root_hash, c.note, c.cosignatures, c.announced,
  c.created_at, k.verify_key
from log_keys k
join log_checkpoints c
on c.merchant_id = k.merchant_id
where k.log_id = $1
order by c.size desc, c.log_epoch desc
limit 1;

-- name: renew_note :exec
update log_checkpoints
set note = $2
where checkpoint_id = $1;

-- name: load_signed_roots :many
select size, root_hash
from log_checkpoints
where merchant_id = $1 and size > $2 and size <= $3
order by size, log_epoch;

-- name: find_leaf :one
select sequence, body_hash
from event_leaves
where event_id = $2 and merchant_id = $1;
