"""What else is asked of a Tron node than blocks: stories, balances, decimals, a trial, a stranger's word."""

from __future__ import annotations

import pytest

from chains.errors import (
    Inconsistent,
    NoIdentity,
    Pruned,
    Refused,
    Unreachable,
    WrongNetwork,
)
from chains.families import rules_of
from chains.model import BlockHash, BlockRef, TxHash
from chains.proofs import Unprovable, UnprovableReason
from chains.traits import Family
from chains.tron.source import TronSource
from tests.devnet.tron_chain import (
    TOKEN,
    TronChain,
    call,
    internal,
    log,
    pay,
)
from tests.devnet.tron_node import start_tron_node
from tests.unit.chains.tron.asking import SHOP, Bend, asked, only


async def test_a_story_says_that_energy_ran_out_and_what_it_cost() -> None:
    chain = TronChain()
    failed = call(log(SHOP, 5), outcome="OUT_OF_ENERGY")
    chain.mine(failed, pay(SHOP, 7, nonce=1, memo=b"hello"))
    async with asked(chain) as (_, provider):
        story = await provider.fetch_transaction(TxHash(failed.id))
        assert story is not None
        assert story.succeeded is False
        assert story.failure == "it ran out of energy, and burned 13.845 TRX of its sender's all the same"
        (movement,) = story.movements
        assert (movement.recipient, movement.amount_base_units) == (SHOP, 5)
        paid_story = await provider.fetch_transaction(TxHash(chain.head.txs[1].id))
        assert paid_story is not None
        assert (paid_story.succeeded, paid_story.failure, paid_story.movements[0].memo) == (
            True,
            "",
            b"hello",
        )


async def test_balances_at_a_height_are_told_or_refused_and_never_another_blocks() -> None:
    chain = TronChain()
    chain.mine(pay(SHOP, 5))
    where = BlockRef(1, BlockHash(chain.head.id))
    async with asked(chain, keeps_history=False) as (_, provider):
        with pytest.raises(Pruned):
            await provider.fetch_balances([(SHOP, None)], where)
    async with asked(chain) as (_, provider):
        with pytest.raises(Pruned):
            await provider.fetch_balances([(SHOP, TOKEN)], where)
        assert await provider.fetch_balances([(SHOP, None)], where) == [5]


async def test_decimals_are_asked_of_contracts() -> None:
    chain = TronChain()
    async with start_tron_node(chain) as node, TronSource(chain.traits(), [node.endpoint()]) as source:
        (said,) = (await source.fetch_decimals()).values()
        assert said == 6
        node.bend = only(
            "/wallet/triggerconstantcontract", '{"result": {"code": "OTHER_ERROR", "message": "6e"}}'
        )
        assert await source.fetch_decimals() == {}


async def test_a_provider_on_trial_says_what_its_node_does_not_tell() -> None:
    chain = TronChain()
    sent = call(internals=[internal(SHOP, 5)])
    chain.mine(pay(SHOP, 5))
    chain.mine(sent)
    async with asked(chain) as (node, provider):
        rules = rules_of(Family.TRON).load_trial()
        trial = rules.start(provider, provider.reading.traits)
        quiet, run = await provider.fetch_blocks(1, 2)
        assert [one.is_well for one in trial.judge_blocks([quiet])] == [True]
        assert (trial.count_calls([quiet]), trial.count_calls([run])) == (3, 5)
        (remark,) = trial.judge_blocks([quiet, run])
        assert not remark.is_well
        assert "saveInternalTx" in remark.advice
        node.keeps_internal = True
        await provider.fetch_blocks(2, 2)
        assert [one.is_well for one in trial.judge_blocks([run])] == [True]
        assert trial.judge_batches(8).is_well
        lite = Refused("this API is closed because this node is a lite fullnode")
        assert "full node" in (rules.advise(lite, "tron") or "")
        assert "identity" in (rules.advise(NoIdentity("x"), "tron") or "")
        assert "agreement" in (rules.advise(Inconsistent("x"), "tron") or "")
        assert rules.advise(Unreachable("x"), "tron") is None


async def test_a_strangers_node_is_asked_which_block_is_canonical() -> None:
    chain = TronChain()
    for _ in range(4):
        chain.mine()
    ask = rules_of(Family.TRON).fetch_block_seen
    async with start_tron_node(chain) as node:
        seen = await ask(chain.chain, node.url, 1)
        assert (seen.block_hash, seen.head_height, seen.final_height) == (chain.blocks[1].id.hex(), 4, 2)
        assert (await ask(chain.chain, node.url, 9)).block_hash is None
        node.bend = only("/walletsolidity/getblock", "{}")
        assert (await ask(chain.chain, node.url, 1)).final_height is None
        with pytest.raises(WrongNetwork):
            await ask(TronChain("other").chain, node.url, 1)


async def test_a_node_that_leaves_transactions_out_cannot_say_that_the_block_does_not_hold_them() -> None:
    chain = TronChain()
    block = chain.mine(pay(SHOP, 7), pay(SHOP, 8, nonce=1))
    other = chain.mine(pay(SHOP, 9, nonce=2))
    ref, ours = BlockRef(block.height, BlockHash(block.id)), TxHash(block.txs[0].id)
    async with asked(chain) as (node, provider):
        for rows in ([], [block.txs[1].row], [block.txs[1].row, block.txs[1].row], other.row["transactions"]):
            node.bend = _of_whole(block.id, {**block.row, "transactions": rows})
            with pytest.raises(Inconsistent):
                await provider.fetch_deposit_proof(ref, ours)
        node.bend = _of_whole(block.id, other.row)
        with pytest.raises(Inconsistent):
            await provider.fetch_deposit_proof(ref, ours)
        node.heal()
        stranger = await provider.fetch_deposit_proof(ref, TxHash(other.txs[0].id))
        assert isinstance(stranger, Unprovable)
        assert stranger.reason is UnprovableReason.NOT_IN_BLOCK


async def test_a_root_that_cannot_be_recomputed_does_not_say_what_a_block_lacks() -> None:
    chain = TronChain()
    block = chain.mine(pay(SHOP, 7), pay(SHOP, 8, nonce=1))
    ref, ours = BlockRef(block.height, BlockHash(block.id)), TxHash(block.txs[0].id)
    unknown = {**block.txs[1].row, "ret": [{"contractRet": "SUCCESS", "newField": 5}]}
    async with asked(chain) as (node, provider):
        node.bend = _of_whole(block.id, {**block.row, "transactions": [unknown]})
        answer = await provider.fetch_deposit_proof(ref, ours)
        assert isinstance(answer, Unprovable)
        assert answer.reason is UnprovableReason.NOT_COVERED
        node.bend = _of_whole(block.id, {**block.row, "transactions": [block.txs[0].row, unknown]})
        answer = await provider.fetch_deposit_proof(ref, ours)
        assert isinstance(answer, Unprovable)
        assert answer.reason is UnprovableReason.NOT_COVERED


def _of_whole(block_id: bytes, answer: object) -> Bend:
    """This answer where the block is asked for by its id."""
    return lambda _path, body, honest: answer if body.get("id_or_num") == block_id.hex() else honest
