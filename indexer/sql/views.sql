-- name: load_deposit :one
select deposits.*, addresses.reference
from deposits
join addresses on addresses.id = deposits.address_id
where deposits.id = $1
  and deposits.merchant_id = $2;

-- name: list_deposits :many
select deposits.*, addresses.reference
from deposits
join addresses on addresses.id = deposits.address_id
where deposits.merchant_id = $1
  and ($2::text is null or deposits.chain = $2)
  and ($3::bytea is null or deposits.recipient = $3)
  and ($4::text is null or deposits.state = $4)
  and ($5::text is null or deposits.asset = $5)
  and ($6::text is null or addresses.reference = $6)
  and ($7::bytea is null or deposits.tx_hash = $7)
  and ($8::timestamptz is null or deposits.first_seen_at >= $8)
  and ($9::timestamptz is null or deposits.first_seen_at < $9)
  and ($10::timestamptz is null or (deposits.first_seen_at, deposits.id) > ($10, $11::uuid))
  and deposits.published
order by deposits.first_seen_at, deposits.id
limit $12;

-- name: load_chains :many
select
  chain, alias, genesis_hash, start_height, tip_height, tip_hash, final_height, safe_height, agreed_height,
  halt_reason, halted_at, halted_fork_height, accepted_fork_hash, disputed_fork_height, conditions,
  notice_version, move_count, lease_epoch, moved_at, held_height, trusted_height
from chains
order by chain;

-- name: count_unverified :many
select chains.chain, count(blocks.height) as blocks_count
from chains
left join blocks
  on blocks.chain = chains.chain
  and blocks.height > chains.tip_height - $1
  and blocks.level <> 'full'
group by chains.chain;

-- name: load_coverage_ranges :many
-- A block covers every height down to its parent, which is the row before where that has the hash: none lies between.
with covered as (
  select height, level, spared_version, case
      when parent_hash = lag(hash) over below then lag(height) over below + 1
      when lag(hash) over below is null then (select start_height from chains where chain = $1)
      else height
    end as height_first
  from blocks
  where chain = $1
    and height >= coalesce((select max(height) from blocks where chain = $1 and height < $2), $2)
    and height <= coalesce((select min(height) from blocks where chain = $1 and height >= $3), $3)
  window below as (order by height)
),
begun as (
  select height, level, spared_version, height_first,
    (height_first, level) is distinct from (lag(height) over below + 1, lag(level) over below) as begins
  from covered
  window below as (order by height)
),
marked as (
  select height, level, spared_version, height_first, count(*) filter (where begins) over (order by height) as island
  from begun
)
select
  level,
  greatest(min(height_first), $2::bigint) as height_first,
  least(max(height), $3::bigint) as height_last,
  count(*) filter (where height <= $3) as blocks_count,
  count(spared_version) filter (where height <= $3) as spared_count
from marked
where height >= $2
  and height_first <= $3
group by level, island
order by min(height);

-- name: load_deposits_of_tx :many
select deposits.*, addresses.reference
from deposits
join addresses on addresses.id = deposits.address_id
where deposits.chain = $1
  and deposits.tx_hash = $2
  and deposits.merchant_id = $3
order by deposits.n, deposits.id;

-- name: load_repeats_of :many
select deposit_repeats.deposit_id, deposit_repeats.height, deposit_repeats.block_hash
from deposit_repeats
join deposits on deposits.id = deposit_repeats.deposit_id
where deposit_repeats.deposit_id = any($1::uuid[])
  and deposit_repeats.block_hash is distinct from deposits.block_hash
order by deposit_repeats.height;

-- name: load_registrations_of_merchant :many
select *
from addresses
where chain = $1
  and merchant_id = $2
  and address = any($3::bytea[]);

-- name: load_canonical_hash :one
select hash
from blocks
where chain = $1
  and height = $2;


-- name: list_newest_deposits :many
select deposits.*, addresses.reference
from deposits
join addresses on addresses.id = deposits.address_id
where deposits.merchant_id = $1
  and deposits.chain = $2
  and deposits.recipient = $3
order by deposits.first_seen_at desc, deposits.id desc
limit $4;
