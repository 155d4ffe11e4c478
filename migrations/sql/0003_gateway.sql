-- Where people come in: merchants, their keys, repeated calls, and what administrators did.
-- Owned by the gateway. Other rooms know a merchant by its id only.

create table merchants (
  id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  created_at timestamptz not null,
  disabled_at timestamptz
);
create index merchants_listing on merchants (created_at, id);

-- The key itself is never kept: SHA-256 of its 32 random bytes, found by the id that the key carries.
create table api_keys (
  id uuid primary key,
  merchant_id uuid not null references merchants (id),
  secret_hash bytea not null check (octet_length(secret_hash) = 32),
  scopes text[] not null check (cardinality(scopes) between 1 and 16),
  created_at timestamptz not null,
  revoked_at timestamptz
);
create index api_keys_listing on api_keys (merchant_id, created_at, id);

-- The first answer to a call, for its repetitions; written in the transaction that did what the call asked for.
-- `caller` is the id of an API key, or the nil UUID for administrators. `body` is sealed: it may hold a new secret.
create table idempotency_keys (
  caller uuid not null,
  path text not null,
  key text not null check (length(key) between 1 and 255),
  request_hash bytea not null check (octet_length(request_hash) = 32),
  status smallint not null check (status between 200 and 499),
  content_type text not null,
  body bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (caller, path, key)
);
create index idempotency_keys_by_expiry on idempotency_keys (expires_at);

-- Who did what, and when. `detail` holds no secret.
create table audit_trail (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  actor text not null,
  action text not null,
  subject text not null,
  detail jsonb not null default '{}'
);
create index audit_trail_by_time on audit_trail (at);
create index audit_trail_by_subject on audit_trail (subject, id);
