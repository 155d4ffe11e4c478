"""A lying provider gets no proof made of its lies, nor of a block that it calls canonical no more."""

from __future__ import annotations

import pytest

from chains.errors import ChainError, Missing
from chains.model import BlockRef
from chains.proofs import TrieProof
from relay.kit.verify_deposit import keccak_256
from tests.faultproxy import faults
from tests.live_evm.conftest import Faulty, transfers_of
from tests.live_evm.test_lies import LIES, asks_for

pytestmark = pytest.mark.live


async def test_no_lie_about_a_block_becomes_a_proof(faulty: Faulty) -> None:
    block = await faulty.paid_block()
    (transfer,) = transfers_of(block)
    where = BlockRef(block.header.height, block.header.hash)
    honest = await faulty.provider.fetch_deposit_proof(where, transfer.tx_hash)
    assert isinstance(honest, TrieProof)
    assert keccak_256(honest.header) == block.header.hash
    provider = faulty.provider
    for method, bend in LIES.values():
        faulty.proxy.bend(method, bend)
        with pytest.raises(ChainError):
            await provider.fetch_deposit_proof(where, transfer.tx_hash)
        faulty.proxy.heal()


async def test_a_node_that_keeps_blocks_which_left_its_chain_proves_none_of_them(faulty: Faulty) -> None:
    block = await faulty.paid_block()
    (transfer,) = transfers_of(block)
    where = BlockRef(block.header.height, block.header.hash)
    other = {"hash": "0x" + "02" * 32}
    at_its_height = asks_for(hex(where.height))
    faulty.proxy.bend(
        "eth_getBlockByNumber",
        lambda _params, answer: {"result": answer["result"] | other},
        when=at_its_height,
    )
    with pytest.raises(Missing, match="canonical"):
        await faulty.provider.fetch_deposit_proof(where, transfer.tx_hash)
    faulty.proxy.bend("eth_getBlockByNumber", faults.nothing, when=at_its_height)
    with pytest.raises(Missing):
        await faulty.provider.fetch_deposit_proof(where, transfer.tx_hash)
