-- name: load_undecided :many
select tx_hash, conflict_keys, state
from deposits
where chain = $1
  and state in ('seen', 'orphaned', 'replaced')
  and (state <> 'replaced' or replaced_height is null)
order by first_seen_at, id
limit $2;

-- name: load_of_txs :many
select *
from deposits
where chain = $1
  and tx_hash = any($2::bytea[]);
