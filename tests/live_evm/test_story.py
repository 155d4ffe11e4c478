"""A transaction's story lists all it claims, and is never taken for a deposit.

Real transactions on anvil: counted ones, failed ones, strangers' tokens, and
ones still waiting.  What the words around a story are is the indexer's.
"""

from __future__ import annotations

import pytest

from chains.errors import Inconsistent, Missing
from chains.model import TransactionStory, TransferKind, TxHash
from tests.devnet.compiled import load_contract
from tests.devnet.local import to_address
from tests.faultproxy import faults
from tests.live_evm.conftest import SHOP, Faulty

pytestmark = pytest.mark.live


async def story_of(faulty: Faulty, tx_hash: str) -> TransactionStory:
    story = await faulty.provider.fetch_transaction(TxHash(bytes.fromhex(tx_hash[2:])))
    assert story is not None
    return story


async def test_a_waiting_transaction_has_no_block_and_no_outcome(faulty: Faulty) -> None:
    story = await story_of(faulty, await faulty.chain.node.send(to=SHOP, value=5))
    assert (story.block, story.succeeded) == (None, None)
    assert [one.amount_base_units for one in story.movements] == [5]


async def test_a_failed_transaction_still_says_what_it_tried(faulty: Faulty) -> None:
    tx_hash = await faulty.chain.node.send(to=faulty.chain.token, value=5, data="0xdeadbeef")
    await faulty.chain.node.mine()
    story = await story_of(faulty, tx_hash)
    assert story.succeeded is False
    assert [one.kind for one in story.movements] == [TransferKind.NATIVE]


async def test_a_listed_tokens_payment_names_its_asset(faulty: Faulty) -> None:
    (one,) = (await story_of(faulty, await faulty.chain.pay(5))).movements
    assert (one.kind, one.contract) == (TransferKind.TOKEN, to_address(faulty.chain.token))
    assert one.asset is not None
    assert (one.asset.endswith(faulty.chain.token), one.well_formed, one.claimed_symbol) == (True, True, None)


async def test_case_004_a_strangers_token_says_what_it_calls_itself(faulty: Faulty) -> None:
    clone = await faulty.chain.node.deploy(load_contract("DemoToken").creation("Tether", "USDT", 6))
    tx_hash = await faulty.chain.node.send(to=clone, data=load_contract("DemoToken").call("mint", SHOP, 5))
    await faulty.chain.node.mine()
    (one,) = (await story_of(faulty, tx_hash)).movements
    assert (one.asset, one.contract, one.claimed_symbol) == (None, to_address(clone), "USDT")


async def test_case_009_events_that_only_look_like_transfers_are_marked(faulty: Faulty) -> None:
    nft = await faulty.chain.deploy("NftLike")
    for function in ("give", "giveUnindexed", "giveWide"):
        data = load_contract("NftLike").call(function, SHOP, 7)
        tx_hash = await faulty.chain.node.send(to=nft, data=data)
        await faulty.chain.node.mine()
        (one,) = (await story_of(faulty, tx_hash)).movements
        assert (one.well_formed, one.amount_base_units) == (False, 0)


async def test_an_answer_about_another_transaction_is_refused(faulty: Faulty) -> None:
    first, second = await faulty.chain.pay(5), await faulty.chain.pay(6)
    foreign = await faulty.chain.node.call("eth_getTransactionByHash", second)
    faulty.proxy.bend("eth_getTransactionByHash", faults.constant(foreign))
    with pytest.raises(Inconsistent):
        await story_of(faulty, first)


async def test_a_mined_transaction_without_its_receipt_is_missing(faulty: Faulty) -> None:
    tx_hash = await faulty.chain.pay(5)
    faulty.proxy.bend("eth_getTransactionReceipt", faults.nothing)
    with pytest.raises(Missing):
        await story_of(faulty, tx_hash)
