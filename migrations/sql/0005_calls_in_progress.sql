-- A call under an Idempotency-Key that waits for a stranger, for as long as it may take: no connection is kept meanwhile, and a
-- row outlives a process that dies only until its time is over. The answer takes its place in one transaction.
create table calls_in_progress (
  caller uuid not null,
  path text not null,
  key text not null check (length(key) between 1 and 255),
  claim uuid not null,
  until timestamptz not null,
  primary key (caller, path, key)
);
