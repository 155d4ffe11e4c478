-- Credit that waits: from `held_height` on nothing is agreed until another operator shows the same deposits, or the
-- operator of this installation vouches for it (`trusted_height`).
alter table chains
  add column held_height bigint check (held_height >= 0),
  add column trusted_height bigint not null default -1;
