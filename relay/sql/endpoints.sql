-- What merchants do with their endpoints. Every change raises `revision` and is told on chainbell_endpoints.

-- name: insert_endpoint :exec
insert into endpoints (
  endpoint_id, merchant_id, shard, url, description, event_types, headers_sealed, max_in_flight, rate_per_s,
  drain, state_since, start_sequence, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $11, $12, $12);

-- name: insert_cursor :exec
insert into endpoint_cursors (endpoint_id, sequence)
values ($1, $2);

-- name: insert_filter :exec
insert into endpoint_filters (endpoint_id, after_sequence, event_types)
values ($1, $2, $3)
on conflict (endpoint_id, after_sequence) do update set event_types = excluded.event_types;

-- name: insert_secret :exec
insert into endpoint_secrets (endpoint_id, secret_id, secret_sealed, created_at)
values ($1, $2, $3, $4);

-- name: expire_current_secret :exec
update endpoint_secrets
set expires_at = $2
where endpoint_id = $1 and expires_at is null;

-- name: delete_expired_secrets :exec
delete from endpoint_secrets
where endpoint_id = $1 and expires_at <= $2;

-- name: count_secrets :one
select count(*)
from endpoint_secrets
where endpoint_id = $1;

-- name: insert_key :exec
insert into endpoint_keys (endpoint_id, public_key, seed_sealed, valid_from)
values ($1, $2, $3, $4);

-- name: expire_current_key :exec
update endpoint_keys
set valid_until = greatest(valid_from, $2)
where endpoint_id = $1 and valid_until is null;

-- name: forget_ended_seeds :exec
update endpoint_keys
set seed_sealed = null
where endpoint_id = $1 and valid_until <= $2;

-- Keys that still hold are never surplus.
-- name: delete_surplus_keys :exec
delete from endpoint_keys
where endpoint_id = $1 and valid_until <= $2 and public_key not in (
  select k.public_key
  from endpoint_keys k
  where k.endpoint_id = $1
  order by k.valid_until desc nulls first, k.valid_from desc
  limit $3
);

-- name: count_keys :one
select count(*)
from endpoint_keys
where endpoint_id = $1;

-- name: load_public_keys :many
select p.endpoint_id, k.public_key, k.valid_from, k.valid_until
from endpoints p
join endpoint_keys k
on k.endpoint_id = p.endpoint_id
where p.merchant_id = $1 and p.deleted_at is null
order by p.created_at, p.endpoint_id, k.valid_until desc nulls first, k.valid_from desc;

-- name: count_endpoints :one
select count(*)
from endpoints
where merchant_id = $1 and deleted_at is null;

-- name: notify_endpoint :exec
select pg_notify('chainbell_endpoints', replace($1::uuid::text, '-', ''));

-- name: load_endpoint :one
select p.*, k.public_key, c.sequence, c.last_success_at, c.last_failure_at, c.last_failure,
  not exists (select from disabled_merchants d where d.merchant_id = p.merchant_id) as enabled,
  array(
    select l
    from endpoint_losses l
    where l.endpoint_id = p.endpoint_id
    order by l.first_sequence desc
    limit 20
  ) as losses
from endpoints p
join endpoint_cursors c
on c.endpoint_id = p.endpoint_id
join endpoint_keys k
on k.endpoint_id = p.endpoint_id and k.valid_until is null
where p.endpoint_id = $1 and p.merchant_id = $2 and p.deleted_at is null;

-- name: load_endpoints_of_merchant :many
select p.*, k.public_key, c.sequence, c.last_success_at, c.last_failure_at, c.last_failure,
  not exists (select from disabled_merchants d where d.merchant_id = p.merchant_id) as enabled,
  array(
    select l
    from endpoint_losses l
    where l.endpoint_id = p.endpoint_id
    order by l.first_sequence desc
    limit 20
  ) as losses
from endpoints p
join endpoint_cursors c
on c.endpoint_id = p.endpoint_id
join endpoint_keys k
on k.endpoint_id = p.endpoint_id and k.valid_until is null
where p.merchant_id = $1 and p.deleted_at is null
  and ($2::uuid is null or (p.created_at, p.endpoint_id) > (
    select a.created_at, a.endpoint_id
    from endpoints a
    where a.endpoint_id = $2 and a.merchant_id = $1
  ))
order by p.created_at, p.endpoint_id
limit $3;

-- No stronger lock than that: whoever writes rows holds the cursor, which comes after, and each row refers to its endpoint.
-- name: lock_endpoint :one
select endpoint_id, state, shard
from endpoints
where endpoint_id = $1 and merchant_id = $2 and deleted_at is null
for no key update;

-- name: lock_cursor :one
select sequence
from endpoint_cursors
where endpoint_id = $1
for update;

-- name: change_endpoint :exec
update endpoints
set url = $2, description = $3, event_types = $4, headers_sealed = $5, max_in_flight = $6, rate_per_s = $7,
  drain = $8, updated_at = $9, revision = revision + 1
where endpoint_id = $1;

-- name: raise_filter_revision :exec
update endpoint_cursors
set filter_revision = filter_revision + 1
where endpoint_id = $1;

-- Whether an endpoint of this merchant asks for a type by name: checkpoints and first keys are told to such only.
-- name: names_event_type :one
select exists (
  select
  from endpoints
  where merchant_id = $1 and deleted_at is null and $2 = any(event_types)
);

-- name: raise_version :one
update endpoints
set version = version + 1
where endpoint_id = $1
returning version, state, state_reason;

-- name: load_keys_of :many
select public_key, valid_from, valid_until
from endpoint_keys
where endpoint_id = $1
order by valid_until desc nulls first, valid_from desc;

-- name: touch_endpoint :exec
update endpoints
set revision = revision + 1
where endpoint_id = $1;

-- name: pause_endpoint :one
update endpoints
set state = 'paused', state_reason = $2, state_since = $3, updated_at = $3, version = version + 1,
  revision = revision + 1
where endpoint_id = $1 and state <> 'paused'
returning version;

-- name: resume_endpoint :one
update endpoints
set state = 'active', state_reason = null, state_since = $2, updated_at = $2, version = version + 1,
  revision = revision + 1, wakes = wakes + 1
where endpoint_id = $1 and state <> 'active'
returning version;

-- name: mark_endpoint_deleted :exec
update endpoints
set deleted_at = $2, revision = revision + 1, headers_sealed = null
where endpoint_id = $1;

-- name: delete_cursor :exec
delete from endpoint_cursors
where endpoint_id = $1;

-- name: delete_rows :exec
delete from delivery_exceptions
where endpoint_id = $1;

-- name: delete_replays :exec
delete from endpoint_replays
where endpoint_id = $1;

-- name: delete_secrets :exec
delete from endpoint_secrets
where endpoint_id = $1;

-- name: insert_disabled_merchant :exec
insert into disabled_merchants (merchant_id, disabled_at)
values ($1, $2)
on conflict (merchant_id) do nothing;

-- name: delete_disabled_merchant :exec
delete from disabled_merchants
where merchant_id = $1;

-- name: wake_endpoints_of_merchant :exec
with ours as (
  select endpoint_id
  from endpoints
  where merchant_id = $1 and deleted_at is null
  order by endpoint_id
  for no key update
),
woken as (
  update endpoints p
  set revision = p.revision + 1, wakes = p.wakes + $2::bigint
  from ours
  where p.endpoint_id = ours.endpoint_id
  returning p.endpoint_id
)
select pg_notify('chainbell_endpoints', replace(endpoint_id::text, '-', ''))
from woken;

-- name: delete_keys :exec
delete from endpoint_keys
where endpoint_id = $1;

-- name: had_endpoint :one
select exists (select from endpoints where endpoint_id = $1 and merchant_id = $2);

-- name: find_merchant :one
select merchant_id
from endpoints
where endpoint_id = $1 and deleted_at is null;

-- name: ask_for_proof :exec
update endpoints
set verification = 'pending', verification_failure = null, challenges = 0, challenge_at = $2
where endpoint_id = $1;
