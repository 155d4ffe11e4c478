-- Merchants and their API keys.

-- name: insert_merchant :exec
insert into merchants (id, name, created_at)
values ($1, $2, $3);

-- name: load_merchant :one
select id, name, created_at, disabled_at
from merchants
where id = $1;

-- name: list_merchants :many
select id, name, created_at, disabled_at
from merchants
where $1::timestamptz is null
  or (created_at, id) > ($1, $2::uuid)
order by created_at, id
limit $3;

-- name: mark_merchant_disabled :one
update merchants
set disabled_at = coalesce(disabled_at, $2)
where id = $1
returning id, name, created_at, disabled_at;

-- name: mark_merchant_enabled :one
update merchants
set disabled_at = null
where id = $1
returning id, name, created_at, disabled_at;

-- name: insert_api_key :exec
insert into api_keys (id, merchant_id, secret_hash, scopes, created_at)
values ($1, $2, $3, $4, $5);

-- name: load_api_key :one
select
  api_keys.id, api_keys.merchant_id, api_keys.secret_hash, api_keys.scopes, api_keys.created_at,
  api_keys.revoked_at, merchants.disabled_at
from api_keys
join merchants on merchants.id = api_keys.merchant_id
where api_keys.id = $1;

-- name: list_api_keys :many
select id, merchant_id, scopes, created_at, revoked_at
from api_keys
where merchant_id = $1
  and ($2::timestamptz is null or (created_at, id) > ($2, $3::uuid))
order by created_at, id
limit $4;

-- name: mark_api_key_revoked :one
update api_keys
set revoked_at = coalesce(revoked_at, $2)
where id = $1
returning id, merchant_id, scopes, created_at, revoked_at;
