-- name: load_highest_pending_address :one
select effective_start - 1 as height_last, pending_start as height_first
from addresses
where chain = $1
  and pending_start is not null
order by effective_start desc
limit 1;

-- name: load_highest_pending_asset :one
select start_height - 1 as height_last, pending_start as height_first
from assets
where chain = $1
  and pending_start is not null
order by start_height desc
limit 1;

-- name: load_highest_rescan :one
select height_next as height_last, height_first
from rescans
where chain = $1
  and done_at is null
  and height_first <= $2
order by height_next desc
limit 1;

-- name: cover_addresses :exec
update addresses
set
  effective_start = greatest($2, pending_start),
  pending_start = case when pending_start < $2 then pending_start end
where chain = $1
  and pending_start is not null
  and effective_start between $2 + 1 and $3 + 1;

-- name: cover_assets :exec
update assets
set
  start_height = greatest($2, pending_start),
  pending_start = case when pending_start < $2 then pending_start end
where chain = $1
  and pending_start is not null
  and start_height between $2 + 1 and $3 + 1;

-- name: cover_rescans :exec
update rescans
set
  height_next = greatest($2, height_first) - 1,
  done_at = case when height_first >= $2 then $3::timestamptz end
where chain = $1
  and done_at is null
  and height_next >= $2;

-- name: load_parent_hash :one
select parent_hash
from blocks
where chain = $1
  and height >= $2
order by height
limit 1;

-- name: insert_rescan :one
insert into rescans (id, chain, height_first, height_last, height_next, address_id, created_at)
values ($1, $2, $3, $4, $4, $5, $6)
returning id;

-- name: lower_pending_address :exec
update addresses
set
  effective_start = least(effective_start, $4 + 1),
  pending_start = $3
where chain = $1
  and id = any($2::uuid[])
  and deleted_at is null
  and effective_start > $3
  and (pending_start is null or pending_start > $3);

-- name: lower_pending_assets :exec
update assets
set pending_start = $2
where chain = $1
  and listed
  and start_height > $2
  and (pending_start is null or pending_start > $2);

-- name: load_addresses_by_bytes :many
select id, effective_start, watching_until
from addresses
where chain = $1
  and address = $2
  and deleted_at is null;

-- name: load_rescan :one
select height_first, height_last, height_next, done_at
from rescans
where id = $1;

-- name: count_pending :one
select
  (select count(*) from addresses where chain = $1 and pending_start is not null) as addresses_count,
  (select count(*) from assets where chain = $1 and pending_start is not null) as assets_count,
  (select count(*) from rescans where chain = $1 and done_at is null) as rescans_count;

-- name: write_status :exec
insert into chain_status (chain, alias, head_height, detail, reported_at)
values ($1, $2, $3, $4, $5)
on conflict (chain) do update
set
  alias = excluded.alias,
  head_height = excluded.head_height,
  detail = excluded.detail,
  reported_at = excluded.reported_at;

-- name: write_checks :exec
update chain_status
set checks = $2
where chain = $1;

-- name: load_status :many
select chain, alias, head_height, detail, reported_at, checks
from chain_status;

-- name: load_unsettled_page :many
select *
from deposits
where chain = $1
  and state in ('included', 'confirmed')
  and id > $2
order by id
limit $3;

-- name: load_recorded_in :many
select *
from deposits
where chain = $1
  and height between $2 and $3
order by height, id;

-- name: load_repeats_in :many
select deposit_id, block_hash
from deposit_repeats
where chain = $1
  and height between $2 and $3;

-- name: load_block_rows :many
select height, hash, parent_hash, tx_count, log_count, transfer_count, level, served_by
from blocks
where chain = $1
  and height between $2 and $3
order by height;
