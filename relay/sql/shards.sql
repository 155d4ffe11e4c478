-- Who sends for which endpoints: leases by the database's clock, each with an epoch.

-- name: note_worker :one
insert into relay_workers (worker_id, seen_at)
values ($1, clock_timestamp())
on conflict (worker_id) do update set seen_at = excluded.seen_at
returning xmax = 0 as joined;

-- Shards are free, or workers came or went: everybody looks at once, not when the lease is to be renewed.
-- name: notify_shards :exec
select pg_notify('chainbell_shards', '');

-- name: forget_lost_workers :exec
delete from relay_workers
where seen_at < clock_timestamp() - make_interval(secs => $1::double precision);

-- name: forget_worker :exec
delete from relay_workers
where worker_id = $1;

-- name: extend_leases :many
update relay_shards
set leased_until = clock_timestamp() + make_interval(secs => $2::double precision)
where owner = $1
returning shard, epoch;

-- name: load_free_shards :many
select shard
from relay_shards
where owner is null or leased_until < clock_timestamp()
order by shard;

-- name: count_workers :one
select count(*)
from relay_workers
where seen_at > clock_timestamp() - make_interval(secs => $1::double precision);

-- name: claim_free_shards :many
update relay_shards
set owner = $1, epoch = epoch + 1, leased_until = clock_timestamp() + make_interval(secs => $3::double precision)
where shard = any($2::smallint[]) and (owner is null or leased_until < clock_timestamp())
returning shard, epoch;

-- name: release_held_shards :exec
update relay_shards
set owner = null, leased_until = null
where owner = $1 and shard = any($2::smallint[]);
