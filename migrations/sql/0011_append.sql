-- Appending to logs in one round trip. What an event says is computed where it is told; only where it stands (its sequence,
-- and the hash of the body before it) is known under the log's lock, and is put between the two parts of its body here.

-- Appends events to these logs (`merchant_ids`, ascending), which are locked in that order until the transaction ends. The
-- events come log by log, each log's in their order: `owners` to `afters` belong together. Returned is how each log stood
-- before, and the hash of its last body after. Where a log has another epoch than `epochs` says nothing was written: ids name
-- the epoch, so they must be computed again; the locks are held.
create function append_events(
  merchant_ids uuid[], epochs integer[], moment timestamptz,
  owners uuid[], event_ids uuid[], object_ids text[], versions bigint[], types text[], befores bytea[], afters bytea[]
)
returns table (
  merchant_id uuid, log_epoch integer, sequence bigint, head_hash bytea, head_at timestamptz, hash_after bytea
) language plpgsql
set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  head merchant_logs;
  heads merchant_logs[];
  told record;
  place integer := 0;
  last bigint;
  hash bytea;
  at timestamptz;
  body bytea;
  log_epochs integer[] := '{}';
  sequences bigint[] := '{}';
  prev_hashes bytea[] := '{}';
  bodies bytea[] := '{}';
  moments timestamptz[] := '{}';
  lasts bigint[] := '{}';
  hashes bytea[] := '{}';
  notice text;
  told_heads text[] := '{}';
  told_hashes text[] := '{}';
begin
  -- Locks without writing; what is returned is what was not there before, and gets a log.
  with made as (
    insert into log_locks (merchant_id)
    select asked.merchant_id
    from unnest(merchant_ids) as asked (merchant_id)
    order by asked.merchant_id
    on conflict (merchant_id) do update set merchant_id = log_locks.merchant_id
    where false
    returning log_locks.merchant_id
  )
  insert into merchant_logs (merchant_id, log_epoch)
  select made.merchant_id, coalesce((select max(e.log_epoch) from log_epochs e), 1)
  from made
  where not exists (select from merchant_logs m where m.merchant_id = made.merchant_id);

  for i in 1 .. cardinality(merchant_ids) loop
    select m.* into strict head
    from merchant_logs m
    where m.merchant_id = merchant_ids[i]
    order by m.sequence desc
    limit 1;
    heads[i] := head;
  end loop;
  if exists (
    select
    from unnest(heads) with ordinality as h
    where h.log_epoch <> epochs[h.ordinality]
  ) then
    return query
    select h.merchant_id, h.log_epoch, h.sequence, h.head_hash, h.head_at, null::bytea
    from unnest(heads) as h;
    return;
  end if;

  for told in
    select t.*
    from unnest(owners, befores, afters) with ordinality as t (owner, before, after, number)
    order by t.number
  loop
    if place = 0 or told.owner <> merchant_ids[place] then
      if place > 0 then
        lasts[place] := last;
        hashes[place] := hash;
      end if;
      place := place + 1;
      if told.owner is distinct from merchant_ids[place] then
        raise exception 'events are appended log by log';
      end if;
      head := heads[place];
      last := head.sequence;
      hash := head.head_hash;
      at := greatest(moment, head.head_at);
      if head.head_at is null or day_of(head.head_at) <> day_of(at) then
        insert into event_days (merchant_id, day, first_sequence)
        values (head.merchant_id, day_of(at), last + 1);
      end if;
    end if;
    last := last + 1;
    body := told.before || convert_to(format('%s,"prev_hash":"%s"', last, encode(hash, 'hex')), 'UTF8') || told.after;
    log_epochs := log_epochs || head.log_epoch;
    sequences := sequences || last;
    prev_hashes := prev_hashes || hash;
    bodies := bodies || body;
    moments := moments || at;
    hash := sha256(body);
  end loop;
  lasts[place] := last;
  hashes[place] := hash;

  insert into events (
    merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at
  )
  select n.merchant_id, n.sequence, n.log_epoch, n.event_id, n.object_id, n.version, n.type, n.prev_hash, n.body, n.created_at
  from unnest(owners, sequences, log_epochs, event_ids, object_ids, versions, types, prev_hashes, bodies, moments)
    as n (merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, created_at);

  for i in 1 .. cardinality(merchant_ids) loop
    head := heads[i];
    update merchant_logs m
    set sequence = lasts[i], head_hash = hashes[i], head_at = greatest(moment, head.head_at)
    where m.merchant_id = head.merchant_id and m.sequence = head.sequence;
    if not found then
      raise exception 'the head of a log is not where it was while it was locked';
    end if;
    told_heads[i] := replace(head.merchant_id::text, '-', '') || ':' || lasts[i];
    told_hashes[i] := told_heads[i] || ':' || left(encode(hashes[i], 'hex'), 32);
  end loop;
  -- One notice for all, as much as fits into it: heads with half of their hashes, without, or nobody's name.
  notice := array_to_string(told_hashes, ',');
  if length(notice) > 7900 then
    notice := array_to_string(told_heads, ',');
  end if;
  perform pg_notify('chainbell_events', case when length(notice) <= 7900 then notice else '' end);
  return query
  select h.merchant_id, h.log_epoch, h.sequence, h.head_hash, h.head_at, hashes[h.ordinality]
  from unnest(heads) with ordinality as h;
end
$$;

drop function move_heads(uuid[], bigint[], bigint[], bytea[], timestamptz[]);
