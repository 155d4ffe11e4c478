-- How merchants are told: the event log, endpoints, one cursor each, and rows for trouble only.
-- Owned by the relay. Bodies and hashes are raw bytes; a sequence counts per merchant from 1.
-- Locks are taken in this order: relay_shards, endpoints, endpoint_cursors, delivery_exceptions, log_keys, log_locks,
-- merchant_logs.
--
-- What moves with every event (a log's head, an endpoint's cursor) has its place in its key. Whoever knows the place finds
-- its one version by it; under the merchant or the endpoint alone stand all that vacuum could not remove yet, and while
-- somebody keeps a transaction open that is each one of that time (docs/decisions/0008-cursors-under-a-held-snapshot.md).

-- One row for each log, written once. Appending locks these rows, by id, as the last thing before events are written.
create table log_locks (
  merchant_id uuid primary key
);

-- The head of each merchant's log: one row for each lock above.
create table merchant_logs (
  merchant_id uuid not null,
  log_epoch integer not null default 1 check (log_epoch >= 1),
  epoch_after bigint not null default 0 check (epoch_after >= 0),
  sequence bigint not null default 0 check (sequence >= 0),
  head_hash bytea not null default decode(repeat('00', 32), 'hex') check (octet_length(head_hash) = 32),
  head_at timestamptz,
  check ((sequence = 0) = (head_at is null)),
  check (epoch_after <= sequence),
  primary key (merchant_id, sequence)
);

-- The heads of these logs: the highest of each is its only one. Written as a loop, and without scans of the whole table, so
-- that the plan made while the table is small still asks for one key when dead versions have made it large.
create function newest_heads(merchant_ids uuid[])
returns table (merchant_id uuid, log_epoch integer, sequence bigint, head_hash bytea, head_at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  one uuid;
begin
  foreach one in array merchant_ids loop
    return query
    select m.merchant_id, m.log_epoch, m.sequence, m.head_hash, m.head_at
    from merchant_logs m
    where m.merchant_id = one
    order by m.sequence desc
    limit 1;
  end loop;
end
$$;

-- Moves heads from where they are known to be; the caller holds their locks.
create function move_heads(
  merchant_ids uuid[], sequences_before bigint[], sequences bigint[], hashes bytea[], moments timestamptz[]
)
returns void language plpgsql
set enable_seqscan = off set enable_bitmapscan = off as $$
begin
  for i in 1 .. cardinality(merchant_ids) loop
    update merchant_logs m
    set sequence = sequences[i], head_hash = hashes[i], head_at = moments[i]
    where m.merchant_id = merchant_ids[i] and m.sequence = sequences_before[i];
    if not found then
      raise exception 'the head of a log is not where it was while it was locked';
    end if;
  end loop;
end
$$;

comment on column merchant_logs.epoch_after is 'behind so many events the epoch began; more than 0 after a restore';

-- The epochs that restores began, for all logs at once; before the first of them it is epoch 1.
create table log_epochs (
  log_epoch integer primary key check (log_epoch > 1),
  began_at timestamptz not null
);

-- The log itself: append-only, one partition a day (UTC). Uniqueness is per partition (PostgreSQL knows no other);
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

-- Which days a merchant's log has, and the sequence each begins with. Whoever reads by sequence finds here which
-- partitions to read, so that the others are neither planned nor locked (docs/decisions/0007-a-partition-a-day.md).
-- Written with the first event of the day, deleted with the partition.
create table event_days (
  day date not null,
  merchant_id uuid not null,
  first_sequence bigint not null check (first_sequence >= 1),
  primary key (day, merchant_id),
  unique (merchant_id, first_sequence)
);

create function starts_of_day(day date) returns timestamptz language sql immutable as $$
  select day::timestamp at time zone 'UTC'
$$;

create function day_of(moment timestamptz) returns date language sql immutable as $$
  select (moment at time zone 'UTC')::date
$$;

create function partition_of(day date) returns text language sql immutable as $$
  select format(
    'events_%s_%s_%s', extract(year from day), lpad(extract(month from day)::text, 2, '0'),
    lpad(extract(day from day)::text, 2, '0')
  )
$$;

create function default_has_events_of(day date) returns boolean language sql as $$
  select exists (
    select
    from events_default
    where created_at >= starts_of_day(day) and created_at < starts_of_day(day + 1)
  )
$$;

-- Makes the partition of `day`, and moves rows that came before it out of the default partition. Says what came of it:
-- 'made', 'there' or 'busy'. Writers wait for it no longer than the lock timeout, whatever holds the table.
create function make_events_partition(day date) returns text language plpgsql set lock_timeout = '100ms' as $$
declare
  name text := partition_of(day);
begin
  if to_regclass(name) is not null then
    return 'there';
  end if;
  if not pg_try_advisory_xact_lock(hashtext('chainbell-events-partitions')) then
    return 'busy';
  end if;
  if to_regclass(name) is not null then
    return 'there';
  end if;
  -- Writers wait at the parent, before they choose a partition; at the default one it would be too late. Readers too, where
  -- rows move: planned before and run after, they would look for them where they were.
  if default_has_events_of(day) then
    lock table only events in access exclusive mode;
  else
    lock table only events in share row exclusive mode;
    if default_has_events_of(day) then
      raise lock_not_available;  -- told in the meantime; the next attempt knows
    end if;
  end if;
  lock table events_default in access exclusive mode;
  execute format('create table %I (like events including defaults including constraints)', name);
  perform set_config('chainbell.moving_events', 'on', true);
  execute format(
    'with moved as (delete from events_default where created_at >= %L and created_at < %L returning *)
     insert into %I select * from moved', starts_of_day(day), starts_of_day(day + 1), name);
  perform set_config('chainbell.moving_events', 'off', true);
  execute format('create unique index %I on %I (merchant_id, sequence)', name || '_sequence', name);
  execute format('create unique index %I on %I (event_id)', name || '_event_id', name);
  execute format('create unique index %I on %I (merchant_id, object_id, version)', name || '_version', name);
  execute format(
    'alter table events attach partition %I for values from (%L) to (%L)',
    name, starts_of_day(day), starts_of_day(day + 1));
  return 'made';
exception
  when lock_not_available then
    return 'busy';
end
$$;

-- Reading. Each function names the days it reads, one statement a day; `force_custom_plan` lets the planner see them, so
-- that it opens one partition, however many there are. A plain query would open and lock all of them, every time.
-- They are volatile, so that each of these statements has a snapshot of its own, taken when its partition is chosen and
-- locked: with the caller's older one, rows that were moved in between would be seen in neither place.

-- Up to `wanted` events of a merchant behind `after` and up to `last`, ascending; only of `wanted_types` unless null.
create function events_between(merchant uuid, after bigint, last bigint, wanted_types text[], wanted bigint)
returns setof events language plpgsql set plan_cache_mode = force_custom_plan as $$
declare
  lacking bigint := wanted;
  found_now bigint;
  one date;
begin
  for one in
    select d.day
    from event_days d
    where d.merchant_id = merchant and d.first_sequence <= last and d.first_sequence >= coalesce((
      select max(b.first_sequence)
      from event_days b
      where b.merchant_id = merchant and b.first_sequence <= after + 1
    ), 1)
    order by d.first_sequence
  loop
    return query
    select e.*
    from events e
    where e.merchant_id = merchant and e.sequence > after and e.sequence <= last
      and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1)
      and (wanted_types is null or e.type = any(wanted_types))
    order by e.sequence
    limit lacking;
    get diagnostics found_now = row_count;
    lacking := lacking - found_now;
    exit when lacking <= 0;
  end loop;
end
$$;

-- For each endpoint the next events behind its place, as far as the day of the first of them goes; at least one if there
-- is any. The filter decides here, so that bodies nobody wants are not read. The four arrays belong together.
create function events_behind(endpoint_ids uuid[], merchant_ids uuid[], afters bigint[], wanted bigint[])
returns table (
  endpoint_id uuid, event_id uuid, sequence bigint, object_id text, version bigint, type text, created_at timestamptz,
  body bytea
) language plpgsql set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  one record;
begin
  for one in
    select d.day, array_agg(r.endpoint_id) as endpoint_ids, array_agg(r.merchant_id) as merchant_ids,
      array_agg(r.after_sequence) as afters, array_agg(r.wanted) as wanted
    from unnest(endpoint_ids, merchant_ids, afters, wanted) as r (endpoint_id, merchant_id, after_sequence, wanted)
    cross join lateral (
      select b.day
      from event_days b
      where b.merchant_id = r.merchant_id and b.first_sequence <= r.after_sequence + 1
      order by b.first_sequence desc
      limit 1
    ) d
    group by d.day
  loop
    return query
    select r.endpoint_id, e.event_id, e.sequence, e.object_id, e.version, e.type, e.created_at,
      case when p.event_types is null or e.type = any(p.event_types) then e.body end
    from unnest(one.endpoint_ids, one.merchant_ids, one.afters, one.wanted)
      as r (endpoint_id, merchant_id, after_sequence, wanted)
    join endpoints p
    on p.endpoint_id = r.endpoint_id
    cross join lateral (
      select *
      from events l
      where l.merchant_id = r.merchant_id and l.sequence > r.after_sequence
        and l.created_at >= starts_of_day(one.day) and l.created_at < starts_of_day(one.day + 1)
      order by l.sequence
      limit r.wanted
    ) e;
  end loop;
end
$$;

-- The bodies of one merchant's events, of which the caller knows sequence and moment.
create function event_bodies(merchant uuid, sequences bigint[], moments timestamptz[])
returns table (sequence bigint, body bytea) language plpgsql set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  one record;
begin
  for one in
    select day_of(k.told_at) as day, array_agg(k.sequence) as sequences
    from unnest(sequences, moments) as k (sequence, told_at)
    group by 1
  loop
    return query
    select e.sequence, e.body
    from events e
    where e.merchant_id = merchant and e.sequence = any(one.sequences)
      and e.created_at >= starts_of_day(one.day) and e.created_at < starts_of_day(one.day + 1);
  end loop;
end
$$;

-- Events by id, looked for in `days` in the order given, until `wanted` of them are found.
create function events_with_ids(ids uuid[], days date[], wanted bigint)
returns setof events language plpgsql set plan_cache_mode = force_custom_plan as $$
declare
  lacking bigint := wanted;
  found_now bigint;
  one date;
begin
  foreach one in array days
  loop
    return query
    select e.*
    from events e
    where e.event_id = any(ids) and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1);
    get diagnostics found_now = row_count;
    lacking := lacking - found_now;
    exit when lacking <= 0;
  end loop;
end
$$;

-- Up to `wanted` events about one object behind `after`, ascending, in `days`, which ascend too; null wants all of them.
create function events_of_object(merchant uuid, object text, after bigint, days date[], wanted bigint)
returns setof events language plpgsql set plan_cache_mode = force_custom_plan as $$
declare
  lacking bigint := wanted;
  found_now bigint;
  one date;
begin
  foreach one in array days
  loop
    return query
    select e.*
    from events e
    where e.merchant_id = merchant and e.object_id = object and e.sequence > after
      and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1)
    order by e.sequence
    limit lacking;
    get diagnostics found_now = row_count;
    lacking := lacking - found_now;
    exit when lacking <= 0;
  end loop;
end
$$;

-- The sequences of a merchant's events that stand on one of `days` and do not belong there; there should be none. One
-- snapshot for all of it: an event must not be seen without its day.
create function stray_events(merchant uuid, days date[])
returns setof bigint language plpgsql stable set plan_cache_mode = force_custom_plan as $$
declare
  one date;
  first_own bigint;
  last_own bigint;
begin
  foreach one in array days
  loop
    select d.first_sequence
    into first_own
    from event_days d
    where d.day = one and d.merchant_id = merchant;
    select min(d.first_sequence) - 1
    into last_own
    from event_days d
    where d.merchant_id = merchant and d.first_sequence > first_own;
    return query
    select e.sequence
    from events e
    where e.merchant_id = merchant and e.created_at >= starts_of_day(one) and e.created_at < starts_of_day(one + 1)
      and (first_own is null or e.sequence < first_own or e.sequence > last_own)
    order by e.sequence;
  end loop;
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

-- Writes the leaves of up to `wanted` events of a day, by merchant and sequence, behind the ones given; answers the last
-- one, or nothing when there are no more. Repeating it changes nothing.
create function keep_event_leaves(old_day date, after_merchant uuid, after_sequence bigint, wanted bigint)
returns table (merchant_id uuid, sequence bigint) language plpgsql set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
begin
  return query
  with batch as materialized (
    select e.merchant_id, e.sequence, e.event_id, sha256(e.body) as body_hash
    from events e
    where (e.merchant_id, e.sequence) > (after_merchant, after_sequence)
      and e.created_at >= starts_of_day(old_day) and e.created_at < starts_of_day(old_day + 1)
    order by e.merchant_id, e.sequence
    limit wanted
  ),
  kept as (
    insert into event_leaves (merchant_id, sequence, event_id, body_hash)
    select b.merchant_id, b.sequence, b.event_id, b.body_hash
    from batch b
    on conflict do nothing
  )
  select b.merchant_id, b.sequence
  from batch b
  order by b.merchant_id desc, b.sequence desc
  limit 1;
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
  drain text not null default 'all' check (drain in ('all', 'latest_only')),
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
  warned_since timestamptz,
  deleted_at timestamptz,
  verification text not null default 'verified' check (verification in ('pending', 'verified')),
  verification_failure text,
  challenges smallint not null default 0 check (challenges >= 0),
  challenge_at timestamptz,
  check (state = 'active' or state_reason is not null),
  check (verification = 'pending' or (challenge_at is null and verification_failure is null)),
  check ((warned_at is null) = (warned_since is null) and warned_since <= warned_at)
);
create index endpoints_by_shard on endpoints (shard) where deleted_at is null;
create index endpoints_by_merchant on endpoints (merchant_id, created_at, endpoint_id) where deleted_at is null;

create index endpoints_by_challenge on endpoints (challenge_at) where challenge_at is not null and deleted_at is null;

comment on column endpoints.verification is 'pending: whoever answers at the URL has yet to echo a challenge; no event is sent';
comment on column endpoints.challenge_at is 'when it is asked next; null when it is not asked again by itself';
comment on column endpoints.version is 'of the endpoint as an object of the log: each endpoint.* event raises it';
comment on column endpoints.revision is 'raised by every change that its lane must notice';
comment on column endpoints.warned_since is 'the first of the warnings that retention gave it since it last was up to date';
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
  endpoint_id uuid not null references endpoints,
  sequence bigint not null check (sequence >= 0),
  matched_sequence bigint not null default 0,
  filter_revision bigint not null default 1,
  wakes bigint not null default 0,
  drain_sequence bigint not null default 0 check (drain_sequence >= 0),
  last_success_at timestamptz,
  last_failure_at timestamptz,
  last_failure text,
  check (matched_sequence between 0 and sequence),
  primary key (endpoint_id, sequence)
) with (fillfactor = 50);

-- Moves cursors from where they were, or further on, and returns whose: those whose filter changed stay. In the order of
-- endpoints, which is that of their locks. In the form of `newest_heads`, for its reason.
create function move_cursors(
  endpoint_ids uuid[], filter_revisions bigint[], sequences_before bigint[], sequences bigint[], matched bigint[],
  successes timestamptz[], failures timestamptz[], failures_named text[], wakes_seen bigint[]
)
returns setof uuid language plpgsql
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  i integer;
begin
  for i in
    select k.position
    from unnest(endpoint_ids) with ordinality as k (endpoint_id, position)
    order by k.endpoint_id
  loop
    update endpoint_cursors c
    set sequence = greatest(c.sequence, sequences[i]),
      matched_sequence = greatest(c.matched_sequence, matched[i]),
      last_success_at = coalesce(successes[i], c.last_success_at),
      last_failure_at = coalesce(failures[i], c.last_failure_at),
      last_failure = coalesce(failures_named[i], c.last_failure),
      wakes = coalesce(wakes_seen[i], c.wakes)
    where c.endpoint_id = endpoint_ids[i] and c.sequence >= sequences_before[i]
      and c.filter_revision = filter_revisions[i];
    if found then
      return next endpoint_ids[i];
    end if;
  end loop;
end
$$;

-- Up to where each of these endpoints is drained; in the form of `newest_heads`, for its reason.
create function drain_sequences(endpoint_ids uuid[])
returns table (endpoint_id uuid, drain_sequence bigint) language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  one uuid;
begin
  foreach one in array endpoint_ids loop
    return query
    select c.endpoint_id, c.drain_sequence
    from endpoint_cursors c
    where c.endpoint_id = one
    order by c.sequence desc
    limit 1;
  end loop;
end
$$;

comment on column endpoint_cursors.filter_revision is
  'raised by whatever changes what a settle may say: another filter, an outage or a short drain that ends, a loss';
comment on column endpoint_cursors.drain_sequence is
  'the head of the log when the last outage ended, for an endpoint that is drained of the latest only';

-- Deliveries in trouble: failed, slow, behind one that failed, out of tries, or left out because the delivery
-- `covered_by` says the same and more. No row means: see the cursor.
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
  state text not null check (state in ('sending', 'retrying', 'waiting', 'exhausted', 'covered')),
  failures smallint not null default 0 check (failures >= 0),
  attempts integer not null default 0 check (attempts >= 0),
  retry_at timestamptz,
  free boolean not null default false,
  replay boolean not null default false,
  created_at timestamptz not null,
  exhausted_at timestamptz,
  covered_by bigint check (covered_by > sequence),
  primary key (endpoint_id, sequence),
  check ((retry_at is not null) = (state in ('sending', 'retrying'))),
  check ((exhausted_at is not null) = (state = 'exhausted')),
  check ((covered_by is not null) = (state = 'covered')),
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
create index delivery_exceptions_covered on delivery_exceptions (endpoint_id, covered_by, sequence)
where state = 'covered';

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

-- What an endpoint was never given and can not be given any more: retention dropped it. Kept for good.
create table endpoint_losses (
  endpoint_id uuid not null references endpoints,
  first_sequence bigint not null check (first_sequence >= 1),
  last_sequence bigint not null,
  reason text not null check (reason in ('undelivered', 'exhausted')),
  events bigint not null check (events >= 1),
  lost_at timestamptz not null,
  primary key (endpoint_id, first_sequence, reason),
  check (last_sequence >= first_sequence)
);

-- The oldest event that each endpoint still has to be given, by what needs it, and the day of that event. It and all that
-- follows stays. An exhausted delivery needs nothing, nor does a covered one: nobody will try it unless asked.
create view endpoint_needs as
select p.endpoint_id, p.merchant_id, need.kind, need.sequence, told.day
from endpoints p
join endpoint_cursors c
on c.endpoint_id = p.endpoint_id
join merchant_logs m
on m.merchant_id = p.merchant_id
cross join lateral (
  select 'cursor' as kind, c.sequence + 1 as sequence
  where c.sequence < m.sequence
  union all
  select 'replay', min(r.sequence) + 1
  from endpoint_replays r
  where r.endpoint_id = p.endpoint_id
  having count(*) > 0
  union all
  select 'delivery', min(x.sequence)
  from unnest(array['sending', 'retrying', 'waiting']) as s (state)
  cross join lateral (
    select o.sequence
    from delivery_exceptions o
    where o.endpoint_id = p.endpoint_id and o.state = s.state
    order by o.sequence
    limit 1
  ) x
  having count(*) > 0
) need
cross join lateral (
  select d.day
  from event_days d
  where d.merchant_id = p.merchant_id and d.first_sequence <= need.sequence
  order by d.first_sequence desc
  limit 1
) told
where p.deleted_at is null;

-- The last sequence of each merchant's log up to the end of `old_day`, of those that have events there at all.
create function last_sequences(old_day date)
returns table (merchant_id uuid, sequence bigint) language sql stable as $$
  select m.merchant_id, coalesce(
    (
      select min(later.first_sequence)
      from event_days later
      where later.merchant_id = m.merchant_id and later.day > old_day
    ),
    m.sequence + 1
  ) - 1
  from merchant_logs m
  where exists (select from event_days d where d.merchant_id = m.merchant_id and d.day <= old_day)
$$;

-- Takes a day out of the log, which must be the oldest; the table waits under another name to be dropped. Says what came
-- of it: 'retired', 'gone', 'needed', 'unproven' (leaves are missing) or 'busy'. No writer waits for it longer than three
-- lock timeouts. Whoever calls holds the lock 'chainbell-events-retention', so that nobody begins to need the day now.
create function retire_events_partition(old_day date) returns text language plpgsql set lock_timeout = '100ms' as $$
declare
  name text := partition_of(old_day);
begin
  if not pg_try_advisory_xact_lock(hashtext('chainbell-events-partitions')) then
    return 'busy';
  end if;
  if to_regclass(name) is null then
    return 'gone';
  end if;
  if exists (select from endpoint_needs n where n.day <= old_day) then
    return 'needed';
  end if;
  lock table only events in access exclusive mode;
  lock table events_default in access exclusive mode;
  execute format('lock table only %I in access exclusive mode', name);
  -- Leaves are written in the order of sequences, so the last of a merchant stands for all of them.
  if exists (
    select
    from event_days d
    join last_sequences(old_day) l
    on l.merchant_id = d.merchant_id
    where d.day = old_day
      and not exists (
        select
        from event_leaves f
        where f.merchant_id = l.merchant_id and f.sequence = l.sequence
      )
  ) then
    return 'unproven';
  end if;
  execute format('alter table events detach partition %I', name);
  execute format('alter table %I rename to %I', name, 'retired_' || name);
  delete from event_days d
  where d.day = old_day;
  return 'retired';
exception
  when lock_not_available then
    return 'busy';
end
$$;

-- Drops the oldest table that was taken out of the log; false when there is none, or somebody reads it.
create function drop_retired_partition() returns boolean language plpgsql set lock_timeout = '100ms' as $$
declare
  name text;
begin
  select t.relname
  into name
  from pg_class t
  where t.relkind = 'r' and t.relname ~ '^retired_events_' and t.relnamespace = current_schema()::regnamespace
  order by t.relname
  limit 1;
  if name is null then
    return false;
  end if;
  execute format('drop table %I', name);
  return true;
exception
  when lock_not_available then
    return false;
  when undefined_table then
    return true;  -- another worker was faster
end
$$;

-- The short drain looks at an object in stretches: 256 versions and 100 days (UTC), whichever ends first. That bounds what
-- is read for one event, what one event can stand for, and how many partitions a statement opens.
create function versions_stretch(version bigint) returns bigint language sql immutable as $$
  select version / 256
$$;

create function days_stretch(moment timestamptz) returns integer language sql immutable as $$
  select (day_of(moment) - date '2000-01-01') / 100
$$;

-- For deliveries of endpoints, each by its object, version and moment: the event of it and all later ones of its stretch that
-- began on a day up to the end of the outage. The four arrays belong together.
create function events_from_version(endpoint_ids uuid[], object_ids text[], versions bigint[], moments timestamptz[])
returns table (endpoint_id uuid, object_id text, version bigint, sequence bigint, type text, created_at timestamptz)
language plpgsql set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  one record;
begin
  for one in
    select d.day, array_agg(a.endpoint_id) as endpoint_ids, array_agg(p.merchant_id) as merchant_ids,
      array_agg(a.object_id) as object_ids, array_agg(a.version) as versions
    from (
      select k.endpoint_id, k.object_id, min(k.version) as version, min(k.told_at) as told_at
      from unnest(endpoint_ids, object_ids, versions, moments) as k (endpoint_id, object_id, version, told_at)
      group by k.endpoint_id, k.object_id, versions_stretch(k.version), days_stretch(k.told_at)
    ) a
    join endpoints p
    on p.endpoint_id = a.endpoint_id
    join endpoint_cursors c
    on c.endpoint_id = a.endpoint_id
    join event_days d
    on d.merchant_id = p.merchant_id and d.day >= day_of(a.told_at) and d.first_sequence <= c.drain_sequence
      and days_stretch(starts_of_day(d.day)) = days_stretch(a.told_at)
    group by d.day
  loop
    return query
    select r.endpoint_id, r.object_id, e.version, e.sequence, e.type, e.created_at
    from unnest(one.endpoint_ids, one.merchant_ids, one.object_ids, one.versions)
      as r (endpoint_id, merchant_id, object_id, version)
    cross join lateral (
      select l.version, l.sequence, l.type, l.created_at
      from events l
      where l.merchant_id = r.merchant_id and l.object_id = r.object_id
        and l.version >= r.version and l.version < (versions_stretch(r.version) + 1) * 256
        and l.created_at >= starts_of_day(one.day) and l.created_at < starts_of_day(one.day + 1)
      offset 0  -- asked once for each of the above
    ) e;
  end loop;
end
$$;

-- The rule of the short drain: which event stands for which, among the deliveries asked for and what came after them. The
-- newest of the same object stands for one that is superseded, if it matches the filter, was told by the end of the outage, and
-- comes before the next event that takes credit back. Such an event is never left out and never stands for another,
-- so what is told last before it is told, too; it counts even where the filter leaves it out. Not named here: nothing
-- stands for it, it is delivered.
create function covering_sequences(endpoint_ids uuid[], object_ids text[], versions bigint[], moments timestamptz[])
returns table (endpoint_id uuid, sequence bigint, covered_by bigint) language sql as $$
  select w.endpoint_id, w.sequence, w.newest
  from (
    select o.endpoint_id, o.sequence, o.takes_back,
      max(o.sequence) filter (
        where not o.takes_back and o.sequence <= c.drain_sequence
          and (p.event_types is null or o.type = any(p.event_types))
      ) over (
        partition by o.endpoint_id, o.object_id, versions_stretch(o.version), days_stretch(o.created_at), o.taken_back
      ) as newest
    from (
      select l.*, b.takes_back,
        count(*) filter (where b.takes_back) over (
          partition by l.endpoint_id, l.object_id, versions_stretch(l.version), days_stretch(l.created_at)
          order by l.version
        ) as taken_back
      from events_from_version(endpoint_ids, object_ids, versions, moments) l
      cross join lateral (select l.type in ('deposit.reversed', 'deposit.amended') as takes_back) b
    ) o
    join endpoints p
    on p.endpoint_id = o.endpoint_id
    join endpoint_cursors c
    on c.endpoint_id = o.endpoint_id
  ) w
  where not w.takes_back and w.newest > w.sequence
$$;
