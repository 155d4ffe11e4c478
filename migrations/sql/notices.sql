-- name: check_connection :exec
select 1;
