-- The work that a block adds where a chain is chosen by work: a branch that adds less than ours is no evidence against it.
alter table blocks add column work numeric check (work > 0);
