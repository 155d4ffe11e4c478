"""What nobody expected, in any stage of one chain's following: the other chain goes on, and the sick one recovers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import asyncpg
import pytest

from chains.model import Block, Sought
from chains.scripted.chain import ScriptedChain
from chains.scripted.mempool import ScriptedMempool
from chains.scripted.provider import ScriptedProvider
from chains.scripted.source import ScriptedSource
from indexer.follow import loop as follow_loop
from indexer.follow import steady
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.history import loop as backfill_loop
from indexer.move.commit import ChainDesk
from indexer.rows.store import PostgresFollowStore
from indexer.service import IndexerService
from migrations.connect import open_pool
from migrations.handles import Connection
from relay.log import eventlog as relay_log
from tests.database.indexer.scene import NOW
from tests.simulation.setups import draw_setup

TIMES = 2
"""How often a stage surprises before it is well again."""


@dataclass(slots=True)
class Operator:
    """An observer and a bell that remember what came of which chain; `faults` break them for one chain."""

    rung: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    faults: dict[str, Callable[[str], None]] = field(default_factory=dict)

    def _meet(self, stage: str, alias: str) -> None:
        if stage in self.faults:
            self.faults[stage](alias)

    def follow_step(self, alias: str, outcome: str, seconds: float) -> None:
        self._meet("metrics of a step", alias)

    def moved(self, alias: str, *, applied: int, left: int, changes: int) -> None:
        self._meet("metrics of a move", alias)

    def heights(self, alias: str, *, head: int | None, tip: int, final: int | None, agreed: int) -> None:
        """Nobody counts."""

    def conditions(self, alias: str, in_force: Collection[str]) -> None:
        self._meet("conditions", alias)

    def calls_per_day(self, alias: str, provider: str, count: int) -> None:
        """Nobody counts."""

    def waiting(self, alias: str, mempool: str, count: int) -> None:
        """Nobody counts."""

    def stood_aside(self, alias: str) -> None:
        """Nobody counts."""

    def failed(self, alias: str, kind: str) -> None:
        self.failures.append((alias, kind))
        self._meet("metrics of a failure", alias)

    def surprised(self, alias: str, stage: str) -> None:
        """Nobody counts."""

    def repeated(self, alias: str, count: int) -> None:
        """Nobody counts."""

    def held(self, alias: str, count: int) -> None:
        """Nobody counts."""

    def ring(self, kind: str, detail: dict[str, object]) -> None:
        self.rung.append((kind, str(detail["chain"]), str(detail.get("kind"))))
        self._meet("bell", str(detail["chain"]))


@dataclass(slots=True)
class Line:
    """One followed chain."""

    chain: ScriptedChain
    provider: ScriptedProvider
    source: ScriptedSource
    followed: FollowedChain

    @property
    def alias(self) -> str:
        return self.chain.traits.alias

    async def tip_height(self) -> int:
        record = await self.followed.store.load_chain(self.chain.traits.chain)
        return -1 if record is None else record.tip.height


@dataclass(slots=True)
class House:
    """Two chains in one service."""

    around: Surroundings
    operator: Operator
    sick: Line
    well: Line


def build_line(number: int, pool: Any) -> Line:
    setup = draw_setup(number, Random(number))
    settings = replace(
        setup.settings, poll_interval_s=0.02, start_height=1, batch_blocks_max=2, prefetch_batches_max=2
    )
    chain = ScriptedChain(settings.traits)
    chain.mine_many(8)
    provider = ScriptedProvider(chain)
    source = ScriptedSource(provider)

    async def publish(conn: Connection, facts: Any) -> None:
        await relay_log.append(conn, facts, now=NOW)

    store = PostgresFollowStore(pool, publish)
    desk = ChainDesk(settings, store, setup.naming, setup.deposit_id)
    mempools = [ScriptedMempool(chain)]
    return Line(chain, provider, source, FollowedChain(desk, source, store, list, mempools=mempools))


@asynccontextmanager
async def open_house(database_url: str) -> AsyncIterator[House]:
    pool = await open_pool(database_url, size=8, application_name="test")
    try:
        operator = Operator()
        around = Surroundings(pool, "x", operator, operator.ring, lambda: NOW)
        yield House(around, operator, build_line(0, pool), build_line(1, pool))
    finally:
        await pool.close()


SURPRISES: tuple[Callable[[], BaseException], ...] = (
    lambda: KeyError("blockHash"),
    lambda: AssertionError("a move must link to its parent"),
    lambda: RecursionError("maximum recursion depth exceeded"),
    MemoryError,
    lambda: ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("one"), TypeError("two")]),
    lambda: asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    lambda: asyncio.CancelledError("something that was waited for was cancelled"),
)


class Fault:
    """Raises each time it is met, until it was met `TIMES` times; then what it stands for goes on."""

    def __init__(self, surprise: Callable[[], BaseException]) -> None:
        self._surprise = surprise
        self.met = 0

    def meet(self) -> None:
        self.met += 1
        if self.met <= TIMES:
            raise self._surprise()


def break_method(part: Any, name: str) -> Callable[[Fault, pytest.MonkeyPatch], None]:
    def plant(fault: Fault, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(type(part), name, _of_one(part, name, fault))

    return plant


def _of_one(part: Any, name: str, fault: Fault) -> Callable[..., Any]:
    usual = getattr(type(part), name)
    is_async = inspect.iscoroutinefunction(usual)

    async def broken(self: Any, *args: Any, **named: Any) -> Any:
        if self is part:
            fault.meet()
        return await usual(self, *args, **named)

    def broken_at_once(self: Any, *args: Any, **named: Any) -> Any:
        if self is part:
            fault.meet()
        return usual(self, *args, **named)

    return broken if is_async else broken_at_once


Plant = Callable[[House, Fault, pytest.MonkeyPatch], None]


def of(pick: Callable[[House], Any], name: str) -> Plant:
    return lambda house, fault, patch: break_method(pick(house), name)(fault, patch)


def of_operator(stage: str) -> Plant:
    def plant(house: House, fault: Fault, patch: pytest.MonkeyPatch) -> None:
        house.operator.faults[stage] = lambda alias: fault.meet() if alias == house.sick.alias else None
        if stage in {"bell", "metrics of a failure"}:
            other = Fault(lambda: KeyError("hash"))
            break_method(house.sick.provider, "fetch_head_report")(other, patch)

    return plant


def of_description(house: House, fault: Fault, patch: pytest.MonkeyPatch) -> None:
    def describe() -> list[Any]:
        fault.meet()
        return []

    house.sick.followed.describe_providers = describe


def of_read_ahead(house: House, fault: Fault, patch: pytest.MonkeyPatch) -> None:
    """The first block of all is asked for by the step itself; what is asked for above it is read ahead."""
    usual, sick = ScriptedProvider.fetch_blocks, house.sick.provider

    async def broken(
        self: ScriptedProvider, height_first: int, height_last: int, *, sought: Sought | None = None
    ) -> list[Block]:
        if self is sick and height_first > 1:
            fault.meet()
        return await usual(self, height_first, height_last, sought=sought)

    patch.setattr(ScriptedProvider, "fetch_blocks", broken)


def source(house: House) -> Any:
    return house.sick.source


def provider(house: House) -> Any:
    return house.sick.provider


def store(house: House) -> Any:
    return house.sick.followed.store


STAGES: dict[str, Plant] = {
    "hints": of(source, "run_hints"),
    "waiting for a hint": of(source, "wait_for_hint"),
    "choice of a head": of(source, "fetch_head_hedged"),
    "head": of(provider, "fetch_head_report"),
    "blocks that are read ahead": of_read_ahead,
    "other opinions": of(source, "report_success"),
    "backfill": of(provider, "for_backfill"),
    "lease": of(store, "acquire_lease"),
    "preparation": of(store, "sync_assets"),
    "watch set": of(store, "load_watch_horizon"),
    "record": of(store, "load_chain"),
    "move": of(store, "open_move"),
    "balance check": of(lambda house: house.sick.followed.desk.balances, "hold"),
    "status": of_description,
    "conditions": of_operator("conditions"),
    "metrics of a step": of_operator("metrics of a step"),
    "metrics of a move": of_operator("metrics of a move"),
    "metrics of a failure": of_operator("metrics of a failure"),
    "bell": of_operator("bell"),
    "mempool": of(lambda house: house.sick.followed.mempools[0], "fetch_waiting"),
    "waiting for a payer": of(lambda house: house.sick.followed.mempools[0], "wait_for_entered"),
}


async def until(holds: Callable[[], Any]) -> None:
    for _ in range(1500):
        if await holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize("stage", STAGES)
async def test_a_surprise_ends_one_step_of_one_chain(
    database_url: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (follow_loop, "FAILURE_WAIT_MAX_S"),
        (follow_loop, "STATUS_EVERY_S"),
        (backfill_loop, "FAILURE_WAIT_MAX_S"),
        (backfill_loop, "IDLE_S"),
        (steady, "WAIT_MAX_S"),
    ):
        monkeypatch.setattr(module, name, 0.01)
    number = list(STAGES).index(stage)
    async with open_house(database_url) as house:
        fault = Fault(SURPRISES[number % len(SURPRISES)])
        STAGES[stage](house, fault, monkeypatch)
        service = IndexerService(house.around, [house.sick.followed, house.well.followed])

        async def is_over() -> bool:
            """The fault was met as often as it can be, both chains advance, and the sick one with new blocks too."""
            both = (await house.sick.tip_height(), await house.well.tip_height())
            enough = 1 if stage == "bell" else TIMES  # the bell rings once a minute
            return fault.met >= enough and both == (
                house.sick.chain.head.height,
                house.well.chain.head.height,
            )

        async with asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            await until(lambda: _is_at_head(house.well))
            house.well.chain.mine()
            await until(lambda: _is_at_head(house.well))
            for _ in range(3):
                house.sick.chain.mine_many(5)
            await until(is_over)
            assert not running.done()
            house.around.stop.set()
        assert house.sick.alias in {alias for alias, _ in house.operator.failures}, "it is counted"
        assert {alias for _, alias, _ in house.operator.rung} == {house.sick.alias}, (
            "it rings for the sick one"
        )
        assert house.well.alias not in {alias for alias, _ in house.operator.failures}


async def _is_at_head(line: Line) -> bool:
    return await line.tip_height() == line.chain.head.height


@pytest.mark.parametrize("surprise", SURPRISES)
async def test_whatever_it_is_blocks_that_are_read_ahead_raise_it_where_they_are_taken(
    surprise: Callable[[], BaseException], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_loop, "FAILURE_WAIT_MAX_S", 0.05)
    async with open_house(database_url) as house:
        fault = Fault(surprise)
        of_read_ahead(house, fault, monkeypatch)
        service = IndexerService(house.around, [house.sick.followed, house.well.followed])
        async with asyncio.TaskGroup() as group:
            group.create_task(service.run())
            await until(lambda: _is_at_head(house.well))
            await until(lambda: _is_at_head(house.sick))
            house.around.stop.set()


async def test_cancelling_still_cancels(database_url: str) -> None:
    async with open_house(database_url) as house:
        service = IndexerService(house.around, [house.sick.followed, house.well.followed])
        async with asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            await until(lambda: _is_at_head(house.well))
            running.cancel()
        assert running.cancelled()
