-- What the chain means for us: canonical blocks, watched addresses, deposits.
-- Owned by the indexer. Heights are bigint, hashes and addresses raw bytes,
-- amounts base units in numeric(78,0), which holds 2^256 - 1.

create table chains (
  chain text primary key,
  alias text not null unique,
  genesis_hash bytea not null,
  lock_key integer generated always as identity unique,
  start_height bigint not null check (start_height >= 0),
  tip_height bigint not null,
  tip_hash bytea not null,
  final_height bigint,
  safe_height bigint,
  agreed_height bigint not null,
  state text not null default 'following' check (state in ('following', 'halted')),
  halt_reason text,
  halted_at timestamptz,
  halted_fork_height bigint,
  accepted_fork_hash bytea,
  disputed_fork_height bigint,
  conditions text[] not null default '{}',
  notice_version integer not null default 0,
  move_count bigint not null default 0,
  lease_holder text,
  lease_epoch bigint not null default 0,
  lease_expires_at timestamptz,
  created_at timestamptz not null,
  moved_at timestamptz not null,
  check (tip_height >= start_height),
  check (final_height <= tip_height),
  check (safe_height <= tip_height),
  check (agreed_height <= tip_height),
  check ((state = 'halted') = (halt_reason is not null))
);

-- What the follower of a chain sees right now; for people and readiness, never for decisions.
create table chain_status (
  chain text primary key,
  alias text not null,
  head_height bigint,
  detail jsonb not null,
  reported_at timestamptz not null
);

-- One row a canonical block: the ledger of coverage (Law 1).
create table blocks (
  chain text not null references chains (chain),
  height bigint not null check (height >= 0),
  hash bytea not null,
  parent_hash bytea not null,
  block_time timestamptz not null,
  tx_count integer not null,
  log_count integer not null,
  transfer_count integer not null,
  unlisted_transfer_count integer not null,
  level text not null check (level in ('full', 'partial', 'consistent')),
  served_by text not null,
  applied_at timestamptz not null,
  primary key (chain, height)
);

-- Blocks that were canonical and are no more; kept as evidence.
create table left_blocks (
  chain text not null,
  height bigint not null,
  hash bytea not null,
  parent_hash bytea not null,
  block_time timestamptz not null,
  level text not null,
  served_by text not null,
  applied_at timestamptz not null,
  left_at timestamptz not null,
  left_for bytea not null,
  primary key (chain, height, hash, left_at)
);

-- What the operator lists: an asset counts from its start height on.
create table assets (
  chain text not null references chains (chain),
  asset text not null,
  symbol text not null,
  decimals smallint not null check (decimals between 0 and 255),
  start_height bigint not null,
  pending_start bigint check (pending_start >= 0),
  listed boolean not null default true,
  primary key (chain, asset)
);

create sequence addresses_watch_version;

create table addresses (
  id uuid primary key,
  merchant_id uuid not null,
  chain text not null references chains (chain),
  address bytea not null,
  reference text,
  metadata jsonb,
  from_height bigint,
  watching_from_height bigint not null,
  watching_from_hash bytea not null,
  effective_start bigint not null check (effective_start >= 0),
  pending_start bigint check (pending_start >= 0),
  watching_until bigint,
  watch_version bigint not null default nextval('addresses_watch_version'),
  created_at timestamptz not null,
  deleted_at timestamptz,
  check ((deleted_at is null) = (watching_until is null))
);

create unique index addresses_once_per_merchant
  on addresses (merchant_id, chain, address)
  where deleted_at is null;
create index addresses_by_chain_address on addresses (chain, address);
create unique index addresses_by_watch_version on addresses (chain, watch_version);
create index addresses_listing on addresses (merchant_id, created_at, id);
create index addresses_by_start on addresses (chain, effective_start);
create index addresses_pending on addresses (chain, effective_start)
  where pending_start is not null;

-- conflict_keys: each key behind one byte that holds its length.
create table deposits (
  id uuid primary key,
  merchant_id uuid not null,
  address_id uuid not null references addresses (id),
  chain text not null references chains (chain),
  kind text not null check (kind in ('token', 'native', 'internal', 'utxo', 'trc10')),
  asset text not null,
  recipient bytea not null,
  sender bytea,
  tx_hash bytea not null,
  n integer not null check (n >= 0),
  conflict_keys bytea not null,
  own_transfer boolean not null,
  published boolean not null,
  backfilled boolean not null,
  state text not null
    check (state in ('seen', 'included', 'confirmed', 'final', 'orphaned', 'replaced', 'dropped')),
  version integer not null check (version >= 1),
  amount_base_units numeric(78, 0) not null check (amount_base_units > 0),
  credited_base_units numeric(78, 0) not null check (credited_base_units >= 0),
  height bigint,
  block_hash bytea,
  block_time timestamptz,
  tx_index integer,
  log_index integer,
  confirmations_required integer,
  confirmed_by text not null check (confirmed_by in ('depth', 'safe', 'final')),
  confirmed_version integer,
  replaced_by bytea,
  first_seen_at timestamptz not null,
  confirmed_at timestamptz,
  final_at timestamptz,
  changed_at timestamptz not null,
  check ((height is null) = (block_hash is null)),
  check ((height is not null) = (state in ('included', 'confirmed', 'final'))),
  check (credited_base_units = 0 or (credited_base_units = amount_base_units and state in ('confirmed', 'final'))),
  check (not own_transfer or credited_base_units = 0),
  check ((confirmed_by = 'depth') = (confirmations_required is not null))
);

-- What the next move may touch, each by its own small index.
create index deposits_in_blocks on deposits (chain, height) where height is not null;
create index deposits_awaiting_depth on deposits (chain, (height + confirmations_required - 1))
  where state = 'included' and confirmed_by = 'depth';
create index deposits_awaiting_tag on deposits (chain, height)
  where state = 'included' and confirmed_by <> 'depth';
create index deposits_awaiting_final on deposits (chain, height) where state in ('included', 'confirmed');
create index deposits_off_chain on deposits (chain, changed_at) where state in ('orphaned', 'dropped');
create index deposits_listing on deposits (merchant_id, first_seen_at, id);
create index deposits_by_tx on deposits (chain, tx_hash);
create index deposits_by_address on deposits (address_id);

-- Re-readings that an operator asked for; work goes from height_next down.
create table rescans (
  id uuid primary key,
  chain text not null references chains (chain),
  height_first bigint not null check (height_first >= 0),
  height_last bigint not null,
  height_next bigint not null,
  address_id uuid references addresses (id),
  created_at timestamptz not null,
  done_at timestamptz,
  check (height_first <= height_last),
  check (height_next between height_first - 1 and height_last)
);

create index rescans_open on rescans (chain, created_at) where done_at is null;
