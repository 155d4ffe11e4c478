-- name: load_standing :many
select *
from deposits
where chain = $1
  and height between $2 and $3;

-- name: load_displaced :many
select *
from deposits
where chain = $1
  and height > $2;

-- The deposits that are named and those that mature by heights, each with what its merchant calls its address. How many are
-- named is hidden from the planner: where it knew, it would plan anew each time, which costs ten times what running does.
-- name: load_touched :many
select touched.*, (select reference from addresses where addresses.id = touched.address_id) as reference
from (
  select true as is_named, deposits.*
  from deposits
  where id = any((select $6::uuid[])::uuid[])
  union all
  select false, maturing.*
  from (
    select *
    from deposits
    where chain = $1
      and state = 'included'
      and confirmed_by = 'depth'
      and not on_one_word
      and height + confirmations_required - 1 <= $2
      and height <= $5
      and not exists (select from doubted_blocks as doubted where doubted.chain = $1 and doubted.height = deposits.height)
    union
    select *
    from deposits
    where chain = $1
      and state = 'included'
      and confirmed_by = 'safe'
      and not on_one_word
      and height <= least($4, $5)
      and not exists (select from doubted_blocks as doubted where doubted.chain = $1 and doubted.height = deposits.height)
    union
    select *
    from deposits
    where chain = $1
      and state in ('included', 'confirmed')
      and not on_one_word
      and height <= $3
      and (
        state = 'confirmed'
        or not exists (select from doubted_blocks as doubted where doubted.chain = $1 and doubted.height = deposits.height)
      )
  ) as maturing
) as touched;

-- name: load_falling_back :many
select *
from deposits
where chain = $1
  and state in ('included', 'confirmed')
  and state = 'confirmed'
  and not on_one_word
  and height > coalesce($2, -1);

-- name: write_deposits :exec
with waits_no_more as (
  delete from deposit_conflicts
  where deposit_id = any($1::uuid[])
)
insert into deposits
  (id, merchant_id, address_id, chain, kind, asset, recipient, senders, memo, tx_hash, n, conflict_keys, own_transfer,
   published, backfilled, state, version, amount_base_units, credited_base_units, height, block_hash, block_time,
   position, confirmations_required, confirmed_by, confirmed_version, replaced_by, first_seen_at,
   confirmed_at, final_at, changed_at, on_one_word, matures_after_blocks, fee_rate_per_kvb, has_unconfirmed_parents,
   fee_rate_wanted_per_kvb,
   expected_blocks, replaced_height)
select
  id, merchant_id, address_id, chain, kind, asset, recipient, senders, memo, tx_hash, n, conflict_keys, own_transfer,
  published, backfilled, state, version, amount_base_units::numeric, credited_base_units::numeric, height, block_hash,
  to_timestamp(block_time_s), position, confirmations_required, confirmed_by, confirmed_version, replaced_by,
  first_seen_at, confirmed_at, final_at, changed_at, on_one_word, matures_after_blocks, fee_rate_per_kvb, has_unconfirmed_parents,
  fee_rate_wanted_per_kvb, expected_blocks, replaced_height
from unnest(
  $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[],
  $10::bytea[], $11::integer[], $12::bytea[], $13::boolean[], $14::boolean[], $15::boolean[], $16::text[],
  $17::integer[], $18::text[], $19::text[], $20::bigint[], $21::bytea[], $22::bigint[], $23::text[],
  $24::integer[], $25::text[], $26::integer[], $27::bytea[], $28::timestamptz[], $29::timestamptz[],
  $30::timestamptz[], $31::timestamptz[], $32::boolean[], $33::integer[], $34::bigint[], $35::boolean[], $36::bigint[],
  $37::integer[], $38::bigint[]
) as row (id, merchant_id, address_id, chain, kind, asset, recipient, senders, memo, tx_hash, n, conflict_keys, own_transfer,
  published, backfilled, state, version, amount_base_units, credited_base_units, height, block_hash, block_time_s,
  position, confirmations_required, confirmed_by, confirmed_version, replaced_by, first_seen_at,
  confirmed_at, final_at, changed_at, on_one_word, matures_after_blocks, fee_rate_per_kvb, has_unconfirmed_parents,
   fee_rate_wanted_per_kvb,
  expected_blocks, replaced_height)
on conflict (id) do update
set
  address_id = excluded.address_id,
  senders = excluded.senders,
  memo = excluded.memo,
  own_transfer = excluded.own_transfer,
  published = excluded.published,
  state = excluded.state,
  version = excluded.version,
  amount_base_units = excluded.amount_base_units,
  credited_base_units = excluded.credited_base_units,
  height = excluded.height,
  block_hash = excluded.block_hash,
  block_time = excluded.block_time,
  position = excluded.position,
  confirmations_required = excluded.confirmations_required,
  confirmed_by = excluded.confirmed_by,
  confirmed_version = excluded.confirmed_version,
  replaced_by = excluded.replaced_by,
  confirmed_at = excluded.confirmed_at,
  final_at = excluded.final_at,
  changed_at = excluded.changed_at,
  on_one_word = excluded.on_one_word,
  matures_after_blocks = excluded.matures_after_blocks,
  fee_rate_per_kvb = excluded.fee_rate_per_kvb,
  has_unconfirmed_parents = excluded.has_unconfirmed_parents,
  fee_rate_wanted_per_kvb = excluded.fee_rate_wanted_per_kvb,
  expected_blocks = excluded.expected_blocks,
  replaced_height = excluded.replaced_height;

-- name: load_height_on_one_word :one
select height
from deposits
where chain = $1
  and on_one_word
  and height > $2
order by height
limit 1;

-- name: load_on_one_word :many
select *
from deposits
where chain = $1
  and on_one_word
  and height <= $2
order by height
limit $3;
