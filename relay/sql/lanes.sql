-- The endpoints a worker sends for.

-- name: load_endpoint_records :many
select p.endpoint_id, p.merchant_id, p.shard, p.url, p.headers_sealed, p.max_in_flight, p.rate_per_s,
  p.state, p.event_types, p.revision, p.wakes, c.filter_revision,
  p.verification = 'verified' as verified,
  not exists (select from disabled_merchants d where d.merchant_id = p.merchant_id) as enabled,
  exists (select from endpoint_replays r where r.endpoint_id = p.endpoint_id) as replaying
from endpoints p
join endpoint_cursors c
on c.endpoint_id = p.endpoint_id
where p.deleted_at is null and (p.shard = any($1::smallint[]) or p.endpoint_id = any($2::uuid[]));

-- name: load_sealed_secrets :many
select endpoint_id, uuid_send(secret_id) as row, secret_sealed, expires_at
from endpoint_secrets
where endpoint_id = any($1::uuid[])
order by endpoint_id, expires_at desc nulls first, created_at desc;

-- name: load_sealed_seeds :many
select endpoint_id, public_key, seed_sealed, valid_until
from endpoint_keys
where endpoint_id = any($1::uuid[]) and seed_sealed is not null
order by endpoint_id, valid_until desc nulls first, valid_from desc;

-- name: load_revisions :many
select endpoint_id, revision
from endpoints
where shard = any($1::smallint[]) and deleted_at is null;
