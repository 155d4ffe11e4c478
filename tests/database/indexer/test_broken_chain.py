"""One chain's broken invariant stops that chain, rings, and is over when it is repaired; nothing else ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from chains.model import BlockHash, BlockRef
from indexer.follow import loop as follow_loop
from indexer.follow.loop import FollowLoop
from indexer.follow.outcomes import Halted, Lagging, StepOutcome, Suspecting, describe_standstill
from indexer.follow.pace import Occasion
from indexer.follow.step import Follower
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.history import loop as backfill_loop
from indexer.history.loop import run_backfill
from indexer.rules.evidence import Opinion, Suspicion
from tests.database.indexer.scene import NOW, Scene, open_scene


class Bell:
    """An observer that counts moves, and a bell that remembers its rings."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.moves = 0

    def follow_step(self, alias: str, outcome: str, seconds: float) -> None:
        """Nobody counts."""

    def moved(self, alias: str, *, applied: int, left: int, changes: int) -> None:
        self.moves += 1

    def heights(self, alias: str, *, head: int | None, tip: int, final: int | None, agreed: int) -> None:
        """Nobody counts."""

    def conditions(self, alias: str, in_force: Collection[str]) -> None:
        """Nobody counts."""

    def calls_per_day(self, alias: str, provider: str, count: int) -> None:
        """Nobody counts."""

    def waiting(self, alias: str, mempool: str, count: int) -> None:
        """Nobody counts."""

    def stood_aside(self, alias: str) -> None:
        """Nobody counts."""

    def surprised(self, alias: str, stage: str) -> None:
        """Nobody counts."""

    def repeated(self, alias: str, count: int) -> None:
        pass

    def held(self, alias: str, count: int) -> None:
        pass

    def failed(self, alias: str, kind: str) -> None:
        """Nobody counts."""

    def ring(self, kind: str, detail: dict[str, object]) -> None:
        """The operator's bell."""
        self.rung.append(f"{kind} {detail.get('kind', detail.get('reason'))}")


class BrokenOnce(Follower):
    """Finds an invariant broken at its first step."""

    broken = True

    async def step(self, now: datetime, *, occasion: Occasion = Occasion.HEAD) -> StepOutcome:
        if self.broken:
            self.broken = False
            raise AssertionError("a move must link to its parent")
        return await super().step(now, occasion=occasion)


class StandsStill(Follower):
    """Finds the same, again and again."""

    found: StepOutcome = Lagging(3)
    steps = 0

    async def step(self, now: datetime, *, occasion: Occasion = Occasion.HEAD) -> StepOutcome:
        self.steps += 1
        return self.found


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


def surround(scene: Scene, bell: Bell) -> tuple[Surroundings, FollowedChain]:
    around = Surroundings(scene.pool, "x", bell, bell.ring, lambda: NOW)
    return around, FollowedChain(scene.desk, scene.source, scene.store, list)


async def test_a_chain_goes_on_after_what_nobody_expected(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_loop, "FAILURE_WAIT_MAX_S", 0.01)
    async with open_scene(database_url) as scene:
        scene.provider.view = scene.chain.tip
        bell = Bell()
        around, chain = surround(scene, bell)
        loop = FollowLoop(around, chain, Turn(chain, holder="x"))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(loop.run(BrokenOnce(scene.desk, scene.source)))
            await until(lambda: bell.moves > 0)
            around.stop.set()
            await running
        assert bell.rung == ["chain.broken AssertionError"]


SUSPICION = Suspicion(BlockRef(7, BlockHash(b"\x07" * 32)), BlockHash(b"\x08" * 32))


@pytest.mark.parametrize(
    ("found", "said", "rung"),
    [
        (Lagging(3), "provider-lags", []),
        (Suspecting(SUSPICION, Opinion.SILENT), "fork-suspected", []),
        (Halted("a fork below what is final"), "chain-halted", ["chain.halted a fork below what is final"]),
    ],
)
async def test_a_chain_that_stands_still_says_so_once_and_not_that_it_is_restored(
    database_url: str, found: StepOutcome, said: str, rung: list[str]
) -> None:
    async with open_scene(database_url) as scene:
        await scene.follow()
        bell = Bell()
        around, chain = surround(scene, bell)
        follower = StandsStill(scene.desk, scene.source)
        follower.found = found
        with capture_logs() as logs:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(FollowLoop(around, chain, Turn(chain, holder="x")).run(follower))
                await until(lambda: follower.steps > 5)
                around.stop.set()
                await running
        events = [line["event"] for line in logs]
        assert (events.count(said), events.count("chain-restored")) == (1, 0)
        assert bell.rung == rung
        told = await scene.pool.fetchval("select detail ->> 'last_error' from chain_status")
        assert told == describe_standstill(found)


async def test_a_chain_that_is_not_looked_at_is_stepped_at_its_pace(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_source: object, timeout_s: float) -> bool:
        await asyncio.sleep(timeout_s)
        return False

    async with open_scene(database_url) as scene:
        await scene.follow()
        monkeypatch.setattr(type(scene.source), "wait_for_hint", wait)
        scene.desk.settings = replace(scene.desk.settings, poll_interval_s=0.1)
        around, chain = surround(scene, Bell())
        follower = StandsStill(scene.desk, scene.source)
        follower.found = Halted("a fork below what is final")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(FollowLoop(around, chain, Turn(chain, holder="x")).run(follower))
            await asyncio.sleep(0.6)
            around.stop.set()
            await running
        assert 1 < follower.steps <= 14, "standing still is no reason to hurry"


async def test_history_that_breaks_ends_nothing_else(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_off(*_: object, **__: object) -> None:
        raise AssertionError("what is wanted below our chain begins right under it")

    monkeypatch.setattr(backfill_loop, "step_backfill", break_off)
    async with open_scene(database_url) as scene:
        await scene.follow()
        bell = Bell()
        around, chain = surround(scene, bell)
        turn = Turn(chain, holder="x")
        turn.taken.set()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run_backfill(around, chain, turn))
            await until(lambda: bool(bell.rung))
            around.stop.set()
            await running
        assert bell.rung == ["chain.broken backfill-AssertionError"]
