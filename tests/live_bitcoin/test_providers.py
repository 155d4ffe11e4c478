"""What a provider of Bitcoin's family makes of a real node: blocks and scripts, who is let in, what is not served."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chains import catalog
from chains.bitcoin.family import BITCOIN
from chains.errors import Inconsistent, Missing, Refused, Unreachable, WrongNetwork
from chains.model import BlockHash, BlockRef, TxHash
from chains.rpc.node_endpoint import NodeEndpoint
from tests.devnet.bitcoind import ANYONE, PASSWORD, REWARD, BitcoinNode, needs_bitcoind, start_bitcoind
from tests.live_bitcoin.conftest import MakeSource
from tests.live_bitcoin.world import regtest_traits, spell, wait_until

pytestmark = [pytest.mark.live, needs_bitcoind]

SCRIPTS = {
    "P2PKH": b"\x76\xa9\x14" + b"\x11" * 20 + b"\x88\xac",
    "P2SH": b"\xa9\x14" + b"\x12" * 20 + b"\x87",
    "P2WPKH": b"\x00\x14" + b"\x13" * 20,
    "P2WSH": b"\x00\x20" + b"\x14" * 32,
    "P2TR": b"\x51\x20" + b"\x15" * 32,
    "bare": b"\x21\x02" + b"\x16" * 32 + b"\xac",
}


async def test_every_kind_of_script_is_a_deposit_to_exactly_it(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    outputs = [(script, 1_000 + n) for n, script in enumerate(SCRIPTS.values())]
    tx = await node.pay(*outputs, (b"\x6a\x04note", 0))
    await node.mine(txs=[tx])
    height = await node.height()
    (block,) = await make_source(node).choose_provider().fetch_blocks(height, height)
    table = block.transfers
    assert len(table.recipients) == 1 + len(SCRIPTS) + 1, "the reward, the payments, the change, and no note"
    for n, (script, amount) in enumerate(outputs):
        transfer = table.at(list(table.recipients).index(script))
        assert (transfer.n, transfer.amount_base_units, transfer.senders) == (n, amount, ())
        assert transfer.tx_hash == tx.id[::-1]
        assert transfer.conflict_keys == (tx.inputs[0][0],)
        assert table.spent_by(transfer.conflict_keys[0]) == transfer.tx_hash
        assert BITCOIN.parse_address(regtest_traits().chain, spell(script)) == script


async def test_addresses_are_spelt_as_the_node_spells_them(node: BitcoinNode) -> None:
    for kind, script in SCRIPTS.items():
        told = await node.call("decodescript", script.hex())
        assert told.get("address", "script:" + script.hex()) == spell(script), kind


async def test_a_head_brings_the_work_of_its_block(node: BitcoinNode, make_source: MakeSource) -> None:
    report = await make_source(node).choose_provider().fetch_head_report()
    assert (report.head.height, report.head.work) == (await node.height(), 2)
    assert report.head.hash.hex() == await node.call("getbestblockhash")


async def test_a_block_is_not_shown_at_another_height(node: BitcoinNode, make_source: MakeSource) -> None:
    ref = await node.block_ref(40)
    with pytest.raises(Inconsistent, match="says another"):
        await make_source(node).choose_provider().fetch_blocks_at([BlockRef(41, ref.hash)])


async def test_a_block_that_left_the_chain_is_still_given_by_its_hash(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    ref = await node.block_ref(await node.height())
    await node.leave(1)
    await node.mine(2)
    (block,) = await make_source(node).choose_provider().fetch_blocks_at([ref])
    assert block.header.ref == ref


async def test_the_cookie_is_read_again_after_a_restart(node: BitcoinNode, make_source: MakeSource) -> None:
    provider = make_source(node).choose_provider()
    await provider.fetch_head_report()
    before = node.cookie_file.read_bytes()
    await node.stop()
    with pytest.raises(Unreachable):
        await provider.fetch_head_report()
    await node.start()
    assert node.cookie_file.read_bytes() != before
    assert (await provider.fetch_head_report()).head.height == await node.height()


async def test_a_killed_node_is_away_and_comes_back(node: BitcoinNode, make_source: MakeSource) -> None:
    await node.stop()  # which writes down what it has
    await node.start()
    provider = make_source(node).choose_provider()
    height = (await provider.fetch_head_report()).head.height
    await node.kill()
    with pytest.raises(Unreachable):
        await provider.fetch_head_report()
    await node.start()
    assert (await provider.fetch_head_report()).head.height <= height
    await node.mine(3)
    assert (await provider.fetch_head_report()).head.height == await node.height()


async def test_user_and_password_let_us_in_and_are_never_said(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    right = make_source(NodeEndpoint(node.login_url)).choose_provider()
    assert (await right.fetch_head_report()).head.height == await node.height()
    wrong = make_source(NodeEndpoint(node.login_url.replace(PASSWORD, PASSWORD + "-not"))).choose_provider()
    with pytest.raises(Refused, match="401") as refused:
        await wrong.fetch_head_report()
    assert PASSWORD not in str(refused.value)
    assert wrong.name == f"127.0.0.1:{node.port}"


async def test_a_cookie_that_is_wrong_or_not_there_is_an_error_with_a_name(
    node: BitcoinNode, make_source: MakeSource, tmp_path: Path
) -> None:
    written = tmp_path / "cookie"
    provider = make_source(NodeEndpoint(node.url, cookie_file=written)).choose_provider()
    with pytest.raises(Unreachable, match="cookie file"):
        await provider.fetch_head_report()
    written.write_text("__cookie__:0123456789abcdef")
    with pytest.raises(Refused, match="401") as refused:
        await provider.fetch_head_report()
    assert "0123456789abcdef" not in str(refused.value)
    written.write_bytes(node.cookie_file.read_bytes() + b"\n")
    assert (await provider.fetch_head_report()).head.height == await node.height()


async def test_a_node_of_another_network_is_refused_by_name(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    for alias in ("bitcoin", "litecoin", "dogecoin", "bitcoin-signet"):
        entry = catalog.entry(alias)
        assert entry is not None
        with pytest.raises(WrongNetwork, match="serves bitcoin-regtest"):
            await make_source(node, traits=entry.traits).choose_provider().fetch_head_report()


async def test_networks_of_one_genesis_block_are_told_apart_by_another(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    ours = await node.block_ref(9)
    provider = make_source(node, traits=replace(regtest_traits(), identity=ours)).choose_provider()
    await provider.fetch_head_report()
    theirs = BlockRef(9, BlockHash(b"\x01" * 32))
    provider = make_source(node, traits=replace(regtest_traits(), identity=theirs)).choose_provider()
    with pytest.raises(WrongNetwork):
        await provider.fetch_head_report()


async def test_a_node_that_still_downloads_has_no_head(make_source: MakeSource) -> None:
    async with start_bitcoind(ripe=False) as young:
        provider = make_source(young).choose_provider()
        with pytest.raises(Unreachable, match="still downloads"):
            await provider.fetch_head_report()
        await young.mine()
        assert (await provider.fetch_head_report()).head.height == 1


async def test_a_pruned_node_refuses_what_it_no_longer_has(make_source: MakeSource) -> None:
    async with start_bitcoind("-prune=1", "-fastprune") as node:
        await node.ripen(600)
        assert await node.call("pruneblockchain", 400) > 5
        provider = make_source(node).choose_provider()
        with pytest.raises(Refused, match="pruned") as refused:
            await provider.fetch_blocks(5, 5)
        assert not isinstance(refused.value, Missing), "it is no lag, and asking again will not help"
        assert len(await provider.fetch_headers(0, 5)) == 6
        height = await node.height()
        assert (await provider.fetch_blocks(height, height))[0].header.height == height


async def test_a_transaction_is_explained_as_far_as_the_node_knows_it(make_source: MakeSource) -> None:
    async with start_bitcoind() as node:
        provider = make_source(node).choose_provider()
        tx = await node.pay((SCRIPTS["P2WPKH"], 70_000))
        await node.call("sendrawtransaction", tx.raw.hex())
        waiting = await provider.fetch_transaction(TxHash(tx.id[::-1]))
        assert waiting is not None
        assert (waiting.block, waiting.succeeded) == (None, None)
        assert [one.amount_base_units for one in waiting.movements] == [70_000, REWARD - 70_000 - 10_000]
        await node.mine(txs=[tx])
        with pytest.raises(Refused, match="txindex"):
            await provider.fetch_transaction(TxHash(tx.id[::-1]))


async def test_a_reward_is_a_transfer_that_uses_up_nothing(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    (block,) = await make_source(node).choose_provider().fetch_blocks(7, 7)
    transfer = block.transfers.at(0)
    assert (transfer.recipient, transfer.amount_base_units, transfer.conflict_keys) == (ANYONE, REWARD, ())
    assert list(block.transfers.spends) == []


async def test_tips_are_hinted_at_over_zmq_and_the_hint_is_believed_by_and_by(
    node: BitcoinNode, make_source: MakeSource
) -> None:
    source = make_source(node, NodeEndpoint(node.zmq_url))
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(source.run_hints())
        async with asyncio.timeout(20):
            await wait_until(lambda: source.would_hint)
            for _ in range(6):
                await node.mine()
                while not await source.wait_for_hint(1.0):
                    pass
                await source.fetch_head_hedged()
            await wait_until(lambda: source.are_hints_live)
            await node.leave(2)  # nothing but blocks that left: somebody has to look all the same
            await source.wait_for_hint(10.0)
            await node.kill()
            await wait_until(lambda: not source.would_hint)
            await wait_until(lambda: not source.are_hints_live)
            await node.start()
            await wait_until(lambda: source.would_hint)
        listening.cancel()
