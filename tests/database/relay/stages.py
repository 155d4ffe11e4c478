"""The same scene on two stores: in memory and on PostgreSQL, so that one suite can ask both the same questions.

Lives here: `MemoryStage` and `PostgresStage`. Does not live here: the questions (`test_store_conformance.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from migrations.handles import Pool
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms, Rules
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import Published, RelayFact
from relay.model import Drain, ExceptionRow, RowState
from relay.workers.storage import RelayStore, SealedSecret
from relay.workers.store import PostgresRelayStore
from tests.properties.relay.memory import MemoryStore, StoredReplay

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
MERCHANT = UUID(int=5)
BOX = SecretBox([bytes(32)])
RULES = Rules(
    {"deposit.included", "deposit.final", "deposit.reversed", "deposit.amended"}, allow_private_networks=False
)


def facts_of(*told: tuple[str, int, str], merchant: UUID = MERCHANT) -> list[RelayFact]:
    return [RelayFact(merchant, name, version, kind, {}, NOW) for name, version, kind in told]


class Stage(Protocol):
    @property
    def store(self) -> RelayStore: ...

    async def publish(self, facts: Sequence[RelayFact]) -> list[Published]: ...
    async def endpoint(
        self, *, event_types: tuple[str, ...] | None = None, drain: Drain = Drain.ALL
    ) -> UUID: ...
    async def set_filter(self, endpoint_id: UUID, event_types: tuple[str, ...] | None) -> None: ...
    async def set_drain(self, endpoint_id: UUID, drain: Drain) -> None: ...
    async def replay(self, endpoint_id: UUID, sequence: int, sequence_last: int) -> None: ...
    async def rows(self, endpoint_id: UUID) -> dict[int, ExceptionRow]: ...
    async def cursor(self, endpoint_id: UUID) -> tuple[int, int]: ...
    async def attempts(self, endpoint_id: UUID) -> list[tuple[int, int]]: ...
    async def event_types(self) -> list[str]: ...
    async def take_shard(self, shard: int) -> None: ...
    async def wait(self, seconds: float) -> None: ...


class MemoryStage:
    def __init__(self) -> None:
        self.store: MemoryStore = MemoryStore()
        self._made = 0

    async def publish(self, facts: Sequence[RelayFact]) -> list[Published]:
        return self.store.publish(facts, NOW)

    async def endpoint(self, *, event_types: tuple[str, ...] | None = None, drain: Drain = Drain.ALL) -> UUID:
        self._made += 1
        endpoint_id = UUID(int=(self._made << 64) + self._made)
        self.store.add_endpoint(
            endpoint_id,
            MERCHANT,
            event_types=None if event_types is None else frozenset(event_types),
            sealed=SealedSecret(b"", None),
            signing_key_sealed=b"",
            drain=drain,
        )
        return endpoint_id

    async def set_filter(self, endpoint_id: UUID, event_types: tuple[str, ...] | None) -> None:
        self.store.set_filter(endpoint_id, None if event_types is None else frozenset(event_types), NOW)

    async def set_drain(self, endpoint_id: UUID, drain: Drain) -> None:
        self.store.set_drain(endpoint_id, drain, NOW)

    async def replay(self, endpoint_id: UUID, sequence: int, sequence_last: int) -> None:
        self.store.endpoints[endpoint_id].replays.append(StoredReplay(sequence, sequence_last, 0))

    async def rows(self, endpoint_id: UUID) -> dict[int, ExceptionRow]:
        return dict(sorted(self.store.endpoints[endpoint_id].rows.items()))

    async def cursor(self, endpoint_id: UUID) -> tuple[int, int]:
        stored = self.store.endpoints[endpoint_id]
        return stored.cursor, stored.matched

    async def attempts(self, endpoint_id: UUID) -> list[tuple[int, int]]:
        return sorted(self.store.endpoints[endpoint_id].attempts)

    async def event_types(self) -> list[str]:
        return [event.type for event in self.store.events.get(MERCHANT, [])]

    async def take_shard(self, shard: int) -> None:
        self.store.shards[shard].epoch += 1

    async def wait(self, seconds: float) -> None:
        self.store.now_s += seconds


class PostgresStage:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.store: PostgresRelayStore = PostgresRelayStore(pool)

    async def publish(self, facts: Sequence[RelayFact]) -> list[Published]:
        async with self.pool.acquire() as conn, conn.transaction():
            return await log.append(conn, facts, now=NOW)

    async def endpoint(self, *, event_types: tuple[str, ...] | None = None, drain: Drain = Drain.ALL) -> UUID:
        terms = EndpointTerms(url="https://receiver.example/", event_types=event_types, drain=drain)
        async with self.pool.acquire() as conn, conn.transaction():
            made, _ = await endpoints.create_endpoint(conn, BOX, MERCHANT, terms, rules=RULES, now=NOW)
        return made.endpoint_id

    async def set_filter(self, endpoint_id: UUID, event_types: tuple[str, ...] | None) -> None:
        await self._change(endpoint_id, event_types=event_types)

    async def set_drain(self, endpoint_id: UUID, drain: Drain) -> None:
        await self._change(endpoint_id, drain=drain)

    async def _change(self, endpoint_id: UUID, **changes: object) -> None:
        async with self.pool.acquire() as conn, conn.transaction():
            await endpoints.change_endpoint(conn, BOX, MERCHANT, endpoint_id, changes, rules=RULES, now=NOW)

    async def replay(self, endpoint_id: UUID, sequence: int, sequence_last: int) -> None:
        async with self.pool.acquire() as conn:
            await conn.execute(
                """insert into endpoint_replays (replay_id, endpoint_id, sequence, sequence_last, created_at)
                values (gen_random_uuid(), $1, $2, $3, now())""",
                endpoint_id,
                sequence,
                sequence_last,
            )

    async def rows(self, endpoint_id: UUID) -> dict[int, ExceptionRow]:
        async with self.pool.acquire() as conn:
            rows = await conn.fetch(
                """select sequence, event_id, object_id, version, type, event_at, prev_sequence, state, failures,
                attempts, retry_at, free, replay, created_at, covered_by
                from delivery_exceptions where endpoint_id = $1 order by sequence""",
                endpoint_id,
            )
        return {
            row["sequence"]: ExceptionRow(**dict(row) | {"state": RowState(row["state"])}) for row in rows
        }

    async def cursor(self, endpoint_id: UUID) -> tuple[int, int]:
        async with self.pool.acquire() as conn:
            row = await conn.fetchrow(
                "select sequence, matched_sequence from endpoint_cursors where endpoint_id = $1", endpoint_id
            )
        assert row is not None
        return row["sequence"], row["matched_sequence"]

    async def attempts(self, endpoint_id: UUID) -> list[tuple[int, int]]:
        async with self.pool.acquire() as conn:
            rows = await conn.fetch(
                "select sequence, number from delivery_attempts where endpoint_id = $1 order by 1, 2",
                endpoint_id,
            )
        return [(row["sequence"], row["number"]) for row in rows]

    async def event_types(self) -> list[str]:
        async with self.pool.acquire() as conn:
            rows = await conn.fetch(
                "select type from events where merchant_id = $1 order by sequence", MERCHANT
            )
        return [row["type"] for row in rows]

    async def take_shard(self, shard: int) -> None:
        async with self.pool.acquire() as conn:
            await conn.execute("update relay_shards set epoch = epoch + 1 where shard = $1", shard)

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
