-- The Merkle tree over a log: its leaves, wherever they are kept, and the stored upper part.

-- Two for each sequence: one that stands there twice must be seen, too.
-- name: load_body_hashes :many
select sequence, sha256(body) as body_hash
from events_between($1, $2, $3, null, 2 * ($3::bigint - $2::bigint))
order by sequence;

-- name: load_kept_hashes :many
select sequence, body_hash
from event_leaves
where merchant_id = $1 and sequence > $2 and sequence <= $3;

-- name: count_groups :one
select coalesce(max(position) + 1, 0)
from log_nodes
where merchant_id = $1 and level = $2;

-- name: load_nodes :many
select n.level, n.position, n.hash
from unnest($2::smallint[], $3::bigint[]) as asked (level, position)
join log_nodes n
on n.merchant_id = $1 and n.level = asked.level and n.position = asked.position;

-- name: insert_nodes :exec
insert into log_nodes (merchant_id, level, position, hash)
select $1, level, position, hash
from unnest($2::smallint[], $3::bigint[], $4::bytea[]) as new (level, position, hash);
