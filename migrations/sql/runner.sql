-- What the runner and the pool ask about the schema itself.

-- name: has_schema_migrations :one
select to_regclass('schema_migrations') is not null;

-- name: create_schema_migrations :exec
create table if not exists schema_migrations (
  version integer primary key check (version > 0),
  name text not null,
  checksum bytea not null check (length(checksum) = 32),
  applied_at timestamptz not null default now()
);

-- name: load_applied :many
select version, name, checksum
from schema_migrations
order by version;

-- name: insert_applied :exec
insert into schema_migrations (version, name, checksum)
values ($1, $2, $3);

-- name: take_migration_lock :one
select pg_advisory_lock($1);

-- name: wait_for_migration :one
-- Nothing is kept: the lock is let go of as this statement ends.
select pg_advisory_xact_lock_shared($1);

-- name: release_migration_lock :one
select pg_advisory_unlock($1);

-- name: wait_without_limit :exec
-- Another process may be busy with a long migration; waiting for it is not an error.
select
  set_config('lock_timeout', '0', false),
  set_config('statement_timeout', '0', false),
  set_config('idle_in_transaction_session_timeout', '0', false);

-- name: limit_waits_for_tables :exec
-- A migration that queues behind a long reader stops every later query on that table.
select set_config('lock_timeout', '30s', false);
