"""Proofs of a real node's transactions: believed by the node itself as a merkle block (BIP 37), and by the merchant's kit."""

from __future__ import annotations

from typing import Any

import pytest

from chains.bitcoin.rows.blocks import hash_twice
from chains.errors import Missing
from chains.model import TxHash
from chains.proofs import MerkleProof, Unprovable, UnprovableReason
from relay.kit.verify_deposit import verify_deposit
from tests.devnet.anvil import RpcFailure
from tests.devnet.bitcoind import BitcoinNode, needs_bitcoind
from tests.live_bitcoin.conftest import MakeSource
from tests.live_bitcoin.world import TILL, regtest_traits
from tests.unit.chains.bitcoin.making import length
from tests.unit.relay.output_cases import write_proof

pytestmark = [pytest.mark.live, needs_bitcoind]


def write_merkle_block(proof: MerkleProof, tx_count: int) -> bytes:
    """The same proof as nodes exchange it: hashes and flags of the tree, depth first."""
    hashes, flags = list[bytes](), list[int]()

    def walk(height: int, place: int) -> None:
        is_above = proof.index >> height == place
        flags.append(is_above)
        if height and is_above:
            for child in (2 * place, 2 * place + 1):
                if child < (tx_count + (1 << height - 1) - 1) >> height - 1:
                    walk(height - 1, child)
        else:
            hashes.append(hash_twice(proof.transaction) if is_above else proof.branch[height])

    walk((tx_count - 1).bit_length(), 0)
    bits = bytes(
        sum(bit << place for place, bit in enumerate(flags[begin : begin + 8]))
        for begin in range(0, len(flags), 8)
    )
    tree = length(len(hashes)) + b"".join(hashes) + length(len(bits)) + bits
    return proof.header + tx_count.to_bytes(4, "little") + tree


async def list_believed(node: BitcoinNode, merkle_block: bytes) -> list[str]:
    """The transactions that the node takes from it for its chain's."""
    try:
        return list(await node.call("verifytxoutproof", merkle_block.hex()))
    except RpcFailure:
        return []


@pytest.mark.parametrize("payments", [1, 2, 3, 6, 11])
async def test_a_node_and_the_kit_believe_what_its_block_proves(
    node: BitcoinNode, make_source: MakeSource, payments: int
) -> None:
    txs = [await node.pay((TILL, 1_000 + number)) for number in range(payments)]
    await node.mine(1, txs=txs)
    block = await node.block_ref(await node.height())
    await node.mine(3)
    provider = make_source(node).choose_provider()
    for index, tx in enumerate(txs, 1):
        proof = await provider.fetch_deposit_proof(block, TxHash(tx.id[::-1]))
        assert isinstance(proof, MerkleProof)
        assert (proof.index, len(proof.headers)) == (index, 3)
        merkle_block = write_merkle_block(proof, payments + 1)
        assert await list_believed(node, merkle_block) == [tx.id[::-1].hex()]
        bent = bytearray(merkle_block)
        bent[90] ^= 1
        assert await list_believed(node, bytes(bent)) != [tx.id[::-1].hex()]
        told: Any = write_proof(
            regtest_traits().chain, block.height, proof.header, index, proof.transaction, list(proof.branch),
            list(proof.headers), 0, 999 + index, TILL,
        )  # fmt: skip
        proven = verify_deposit(told, block.hash)
        assert (proven.amount_base_units, proven.headers_count) == (999 + index, 4)


async def test_what_left_the_chain_is_missing_and_what_was_never_there_is_not_proven(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    tx = await node.pay((TILL, 5))
    await node.mine(1, txs=[tx])
    block = await node.block_ref(await node.height())
    provider = make_source(node).choose_provider()
    nothing = await provider.fetch_deposit_proof(block, TxHash(bytes(32)))
    assert isinstance(nothing, Unprovable)
    assert nothing.reason is UnprovableReason.NOT_IN_BLOCK
    await node.leave(1)
    await node.mine(2)
    with pytest.raises(Missing):
        await provider.fetch_deposit_proof(block, TxHash(tx.id[::-1]))
