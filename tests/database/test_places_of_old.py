"""Deposits recorded before places were opaque and senders could be several: they keep both, in today's form."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from indexer.rows.spelling import decode_deposit
from migrations.connect import connect
from migrations.runner import load_migrations, migrate

BEFORE = 11
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SENDER = b"\xaa" * 20
ROWS = """
with chain as (
  insert into chains (chain, alias, genesis_hash, start_height, tip_height, tip_hash, agreed_height, created_at, moved_at)
  values ('eip155:1', 'ethereum', '\\x01', 0, 9, '\\x02', 9, $1, $1)
), address as (
  insert into addresses
    (id, merchant_id, chain, address, reference, metadata, effective_start, watching_from_height, watching_from_hash,
     created_at)
  values ($2, $2, 'eip155:1', '\\x05', null, null, 0, 0, '\\x01', $1)
)
insert into deposits
  (id, merchant_id, address_id, chain, kind, asset, recipient, sender, tx_hash, n, conflict_keys, own_transfer, published,
   backfilled, state, version, amount_base_units, credited_base_units, height, block_hash, block_time, tx_index, log_index,
   confirmations_required, confirmed_by, first_seen_at, changed_at)
select id, $2, $2, 'eip155:1', 'token', 'eip155:1/slip44:60', '\\x05', sender, '\\x07', 0, '', false, true,
  false, state, 1, 5, 0, height, case when height is not null then '\\x02'::bytea end,
  case when height is not null then $1::timestamptz end, tx_index, log_index, 3, 'depth', $1, $1
from (
  values
    ('00000000-0000-0000-0000-000000000001'::uuid, $3::bytea, 'included', 7::bigint, 3, 41),
    ('00000000-0000-0000-0000-000000000002'::uuid, $3::bytea, 'included', 7::bigint, 12, null),
    ('00000000-0000-0000-0000-000000000003'::uuid, null, 'orphaned', null, null, null)
) as old (id, sender, state, height, tx_index, log_index)
"""


async def test_a_deposit_of_an_older_release_keeps_its_place_and_its_sender(empty_database_url: str) -> None:
    conn = await connect(empty_database_url, application_name="test")
    try:
        known = load_migrations()
        await migrate(conn, [one for one in known if one.version <= BEFORE])
        await conn.execute(ROWS, NOW, UUID(int=9), SENDER)
        await migrate(conn)
        rows = await conn.fetch("select * from deposits order by id")
    finally:
        await conn.close()
    first, second, third = map(decode_deposit, rows)
    assert first.occurrence is not None
    assert second.occurrence is not None
    assert (first.occurrence.position, second.occurrence.position) == ("000003.000041", "000012")
    assert (third.occurrence, third.senders) == (None, ())
    assert first.senders == second.senders == (SENDER,)
    assert first.memo is None
