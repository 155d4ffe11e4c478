-- What would replace a deposit that no block holds, by what blocks use up; and the blocks that hold a deposit a second time.

-- One row a key that a waiting deposit's own transaction would use up (EVM: sender and nonce; Bitcoin: an outpoint).
-- Only deposits that may still be replaced have rows: those that stand in a block, are final or were replaced have none.
create table deposit_conflicts (
  chain text not null references chains (chain),
  key bytea not null check (octet_length(key) between 1 and 255),
  deposit_id uuid not null references deposits (id),
  primary key (chain, key, deposit_id)
);
create index deposit_conflicts_by_deposit on deposit_conflicts (deposit_id);

with recursive unpacked as (
  select chain, id, conflict_keys as rest, null::bytea as key
  from deposits
  where state in ('seen', 'orphaned', 'dropped')
  union all
  select chain, id, substring(rest from 2 + get_byte(rest, 0)), substring(rest from 2 for get_byte(rest, 0))
  from unpacked
  where octet_length(rest) > 0
)
insert into deposit_conflicts (chain, key, deposit_id)
select distinct chain, key, id
from unpacked
where key is not null;

drop index deposits_off_chain;

-- A canonical block that holds a deposit's transaction beside the one where the deposit stands; it counts once.
create table deposit_repeats (
  deposit_id uuid not null references deposits (id),
  chain text not null references chains (chain),
  height bigint not null,
  block_hash bytea not null,
  block_time timestamptz not null,
  tx_index integer not null,
  log_index integer,
  sender bytea,
  amount_base_units numeric(78, 0) not null,
  noticed_at timestamptz not null,
  primary key (deposit_id, height)
);
create index deposit_repeats_by_height on deposit_repeats (chain, height);

-- An asset whose contract says other decimals than it was listed with counts no more until that is over.
alter table assets
  add column held_reason text,
  add column held_from_height bigint,
  add constraint assets_held check ((held_reason is null) = (held_from_height is null));
