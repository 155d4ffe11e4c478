"""Receipts are asked for where they can matter, and only there: counted at a real node, by hash and by height.

What may be spared is decided in `tests/unit/chains/test_sparing.py`; that no deposit is lost by it, whoever registers
when, is `tests/live/test_sparing.py`.
"""

from __future__ import annotations

import pytest

from chains.errors import Inconsistent
from chains.model import Block, Sought, VerificationLevel
from tests.devnet.local import payee, to_address
from tests.faultproxy import faults
from tests.live_evm.conftest import SHOP, Faulty, MakeSource, paid_to

pytestmark = pytest.mark.live

STRANGER = payee(7)
WHOLE, ONE = "eth_getBlockReceipts", "eth_getTransactionReceipt"


def sought(*people: str) -> Sought:
    return Sought(frozenset(map(to_address, people)), 3)


async def fetch_newest(faulty: Faulty, *people: str) -> Block:
    ref = await faulty.chain.node.block_ref(await faulty.chain.node.height())
    (block,) = await faulty.provider.fetch_blocks_at([ref], sought=sought(*people))
    return block


@pytest.fixture
async def vouched(faulty: Faulty) -> Faulty:
    """A provider that has shown a block whose receipts give its bloom."""
    await faulty.chain.pay(1, to=STRANGER)
    block = await fetch_newest(faulty, SHOP)
    assert block.spared is None, "nothing is spared before a bloom was seen to hold"
    return faulty


async def test_a_block_that_cannot_matter_is_read_without_receipts(vouched: Faulty) -> None:
    await vouched.chain.pay(5, to=STRANGER, mine=False)
    await vouched.chain.node.send(to=STRANGER, value=7)
    await vouched.chain.node.mine()
    asked = vouched.proxy.calls[WHOLE]
    block = await fetch_newest(vouched, SHOP)
    assert vouched.proxy.calls[WHOLE] == asked
    assert block.spared is not None
    assert block.spared.version == 3
    assert (block.tx_count, block.level, block.doubts) == (2, VerificationLevel.FULL, ())
    assert list(block.transfers.recipients) == []
    whole = await vouched.fetch_newest()
    assert whole.spared is None
    assert dict.fromkeys(whole.transfers.spends) == dict.fromkeys(block.transfers.spends)
    assert block.spared.may_concern([to_address(STRANGER)])
    assert not block.spared.may_concern([to_address(payee(9))])


@pytest.mark.parametrize("kind", ["token", "native"])
async def test_a_block_that_can_matter_is_read_whole(vouched: Faulty, kind: str) -> None:
    if kind == "token":
        await vouched.chain.pay(5)
    else:
        await vouched.chain.node.send(to=SHOP, value=5)
        await vouched.chain.node.mine()
    asked = vouched.proxy.calls[WHOLE]
    block = await fetch_newest(vouched, SHOP)
    assert vouched.proxy.calls[WHOLE] == asked + 1
    assert block.spared is None
    assert paid_to(block) == [(kind, 5)]


async def test_a_range_is_read_with_the_receipts_of_those_that_can_matter(vouched: Faulty) -> None:
    first = await vouched.chain.node.height() + 1
    for amount, to in ((1, STRANGER), (2, SHOP), (3, STRANGER), (4, SHOP)):
        await vouched.chain.pay(amount, to=to)
    await vouched.chain.node.mine()
    asked = vouched.proxy.calls[WHOLE]
    blocks = await vouched.provider.fetch_blocks(first, first + 4, sought=sought(SHOP))
    assert vouched.proxy.calls[WHOLE] == asked + 2
    assert [block.spared is not None for block in blocks] == [True, False, True, False, False]
    assert [paid_to(block) for block in blocks] == [[], [("token", 2)], [], [("token", 4)], []]


async def test_who_seeks_nobody_in_particular_gets_blocks_whole(vouched: Faulty) -> None:
    await vouched.chain.pay(5, to=STRANGER)
    assert paid_to(await vouched.fetch_newest(), STRANGER) == [("token", 5)]


async def test_a_node_that_gives_receipts_one_by_one_is_spared_them_as_well(vouched: Faulty) -> None:
    vouched.proxy.bend(WHOLE, faults.failing(-32601, "the method does not exist"))
    await vouched.chain.pay(5)
    assert paid_to(await fetch_newest(vouched, SHOP)) == [("token", 5)]
    asked = vouched.proxy.calls[ONE]
    await vouched.chain.pay(6, to=STRANGER)
    assert (await fetch_newest(vouched, SHOP)).spared is not None
    assert vouched.proxy.calls[ONE] == asked


async def test_where_few_can_be_spared_receipts_come_with_their_block(vouched: Faulty) -> None:
    for amount in range(1, 24):
        await vouched.chain.pay(amount)
        assert paid_to(await fetch_newest(vouched, SHOP)) == [("token", amount)]
    await vouched.chain.pay(5)
    exchanges = vouched.proxy.http_exchanges
    await fetch_newest(vouched, SHOP)
    assert vouched.proxy.http_exchanges == exchanges + 1
    await vouched.chain.pay(6, to=STRANGER)
    assert (await fetch_newest(vouched, SHOP)).spared is None, "they are there already"


async def test_traced_chains_and_those_that_are_told_to_read_everything(
    faulty: Faulty, make_source: MakeSource
) -> None:
    source = make_source(faulty.chain.traits(profile="agreement"), faulty.proxy.url)
    for _ in range(2):
        await faulty.chain.pay(5, to=STRANGER)
        ref = await faulty.chain.node.block_ref(await faulty.chain.node.height())
        (block,) = await source.choose_provider().fetch_blocks_at([ref], sought=sought(SHOP))
        assert block.spared is None


@pytest.mark.parametrize(
    "name",
    ["an emptied bloom", "a payment sent elsewhere", "a payment left out", "another block"],
)
async def test_a_lie_about_what_stands_in_for_receipts_is_refused(vouched: Faulty, name: str) -> None:
    await vouched.chain.pay(5)

    def lie(_params: object, answer: faults.Answer) -> faults.Answer:
        block = answer["result"]
        match name:
            case "an emptied bloom":
                block["logsBloom"] = "0x" + "00" * 256
            case "a payment sent elsewhere":
                block["logsBloom"] = "0x" + "00" * 256
                block["transactions"][0]["to"] = STRANGER
            case "a payment left out":
                block["logsBloom"] = "0x" + "00" * 256
                block["transactions"] = []
            case _:
                block["hash"] = "0x" + "01" * 32
        return answer

    vouched.proxy.bend("eth_getBlockByHash", lie)
    with pytest.raises(Inconsistent):
        await fetch_newest(vouched, SHOP)
    vouched.proxy.heal()
    assert paid_to(await fetch_newest(vouched, SHOP)) == [("token", 5)]


async def test_an_excuse_for_a_wrong_bloom_costs_the_receipts_and_is_held(vouched: Faulty) -> None:
    await vouched.chain.pay(5)

    def lie(_params: object, answer: faults.Answer) -> faults.Answer:
        answer["result"] |= {"logsBloom": "0x" + "00" * 256, "newForkRoot": "0x" + "01" * 32}
        return answer

    vouched.proxy.bend("eth_getBlockByHash", lie)
    block = await fetch_newest(vouched, SHOP)
    assert block.spared is None
    assert paid_to(block) == [("token", 5)]
    assert block.hold > 0
