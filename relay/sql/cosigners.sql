-- Checkpoints that a witness, known by how its lines begin, has not signed along.

-- name: load_unsigned :many
select c.checkpoint_id, c.merchant_id, c.size, c.note, coalesce(signed.size, 0) as since
from log_keys k
join lateral (
  select n.checkpoint_id, n.merchant_id, n.size, n.note, n.log_epoch, n.cosignatures
  from log_checkpoints n
  where n.merchant_id = k.merchant_id
  order by n.size desc, n.log_epoch desc
  limit 1
) c
on strpos(c.cosignatures, $1) = 0
left join lateral (
  select s.size
  from log_checkpoints s
  where s.merchant_id = c.merchant_id and s.log_epoch = c.log_epoch and strpos(s.cosignatures, $1) > 0
  order by s.size desc
  limit 1
) signed
on true
where k.merchant_id > $2
order by k.merchant_id
limit $3;

-- name: keep_cosignature :exec
update log_checkpoints
set cosignatures = cosignatures || $2
where checkpoint_id = $1 and strpos(cosignatures, $3) = 0 and length(cosignatures) + length($2) <= 8192;
