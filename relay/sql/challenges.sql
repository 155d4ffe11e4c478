-- Who answers at an endpoint's URL is asked to echo a challenge before it is sent anything else.

-- Whoever asks has until $2; then somebody else may, so that one that died keeps nothing waiting.
-- name: claim_due_challenges :many
update endpoints p
set challenge_at = $2
from (
  select c.endpoint_id
  from endpoints c
  where c.challenge_at <= $1 and c.deleted_at is null
    and not exists (select from disabled_merchants d where d.merchant_id = c.merchant_id)
  order by c.challenge_at, c.endpoint_id
  limit $3
  for update skip locked
) due
where p.endpoint_id = due.endpoint_id
returning p.endpoint_id, p.challenges;

-- name: load_next_challenge_at :one
select min(c.challenge_at)
from endpoints c
where c.challenge_at is not null and c.deleted_at is null
  and not exists (select from disabled_merchants d where d.merchant_id = c.merchant_id);

-- The URL must still be the one that was asked.
-- name: mark_endpoint_verified :one
update endpoints
set verification = 'verified', verification_failure = null, challenge_at = null, updated_at = $3,
  revision = revision + 1
where endpoint_id = $1 and url = $2 and verification = 'pending' and deleted_at is null
returning endpoint_id;

-- name: note_challenge_failure :exec
update endpoints
set challenges = $3, challenge_at = $4, verification_failure = $5
where endpoint_id = $1 and url = $2 and verification = 'pending' and deleted_at is null;

-- name: notify_endpoint :exec
select pg_notify('chainbell_endpoints', replace($1::uuid::text, '-', ''));
