-- Deposits that wait in a mempool, on chains where one is followed.

-- fee_rate_per_kvb and the others: base units for 1,000 virtual bytes; known in the state seen only.
-- replaced_height: where the canonical block with what replaced it stands; null once that block has left.
alter table deposits
  add column fee_rate_per_kvb bigint check (fee_rate_per_kvb >= 0),
  add column has_unconfirmed_parents boolean,
  add column fee_rate_wanted_per_kvb bigint check (fee_rate_wanted_per_kvb >= 0),
  add column expected_blocks integer check (expected_blocks > 0),
  add column replaced_height bigint,
  add constraint deposits_fees check (
    (has_unconfirmed_parents is not null or num_nulls(fee_rate_per_kvb, fee_rate_wanted_per_kvb, expected_blocks) = 3)
    and (has_unconfirmed_parents is null or state = 'seen')
  ),
  add constraint deposits_replaced_height check (replaced_height is null or state = 'replaced');

-- What a look at a mempool asks for, and what a rewind sets free.
create index deposits_undecided on deposits (chain, first_seen_at, id)
  where state in ('seen', 'orphaned', 'replaced') and (state <> 'replaced' or replaced_height is null);
create index deposits_by_replaced_height on deposits (chain, replaced_height) where replaced_height is not null;
