"""What nodes say that they put away: told at once where it is ours and true, and cheap where it is neither."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest

from chains.model import TxHash
from indexer.follow.mempools import watch as watching
from indexer.follow.mempools.look import Apart, Looked
from indexer.follow.mempools.watch import MempoolWatch
from indexer.rules.unconfirmed import EVICTED_AFTER
from tests.unit.indexer.mempools import PAYER, Scene, open_scene


async def seen_payment(nodes: int = 1) -> tuple[Scene, TxHash]:
    """A payment that waits and was told."""
    scene = await open_scene(nodes)
    payment = scene.pay()
    scene.chain.broadcast(payment)
    for node in range(nodes):
        await scene.look(node=node)
    assert scene.told == ["deposit.seen"]
    return scene, payment.tx_hash


async def test_case_065_what_a_node_put_away_is_dropped_with_the_next_look() -> None:
    scene, tx = await seen_payment()
    scene.nodes[0].forgotten = frozenset({tx})
    assert scene.lookers[0].note_left([tx])
    await scene.look()
    assert scene.told == ["deposit.seen", "deposit.dropped"]
    scene.nodes[0].forgotten = frozenset()
    await scene.look()
    assert scene.told == ["deposit.seen", "deposit.dropped", "deposit.seen"], (
        "it comes back when its node shows it"
    )


async def test_case_065_what_is_only_gone_is_waited_for_as_before() -> None:
    scene, tx = await seen_payment()
    scene.nodes[0].forgotten = frozenset({tx})
    await scene.look()
    scene.now += EVICTED_AFTER - timedelta(minutes=1)
    await scene.look()
    assert scene.told == ["deposit.seen"]


async def test_a_lie_about_what_still_waits_changes_nothing_and_is_not_remembered() -> None:
    scene, tx = await seen_payment()
    assert scene.lookers[0].note_left([tx])
    await scene.look()
    scene.nodes[0].forgotten = frozenset({tx})
    await scene.look()
    assert scene.told == ["deposit.seen"]


async def test_what_another_node_still_shows_is_not_dropped() -> None:
    scene, tx = await seen_payment(nodes=2)
    scene.nodes[0].forgotten = frozenset({tx})
    assert scene.lookers[0].note_left([tx])
    await scene.look()
    assert scene.told == ["deposit.seen"]


async def test_what_strangers_payments_do_concerns_nobody() -> None:
    scene, _ = await seen_payment()
    strangers = [TxHash(number.to_bytes(32, "big")) for number in range(50_000)]
    assert not scene.lookers[0].note_left(strangers)
    assert not scene.lookers[0].note_left([TxHash(b""), TxHash(b"\xff" * 99)])
    await scene.look()
    assert scene.told == ["deposit.seen"]


async def test_what_was_put_away_for_a_block_is_that_blocks_business() -> None:
    scene, tx = await seen_payment()
    rival = scene.pay(1, to=PAYER)
    assert scene.lookers[0].note_left([tx])
    scene.chain.mine(rival)
    assert await scene.look() == Apart()
    await scene.follow()
    await scene.look()
    assert scene.told == ["deposit.seen", "deposit.replaced"]


async def test_what_was_said_before_a_look_that_failed_is_still_known_at_the_next() -> None:
    scene, tx = await seen_payment()
    scene.nodes[0].forgotten = frozenset({tx})
    assert scene.lookers[0].note_left([tx])
    scene.chain.mine()
    assert await scene.look() == Apart()
    await scene.follow()
    await scene.look()
    assert scene.told == ["deposit.seen", "deposit.dropped"]


@pytest.mark.parametrize("at_once", [1, 1_000])
async def test_a_flood_of_lies_about_ours_costs_a_look_at_the_whole_a_second_and_no_more(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's own bound, with its waits made instant and its clock turned by hand."""
    scene, tx = await seen_payment()
    clock_s = [1_000.0]
    wholes: list[float] = []

    class Clock:
        def time(self) -> float:
            return clock_s[0]

    monkeypatch.setattr(watching, "asyncio", SimpleNamespace(get_running_loop=Clock))
    watch = MempoolWatch.__new__(MempoolWatch)
    watch._looker, watch._mempool = scene.lookers[0], scene.nodes[0]
    watch._whole_at_s = watch._whole_again_s = watch._fees_at_s = 0.0

    class Around:
        def now(self) -> object:
            return scene.now

    watch._around = Around()  # type: ignore[assignment]  # a clock is all it is asked for
    fetch_waiting = scene.nodes[0].fetch_waiting

    async def count() -> Sequence[TxHash]:
        wholes.append(clock_s[0])
        return list(await fetch_waiting())

    monkeypatch.setattr(type(scene.nodes[0]), "fetch_waiting", lambda _: count())
    for _ in range(100):
        scene.nodes[0].left = [tx] * at_once
        watch._hear_of_left()
        assert isinstance(await watch._look([]), Looked)
        clock_s[0] += 0.1
    assert 9 <= len(wholes) <= 11, "ten seconds"
