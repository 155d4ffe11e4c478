"""A transfer stays the same transfer wherever its transaction is mined again.

Reorganisations of a real node, seen by the provider; what becomes of a deposit
is the indexer's.  Heights, block hashes and log indexes are places, not names.
"""

from __future__ import annotations

import pytest

from chains.model import AssetId, Transfer, TransferKind
from tests.devnet.compiled import load_contract
from tests.devnet.local import payee
from tests.live_evm.conftest import SHOP, Faulty, LocalChain, MakeSource, paid_to, transfers_of

pytestmark = pytest.mark.live


def identity(transfer: Transfer) -> tuple[bytes, TransferKind, AssetId, bytes, int]:
    return (transfer.tx_hash, transfer.kind, transfer.asset, transfer.recipient, transfer.n)


async def newest_transfers(faulty: Faulty) -> list[Transfer]:
    return transfers_of(await faulty.fetch_newest())


async def test_case_044_a_transaction_mined_again_elsewhere_is_the_same_transfer(faulty: Faulty) -> None:
    raw = await faulty.chain.node.raw_transaction(await faulty.chain.pay(5))
    (before,) = await newest_transfers(faulty)
    height = await faulty.chain.node.height()
    await faulty.chain.node.call("anvil_reorg", 1, [])
    assert await newest_transfers(faulty) == []
    await faulty.chain.node.call("eth_sendRawTransaction", raw)
    await faulty.chain.node.mine()
    (after,) = await newest_transfers(faulty)
    assert await faulty.chain.node.height() == height + 1
    assert identity(after) == identity(before)
    assert after.conflict_keys == before.conflict_keys


async def test_case_045_another_log_index_at_the_same_height_is_the_same_transfer(faulty: Faulty) -> None:
    sender = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
    mint = load_contract("DemoToken").call("mint", payee(2), 1)
    filler = await faulty.chain.node.send(sender=sender, to=faulty.chain.token, data=mint)
    filler_raw = await faulty.chain.node.raw_transaction(filler)
    await faulty.chain.node.call("anvil_dropTransaction", filler)
    raw = await faulty.chain.node.raw_transaction(await faulty.chain.pay(5))
    (before,) = await newest_transfers(faulty)
    height = await faulty.chain.node.height()
    await faulty.chain.node.call("anvil_reorg", 1, [[filler_raw, 0], [raw, 0]])
    after = next(one for one in await newest_transfers(faulty) if one.recipient.hex() == SHOP[2:])
    assert await faulty.chain.node.height() == height
    assert (before.position, after.position) == ("000000.000000", "000001.000001")
    assert identity(after) == identity(before)


async def test_case_047_the_block_says_which_transaction_took_a_nonce(faulty: Faulty) -> None:
    node = faulty.chain.node
    await node.send(to=SHOP, value=5)
    await node.mine()
    (paid,) = await newest_transfers(faulty)
    (key,) = paid.conflict_keys
    nonce = int.from_bytes(key[20:], "big")
    await node.call("anvil_reorg", 1, [])
    rival = await node.send(to=payee(3), value=5, nonce=hex(nonce))
    await node.mine()
    block = await faulty.fetch_newest()
    spender = block.transfers.spent_by(key)
    assert spender is not None
    assert spender.hex() == rival[2:]
    assert spender != paid.tx_hash


async def test_case_062_blocks_of_one_second_keep_their_order(
    chain: LocalChain, make_source: MakeSource
) -> None:
    now_s = int((await chain.node.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    await chain.node.call("anvil_setBlockTimestampInterval", 0)
    for amount in (1, 2, 3):
        await chain.pay(amount)
    provider = make_source(chain.traits(), chain.node.url).choose_provider()
    blocks = await provider.fetch_blocks(2, 4)
    assert [block.header.height for block in blocks] == [2, 3, 4]
    assert [paid_to(block) for block in blocks] == [[("token", amount)] for amount in (1, 2, 3)]
    assert blocks[0].header.time_s - now_s < 60
    assert len({block.header.time_s for block in blocks}) < 3


async def test_case_119_what_is_pending_is_never_asked_for(faulty: Faulty) -> None:
    await faulty.paid_block()
    asked: list[object] = []

    def note(params: list[object]) -> bool:
        asked.append(params[0])
        return False

    for method in ("eth_getBlockByNumber", "eth_getBlockReceipts"):
        faulty.proxy.bend(method, lambda _params, answer: answer, when=note)
    await faulty.provider.fetch_head_report()
    await faulty.provider.fetch_blocks(0, 1)
    assert asked
    assert "pending" not in asked
