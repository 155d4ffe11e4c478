-- name: load_doubts :many
select height, served_by
from doubted_blocks
where chain = $1
  and height = any($2::bigint[]);

-- name: load_servers_at :many
select height, served_by
from blocks
where chain = $1
  and height = any($2::bigint[]);

-- name: insert_doubts :exec
-- A block in doubt stays so, and is asked about when it was to be.
insert into doubted_blocks (chain, height, served_by, due_at)
select $1, height, served_by, $4
from unnest($2::bigint[], $3::text[]) as row (height, served_by)
on conflict do nothing;

-- name: delete_doubts :exec
delete from doubted_blocks
where chain = $1
  and height = any($2::bigint[]);

-- name: delete_doubts_up_to :exec
delete from doubted_blocks
where chain = $1
  and height <= $2;

-- name: leave_doubts :exec
delete from doubted_blocks
where chain = $1
  and height > $2;

-- name: take_due_doubts :many
with due as (
  select height
  from doubted_blocks
  where chain = $1
    and due_at <= $2
  order by due_at, height
  limit 1
)
update doubted_blocks
set due_at = $3
where chain = $1
  and height >= (select height from due)
  and height < (select height from due) + $4
returning height;

-- name: load_next_due_doubt :one
select min(due_at)
from doubted_blocks
where chain = $1;

-- name: change_servers :exec
update blocks
set
  served_by = $3,
  level = row.level
from unnest($2::bigint[], $4::text[]) as row (height, level)
where chain = $1
  and blocks.height = row.height;
