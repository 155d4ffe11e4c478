-- name: load_session :one
select pg_backend_pid();

-- name: load_lock_timeout :one
select current_setting('lock_timeout');
