-- name: load_chain :one
select
  chain, alias, genesis_hash, start_height, tip_height, tip_hash, final_height, safe_height, agreed_height,
  halt_reason, halted_at, halted_fork_height, accepted_fork_hash, disputed_fork_height, conditions,
  notice_version, move_count, lease_epoch, moved_at, held_height, trusted_height
from chains
where chain = $1;

-- A chain's row and what can change under its lock by its holder's hand alone.
-- name: load_locked_chain :one
select
  chains.*,
  exists (select from deposit_conflicts as waiting where waiting.chain = $1) as has_conflicts,
  exists (select from doubted_blocks as doubted where doubted.chain = $1) as has_doubts,
  (select coalesce(max(watch_version), 0) from addresses where addresses.chain = $1) as watch_version
from chains
where chain = $1;

-- name: load_lock_key :one
select lock_key
from chains
where chain = $1;

-- name: lock_chain_exclusive :exec
select pg_advisory_xact_lock($1, $2);

-- name: lock_chain_shared :exec
select pg_advisory_xact_lock_shared($1, $2);

-- name: notify_history :exec
select pg_notify('chainbell_history', $1::text);

-- name: insert_chain :one
insert into chains
  (chain, alias, genesis_hash, start_height, tip_height, tip_hash, agreed_height, created_at, moved_at)
values ($1, $2, $3, $4, $5, $6, $4::bigint - 1, $7, $7)
on conflict do nothing
returning lock_key;

-- name: update_chain :exec
update chains
set
  start_height = $2,
  tip_height = $3,
  tip_hash = $4,
  final_height = $5,
  safe_height = $6,
  agreed_height = $7,
  state = case when $8::text is null then 'following' else 'halted' end,
  halt_reason = $8,
  halted_at = $9,
  halted_fork_height = $10,
  accepted_fork_hash = $11,
  disputed_fork_height = $12,
  conditions = $13,
  notice_version = $14,
  move_count = $15,
  moved_at = $16,
  held_height = $17,
  trusted_height = $18
where chain = $1;

-- The row comes along, and what the follower said last it says again: a chain that stands still needs nothing else.
-- name: acquire_lease :one
with held as (
  update chains
  set
    lease_epoch = case when lease_holder = $2 then lease_epoch else lease_epoch + 1 end,
    lease_holder = $2,
    lease_expires_at = now() + make_interval(secs => $3)
  where chain = $1
    and (lease_holder is null or lease_holder = $2 or lease_expires_at < now())
  returning
    chain, alias, genesis_hash, start_height, tip_height, tip_hash, final_height, safe_height, agreed_height,
    halt_reason, halted_at, halted_fork_height, accepted_fork_hash, disputed_fork_height, conditions,
    notice_version, move_count, lease_epoch, moved_at, held_height, trusted_height
),
said as (
  update chain_status
  set reported_at = greatest(reported_at, now())
  where chain in (select chain from held)
)
select *
from held;

-- name: release_lease :exec
update chains
set lease_expires_at = now()
where chain = $1
  and lease_holder = $2;

-- name: load_hashes :many
select height, hash
from blocks
where chain = $1
  and height between $2 and $3;

-- name: load_servers :many
select height, served_by
from blocks
where chain = $1
  and height between $2 and $3;

-- name: load_hashes_at :many
select height, hash
from blocks
where chain = $1
  and height = any($2::bigint[]);

-- name: insert_blocks :exec
insert into blocks
  (chain, height, hash, parent_hash, block_time, tx_count, log_count, transfer_count,
   unlisted_transfer_count, level, served_by, applied_at, work, spared_version, spared_assets)
select $1, height, hash, parent_hash, to_timestamp(block_time_s), tx_count, log_count, transfer_count,
  unlisted_transfer_count, level, served_by, $2, work::numeric, spared_version, spared_assets
from unnest(
  $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::integer[], $8::integer[], $9::integer[],
  $10::integer[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bytea[]
) as row (height, hash, parent_hash, block_time_s, tx_count, log_count, transfer_count,
  unlisted_transfer_count, level, served_by, work, spared_version, spared_assets);

-- name: fill_spared :exec
update blocks
set
  log_count = row.log_count,
  transfer_count = row.transfer_count,
  unlisted_transfer_count = row.unlisted_transfer_count,
  level = row.level,
  served_by = row.served_by,
  spared_version = null,
  spared_assets = null
from unnest($2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::text[], $7::text[])
  as row (height, log_count, transfer_count, unlisted_transfer_count, level, served_by)
where blocks.chain = $1
  and blocks.height = row.height
  and blocks.spared_version is not null;

-- name: reread_spared :exec
insert into rescans (id, chain, height_first, height_last, height_next, created_at)
select $1::uuid, $2::text, min(height), max(height), max(height), $5::timestamptz
from blocks
where chain = $2
  and height between $3 and $4
  and spared_version is not null
  and not exists (
    select
    from rescans
    where rescans.chain = $2
      and done_at is null
      and blocks.height between rescans.height_first and rescans.height_next
  )
having count(*) > 0;

-- name: load_work_above :one
select case when count(*) = count(work) then sum(work)::text end as work
from blocks
where chain = $1
  and height > $2;

-- name: leave_blocks :exec
with gone as (
  delete from blocks
  where chain = $1
    and height > $2
  returning *
)
insert into left_blocks
  (chain, height, hash, parent_hash, block_time, level, served_by, applied_at, left_at, left_for)
select chain, height, hash, parent_hash, block_time, level, served_by, applied_at, $3, $4
from gone;

-- name: insert_assets :exec
insert into assets (chain, asset, symbol, decimals, start_height)
select $1, asset, symbol, decimals, $5
from unnest($2::text[], $3::text[], $4::smallint[]) as row (asset, symbol, decimals)
on conflict (chain, asset) do update
set
  symbol = excluded.symbol,
  decimals = excluded.decimals,
  start_height = case when assets.listed then assets.start_height else excluded.start_height end,
  listed = true;

-- name: unlist_other_assets :exec
update assets
set
  listed = false,
  pending_start = null
where chain = $1
  and listed
  and asset <> all($2::text[]);

-- name: load_assets :many
select asset, symbol, decimals, start_height, pending_start, listed and held_reason is null as listed
from assets
where chain = $1
order by asset;

-- name: lower_asset_starts :exec
update assets
set
  start_height = $2 + 1,
  pending_start = case when pending_start < $2 + 1 then pending_start end
where chain = $1
  and start_height > $2 + 1
  and start_height <= $3 + 1;
