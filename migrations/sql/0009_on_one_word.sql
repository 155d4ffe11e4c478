-- A large deposit that nothing but one operator's word stands behind: told as included, and credited by nobody's mistake.
alter table deposits
  add column on_one_word boolean not null default false,
  add constraint deposits_on_one_word_check check (not on_one_word or state = 'included');

create index deposits_on_one_word on deposits (chain, height) where on_one_word;

-- No move looks at them again before something lifts it, however many there are.
drop index deposits_awaiting_depth;
drop index deposits_awaiting_final;
drop index deposits_awaiting_tag;
create index deposits_awaiting_depth on deposits (chain, (height + confirmations_required - 1))
  where state = 'included' and confirmed_by = 'depth' and not on_one_word;
create index deposits_awaiting_tag on deposits (chain, height)
  where state = 'included' and confirmed_by <> 'depth' and not on_one_word;
create index deposits_awaiting_final on deposits (chain, height)
  where state in ('included', 'confirmed') and not on_one_word;

-- What the running follower has learnt of each check: written when it changes, read by every process.
alter table chain_status add column checks jsonb not null default '[]';
