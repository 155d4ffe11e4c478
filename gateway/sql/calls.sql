-- What is remembered of calls: first answers for repetitions, and the trail of administrators.

-- name: try_lock_call :one
select pg_try_advisory_xact_lock($1, $2);

-- name: claim_call :one
insert into calls_in_progress as held (caller, path, key, claim, until)
values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
on conflict (caller, path, key) do update
set
  claim = excluded.claim,
  until = excluded.until
where held.until <= clock_timestamp()
returning true;

-- name: let_go_of_call :one
delete from calls_in_progress
where caller = $1
  and path = $2
  and key = $3
  and claim = $4
returning true;

-- name: load_answer :one
select request_hash, status, content_type, body
from idempotency_keys
where caller = $1
  and path = $2
  and key = $3
  and expires_at > $4;

-- name: insert_answer :exec
insert into idempotency_keys (caller, path, key, request_hash, status, content_type, body, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (caller, path, key) do update
set
  request_hash = excluded.request_hash,
  status = excluded.status,
  content_type = excluded.content_type,
  body = excluded.body,
  created_at = excluded.created_at,
  expires_at = excluded.expires_at;

-- name: delete_expired_answers :one
with gone as (
  delete from idempotency_keys
  where (caller, path, key) in (
    select caller, path, key
    from idempotency_keys
    where expires_at <= $1
    limit $2
  )
  returning 1
)
select count(*)
from gone;

-- name: delete_abandoned_calls :exec
delete from calls_in_progress
where until <= clock_timestamp();

-- name: insert_audit :exec
insert into audit_trail (at, actor, action, subject, detail)
values ($1, $2, $3, $4, $5);

-- name: list_audit :many
select at, actor, action, subject, detail
from audit_trail
where ($1::timestamptz is null or at >= $1)
order by id desc
limit $2;

-- name: list_audit_of :many
select id, at, actor, action, subject, detail
from audit_trail
where subject = $1 and id > $2
order by id
limit $3;

-- name: load_is_writable :one
select not current_setting('transaction_read_only')::boolean;

-- name: load_database_time :one
select clock_timestamp();
