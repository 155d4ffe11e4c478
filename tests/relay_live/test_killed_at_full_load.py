"""kill -9, again and again (in CI twenty times), at full load: nothing lost, no order broken, nothing repeated but what was in flight."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from migrations.connect import connect, open_pool
from migrations.embedded import embedded_database
from migrations.handles import Pool
from migrations.runner import migrate
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from tests.depth import times
from tests.relay_live.ledger import Ledger, open_ledger
from tests.relay_live.shop import RULES, SETTINGS

KILLS = times(6, ci=20)
WORKERS = 2
LEASE_S = 1.0
SETTLE_DELAY_S = 0.02  # longer than usual: more is answered and not yet written when it dies
MERCHANTS = tuple(UUID(int=0xFEED + number) for number in range(8))
ENDPOINTS_EACH = 2
DEPOSITS_EACH = 100
AHEAD_MIN = 300
"""Events that every log has beyond its slowest cursor, so that there is always something to send."""
PUBLISHED_AT_ONCE = 200
SENT_BEFORE = (50, 300)
"""So many events more a worker sends before it is killed."""
LOOK_EVERY_S = 0.05
PATIENCE_S = 60.0
WINDOW_EVENTS_MAX = SETTINGS.lane.window_events_max
CURSORS = """
select c.endpoint_id, c.sequence, array(
  select x.sequence from delivery_exceptions x where x.endpoint_id = c.endpoint_id
) as rows
from endpoint_cursors c
"""


@dataclass(slots=True)
class Kill:
    """One process and what the database said of each endpoint (a path) when it was gone."""

    sender: int
    at_s: float
    cursors: Mapping[str, int]


@dataclass(slots=True)
class Scene:
    """A database that outlives power cuts, logs that are always longer than what was told, and what is seen meanwhile."""

    dsn: str
    pool: Pool
    ledger: Ledger
    rng: random.Random
    paths: dict[UUID, str] = field(default_factory=dict)
    merchant_of: dict[str, UUID] = field(default_factory=dict)
    heads: Counter[UUID] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    ahead_max: int = 0
    over: bool = False

    async def prepare(self) -> None:
        """Endpoints, and something to tell them."""
        for number in range(len(MERCHANTS) * ENDPOINTS_EACH):
            merchant, path = MERCHANTS[number % len(MERCHANTS)], f"/{number}"
            terms = EndpointTerms(f"http://127.0.0.1:{self.ledger.port}{path}", max_in_flight=50)
            async with self.pool.acquire() as conn, conn.transaction():
                made, _ = await endpoints.create_endpoint(
                    conn, SecretBox([bytes(32)]), merchant, terms, rules=RULES, now=datetime.now(UTC)
                )
            self.paths[made.endpoint_id] = path
            self.merchant_of[path] = merchant
        await self.publish(MERCHANTS)

    async def publish(self, merchants: tuple[UUID, ...]) -> None:
        """More versions of some deposits of each."""
        facts = [
            self._next_version(merchant, f"dep_{merchant.int}_{self.rng.randrange(DEPOSITS_EACH)}")
            for merchant in merchants
            for _ in range(PUBLISHED_AT_ONCE)
        ]
        async with self.pool.acquire() as conn, conn.transaction():
            await log.append(conn, facts, now=datetime.now(UTC))
        self.heads.update(dict.fromkeys(merchants, PUBLISHED_AT_ONCE))

    def _next_version(self, merchant: UUID, deposit: str) -> RelayFact:
        self.versions[deposit] += 1
        data: dict[str, object] = {"deposit": {"id": deposit, "version": self.versions[deposit]}}
        return RelayFact(
            merchant, deposit, self.versions[deposit], "deposit.included", data, datetime.now(UTC)
        )

    async def load_cursors(self) -> dict[str, int]:
        """By path; the ledger is told."""
        sent = self.ledger.highest.copy()
        rows = await self.pool.fetch(CURSORS)
        self.ledger.rowed.update((self.paths[row["endpoint_id"]], one) for row in rows for one in row["rows"])
        self.ledger.settled.update({self.paths[row["endpoint_id"]]: row["sequence"] for row in rows})
        self.ahead_max = max(self.ahead_max, *(sent[path] - at for path, at in self.ledger.settled.items()))
        return dict(self.ledger.settled)

    async def keep_loaded(self) -> None:
        """Until it is over: look at the cursors, and publish before anybody has nothing to send."""
        while not self.over:
            at = Counter(dict.fromkeys(MERCHANTS, 1 << 62))
            for path, cursor in (await self.load_cursors()).items():
                at[self.merchant_of[path]] = min(at[self.merchant_of[path]], cursor)
            behind = tuple(one for one in MERCHANTS if self.heads[one] - at[one] < AHEAD_MIN)
            if behind:
                await self.publish(behind)
            await asyncio.sleep(LOOK_EVERY_S)

    async def kill_again_and_again(self) -> None:
        """A random worker, each time it has sent a random number of events more; another takes its place at once."""
        async with asyncio.TaskGroup() as group:
            loaded = group.create_task(self.keep_loaded())
            workers = [await self._start() for _ in range(WORKERS)]
            try:
                for _ in range(KILLS):
                    victim = self.rng.choice(workers)
                    sent = self.ledger.by_sender[victim.pid]
                    async with asyncio.timeout(PATIENCE_S):
                        await self.ledger.until_sent(victim.pid, sent + self.rng.randrange(*SENT_BEFORE))
                    victim.kill()
                    at_s = asyncio.get_running_loop().time()
                    await victim.wait()
                    self.kills.append(Kill(victim.pid, at_s, await self.load_cursors()))
                    workers[workers.index(victim)] = await self._start()
                self.over = True
                await loaded
                await self._until_settled()
            finally:
                for worker in workers:
                    worker.kill()
                    await worker.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.relay_live.worker_process",
            self.dsn,
            str(SETTLE_DELAY_S),
            str(LEASE_S),
        )

    async def _until_settled(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                cursors = await self.load_cursors()
                rows = await self.pool.fetchval("select count(*) from delivery_exceptions")
                if not rows and all(at == self.heads[self.merchant_of[path]] for path, at in cursors.items()):
                    return
                await asyncio.sleep(LOOK_EVERY_S)

    def repeated_after(self, kill: Kill) -> set[tuple[str, int]]:
        """What this process had sent and another sent again: path and sequence."""
        return {
            (again.path, again.sequence)
            for before, again in self.ledger.repeats
            if before.sender == kill.sender and again.at_s > kill.at_s
        }

    def unwritten_at(self, kill: Kill) -> set[tuple[str, int]]:
        """What this process had sent, answered or not, and nobody had written when it was gone."""
        return {
            (one.path, one.sequence)
            for one in self.ledger.receipts
            if one.sender == kill.sender and one.sequence > kill.cursors[one.path]
        } | self.ledger.rowed


@asynccontextmanager
async def open_scene(folder: Path, rng: random.Random) -> AsyncIterator[Scene]:
    async with open_ledger(rng) as ledger, embedded_database(folder) as dsn:
        conn = await connect(dsn, application_name="test")
        await migrate(conn)
        assert await conn.fetchval("show fsync") == "on"
        await conn.close()
        pool = await open_pool(dsn, size=4, application_name="test")
        try:
            scene = Scene(dsn, pool, ledger, rng)
            await scene.prepare()
            yield scene
        finally:
            await pool.close()


@pytest.mark.timeout(180)
async def test_kills_at_full_load_lose_nothing_and_repeat_only_what_was_in_flight(
    tmp_path: Path, rng: random.Random
) -> None:
    async with open_scene(tmp_path, rng) as scene:
        await scene.kill_again_and_again()
        ledger = scene.ledger
        assert len(scene.kills) == KILLS
        for path, merchant in scene.merchant_of.items():
            taken = {sequence for where, sequence in ledger.taken if where == path}
            assert taken == set(range(1, scene.heads[merchant] + 1)), "an event was lost"
        assert ledger.overtaken == [], "a version came before the one before it was taken"
        assert ledger.needless == [], "what had been written was sent again"
        assert scene.ahead_max <= WINDOW_EVENTS_MAX, (
            "more was sent ahead of the cursor than a crash may repeat"
        )
        repeated = [scene.repeated_after(kill) for kill in scene.kills]
        for kill, again in zip(scene.kills, repeated, strict=True):
            assert again <= scene.unwritten_at(kill), "more came again than was in flight"
            each = Counter(path for path, _ in again - ledger.rowed)
            assert max(each.values(), default=0) <= WINDOW_EVENTS_MAX
        assert sum(map(bool, repeated)) >= KILLS // 2, "they were idle when they were killed"
