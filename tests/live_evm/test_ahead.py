"""A block that was announced comes with the head, where it is the head; whatever else is answered, it is asked for as ever."""

from __future__ import annotations

import pytest

from chains.errors import ChainError
from chains.evm.nodes.ahead import ALONE_LOOKS
from chains.model import Block, BlockRef
from chains.port import Along
from tests.faultproxy import faults
from tests.faultproxy.faults import Status
from tests.live_evm.conftest import SHOP, Faulty, paid_to

WHOLE = Along(None)


async def newest(faulty: Faulty) -> BlockRef:
    return await faulty.chain.node.block_ref(await faulty.chain.node.height())


async def look(faulty: Faulty, along: Along | None = WHOLE) -> BlockRef:
    """What the source's head is, with the next block along."""
    _, report = await faulty.source.fetch_head_hedged(along=along)
    return report.head.ref


async def announce(faulty: Faulty, ref: BlockRef) -> None:
    faulty.source.note_hint(ref.hash.hex())


async def earn(faulty: Faulty) -> None:
    """The websocket has named what was shown, so that it is believed."""
    for _ in range(3):
        await faulty.chain.node.mine()
        await announce(faulty, await newest(faulty))
        await look(faulty, None)


async def announced_payment(faulty: Faulty, amount: int = 1_500_000) -> BlockRef:
    await faulty.chain.pay(amount)
    ref = await newest(faulty)
    await announce(faulty, ref)
    return ref


async def fetch(faulty: Faulty, ref: BlockRef) -> Block:
    (block,) = await faulty.provider.fetch_blocks_at([ref])
    return block


async def exchanges_of(faulty: Faulty, ref: BlockRef) -> int:
    """A look at the head and the block that follows from it."""
    before = faulty.proxy.http_exchanges
    assert await look(faulty) == ref
    assert paid_to(await fetch(faulty, ref), SHOP)
    return faulty.proxy.http_exchanges - before


async def test_an_announced_block_comes_in_the_exchange_that_tells_the_head(faulty: Faulty) -> None:
    await earn(faulty)
    assert await exchanges_of(faulty, await announced_payment(faulty)) == 1
    assert await exchanges_of(faulty, await announced_payment(faulty)) == 1
    await faulty.chain.pay(5)
    assert await exchanges_of(faulty, await newest(faulty)) == 2, "nobody announced it"


async def test_what_is_at_hand_is_checked_like_any_block(faulty: Faulty) -> None:
    await earn(faulty)
    ref = await announced_payment(faulty)
    faulty.proxy.bend("eth_getBlockReceipts", faults.altered_amount)
    assert await look(faulty) == ref
    with pytest.raises(ChainError):
        await fetch(faulty, ref)
    faulty.proxy.heal()
    assert paid_to(await fetch(faulty, ref), SHOP), "and is at hand once"


async def test_only_what_was_announced_alone_since_the_last_look_is_asked_along(faulty: Faulty) -> None:
    await earn(faulty)
    await announced_payment(faulty)
    assert await exchanges_of(faulty, await announced_payment(faulty)) == 2, "two came: it is not the next"
    ref = await announced_payment(faulty)
    before = faulty.proxy.http_exchanges
    assert await look(faulty, None) == ref, "whoever is not at the head wants nothing along"
    await fetch(faulty, ref)
    assert faulty.proxy.http_exchanges - before == 2


async def test_who_is_not_believed_chooses_nothing_that_is_asked(faulty: Faulty) -> None:
    assert await exchanges_of(faulty, await announced_payment(faulty)) >= 2
    await earn(faulty)
    faulty.source.note_hint("not a hash".ljust(64, "z"))
    await faulty.chain.pay(5)
    assert await exchanges_of(faulty, await newest(faulty)) == 2


async def test_a_block_that_was_announced_and_is_not_the_head_is_not_at_hand(faulty: Faulty) -> None:
    await earn(faulty)
    await announced_payment(faulty)
    await faulty.chain.pay(7)
    assert await exchanges_of(faulty, await newest(faulty)) == 2


async def test_a_block_that_the_node_does_not_hold_yet_is_asked_for_again(faulty: Faulty) -> None:
    await earn(faulty)
    ref = await announced_payment(faulty)
    faulty.proxy.bend("eth_getBlockByHash", faults.constant(None), times=1)
    assert await exchanges_of(faulty, ref) == 2


async def test_after_an_exchange_with_both_failed_heads_are_asked_for_alone_for_a_while(
    faulty: Faulty,
) -> None:
    await earn(faulty)
    await announced_payment(faulty)
    faulty.proxy.next_exchange(Status(502))
    with pytest.raises(ChainError):
        await faulty.provider.fetch_head_report(announced="0x" + (await newest(faulty)).hash.hex())
    await look(faulty, None)
    alone = [await exchanges_of(faulty, await announced_payment(faulty)) for _ in range(ALONE_LOOKS)]
    assert alone == [2] * ALONE_LOOKS
    assert await exchanges_of(faulty, await announced_payment(faulty)) == 1
