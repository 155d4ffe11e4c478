-- What families differ in: where value stands in a block, who sent it, what travels with it, how a chain is chosen.

-- The work that a block adds where a chain is chosen by work: a branch that adds less than ours is no evidence against it.
alter table blocks add column work numeric check (work > 0);

-- position: opaque text that sorts by place within the block. senders: each behind one byte that holds its length.
alter table deposits
  add column position text collate "C",
  add column senders bytea not null default '',
  add column memo bytea;
update deposits
set
  position = lpad(tx_index::text, 6, '0') || coalesce('.' || lpad(log_index::text, 6, '0'), ''),
  senders = coalesce(decode(lpad(to_hex(length(sender)), 2, '0'), 'hex') || sender, '');
alter table deposits
  drop column tx_index,
  drop column log_index,
  drop column sender,
  alter column senders drop default,
  add constraint deposits_position check ((position is null) = (height is null));

alter table deposit_repeats
  add column position text collate "C",
  add column senders bytea not null default '',
  add column memo bytea;
update deposit_repeats
set
  position = lpad(tx_index::text, 6, '0') || coalesce('.' || lpad(log_index::text, 6, '0'), ''),
  senders = coalesce(decode(lpad(to_hex(length(sender)), 2, '0'), 'hex') || sender, '');
alter table deposit_repeats
  drop column tx_index,
  drop column log_index,
  drop column sender,
  alter column position set not null,
  alter column senders drop default;
