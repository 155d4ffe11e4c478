-- What is sealed under another key than the first, or in an older form: behind (owner, row), what does not begin with $1.

-- name: load_stale_headers :many
select endpoint_id, ''::bytea as row, headers_sealed
from endpoints
where substring(headers_sealed for octet_length($1::bytea)) <> $1 and (endpoint_id, ''::bytea) > ($2, $3::bytea)
order by endpoint_id
limit $4
for update;

-- name: load_stale_secrets :many
select endpoint_id, uuid_send(secret_id) as row, secret_sealed
from endpoint_secrets
where substring(secret_sealed for octet_length($1::bytea)) <> $1 and (endpoint_id, uuid_send(secret_id)) > ($2, $3::bytea)
order by endpoint_id, uuid_send(secret_id)
limit $4
for update;

-- name: load_stale_seeds :many
select endpoint_id, public_key as row, seed_sealed
from endpoint_keys
where substring(seed_sealed for octet_length($1::bytea)) <> $1 and (endpoint_id, public_key) > ($2, $3::bytea)
order by endpoint_id, public_key
limit $4
for update;

-- name: load_seeds_of :many
select public_key, seed_sealed
from endpoint_keys
where endpoint_id = $1 and seed_sealed is not null;

-- name: load_stale_log_seeds :many
select merchant_id, verify_key as row, signing_key_sealed
from log_keys
where substring(signing_key_sealed for octet_length($1::bytea)) <> $1 and (merchant_id, verify_key) > ($2, $3::bytea)
order by merchant_id, verify_key
limit $4
for update;

-- name: reseal_headers :exec
update endpoints
set headers_sealed = $3
where endpoint_id = $1 and $2::bytea is not null;

-- name: reseal_secret :exec
update endpoint_secrets
set secret_sealed = $3
where endpoint_id = $1 and uuid_send(secret_id) = $2;

-- name: reseal_seed :exec
update endpoint_keys
set seed_sealed = $3
where endpoint_id = $1 and public_key = $2;

-- name: reseal_log_seed :exec
update log_keys
set signing_key_sealed = $3
where merchant_id = $1 and verify_key = $2;

-- name: touch_endpoints :exec
update endpoints
set revision = revision + 1
where endpoint_id = any($1::uuid[]);
