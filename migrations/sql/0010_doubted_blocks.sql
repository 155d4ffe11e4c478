-- Canonical blocks whose deposits rest on one operator's word, where several could be asked: they stay `included` until
-- two operators tell the same. `served_by` told what is recorded; from `due_at` on they are read again, by two.
create table doubted_blocks (
  chain text not null references chains (chain),
  height bigint not null check (height >= 0),
  served_by text not null,
  due_at timestamptz not null,
  primary key (chain, height)
);
create index doubted_blocks_by_due on doubted_blocks (chain, due_at, height);
