-- name: lower_address_starts :exec
update addresses
set
  effective_start = $2 + 1,
  pending_start = case when pending_start < $2 + 1 then pending_start end
where chain = $1
  and effective_start > $2 + 1
  and effective_start <= $3 + 1;

-- name: load_watch_version :one
select coalesce(max(watch_version), 0)
from addresses
where chain = $1;

-- name: load_watch_delta :many
select watch_version, address
from addresses
where chain = $1
  and watch_version > $2
  and watch_version <= $4
order by watch_version
limit $3;

-- name: load_registrations :many
select id, merchant_id, address, memo, effective_start, watching_until
from addresses
where chain = $1
  and address = any($2::bytea[]);

-- Whoever may be paid at these addresses, and with them the listed assets: an asset's row has no registration.
-- name: load_payable :many
select id, merchant_id, address, memo, effective_start, watching_until, reference, null as asset, null as start_height
from addresses
where chain = $1
  and address = any($2::bytea[])
union all
select null, null, null, null, null, null, null, asset, start_height
from assets
where chain = $1
  and listed
  and held_reason is null;

-- name: load_references :many
select id, reference
from addresses
where id = any($1::uuid[]);

-- name: load_watching_merchants :many
select distinct merchant_id
from addresses
where chain = $1
  and deleted_at is null
order by merchant_id;

-- name: load_addresses_for_register :many
select *
from addresses
where merchant_id = $1
  and chain = $2
  and address = any($3::bytea[])
  and deleted_at is null;

-- name: insert_addresses :many
insert into addresses
  (id, merchant_id, chain, address, memo, reference, metadata, from_height, watching_from_height, watching_from_hash,
   effective_start, pending_start, created_at)
select id, merchant_id, chain, address, memo, reference, metadata::jsonb, from_height, watching_from_height,
  watching_from_hash, effective_start, pending_start, $13
from unnest(
  $1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
  $10::bytea[], $11::bigint[], $12::bigint[]
) as row (id, merchant_id, chain, address, memo, reference, metadata, from_height, watching_from_height,
  watching_from_hash, effective_start, pending_start)
on conflict do nothing
returning *;

-- name: lower_pending_start :one
update addresses
set
  from_height = $2,
  effective_start = least(effective_start, greatest($3 + 1, $2)),
  pending_start = case when $2 <= $3 then $2 end
where id = $1
  and effective_start > $2
  and (pending_start is null or pending_start > $2)
returning *;

-- name: delete_address :one
update addresses
set
  deleted_at = $3,
  watching_until = (select tip_height from chains where chains.chain = addresses.chain),
  pending_start = null
where id = $1
  and merchant_id = $2
  and deleted_at is null
returning *;

-- name: load_address :one
select *
from addresses
where id = $1
  and merchant_id = $2
  and deleted_at is null;

-- name: list_addresses :many
select *
from addresses
where merchant_id = $1
  and deleted_at is null
  and ($2::text is null or chain = $2)
  and ($3::bytea is null or address = $3)
  and ($4::text is null or reference = $4)
  and ($5::timestamptz is null or (created_at, id) > ($5, $6::uuid))
order by created_at, id
limit $7;
