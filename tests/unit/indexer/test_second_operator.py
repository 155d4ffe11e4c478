"""A second operator that never answers, or late: what the first one shows is told at once, and agreement comes when it comes.

Counted in steps and requests: nothing here waits for a time. The second operator answers when the test opens a gate.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from chains.errors import Unreachable
from chains.model import BlockHash, VerificationLevel
from chains.port import Provider
from chains.scripted.chain import ScriptedChain
from chains.scripted.provider import ScriptedProvider
from chains.scripted.source import ScriptedSource
from indexer.follow.outcomes import Advanced, Rewound, StepOutcome
from indexer.follow.step import Follower
from indexer.follow.voices import compute_patience_s
from indexer.move.commit import ChainDesk
from indexer.rows.storage import ChainRecord
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import MemoryStore
from tests.simulation.setups import draw_setup
from tests.unit.indexer.test_forks import Quiet

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Gated(ScriptedProvider):
    """Answers only while its gate is open; counts who waits at it."""

    gate: asyncio.Event
    waiting: int = 0
    waiting_ever_at_once: int = 0

    async def _begin(self) -> None:
        self.waiting += 1
        self.waiting_ever_at_once = max(self.waiting_ever_at_once, self.waiting)
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        await ScriptedProvider._begin(self)


class Primary(ScriptedSource):
    """The first provider serves whatever the others do, as one that is healthy does."""

    def choose_provider(self) -> ScriptedProvider:
        return next(one for one in self._providers if one.operator == "operator-a")

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        self.lags.append((provider.name, head_height, tip_height))


@dataclass(slots=True)
class Scene:
    """One followed chain, its first operator, and one that stands at a gate."""

    chain: ScriptedChain
    first: ScriptedProvider
    second: Gated
    source: Primary
    store: MemoryStore
    follower: Follower
    now: datetime = NOW

    @property
    def record(self) -> ChainRecord:
        return self.store.rows[self.chain.traits.chain].record

    async def step(self) -> StepOutcome:
        self.now += timedelta(seconds=2)
        return await self.follower.step(self.now)

    async def answers(self) -> None:
        """Every question that can be answered is."""
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def open_scene(level: VerificationLevel = VerificationLevel.FULL) -> AsyncIterator[Scene]:
    setup = draw_setup(0, random.Random(1))
    settings = replace(setup.settings, start_height=1, poll_interval_s=1.0)
    chain = ScriptedChain(settings.traits)
    chain.mine_many(3)
    gate = asyncio.Event()
    gate.set()
    first = ScriptedProvider(chain)
    second = Gated(chain, "node-b.test", "operator-b", gate=gate)
    first.level = second.level = level
    source = Primary(first, second)
    store = MemoryStore(Quiet(), MerchantLogs(), lambda *_: None)
    desk = ChainDesk(settings, store, setup.naming, setup.deposit_id)
    async with asyncio.TaskGroup() as group:
        follower = Follower(desk, source, spawn=group.create_task)
        scene = Scene(chain, first, second, source, store, follower)
        while not isinstance(await scene.step(), Advanced) or scene.record.tip.hash != chain.head.hash:
            pass
        await scene.answers()
        await scene.step()
        await scene.answers()
        if level is not VerificationLevel.FULL:
            await scene.step()
        assert scene.record.agreed_height == scene.record.tip.height
        yield scene
        follower.forget()


async def test_a_silent_operator_delays_no_block_and_confirms_none() -> None:
    async with open_scene() as scene:
        scene.second.gate.clear()
        agreed = scene.record.agreed_height
        requests = scene.first.calls_count
        for _ in range(20):
            scene.chain.mine()
            assert isinstance(await scene.step(), Advanced), "one block, one step"
            assert scene.record.tip.hash == scene.chain.head.hash
        assert scene.first.calls_count - requests == 2 * 20, (
            "a head and a block each, and nothing asked twice"
        )
        assert scene.record.agreed_height == agreed, "silence is no agreement"
        assert scene.record.disputed_fork_height is None, "and no contradiction"
        await scene.answers()
        assert (scene.second.waiting, scene.second.waiting_ever_at_once) == (1, 1), "one question at a time"


async def test_a_silent_witness_of_what_no_hash_proves_delays_no_block_and_lifts_none() -> None:
    async with open_scene(VerificationLevel.CONSISTENT) as scene:
        scene.second.gate.clear()
        held_from = scene.record.tip.height + 1
        for _ in range(10):
            scene.chain.mine()
            assert isinstance(await scene.step(), Advanced), "one block, one step"
        await scene.answers()
        assert [scene.record.held_height] == [held_from]
        assert scene.second.waiting_ever_at_once <= 2, "one question and one errand"
        scene.second.gate.set()
        for _ in range(8):
            await scene.answers()
            await scene.step()
        assert scene.record.held_height is None
        assert scene.record.agreed_height == scene.record.tip.height


async def test_a_witness_of_blocks_that_left_meanwhile_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_scene(VerificationLevel.CONSISTENT) as scene:
        scene.second.gate.clear()
        scene.chain.mine()
        await scene.step()
        await scene.answers()
        scene.second.gate.set()
        await scene.answers()

        async def load_others(_chain: object, first: int, last: int) -> dict[int, BlockHash]:
            return {height: BlockHash(bytes(32)) for height in range(first, last + 1)}

        monkeypatch.setattr(scene.store, "load_hashes", load_others)
        voices = scene.follower._voices
        assert await voices.fetch_witness(scene.record, scene.first, heights_max=8) == ()


async def test_a_slow_operator_is_heard_and_its_agreement_comes_later() -> None:
    async with open_scene() as scene:
        scene.second.gate.clear()
        scene.chain.mine()
        await scene.step()
        asked = scene.record.tip.height
        for _ in range(3):
            scene.chain.mine()
            await scene.step()
        await scene.answers()
        scene.second.gate.set()
        await scene.answers()
        scene.second.gate.clear()
        await scene.step()
        assert scene.record.agreed_height == asked, "what it was asked about, and no more"
        scene.second.gate.set()
        await scene.answers()
        await scene.step()
        assert scene.record.agreed_height == scene.record.tip.height


async def test_an_answer_about_a_block_that_left_agrees_with_nothing() -> None:
    async with open_scene() as scene:
        scene.second.gate.clear()
        agreed = scene.record.agreed_height
        scene.chain.mine()
        await scene.step()
        await scene.answers()
        rows = scene.store.rows[scene.chain.traits.chain]
        other = replace(rows.blocks[-1], hash=BlockHash(b"another block at that height.."))
        rows.blocks[-1] = other
        rows.record = replace(rows.record, tip=replace(rows.record.tip, hash=other.hash))
        scene.second.gate.set()
        await scene.answers()
        await scene.step()
        assert scene.record.agreed_height == agreed


async def test_an_answer_wakes_the_follower_once() -> None:
    async with open_scene() as scene:
        await scene.source.wait_for_hint(0)
        scene.second.gate.clear()
        scene.chain.mine()
        await scene.source.wait_for_hint(0)
        await scene.step()
        assert not await scene.source.wait_for_hint(0)
        scene.second.gate.set()
        await scene.answers()
        async with asyncio.timeout(5):  # agreement need not wait for the next poll
            assert not await scene.source.wait_for_hint(60), "and is no new head"
        await scene.step()
        await scene.answers()
        with pytest.raises(TimeoutError):  # a quiet chain is no busy one
            async with asyncio.timeout(0.05):
                await scene.source.wait_for_hint(60)


async def test_a_fork_waits_for_who_is_silent_and_is_followed_once_it_has_been_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_scene() as scene:
        monkeypatch.setattr(scene.follower, "_patience_s", 0.01)
        scene.second.gate.clear()
        scene.chain.reorg(1, (), ())
        for _ in range(4):
            outcome = await scene.step()
            assert not isinstance(outcome, Rewound), "silence is no consent"
        scene.second.gate.set()
        await scene.answers()
        outcomes = [await scene.step() for _ in range(3)]
        assert any(isinstance(outcome, Rewound) for outcome in outcomes)
        assert scene.second.waiting_ever_at_once == 1


async def test_what_was_said_before_a_fork_was_seen_is_no_opinion_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_scene() as scene:
        monkeypatch.setattr(scene.follower, "_patience_s", 0.01)
        scene.now += timedelta(seconds=1)
        await scene.step()
        await scene.answers()  # "I hold your tip": true when it was asked
        scene.second.gate.clear()
        scene.chain.reorg(1, (), ())
        for _ in range(3):
            await scene.step()
        assert scene.record.disputed_fork_height is None
        scene.follower.forget()


async def test_several_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three black holes cost the patience for one, where a step has to wait at all."""
    waits: list[float] = []
    usual = asyncio.wait

    async def count(tasks: Sequence[asyncio.Task[None]], **limit: float) -> object:
        waits.append(limit["timeout"])
        return await usual(tasks, timeout=0)

    async with open_scene() as scene:
        scene.second.gate.clear()
        more = [
            Gated(scene.chain, f"node-{letter}.test", f"operator-{letter}", gate=scene.second.gate)
            for letter in "cd"
        ]
        scene.source._providers += more
        monkeypatch.setattr(asyncio, "wait", count)
        scene.chain.reorg(1, (), ())
        await scene.step()
        await scene.step()
        await scene.answers()
        assert len(waits) == 1
        assert [one.waiting for one in (scene.second, *more)] == [1, 1, 1]


async def test_looking_at_another_side_is_given_up_after_a_block_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_scene() as scene:
        monkeypatch.setattr(scene.follower._looks, "_waits_at_most_s", 0.01)
        scene.second.gate.clear()
        scene.now += timedelta(seconds=60)
        await scene.step()
        scene.chain.mine()
        with pytest.raises(Unreachable, match="did not answer within"):
            await scene.step()
        assert isinstance(await scene.step(), Advanced)


@pytest.mark.parametrize(("block_time_s", "patience_s"), [(0.05, 1.0), (2.0, 2.0), (600.0, 10.0)])
def test_patience_is_about_a_block_in_bounds(block_time_s: float, patience_s: float) -> None:
    assert compute_patience_s(block_time_s) == patience_s
