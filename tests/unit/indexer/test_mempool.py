"""What looks at mempools tell: seen, dropped and back again, beside blocks that come and leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from chains.errors import Unreachable
from chains.mempool import FeeRung, WaitingTx
from chains.model import BlockHash, TransferKind, TxHash
from chains.scripted.chain import ScriptedMove
from chains.scripted.mempool import ScriptedMempool
from indexer.follow.mempools import look
from indexer.follow.mempools.look import TXS_READ_MAX, Apart, Looked, NotNow
from indexer.rows.storage import LeaseLost
from indexer.rules.unconfirmed import EVICTED_AFTER
from tests.unit.indexer.mempools import OTHER_TILL, PAYER, TILL, open_scene

EVICTED_MINUTES = int(EVICTED_AFTER.total_seconds() // 60)


async def test_a_payment_that_waits_is_told_once_and_credited_never() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    for _ in range(3):
        await scene.look()
    deposit = scene.deposit(payment)
    assert deposit is not None
    assert scene.told == ["deposit.seen"]
    assert (deposit.state.value, deposit.credited_base_units, deposit.occurrence) == ("seen", 0, None)


async def test_the_block_makes_the_same_deposit_included() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look()
    seen = scene.deposit(payment)
    scene.chain.mine(payment)
    await scene.follow()
    included = scene.deposit(payment)
    assert seen is not None
    assert included is not None
    assert (included.id, included.first_seen_at) == (seen.id, seen.first_seen_at)
    assert scene.told == ["deposit.seen", "deposit.included"]


async def test_a_block_that_came_while_nobody_looked_makes_it_included_too() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look()
    scene.chain.mine(payment)
    scene.chain.mine_many(3)
    scene.start_again()
    await scene.follow()
    await scene.look()
    assert scene.state(payment) == "confirmed"
    assert scene.told[:2] == ["deposit.seen", "deposit.confirmed"]


async def test_what_two_nodes_show_is_one_deposit() -> None:
    scene = await open_scene(nodes=2)
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look(node=0)
    await scene.look(node=1)
    assert scene.told == ["deposit.seen"]


async def test_a_rival_that_waits_drops_it_and_one_in_a_block_replaces_it_by_name() -> None:
    scene = await open_scene()
    payment, rival = scene.pay(), scene.pay(1, to=PAYER)
    scene.chain.broadcast(payment)
    await scene.look()
    scene.chain.broadcast(rival)
    await scene.look()
    assert scene.state(payment) == "dropped"
    scene.chain.mine(rival)
    await scene.follow()
    assert (scene.state(payment), scene.replaced_by(payment)) == ("replaced", rival.tx_hash)
    assert scene.told == ["deposit.seen", "deposit.dropped", "deposit.replaced"]


async def test_a_rival_that_only_a_block_shows_replaces_it_by_name() -> None:
    scene = await open_scene()
    payment, rival = scene.pay(), scene.pay(1, to=PAYER)
    scene.chain.broadcast(payment)
    await scene.look()
    scene.chain.mine(rival)
    await scene.follow()
    await scene.look()
    assert (scene.state(payment), scene.replaced_by(payment)) == ("replaced", rival.tx_hash)


async def test_a_bump_that_pays_us_too_is_another_deposit() -> None:
    scene = await open_scene()
    payment, bumped = scene.pay(), scene.pay(490)
    scene.chain.broadcast(payment)
    await scene.look()
    scene.chain.broadcast(bumped)
    await scene.look()
    assert (scene.state(payment), scene.state(bumped)) == ("dropped", "seen")
    assert scene.told == ["deposit.seen", "deposit.dropped", "deposit.seen"]
    scene.chain.mine(bumped)
    await scene.follow()
    assert (scene.state(payment), scene.state(bumped)) == ("replaced", "included")


async def test_what_is_only_gone_is_dropped_after_its_time_and_comes_back() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look()
    scene.chain.evict(payment)
    await scene.look_for(EVICTED_MINUTES - 1)
    assert scene.state(payment) == "seen"
    await scene.look_for(2)
    assert scene.state(payment) == "dropped"
    scene.chain.broadcast(payment)
    await scene.look()
    assert scene.state(payment) == "seen"
    assert scene.told == ["deposit.seen", "deposit.dropped", "deposit.seen"]


async def test_a_node_that_forgets_at_its_start_and_hears_again_changes_nothing() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look()
    scene.nodes[0].forgotten = frozenset({payment.tx_hash})
    await scene.look_for(EVICTED_MINUTES - 1)
    scene.nodes[0].forgotten = frozenset()
    await scene.look_for(2)
    scene.nodes[0].forgotten = frozenset({payment.tx_hash})
    await scene.look_for(EVICTED_MINUTES - 1)
    assert scene.told == ["deposit.seen"]


async def test_our_own_restart_loses_nothing_and_tells_nothing_twice() -> None:
    scene = await open_scene()
    payment, later = scene.pay(), scene.pay(nonce=2)
    scene.chain.broadcast(payment)
    await scene.look()
    scene.start_again()
    scene.chain.broadcast(later)
    await scene.look()
    assert scene.told == ["deposit.seen", "deposit.seen"]
    scene.chain.evict(payment)
    await scene.look_for(EVICTED_MINUTES + 2)
    assert (scene.state(payment), scene.state(later)) == ("dropped", "seen")


async def test_silence_says_nothing_and_its_time_does_not_count() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look()
    scene.chain.evict(payment)
    await scene.look()
    scene.nodes[0].is_down = True
    for _ in range(3):
        with pytest.raises(Unreachable):
            await scene.look(minutes=10)
    scene.nodes[0].is_down = False
    await scene.look()
    assert scene.state(payment) == "seen", "nobody looked for half an hour"
    await scene.look_for(EVICTED_MINUTES + 1)
    assert scene.state(payment) == "dropped"


async def test_one_node_that_shows_it_is_enough() -> None:
    scene = await open_scene(nodes=2)
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look_for(1)
    scene.nodes[0].forgotten = frozenset({payment.tx_hash})
    await scene.look_for(EVICTED_MINUTES + 5)
    assert scene.told == ["deposit.seen"]


async def test_what_was_dropped_while_a_node_was_silent_is_seen_when_it_still_shows_it() -> None:
    scene = await open_scene(nodes=2)
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look_for(1)
    scene.nodes[1].forgotten = frozenset({payment.tx_hash})
    scene.nodes[0].is_down = True
    for _ in range(EVICTED_MINUTES + 2):
        with pytest.raises(Unreachable):
            await scene.look(node=0)
        await scene.look(minutes=1, node=1)
    assert scene.state(payment) == "dropped"
    scene.nodes[0].is_down = False
    await scene.look(node=0)
    assert scene.state(payment) == "seen"


async def test_an_address_that_is_registered_while_its_payment_waits_is_told_by_the_next_look() -> None:
    scene = await open_scene()
    payment = scene.pay(to=OTHER_TILL)
    scene.chain.broadcast(payment)
    await scene.look()
    assert scene.told == []
    scene.watch(OTHER_TILL)
    await scene.look(is_whole=False)
    assert scene.state(payment) == "seen"


async def test_a_node_that_leaves_our_block_while_it_is_read_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    read = ScriptedMempool.fetch_waiting_txs

    async def read_and_leave(node: ScriptedMempool, tx_hashes: Sequence[TxHash]) -> list[WaitingTx]:
        found = await read(node, tx_hashes)
        node.stands_on = BlockHash(b"another branch".ljust(32, b"."))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ScriptedMempool, "fetch_waiting_txs", read_and_leave)
        assert await scene.look() == Apart()
    assert scene.told == []
    for node in scene.nodes:
        node.stands_on = None
    await scene.look()
    assert scene.told == ["deposit.seen"]


async def test_a_node_on_another_block_says_nothing() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    scene.nodes[0].stands_on = BlockHash(b"another branch".ljust(32, b"."))
    assert await scene.look() == Apart()
    assert scene.told == []
    scene.nodes[0].stands_on = None
    scene.chain.mine()
    assert await scene.look() == Apart(), "the node has a block more than we do"
    await scene.follow()
    await scene.look()
    assert scene.told == ["deposit.seen"]


async def test_a_mempool_that_is_behind_its_own_blocks_takes_nothing_back() -> None:
    scene = await open_scene()
    payment, rival, other = scene.pay(), scene.pay(1, to=PAYER), scene.pay(nonce=2)
    scene.chain.broadcast(payment)
    scene.chain.broadcast(other)
    await scene.look()
    scene.chain.mine(rival, other)
    await scene.follow()
    scene.nodes[0].remembers = (payment, other)
    scene.start_again()
    await scene.follow()
    for _ in range(3):
        await scene.look()
    assert (scene.state(payment), scene.replaced_by(payment)) == ("replaced", rival.tx_hash)
    assert scene.state(other) == "included"


async def test_what_was_replaced_waits_again_when_its_rivals_block_leaves() -> None:
    scene = await open_scene()
    payment, rival = scene.pay(), scene.pay(1, to=PAYER)
    scene.chain.broadcast(payment)
    await scene.look()
    scene.chain.mine(rival)
    await scene.follow()
    scene.chain.reorg(1, (), ())
    scene.chain.broadcast(payment)
    await scene.follow()
    assert scene.state(payment) == "replaced"
    await scene.look()
    assert scene.state(payment) == "seen"
    scene.chain.mine(rival)
    await scene.follow()
    assert (scene.state(payment), scene.replaced_by(payment)) == ("replaced", rival.tx_hash)


async def test_what_lost_its_block_and_waits_again_is_seen_and_what_does_not_is_dropped() -> None:
    scene = await open_scene()
    waits, gone = scene.pay(), scene.pay(nonce=2)
    scene.chain.broadcast(waits)
    await scene.look()
    scene.chain.mine(waits, gone)
    await scene.follow()
    scene.chain.reorg(1, (), ())
    scene.chain.evict(gone)
    await scene.follow()
    assert (scene.state(waits), scene.state(gone)) == ("orphaned", "orphaned")
    await scene.look_for(EVICTED_MINUTES + 2)
    assert (scene.state(waits), scene.state(gone)) == ("seen", "dropped")


async def test_a_look_that_a_block_overtook_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await open_scene()
    payment, rival, other = scene.pay(), scene.pay(1, to=PAYER), scene.pay(nonce=2)
    scene.chain.broadcast(payment)
    scene.chain.broadcast(other)
    read = scene.nodes[0].fetch_waiting_txs
    scene.nodes[0].stands_on = scene.chain.head.hash  # it is slower than we are

    async def overtaken(self: object, asked: object) -> object:
        txs = await read(asked)  # type: ignore[arg-type]  # as the looker asks
        scene.chain.mine(rival)
        await scene.follow()
        return txs

    with monkeypatch.context() as patched:
        patched.setattr(type(scene.nodes[0]), "fetch_waiting_txs", overtaken)
        assert await scene.look() == NotNow()
    assert scene.told == []
    scene.nodes[0].stands_on = None
    await scene.look()
    assert (scene.state(payment), scene.state(other)) == (None, "seen"), "it is not lost either"


async def test_a_halted_chain_tells_nothing_of_what_waits() -> None:
    scene = await open_scene()
    scene.rows.record = replace(scene.rows.record, halt_reason="planted", halted_at=scene.now)
    scene.chain.broadcast(scene.pay())
    assert await scene.look() == NotNow()
    scene.rows.record = replace(scene.rows.record, halt_reason=None, halted_at=None)
    await scene.look()
    assert scene.told == ["deposit.seen"]


async def test_whoever_lost_the_lease_writes_nothing() -> None:
    scene = await open_scene()
    scene.chain.broadcast(scene.pay())
    scene.store.take_lease(scene.chain.traits.chain)
    with pytest.raises(LeaseLost):
        await scene.look()
    assert scene.told == []


async def test_below_the_minimum_the_block_tells() -> None:
    scene = await open_scene()
    native = scene.chain.traits.native
    scene.desk.naming = replace(
        scene.desk.naming,
        assets={**scene.desk.naming.assets, native.asset_id: replace(native, min_base_units=1_000)},
    )
    dust = scene.pay(999)
    scene.chain.broadcast(dust)
    await scene.look()
    assert scene.rows.deposits == {}
    scene.chain.mine(dust)
    await scene.follow()
    deposit = scene.deposit(dust)
    assert deposit is not None
    assert not deposit.published


async def test_one_look_reads_so_many_and_the_next_goes_on() -> None:
    scene = await open_scene()
    for nonce in range(TXS_READ_MAX + 5):
        scene.chain.broadcast(scene.pay(nonce=nonce, to=OTHER_TILL if nonce else TILL))
    first, second = await scene.look(), await scene.look(is_whole=False)
    assert isinstance(first, Looked)
    assert isinstance(second, Looked)
    assert (first.is_more, second.is_more) == (True, False)
    assert scene.told == ["deposit.seen"]


async def test_what_is_hinted_at_is_read_first() -> None:
    scene = await open_scene()
    for nonce in range(TXS_READ_MAX + 5):
        scene.chain.broadcast(scene.pay(nonce=nonce, to=OTHER_TILL))
    await scene.look()
    payment = scene.pay(nonce=10_000)
    scene.chain.broadcast(payment)
    await scene.lookers[0].step(scene.now, is_whole=False, entered=[payment.tx_hash])
    assert scene.state(payment) == "seen"


async def test_a_transaction_that_makes_no_sense_is_left_out_and_the_others_are_told() -> None:
    scene = await open_scene()
    payment = scene.pay()
    senseless = scene.chain.pay(TILL, 10**80, sender=PAYER, nonce=3)
    scene.chain.broadcast(senseless)
    scene.chain.broadcast(payment)
    outcome = await scene.look()
    assert isinstance(outcome, Looked)
    assert outcome.unreadable_count == 1
    assert (scene.state(payment), scene.state(senseless)) == ("seen", None)
    again = await scene.look()
    assert isinstance(again, Looked)
    assert again.unreadable_count == 0, "it is read once"


async def test_the_event_says_what_is_offered_and_what_the_next_blocks_want() -> None:
    scene = await open_scene()
    scene.nodes[0].fee_rungs = (FeeRung(1, 9_000), FeeRung(6, 4_000), FeeRung(144, 1_000))
    payment = replace(scene.pay(fee=5_000), has_unconfirmed_parents=True)
    scene.chain.broadcast(payment)
    await scene.look()
    (event,) = (one for log in scene.store.logs.by_merchant.values() for one in log.events)
    assert msgspec.json.decode(event.body)["data"]["deposit"]["waiting"] == {
        "fee_rate_per_kvb": "5000",
        "fee_rate_wanted_per_kvb": "9000",
        "has_unconfirmed_parents": True,
        "expected_blocks": 6,
    }
    scene.nodes[0].fee_rungs = (FeeRung(1, 90_000), FeeRung(144, 6_000))
    await scene.look()
    deposit = scene.deposit(payment)
    assert deposit is not None
    assert deposit.fees is not None
    assert (deposit.fees.expected_blocks, deposit.version) == (None, 1), "stuck, and no event for it"
    scene.chain.mine(payment)
    await scene.follow()
    included = scene.deposit(payment)
    assert included is not None
    assert included.fees is None


async def test_time_between_looks_is_counted_from_the_first_that_missed_it() -> None:
    scene = await open_scene()
    payment = scene.pay()
    scene.chain.broadcast(payment)
    await scene.look()
    scene.now += timedelta(hours=5)
    scene.chain.evict(payment)
    await scene.look()
    assert scene.state(payment) == "seen"


async def test_one_transaction_that_pays_us_very_often_is_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "HITS_MAX", 3)
    scene = await open_scene()
    native = scene.chain.traits.native.asset_id
    move = ScriptedMove(TILL, 5, native, TransferKind.NATIVE, PAYER)
    for nonce in range(4):
        scene.chain.broadcast(scene.chain.make_tx([move] * 2, nonce=nonce))
    begun: list[int] = []
    for _ in range(3):
        outcome = await scene.look(is_whole=False) if begun else await scene.look()
        assert isinstance(outcome, Looked)
        begun.append(len(outcome.changes))
    assert begun == [4, 4, 0]


async def test_with_so_many_that_wait_none_is_begun_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(look, "UNDECIDED_MAX", 2)
    scene = await open_scene()
    payments = [scene.pay(nonce=nonce) for nonce in range(4)]
    for payment in payments[:2]:
        scene.chain.broadcast(payment)
    await scene.look()
    for payment in payments[2:]:
        scene.chain.broadcast(payment)
    await scene.look()
    assert [scene.state(one) for one in payments] == ["seen", "seen", None, None]
    scene.chain.mine(*payments[:3])
    await scene.follow()
    await scene.look()
    assert [scene.state(one) for one in payments] == ["included", "included", "included", "seen"]


async def test_addresses_of_long_ago_are_not_looked_through_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = await open_scene()
    scene.start_again()
    await scene.follow()
    pages: list[int] = []
    load = scene.store.load_watch_page

    async def counted(*args: object, **named: int) -> object:
        pages.append(named["after_version"])
        return await load(*args, **named)  # type: ignore[arg-type]  # as the looker asks

    monkeypatch.setattr(scene.store, "load_watch_page", counted)
    scene.watch(OTHER_TILL)
    await scene.look()
    await scene.look()
    assert pages == []
