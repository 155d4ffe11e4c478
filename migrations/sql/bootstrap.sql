-- The first statements of an embedded cluster, run by its superuser before anybody else is let in.

-- name: create_application_role :exec
-- The literal is replaced by the password generated for this cluster; a role's password can not be a parameter.
create role chainbell login password 'generated-password';

-- name: create_application_database :exec
create database chainbell owner chainbell;
