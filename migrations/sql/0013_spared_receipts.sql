-- Blocks that were applied without their receipts, because what they commit to proves that none could matter.

-- spared_version: of the watch list for which that is proven. spared_assets: a digest of the tokens it was proven for.
-- What only receipts tell is unknown of such a block, and not zero.
alter table blocks
  add column spared_version bigint,
  add column spared_assets bytea,
  alter column log_count drop not null,
  alter column transfer_count drop not null,
  alter column unlisted_transfer_count drop not null,
  add constraint blocks_spared check (
    (spared_version is null) = (spared_assets is null)
    and (spared_version is null) = (log_count is not null)
    and (log_count is null) = (transfer_count is null)
    and (log_count is null) = (unlisted_transfer_count is null)
  );
