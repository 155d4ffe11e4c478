"""One schedule on a real PostgreSQL: two chains and a relay at work at the same time, for the same two merchants.

Each round, processes follow, read history, register, delete and deliver as concurrent tasks on one database, and die
at points of chance (`chaos.py`); between rounds everything is read back and held against the laws
(`postgres_laws.py`). A deadlock is a failure. Schedules share a database: each has chains and merchants of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chains.errors import ChainError
from chains.model import Address
from indexer.follow.step import Follower
from indexer.follow.surroundings import FollowedChain
from indexer.follow.turn import Turn
from indexer.history.backfill import step_backfill
from indexer.move.commit import ChainDesk
from indexer.move.halts import commit_accept_reorg, commit_resume
from indexer.move.registration import ChainNotReady, RegistrationRequest, delete_address, register
from indexer.rows.storage import LeaseLost
from indexer.rows.work_store import PostgresBackfillStore, request_rescan
from indexer.rules.identity import AddressId, MerchantId
from indexer.rules.watchset import WatchSet
from migrations.errors import DatabaseAway
from migrations.handles import Connection, Pool
from migrations.ids import new_id
from relay.desk.endpoints import create_endpoint, delete_endpoint, resume_endpoint
from relay.desk.terms import EndpointTerms, Rules
from relay.log import eventlog as relay_log
from tests.simulation.chaos import Chaos, ChaoticRelayStore, ChaoticStore, Crash, refuse_deadlock
from tests.simulation.deeds import Deeds, name_of
from tests.simulation.delivery import BOX, Delivery
from tests.simulation.memory import MemoryStore
from tests.simulation.network import Network
from tests.simulation.postgres_laws import Seen, check_rows, check_told, load_rows, read_logs
from tests.simulation.providers import Mood, TagMood
from tests.simulation.receivers import Receiver, ReceiverMood
from tests.simulation.rows import ChainRows
from tests.simulation.setups import WATCHABLE, draw_setup
from tests.simulation.telling import Reader
from tests.simulation.troubles import Tally, Trouble

FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
REST_ROUNDS_MAX = 120
EVENT_TYPES = frozenset({"deposit.confirmed", "deposit.final", "deposit.reversed"})
INTENSITY = 0.02


class Process:
    """What one process holds in memory of one chain: its desk, its follower, its turn."""

    def __init__(self, network: Network, store: ChaoticStore, *, holder: str, lists_late: bool) -> None:
        setup = network.setup
        traits = setup.settings.traits
        if lists_late and setup.late_asset is not None:
            late = setup.naming.assets[setup.late_asset]
            traits = replace(traits, assets=(*traits.assets, late))
        settings = replace(setup.settings, traits=traits, lease_s=0.0)
        watched = WatchSet(compact_above=setup.compact_above)
        self.desk = ChainDesk(settings, store, setup.naming, setup.deposit_id, watched, 0)
        self.follower = Follower(self.desk, network.source)
        chain = FollowedChain(self.desk, network.source, store, describe_providers=list)
        self.turn = Turn(chain, holder=holder)
        self.is_prepared = False

    async def prepare(self, now: datetime) -> None:
        """Take the chain and load what is loaded once."""
        if not self.is_prepared:
            await self.turn.hold(now)
            self.is_prepared = True


class PostgresWorld:
    """The schedule of one seed on one database."""

    def __init__(self, pool: Pool, number: int, seed: int, tally: Tally) -> None:
        self.rng = rng = random.Random(seed)
        self.pool = pool
        self.tally = tally
        self.now = FIRST_MOMENT
        self.chaos = Chaos(rng, tally)
        self.store = ChaoticStore(pool, self._publish, self.chaos)
        self.history = PostgresBackfillStore(pool, self.store)
        self.merchants = [MerchantId(UUID(int=(0xA11CE << 64) + 16 * number + one)) for one in range(2)]
        self.networks = [
            Network(draw_setup(2 * number + one, rng), rng, tally, lambda: None) for one in range(2)
        ]
        self.deeds = Deeds(rng, MemoryStore.__new__(MemoryStore), tally, lambda *_: None)
        self._processes_made = 0
        self._late: set[str] = set()
        self.processes = {network.id: self._new_process(network) for network in self.networks}
        self.seen = {network.id: Seen() for network in self.networks}
        self.readers: dict[MerchantId, Reader] = {}
        self.receivers: list[Receiver] = []
        self.delivery: Delivery
        self._accepted = False

    async def run(self, rounds: int) -> None:
        """All rounds, then the rest; raises AssertionError where a law is broken."""
        await self._open_endpoints()
        for _ in range(rounds):
            await self.round()
            await self.check()
        await self.come_to_rest()
        await self.deliver_all()
        await self.check()
        await self._close_endpoints()

    async def round(self) -> None:
        """The world moves, then several processes work at once, and some of them die."""
        rng = self.rng
        self.now += timedelta(seconds=1)
        self.chaos.intensity = INTENSITY if rng.random() < 0.7 else 0.0
        jobs: list[Awaitable[None]] = []
        for network in self.networks:
            self._let_the_world_move(network)
            jobs += [self._work(network, self._follow(network)) for _ in range(rng.choice((1, 1, 1, 2)))]
            if rng.random() < 0.6:
                jobs.append(self._work(network, self._read_history(network)))
            if rng.random() < 0.7:
                jobs.append(self._people(network))
            if rng.random() < 0.06:
                self.tally.count(Trouble.LEASE_LOST)
                self.processes[network.id] = self._new_process(network)
        jobs.append(self._deliver())
        rng.shuffle(jobs)
        await asyncio.gather(*jobs)

    def _let_the_world_move(self, network: Network) -> None:
        rng, deeds = self.rng, self.deeds
        for _ in range(rng.choice((1, 2, 3))):
            deeds.move_chain(network)
        if rng.random() < 0.3:
            deeds.change_mood(network)
        if rng.random() < 0.1:
            deeds.change_tags(network)
        if rng.random() < 0.2:
            self.delivery.change_mood()
        network.source.now += 1
        for provider in network.providers:
            if provider.mood not in (Mood.LAGGING, Mood.SIDE_BRANCH, Mood.FORGING) and rng.random() < 0.85:
                provider.view = network.chain.tip

    # Jobs.

    async def _work(self, network: Network, job: Awaitable[object]) -> None:
        """Whatever comes of a job of the process that follows this chain."""
        process = self.processes[network.id]
        try:
            await job
        except (ChainError, LeaseLost):
            process.is_prepared = False
        except DatabaseAway as error:
            refuse_deadlock(error)
            process.is_prepared = False
        except Crash:
            if self.processes[network.id] is process:
                self.processes[network.id] = self._new_process(network)

    async def _follow(self, network: Network) -> None:
        process = self.processes[network.id]
        network.book.begin_poll()
        if await self.store.load_chain(network.id) is not None:
            await process.prepare(self.now)
        await process.follower.step(self.now)

    async def _read_history(self, network: Network) -> None:
        process = self.processes[network.id]
        if await self.store.load_chain(network.id) is None:
            return
        await process.prepare(self.now)
        provider = self.rng.choice(network.providers)
        await step_backfill(process.desk, self.history, provider, now=self.now)

    async def _people(self, network: Network) -> None:
        """Merchants and the operator, on connections of their own."""
        chance = self.rng.random()
        try:
            if chance < 0.6:
                await self._register(network)
            elif chance < 0.75:
                await self._delete(network)
            elif chance < 0.85:
                await self._rescan(network)
            else:
                await self._decide_halt(network, chance=0.6)
        except (DatabaseAway, LookupError, LeaseLost) as error:
            refuse_deadlock(error)
        except Crash:
            return

    async def _register(self, network: Network) -> None:
        rng = self.rng
        requests = []
        for _ in range(rng.choice((1, 1, 3))):
            from_height = None if rng.random() < 0.6 else rng.randrange(network.chain.tip.height + 4)
            merchant, address = rng.choice(self.merchants), rng.choice(WATCHABLE)
            memo = network.draw_memo()
            requests.append(
                RegistrationRequest(
                    new_id(1), merchant, network.id, address, from_height=from_height, memo=memo
                )
            )
        try:
            await register(self.pool, requests, now=self.now)
        except ChainNotReady:
            return
        self.tally.count(Trouble.REGISTERED)

    async def _delete(self, network: Network) -> None:
        rows = await self.pool.fetch(
            "select id, merchant_id from addresses where chain = $1 and deleted_at is null order by watch_version",
            network.id,
        )
        if rows:
            row = self.rng.choice(rows)
            await delete_address(self.pool, row["merchant_id"], AddressId(row["id"]), now=self.now)
            self.tally.count(Trouble.DELETED)

    async def _rescan(self, network: Network) -> None:
        top = network.chain.tip.height
        first = self.rng.randrange(top)
        address: Address | None = self.rng.choice(WATCHABLE) if self.rng.random() < 0.5 else None
        await request_rescan(
            self.pool,
            network.id,
            new_id=new_id(1),
            height_first=first,
            height_last=self.rng.randrange(first, top + 1),
            address=address,
            now=self.now,
        )
        self.tally.count(Trouble.RESCAN)

    async def _decide_halt(self, network: Network, *, chance: float) -> None:
        record = await self.store.load_chain(network.id)
        if record is None or not record.is_halted or self.rng.random() > chance:
            return
        async with self.pool.acquire() as conn:
            rows = await load_rows(conn, network.id)
        assert rows is not None
        desk = self.processes[network.id].desk
        if chance < 1 and self.rng.random() < 0.4:
            await commit_resume(desk, record, now=self.now)
            self.tally.count(Trouble.RESUMED)
        else:
            self._accepted = True
            fork_hash = network.true_fork_hash(rows)
            await commit_accept_reorg(desk, record, fork_hash=fork_hash, now=self.now)
            self.tally.count(Trouble.ACCEPTED)

    async def _deliver(self) -> None:
        try:
            await self.delivery.round(self.now)
        except DatabaseAway:
            return
        except Crash:
            self.delivery.begin_worker()
            await self._let_leases_run_out()

    async def _let_leases_run_out(self) -> None:
        """A dead worker's leases end with the database's clock; a schedule does not wait for that."""
        async with self.pool.acquire() as conn, conn.transaction():
            await conn.execute("delete from relay_workers")
            await conn.execute("update relay_shards set owner = null, leased_until = null")

    def _new_process(self, network: Network) -> Process:
        self._processes_made += 1
        if self._processes_made > 3 and self.rng.random() < 0.3:
            self._late.add(network.id)
        holder = f"process-{self._processes_made}"
        return Process(network, self.store, holder=holder, lists_late=network.id in self._late)

    async def _publish(self, conn: Connection, facts: Sequence[Any]) -> None:
        await relay_log.append(conn, facts, now=self.now)

    # Endpoints.

    async def _open_endpoints(self) -> None:
        rules = Rules(event_types=EVENT_TYPES, allow_private_networks=True)
        async with self.pool.acquire() as conn, conn.transaction():
            for merchant_id, types in (
                (self.merchants[0], None),
                (self.merchants[1], tuple(sorted(EVENT_TYPES))),
            ):
                terms = EndpointTerms("http://receiver.test/", event_types=types)
                endpoint, _ = await create_endpoint(conn, BOX, merchant_id, terms, rules=rules, now=self.now)
                wanted = None if types is None else EVENT_TYPES
                self.receivers.append(Receiver(endpoint.endpoint_id, merchant_id, wanted))
        store = ChaoticRelayStore(self.pool, self.chaos)
        first = self.networks[0].setup.number * 1000
        self.delivery = Delivery(store, self.receivers, self.rng, self.tally, first_worker=first)

    async def _close_endpoints(self) -> None:
        async with self.pool.acquire() as conn, conn.transaction():
            for receiver in self.receivers:
                await delete_endpoint(conn, receiver.merchant_id, receiver.endpoint_id, now=self.now)
        await self._let_leases_run_out()

    # Laws and rest.

    async def check(self) -> list[ChainRows]:
        """Everything in one snapshot against the laws."""
        found: list[ChainRows] = []
        async with self.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            for network in self.networks:
                rows = await load_rows(conn, network.id)
                if rows is not None:
                    check_rows(network, rows, self.seen[network.id], final_may_fall=self._accepted)
                    found.append(rows)
            await read_logs(conn, self.readers, self.merchants, self.tally)
        check_told(self.readers, found)
        return found

    async def come_to_rest(self) -> None:
        """Everybody is honest, nothing fails: within a bound, all is caught up and all history is read."""
        self.chaos.intensity = 0.0
        for network in self.networks:
            network.chain.extend()
            for provider in network.providers:
                provider.mood, provider.tag_mood = Mood.HONEST, TagMood.TRUE
                provider.view, provider.rest_until = network.chain.tip, 0
        for network in self.networks:
            for _ in range(REST_ROUNDS_MAX):
                self.now += timedelta(seconds=1)
                network.source.now += 1
                if await self._is_caught_up(network):
                    break
                await self._work(network, self._decide_halt(network, chance=1))
                await self._work(network, self._follow(network))
                await self._work(network, self._read_history(network))
            else:
                raise AssertionError(f"{network.id} does not come to rest at {name_of(network.chain.tip)}")

    async def _is_caught_up(self, network: Network) -> bool:
        async with self.pool.acquire() as conn:
            rows = await load_rows(conn, network.id)
            rescans = "select count(*) from rescans where chain = $1 and done_at is null"
            rescans_open = await conn.fetchval(rescans, network.id)
        if rows is None:
            return False
        record, tip = rows.record, network.chain.tip
        return (
            not record.is_halted
            and record.tip.hash == tip.hash
            and record.agreed_height == tip.height
            and record.disputed_fork_height is None
            and not rows.pending_starts
            and not rows.pending_assets
            and not rescans_open
        )

    async def deliver_all(self) -> None:
        """Every receiver is well: in the end everybody has everything, or it is kept."""
        for receiver in self.receivers:
            receiver.mood = ReceiverMood.WELL
        for _ in range(REST_ROUNDS_MAX):
            self.now += timedelta(seconds=3)
            async with self.pool.acquire() as conn, conn.transaction():
                for receiver in self.receivers:
                    await self._resume(conn, receiver)
            await self._deliver()
            if self.delivery.is_idle and await self._is_delivered():
                return
        raise AssertionError("deliveries do not come to rest")

    async def _resume(self, conn: Connection, receiver: Receiver) -> None:
        state = await conn.fetchval(
            "select state from endpoints where endpoint_id = $1", receiver.endpoint_id
        )
        if state == "paused":
            await resume_endpoint(conn, BOX, receiver.merchant_id, receiver.endpoint_id, now=self.now)

    async def _is_delivered(self) -> bool:
        for receiver in self.receivers:
            wanted = {
                row["sequence"]
                for row in await self.pool.fetch(
                    "select sequence, type from events where merchant_id = $1", receiver.merchant_id
                )
                if receiver.wants(row["type"])
            }
            kept = {
                row["sequence"]
                for row in await self.pool.fetch(
                    "select sequence from delivery_exceptions where endpoint_id = $1 and state = 'exhausted'",
                    receiver.endpoint_id,
                )
            }
            if wanted - receiver.sequences - kept:
                return False
        return True
