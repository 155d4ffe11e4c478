"""What retention forgets, what it keeps, and whom it warns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from migrations.handles import Connection
from relay import audit, endpoints, log
from relay.prune import step_prune
from relay.secretbox import SecretBox
from relay.settings import RelaySettings
from relay.terms import EndpointTerms, Rules
from tests.database.relay.stages import MERCHANT, facts_of

OLD = datetime(2026, 1, 10, tzinfo=UTC)
NOW = datetime(2026, 6, 15, tzinfo=UTC)
SETTINGS = RelaySettings(events_kept_days=60, attempts_kept_days=90)


async def tell(conn: Connection, version: int, now: datetime) -> None:
    async with conn.transaction():
        await log.append(conn, facts_of(("dep_a", version, "deposit.included")), now=now)


async def months(conn: Connection) -> list[str]:
    rows = await conn.fetch(
        "select relname from pg_class where relname ~ '^events_2026_[0-9]{2}$' and relkind = 'r' order by 1"
    )
    return [row["relname"] for row in rows]


async def endpoint_behind(conn: Connection) -> None:
    async with conn.transaction():
        await endpoints.create_endpoint(
            conn,
            SecretBox([bytes(32)]),
            MERCHANT,
            EndpointTerms(url="https://shop.example/"),
            rules=Rules((), allow_private_networks=False),
            from_sequence=1,
            now=OLD,
        )


async def test_a_month_nobody_needs_goes_and_leaves_its_hashes(conn: Connection) -> None:
    for month in (OLD, NOW):
        await log.make_partitions(conn, now=month)
    await tell(conn, 1, OLD)
    await tell(conn, 2, OLD + timedelta(days=35))
    await tell(conn, 3, NOW)
    assert await months(conn) == [f"events_2026_0{n}" for n in (1, 2, 3, 6, 7, 8)]
    while await step_prune(conn, SETTINGS, now=NOW):
        pass
    assert await months(conn) == [f"events_2026_0{n}" for n in (6, 7, 8)]
    assert await log.load_oldest_sequence(conn, MERCHANT) == 3
    assert await audit.verify_log(conn, MERCHANT) == []
    assert await conn.fetchval("select count(*) from event_leaves") == 2


async def test_a_month_that_an_endpoint_still_needs_stays_and_its_merchant_is_warned_once_a_week(
    conn: Connection,
) -> None:
    for month in (OLD, NOW):
        await log.make_partitions(conn, now=month)
    await tell(conn, 1, OLD)
    await tell(conn, 2, NOW)
    await endpoint_behind(conn)
    for day in range(10):
        assert not await step_prune(conn, SETTINGS, now=NOW + timedelta(days=day))
    assert "events_2026_01" in await months(conn)
    told = await log.load_events_after(conn, MERCHANT, after_sequence=2, types=None, limit=10)
    assert [one.type for one in told] == ["endpoint.retention_warning"] * 2
    await conn.execute("update endpoint_cursors set sequence = 4")
    assert await step_prune(conn, SETTINGS, now=NOW)
    assert "events_2026_01" not in await months(conn)


async def test_without_a_retention_nothing_of_the_log_goes(conn: Connection) -> None:
    await log.make_partitions(conn, now=OLD)
    await tell(conn, 1, OLD)
    assert not await step_prune(conn, replace(SETTINGS, events_kept_days=None), now=NOW)
    assert "events_2026_01" in await months(conn)


async def test_old_attempts_go_unless_their_delivery_is_still_in_trouble(conn: Connection) -> None:
    await tell(conn, 1, OLD)
    await tell(conn, 2, OLD)
    await endpoint_behind(conn)
    await conn.execute(
        """insert into delivery_attempts
        select endpoint_id, s, 1, t, 5, 'timeout', null, ''
        from endpoints, (values (1, $1::timestamptz), (2, $1), (3, $2)) as v (s, t)""",
        OLD,
        NOW,
    )
    await conn.execute(
        """insert into delivery_exceptions (endpoint_id, merchant_id, sequence, event_id, event_at, object_id, version,
        type, prev_sequence, state, exhausted_at, created_at)
        select p.endpoint_id, e.merchant_id, e.sequence, e.event_id, e.created_at, e.object_id, e.version, e.type, 0,
        'exhausted', e.created_at, e.created_at from endpoints p, events e where e.sequence = 2"""
    )
    assert not await step_prune(conn, RelaySettings(), now=NOW)
    rows = await conn.fetch("select sequence from delivery_attempts order by 1")
    assert [row["sequence"] for row in rows] == [2, 3]
