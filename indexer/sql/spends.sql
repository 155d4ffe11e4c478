-- name: load_conflicting :many
select *
from deposits
where id in (
  select deposit_id
  from deposit_conflicts
  where chain = $1
    and key = any($2::bytea[])
);

-- name: load_freed :many
select *
from deposits
where chain = $1
  and replaced_height > $2;

-- name: insert_conflicts :exec
insert into deposit_conflicts (chain, key, deposit_id)
select $1, key, deposit_id
from unnest($2::bytea[], $3::uuid[]) as row (key, deposit_id)
on conflict do nothing;

-- name: load_repeats :many
select repeat.deposit_id, repeat.height, repeat.block_hash, extract(epoch from repeat.block_time)::bigint as block_time_s,
  repeat.position, repeat.senders, repeat.memo, repeat.amount_base_units, blocks.level
from deposit_repeats as repeat
join blocks on blocks.chain = repeat.chain and blocks.height = repeat.height and blocks.hash = repeat.block_hash
where repeat.deposit_id = any($1::uuid[])
  and repeat.height <= $2
order by repeat.height, repeat.deposit_id;

-- name: insert_repeats :many
insert into deposit_repeats
  (deposit_id, chain, height, block_hash, block_time, position, senders, memo, amount_base_units, noticed_at)
select deposit_id, $1, height, block_hash, to_timestamp(block_time_s), position, senders, memo,
  amount_base_units::numeric, $2
from unnest(
  $3::uuid[], $4::bigint[], $5::bytea[], $6::bigint[], $7::text[], $8::bytea[], $9::bytea[], $10::text[]
) as row (deposit_id, height, block_hash, block_time_s, position, senders, memo, amount_base_units)
on conflict do nothing
returning deposit_id, height;

-- name: leave_repeats :exec
delete from deposit_repeats
where chain = $1
  and height > $2;
