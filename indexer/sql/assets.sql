-- name: load_held_assets :many
select asset, held_reason
from assets
where chain = $1
  and held_reason is not null
order by asset;

-- name: hold_asset :exec
update assets
set
  held_reason = $3,
  held_from_height = (select tip_height + 1 from chains where chain = $1)
where chain = $1
  and asset = $2
  and held_reason is null;

-- name: release_asset :exec
with held as (
  select assets.chain, held_from_height, tip_height, chains.start_height
  from assets
  join chains on chains.chain = assets.chain
  where assets.chain = $1
    and asset = $2
    and held_reason is not null
),
released as (
  update assets
  set
    held_reason = null,
    held_from_height = null
  where chain = $1
    and asset = $2
)
insert into rescans (id, chain, height_first, height_last, height_next, address_id, created_at)
select $3, chain, greatest(held_from_height, start_height), tip_height, tip_height, null, $4
from held
where greatest(held_from_height, start_height) <= tip_height;
