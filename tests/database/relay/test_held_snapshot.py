"""A transaction that somebody leaves open: what one publication and one settle look at does not grow with its time.

Vacuum removes no row version that its snapshot could still see, so whatever is updated at every event leaves all of
them behind. Counted are the blocks a step asks for in the tables that move with every event, and what it reads there and in
their indexes; no clock is involved.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from migrations.connect import connect
from migrations.handles import Connection, Pool
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from relay.model import LastContact, Settlement, shard_of
from relay.workers.storage import ReadBehind
from relay.workers.store import PostgresRelayStore
from tests.database.relay.stages import MERCHANT, PostgresStage

NOW = datetime(2026, 11, 20, tzinfo=UTC)
STEPS = 300
WARM_STEPS = 10
"""So many until every plan is made, and kept, while the tables are small."""
OTHERS = 200
"""Merchants to whom nothing happens: what the planner knows of the tables is mostly about them."""
OTHER_ENDPOINTS = """
with made as (
  insert into endpoints (endpoint_id, merchant_id, shard, url, max_in_flight, state_since, start_sequence, created_at, updated_at)
  select merchant_id, merchant_id, 3, 'https://x.example/', 8, now(), 0, now(), now()
  from merchant_logs
  where merchant_id not in (select merchant_id from endpoints)
  returning endpoint_id
)
insert into endpoint_cursors (endpoint_id, sequence)
select endpoint_id, 1
from made
"""
LOOKED_AT = """
select sum(pg_stat_get_xact_blocks_fetched(c.oid) + pg_stat_get_xact_tuples_returned(c.oid)) as looked_at,
  sum(pg_stat_get_xact_numscans(c.oid)) filter (where c.relkind = 'r') as whole_tables
from pg_class c
where c.relname ~ '^(merchant_logs|log_locks|endpoint_cursors)(_pkey)?$'
"""


def fact_of(merchant_id: UUID, number: int) -> RelayFact:
    return RelayFact(merchant_id, f"dep_{number}", 1, "deposit.included", {}, NOW)


async def take_step(conn: Connection, store: PostgresRelayStore, endpoint_id: UUID, sequence: int) -> None:
    """One event is told, read and settled, in the caller's transaction."""
    (told,) = await log.append(conn, [fact_of(MERCHANT, sequence)], now=NOW)
    assert told.sequence == sequence
    assert await store.load_heads([MERCHANT]) == {MERCHANT: sequence}
    read = await store.load_events([ReadBehind(endpoint_id, MERCHANT, sequence - 1, 10)])
    assert [event.sequence for event in read[endpoint_id]] == [sequence]
    made = Settlement(
        endpoint_id, MERCHANT, shard_of(endpoint_id), 0, 1, 0, sequence, sequence,
        health=LastContact(success_at=NOW), cursor_before=sequence - 1,
    )  # fmt: skip
    assert not (await store.settle([made], now=NOW)).stale


async def let_tables_grow(conn: Connection) -> None:
    """As if something had happened to the others, too; and, as autovacuum does, let the plans be made anew for that."""
    for _ in range(100):
        await conn.execute("update merchant_logs set head_at = head_at where merchant_id <> $1", MERCHANT)
        await conn.execute("update endpoint_cursors set wakes = wakes where sequence = 1")
    await conn.execute("vacuum analyze merchant_logs, endpoint_cursors")


class OnePool:
    """A pool of one connection, which may be in a transaction already."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def acquire(self) -> OnePool:
        return self

    async def __aenter__(self) -> Connection:
        return self._conn

    async def __aexit__(self, *_: object) -> None:
        return


async def test_a_step_looks_at_no_more_rows_however_long_somebody_keeps_a_transaction_open(
    conn: Connection, pool: Pool, database_url: str
) -> None:
    endpoint_id = await PostgresStage(pool).endpoint()
    store = PostgresRelayStore(OnePool(conn))  # type: ignore[arg-type]  # as much of a pool as the store uses
    await log.make_partitions(conn, now=NOW)
    async with conn.transaction():
        await take_step(conn, store, endpoint_id, 1)
        await log.append(conn, [fact_of(UUID(int=1_000 + number), 1) for number in range(OTHERS)], now=NOW)
        await conn.execute(OTHER_ENDPOINTS)
    await conn.execute("vacuum analyze")  # now it is known how small they are: the plans are made for that
    stranger = await connect(database_url, application_name="test")
    transaction = stranger.transaction(isolation="repeatable_read")
    await transaction.start()
    await stranger.execute("create temporary table strange (number int)")

    async def count_looked_at(sequence: int) -> int:
        async with conn.transaction():
            before = await conn.fetchrow(LOOKED_AT)
            await take_step(conn, store, endpoint_id, sequence)
            after = await conn.fetchrow(LOOKED_AT)
        assert before is not None
        assert after is not None
        assert after["whole_tables"] == before["whole_tables"], (
            "reads a table from end to end while it is small"
        )
        return int(after["looked_at"] - before["looked_at"])

    counted = []
    for sequence in range(2, STEPS + 2):
        if sequence == STEPS // 2:
            await let_tables_grow(conn)
        counted.append(await count_looked_at(sequence))
    await transaction.rollback()
    await stranger.close()
    # The depth of an index grows by one with a hundred times as many rows.
    first, last = max(counted[WARM_STEPS : 2 * WARM_STEPS]), max(counted[-WARM_STEPS:])
    assert last <= 2 * first, f"{first} blocks and entries at first, {last} after {STEPS} events"
