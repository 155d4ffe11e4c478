-- How merchants are told: the event log, endpoints, one cursor each, and rows for trouble only.
-- Owned by the relay. Bodies and hashes are raw bytes; a sequence counts per merchant from 1.
-- Locks are taken in this order: relay_shards, endpoints, endpoint_cursors, delivery_exceptions, log_keys, merchant_logs.

-- The head of each merchant's log. Appending locks these rows, by id, as the last thing before events are written.
create table merchant_logs (
  merchant_id uuid primary key,
  log_epoch integer not null default 1 check (log_epoch >= 1),
  epoch_after bigint not null default 0 check (epoch_after >= 0),
  sequence bigint not null default 0 check (sequence >= 0),
  head_hash bytea not null default decode(repeat('00', 32), 'hex') check (octet_length(head_hash) = 32),
  head_at timestamptz,
  check ((sequence = 0) = (head_at is null)),
  check (epoch_after <= sequence)
) with (fillfactor = 50);

comment on column merchant_logs.epoch_after is 'behind so many events the epoch began; more than 0 after a restore';

-- The epochs that restores began, for all logs at once; before the first of them it is epoch 1.
create table log_epochs (
  log_epoch integer primary key check (log_epoch > 1),
  began_at timestamptz not null
);

-- The log itself: append-only, one partition a month. Uniqueness is per partition (PostgreSQL knows no other);
-- created_at never runs backwards within a merchant, and `verify_log` checks across partitions.
create table events (
  merchant_id uuid not null,
  sequence bigint not null check (sequence >= 1),
  log_epoch integer not null check (log_epoch >= 1),
  event_id uuid not null,
  object_id text not null check (object_id <> ''),
  version bigint not null check (version >= 1),
  type text not null check (type ~ '^[a-z_]+\.[a-z_]+$'),
  prev_hash bytea not null check (octet_length(prev_hash) = 32),
  body bytea not null check (octet_length(body) between 2 and 262144),
  created_at timestamptz not null
) partition by range (created_at);

create table events_default partition of events default;
create unique index events_default_sequence on events_default (merchant_id, sequence);
create unique index events_default_event_id on events_default (event_id);
create unique index events_default_version on events_default (merchant_id, object_id, version);

create function refuse_event_change() returns trigger language plpgsql as $$
begin
  if current_setting('chainbell.moving_events', true) = 'on' then
    return old;
  end if;
  raise exception 'events are append-only' using errcode = 'restrict_violation';
end
$$;

create trigger events_are_append_only
before update or delete on events
for each row
execute function refuse_event_change();

-- Makes the partition of the month that holds `day`, and moves rows that came before it out of the default partition.
-- True if it was made now.
create function make_events_partition(day date) returns boolean language plpgsql as $$
declare
  first_day date := date_trunc('month', day::timestamp)::date;
  starts_at timestamptz := first_day::timestamp at time zone 'UTC';
  ends_at timestamptz := (first_day + interval '1 month') at time zone 'UTC';
  name text := 'events_' || to_char(first_day, 'YYYY_MM');
begin
  perform pg_advisory_xact_lock(hashtext('chainbell-events-partitions'));
  if to_regclass(name) is not null then
    return false;
  end if;
  -- Writers wait at the parent, before they choose a partition; at the default one it would be too late. Where rows are to
  -- move, readers wait there too: one that has chosen its partitions already would find the rows in none of them.
  if exists (select from events_default where created_at >= starts_at and created_at < ends_at) then
    lock table events in access exclusive mode;
  else
    lock table events in share row exclusive mode;
    if exists (select from events_default where created_at >= starts_at and created_at < ends_at) then
      lock table events in access exclusive mode;
    end if;
  end if;
  lock table events_default in access exclusive mode;
  execute format('create table %I (like events including defaults including constraints)', name);
  perform set_config('chainbell.moving_events', 'on', true);
  execute format(
    'with moved as (delete from events_default where created_at >= %L and created_at < %L returning *)
     insert into %I select * from moved', starts_at, ends_at, name);
  perform set_config('chainbell.moving_events', 'off', true);
  execute format('create unique index %I on %I (merchant_id, sequence)', name || '_sequence', name);
  execute format('create unique index %I on %I (event_id)', name || '_event_id', name);
  execute format('create unique index %I on %I (merchant_id, object_id, version)', name || '_version', name);
  execute format('alter table events attach partition %I for values from (%L) to (%L)', name, starts_at, ends_at);
  return true;
end
$$;

-- What is kept of an event whose partition was dropped: enough to prove the chain and to name it in `reverses`.
create table event_leaves (
  merchant_id uuid not null,
  sequence bigint not null check (sequence >= 1),
  event_id uuid not null unique,
  body_hash bytea not null check (octet_length(body_hash) = 32),
  primary key (merchant_id, sequence)
);

-- The upper part of the Merkle tree over each log (RFC 9162): the roots of all perfect subtrees of 256 leaves and more.
-- What is below is read from `events` and `event_leaves`. A node is written once and never changes.
create table log_nodes (
  merchant_id uuid not null,
  level smallint not null check (level between 8 and 62),
  position bigint not null check (position >= 0),
  hash bytea not null check (octet_length(hash) = 32),
  primary key (merchant_id, level, position)
);

-- The key that signs a merchant's checkpoints: one a log, for all of its endpoints, kept when these come and go.
create table log_keys (
  merchant_id uuid primary key,
  signing_key_sealed bytea not null,
  verify_key bytea not null check (octet_length(verify_key) = 32),
  created_at timestamptz not null
);

-- What was signed; `announced` when the log tells of it, in the event after it or a later one.
create table log_checkpoints (
  checkpoint_id uuid primary key,
  merchant_id uuid not null references log_keys,
  log_epoch integer not null check (log_epoch >= 1),
  size bigint not null check (size >= 1),
  root_hash bytea not null check (octet_length(root_hash) = 32),
  note text not null check (length(note) <= 4096),
  announced boolean not null,
  created_at timestamptz not null
);
create unique index log_checkpoints_by_size on log_checkpoints (merchant_id, size, log_epoch);
create index log_checkpoints_listing on log_checkpoints (merchant_id, created_at, checkpoint_id);

-- Drops the oldest month that lies before `before` altogether, if no endpoint still needs it; keeps its leaves.
-- Answers what it did: the partition dropped, or null (nothing that old, or somebody needs it).
create function retire_events_partition(before timestamptz) returns text language plpgsql as $$
declare
  name text;
  first_day date;
begin
  perform pg_advisory_xact_lock(hashtext('chainbell-events-partitions'));
  select c.relname, to_date(right(c.relname, 7), 'YYYY_MM')
  into name, first_day
  from pg_inherits i
  join pg_class c
  on c.oid = i.inhrelid
  where i.inhparent = 'events'::regclass and c.relname ~ '^events_[0-9]{4}_[0-9]{2}$'
  order by c.relname
  limit 1;
  if name is null or (first_day + interval '1 month') at time zone 'UTC' > before then
    return null;
  end if;
  if exists (select from endpoints_needing_events_before((first_day + interval '1 month') at time zone 'UTC')) then
    return null;
  end if;
  execute format(
    'insert into event_leaves (merchant_id, sequence, event_id, body_hash)
     select merchant_id, sequence, event_id, sha256(body) from %I', name);
  execute format('drop table %I', name);
  return name;
end
$$;

create table endpoints (
  endpoint_id uuid primary key,
  merchant_id uuid not null,
  shard smallint not null check (shard between 0 and 63),
  url text not null check (url ~* '^https?://' and length(url) <= 2048),
  description text not null default '' check (length(description) <= 500),
  event_types text[] check (cardinality(event_types) between 1 and 64),
  headers_sealed bytea,
  max_in_flight integer not null check (max_in_flight between 1 and 1000),
  rate_per_s integer check (rate_per_s between 1 and 10000),
  state text not null default 'active' check (state in ('active', 'failing', 'paused')),
  state_reason text,
  state_since timestamptz not null,
  version bigint not null default 0 check (version >= 0),
  revision bigint not null default 1,
  wakes bigint not null default 0,
  start_sequence bigint not null check (start_sequence >= 0),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  warned_at timestamptz,
  deleted_at timestamptz,
  verification text not null default 'verified' check (verification in ('pending', 'verified')),
  verification_failure text,
  challenges smallint not null default 0 check (challenges >= 0),
  challenge_at timestamptz,
  check (state = 'active' or state_reason is not null),
  check (verification = 'pending' or (challenge_at is null and verification_failure is null))
);
create index endpoints_by_shard on endpoints (shard) where deleted_at is null;
create index endpoints_by_merchant on endpoints (merchant_id, created_at, endpoint_id) where deleted_at is null;

create index endpoints_by_challenge on endpoints (challenge_at) where challenge_at is not null and deleted_at is null;

comment on column endpoints.verification is 'pending: whoever answers at the URL has yet to echo a challenge; no event is sent';
comment on column endpoints.challenge_at is 'when it is asked next; null when it is not asked again by itself';
comment on column endpoints.version is 'of the endpoint as an object of the log: each endpoint.* event raises it';
comment on column endpoints.revision is 'raised by every change that its lane must notice';
comment on column endpoints.wakes is 'raised when what waits gets a free try at once; endpoint_cursors.wakes follows';

-- HMAC secrets, sealed with the endpoint id as associated data. The one without an end is the current one.
create table endpoint_secrets (
  endpoint_id uuid not null references endpoints,
  secret_id uuid not null,
  secret_sealed bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  primary key (endpoint_id, secret_id),
  check (expires_at >= created_at)
);
create unique index endpoint_secrets_one_current on endpoint_secrets (endpoint_id) where expires_at is null;

-- Ed25519 keys. The one without an end is the current one. Whoever has the public half checks by these windows what was
-- signed when; once one has ended, its seed (sealed as secrets are) goes with the next change and the public half stays.
create table endpoint_keys (
  endpoint_id uuid not null references endpoints,
  public_key bytea not null check (octet_length(public_key) = 32),
  seed_sealed bytea,
  valid_from timestamptz not null,
  valid_until timestamptz,
  primary key (endpoint_id, public_key),
  check (valid_until >= valid_from),
  check (seed_sealed is not null or valid_until is not null)
);
create unique index endpoint_keys_one_current on endpoint_keys (endpoint_id) where valid_until is null;

-- Which filter held from where on: events after `after_sequence`, up to the next row's.
create table endpoint_filters (
  endpoint_id uuid not null references endpoints,
  after_sequence bigint not null check (after_sequence >= 0),
  event_types text[],
  primary key (endpoint_id, after_sequence)
);

-- An endpoint's place in its merchant's log: everything up to `sequence` is delivered, unmatched, or has a row below.
create table endpoint_cursors (
  endpoint_id uuid primary key references endpoints,
  sequence bigint not null check (sequence >= 0),
  matched_sequence bigint not null default 0,
  filter_revision bigint not null default 1,
  wakes bigint not null default 0,
  last_success_at timestamptz,
  last_failure_at timestamptz,
  last_failure text,
  check (matched_sequence between 0 and sequence)
) with (fillfactor = 50);

-- Deliveries in trouble: failed, slow, behind one that failed, or out of tries. No row means: see the cursor.
create table delivery_exceptions (
  endpoint_id uuid not null references endpoints,
  sequence bigint not null check (sequence >= 1),
  merchant_id uuid not null,
  event_id uuid not null,
  event_at timestamptz not null,
  object_id text not null,
  version bigint not null,
  type text not null,
  prev_sequence bigint not null check (prev_sequence >= 0 and prev_sequence < sequence),
  state text not null check (state in ('sending', 'retrying', 'waiting', 'exhausted')),
  failures smallint not null default 0 check (failures >= 0),
  attempts integer not null default 0 check (attempts >= 0),
  retry_at timestamptz,
  free boolean not null default false,
  replay boolean not null default false,
  created_at timestamptz not null,
  exhausted_at timestamptz,
  primary key (endpoint_id, sequence),
  check ((retry_at is not null) = (state in ('sending', 'retrying'))),
  check ((exhausted_at is not null) = (state = 'exhausted')),
  check (not free or state = 'retrying')
);
-- Of one object only the oldest is tried: this is the ordering promise as a constraint.
create unique index delivery_exceptions_one_head on delivery_exceptions (endpoint_id, object_id, replay)
where state in ('sending', 'retrying');
create index delivery_exceptions_due on delivery_exceptions (endpoint_id, retry_at)
where state in ('sending', 'retrying');
create index delivery_exceptions_waiting on delivery_exceptions (endpoint_id, object_id, replay, sequence)
where state = 'waiting';
create index delivery_exceptions_by_state on delivery_exceptions (endpoint_id, state, sequence);

-- Tries of deliveries that had trouble. A first try that simply succeeded leaves no row.
create table delivery_attempts (
  endpoint_id uuid not null,
  sequence bigint not null,
  number integer not null check (number >= 1),
  started_at timestamptz not null,
  duration_ms integer not null check (duration_ms >= 0),
  outcome text not null,
  status_code smallint check (status_code between 100 and 999),
  excerpt bytea not null check (octet_length(excerpt) <= 4096),
  primary key (endpoint_id, sequence, number)
);
create index delivery_attempts_by_time on delivery_attempts (started_at);

-- A replay is a second, bounded cursor: it turns events of a range into rows, a few at a time; of one object only, or
-- only what has been exhausted since a moment, where it says so.
create table endpoint_replays (
  replay_id uuid primary key,
  endpoint_id uuid not null references endpoints,
  sequence bigint not null check (sequence >= 0),
  sequence_last bigint not null,
  matched_sequence bigint not null default 0,
  created_at timestamptz not null,
  object_id text,
  exhausted_since timestamptz,
  check (sequence <= sequence_last),
  check (matched_sequence between 0 and sequence),
  check (object_id is null or exhausted_since is null)
);
create index endpoint_replays_by_endpoint on endpoint_replays (endpoint_id, created_at, replay_id);

-- Merchants whose deliveries wait. A table of its own, so that no one holds it together with a merchant's log.
create table disabled_merchants (
  merchant_id uuid primary key,
  disabled_at timestamptz not null
);

-- Who sends for which endpoints. A settle names the epoch it was given; an older one changes nothing.
create table relay_shards (
  shard smallint primary key check (shard between 0 and 63),
  owner uuid,
  epoch bigint not null default 0,
  leased_until timestamptz,
  check ((owner is null) = (leased_until is null))
) with (fillfactor = 50);
insert into relay_shards (shard)
select generate_series(0, 63);

create table relay_workers (
  worker_id uuid primary key,
  seen_at timestamptz not null
);

-- Endpoints that have not been given, or are still being given, events told before `moment`.
create function endpoints_needing_events_before(moment timestamptz) returns setof uuid language sql stable as $$
  select p.endpoint_id
  from endpoints p
  join endpoint_cursors c
  on c.endpoint_id = p.endpoint_id
  where p.deleted_at is null
    and (
      exists (
        select
        from events e
        where e.merchant_id = p.merchant_id and e.sequence = c.sequence + 1 and e.created_at < moment
      )
      or exists (
        select
        from delivery_exceptions x
        where x.endpoint_id = p.endpoint_id and x.state <> 'exhausted' and x.event_at < moment
      )
      or exists (
        select
        from endpoint_replays r
        join events e
        on e.merchant_id = p.merchant_id and e.sequence = r.sequence + 1 and e.created_at < moment
        where r.endpoint_id = p.endpoint_id
      )
    )
$$;
