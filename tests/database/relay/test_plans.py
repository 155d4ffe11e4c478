"""The hot queries use their indexes, and few partitions however many there are, on tables large enough that it matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.log import eventlog as log

DELIVERIES, DRAIN, LOG, VIEWS, TREE, CHECKPOINTS = (
    load_queries("relay", f"{name}.sql")
    for name in ("deliveries", "drain", "log", "views", "tree", "checkpoints")
)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
LARGE = {
    "events_2026_11_18",
    "events_2026_11_19",
    "delivery_exceptions",
    "delivery_attempts",
    "event_leaves",
    "log_nodes",
    "log_checkpoints",
}
DAYS = [NOW.date() - timedelta(days=ago) for ago in (0, 1, 2)]
PARTITIONS_MANY = 300
MERCHANT, ENDPOINT = UUID(int=3), UUID(int=3)


async def fill(conn: Connection) -> None:
    """40 merchants of 500 events on two days each, an endpoint each, a tenth of everything in trouble."""
    await log.make_partitions_of(conn, DAYS)
    await conn.execute(
        """insert into merchant_logs (merchant_id, sequence, head_at)
        select lpad(to_hex(m), 32, '0')::uuid, 500, $1 from generate_series(1, 40) m""",
        NOW,
    )
    await conn.execute(
        """insert into events
        select lpad(to_hex(m), 32, '0')::uuid, s, 1, gen_random_uuid(), 'dep_' || s % 50, s, 'deposit.included',
          sha256('x'), convert_to(repeat('b', 500), 'utf8'), $1::timestamptz - (501 - s) * interval '4 minutes'
        from generate_series(1, 40) m, generate_series(1, 500) s""",
        NOW,
    )
    await conn.execute(
        """insert into event_days (day, merchant_id, first_sequence)
        select day_of(created_at), merchant_id, min(sequence) from events group by 1, 2"""
    )
    await conn.execute(
        """insert into endpoints (endpoint_id, merchant_id, shard, url, max_in_flight, drain,
          state_since, start_sequence, created_at, updated_at)
        select merchant_id, merchant_id, 3, 'https://x.example/', 8, 'latest_only', $1, 0, $1, $1
        from merchant_logs""",
        NOW,
    )
    await conn.execute(
        """insert into endpoint_cursors (endpoint_id, sequence, drain_sequence)
        select endpoint_id, 400, 500 from endpoints"""
    )
    await conn.execute("insert into endpoint_filters select endpoint_id, 0, null from endpoints")
    await conn.execute(
        """insert into delivery_exceptions
        select merchant_id, sequence, merchant_id, event_id, created_at, object_id, version, type, 0,
          case when sequence <= 50 then 'retrying' else 'waiting' end, 0, 0,
          case when sequence <= 50 then created_at + interval '1 day' end, false, false, created_at
        from events where sequence <= 150"""
    )
    await conn.execute(
        """insert into delivery_attempts
        select endpoint_id, sequence, n, created_at, 5, 'timeout', null, ''
        from delivery_exceptions, generate_series(1, 3) n"""
    )
    await conn.execute(
        """insert into event_leaves
        select merchant_id, sequence + 500, gen_random_uuid(), sha256('x') from events"""
    )
    await conn.execute(
        "insert into log_keys select merchant_id, '', sha256(uuid_send(merchant_id)), $1 from merchant_logs",
        NOW,
    )
    await conn.execute(
        """insert into log_checkpoints
        select gen_random_uuid(), merchant_id, 1, sequence, sha256('r'), 'note', false, created_at from events"""
    )
    await conn.execute(
        "insert into log_nodes select merchant_id, 8 + s % 8, s, sha256('n') from merchant_logs, generate_series(1, 500) s"
    )
    await conn.execute("analyze")


def questions() -> dict[str, tuple[str, list[object]]]:
    one, many = [ENDPOINT], [UUID(int=n) for n in range(1, 9)]
    later = NOW + timedelta(days=2)
    return {
        "events behind cursors": (DELIVERIES.load_events_behind, [many, many, [400] * 8, [32] * 8]),
        "due rows": (DELIVERIES.load_due_rows, [ENDPOINT, later, 20]),
        "next retry": (DELIVERIES.load_next_retry_at, [ENDPOINT, NOW]),
        "oldest row": (DELIVERIES.load_oldest_row, [ENDPOINT]),
        "rows beyond the cursor": (DELIVERIES.load_rows_beyond_cursor, [one]),
        "blocked objects": (DELIVERIES.load_blocked_objects, [one, "deposit.reversed"]),
        "positions": (DELIVERIES.load_positions, [one]),
        "promotion": (DELIVERIES.promote_waiting_rows, [one, ["dep_1"], [False], NOW]),
        "hurry": (DELIVERIES.hurry_rows, [one, ["dep_1"], [500], [NOW]]),
        "closing": (DELIVERIES.delete_closed_rows, [one, [7]]),
        "cursors": (
            DELIVERIES.move_cursors,
            [one, [1], [400], [401], [401], [None], [None], [None], [None]],
        ),
        "what is superseded": (DRAIN.load_superseded_rows, [one]),
        "covering rows": (DRAIN.cover_rows, [one, [7], [57]]),
        "uncovering rows": (DRAIN.uncover_passed_rows, [ENDPOINT, 400]),
        "pull": (LOG.load_events_after, [MERCHANT, 300, 350, None, 50]),
        "pull by type": (LOG.load_events_after, [MERCHANT, 300, 500, ["deposit.final"], 50]),
        "one event": (LOG.load_event, [UUID(int=9), MERCHANT, DAYS]),
        "history of an object": (LOG.load_events_of_object, [MERCHANT, "dep_1", 0, DAYS[::-1], 50]),
        "oldest sequence": (LOG.load_oldest_sequence, [MERCHANT]),
        "what is reversed": (LOG.load_event_ids, [one, DAYS, 1]),
        "leaves": (TREE.load_body_hashes, [MERCHANT, 256, 500]),
        "kept leaves": (TREE.load_kept_hashes, [MERCHANT, 512, 768]),
        "nodes": (TREE.load_nodes, [MERCHANT, [8, 9], [8, 9]]),
        "how far a tree has grown": (TREE.count_groups, [MERCHANT, 8]),
        "where a leaf stands": (CHECKPOINTS.find_leaf, [MERCHANT, UUID(int=9)]),
        "the newest checkpoint": (CHECKPOINTS.load_last_checkpoint, [MERCHANT, None]),
        "checkpoints": (CHECKPOINTS.load_checkpoints, [MERCHANT, NOW, UUID(int=9), 50]),
        "logs whose turn it is": (CHECKPOINTS.load_logs_to_sign, [UUID(int=0), NOW, 200]),
        "replay": (DELIVERIES.load_events_to_replay, [MERCHANT, 300, 400, 100]),
        "an object to replay": (
            DELIVERIES.load_object_events_to_replay,
            [MERCHANT, "dep_1", 0, DAYS[::-1], 100],
        ),
        "what was exhausted": (DELIVERIES.load_exhausted_to_replay, [ENDPOINT, 0, 500, NOW, 100]),
        "what an object has": (VIEWS.measure_object, [MERCHANT, "dep_1", 500, None, DAYS]),
        "how much was exhausted": (VIEWS.measure_exhausted, [ENDPOINT, NOW]),
        "how far to look back": (VIEWS.load_look_back, [MERCHANT, 300, 10_000, 100]),
        "before a replay": (VIEWS.load_last_matched, [MERCHANT, 250, 300, None]),
        "audit": (LOG.load_events_to_audit, [MERCHANT, 0, 500, 1000]),
        "deliveries by state": (VIEWS.load_deliveries_by_state, [ENDPOINT, 0, "waiting", 50]),
        "deliveries": (VIEWS.load_deliveries_by_sequence, [ENDPOINT, 300, None, 50, 400]),
        "one delivery": (VIEWS.find_delivery, [MERCHANT, one, [UUID(int=9)], DAYS]),
        "attempts": (VIEWS.load_attempts, [ENDPOINT, 7, 100]),
    }


async def scans(conn: Connection) -> dict[str, int]:
    """How often this connection read large tables from end to end. It forgets between transactions, when it likes."""
    rows = await conn.fetch(
        "select relname, seq_scan from pg_stat_xact_user_tables where relname = any($1)", list(LARGE)
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


async def test_no_hot_query_reads_a_large_table_from_end_to_end(conn: Connection) -> None:
    await fill(conn)
    complaints = []
    for name, (query, arguments) in questions().items():
        transaction = conn.transaction()
        await transaction.start()
        before = await scans(conn)
        await conn.fetch(query, *arguments)
        after = await scans(conn)
        await transaction.rollback()
        complaints += [f"{name}: reads all of {table}" for table in after if after[table] > before[table]]
    assert not complaints, "\n".join(complaints)


async def test_no_hot_query_opens_a_partition_it_does_not_read(conn: Connection) -> None:
    """A plan over all partitions takes a lock on each, whatever the executor skips; so locks say what was planned."""
    await fill(conn)
    await log.make_partitions_of(conn, [DAYS[0] - timedelta(days=ago) for ago in range(PARTITIONS_MANY)])
    complaints = []
    for name, (query, arguments) in questions().items():
        for _ in range(7):  # the sixth run of a prepared statement may use another plan
            transaction = conn.transaction()
            await transaction.start()
            await conn.fetch(query, *arguments)
            opened = await conn.fetchval(
                """select count(distinct c.relname) from pg_locks l join pg_class c on c.oid = l.relation
                where l.pid = pg_backend_pid() and c.relkind = 'r' and c.relname ~ '^events_[0-9d]'"""
            )
            await transaction.rollback()
            if opened > len(DAYS):
                complaints.append(f"{name}: opens {opened} partitions")
                break
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    "name", ["delivery_exceptions_one_head", "events_2026_11_20_sequence", "events_2026_11_20_version"]
)
async def test_the_promises_of_order_are_unique_indexes(conn: Connection, name: str) -> None:
    await log.make_partitions(conn, now=NOW)
    row = await conn.fetchrow("select indisunique from pg_index where indexrelid = $1::regclass", name)
    assert row is not None
    assert row["indisunique"]
