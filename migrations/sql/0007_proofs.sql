-- One origin for each epoch of a log, names for strangers, and witnesses who sign along.

-- Checkpoints named no epoch in their origin, so two roots of one size could stand under one. Merchants keep theirs; here
-- each log is signed anew, by the next hour or the next request.
delete from log_checkpoints;

-- What witnesses signed, a line each: shown behind the note, and good for as long as its text stands.
alter table log_checkpoints add column cosignatures text not null default '' check (length(cosignatures) <= 8192);

-- The first 16 bytes of the SHA-256 of its public key: by this a log is found by whoever was told, and by nobody else.
alter table log_keys add column log_id uuid not null
  generated always as (encode(substring(sha256(verify_key) for 16), 'hex')::uuid) stored;
create unique index log_keys_by_log_id on log_keys (log_id);
