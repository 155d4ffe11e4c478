-- Coins that nobody can spend before their block has so many confirmations: credited no sooner, whatever the policy says.
alter table deposits
  add column matures_after_blocks integer not null default 0 check (matures_after_blocks >= 0);
