"""A node that lies, cuts or answers something else, by a proxy before a real one: blamed, and never believed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from chains.bitcoin.coins import COINS, Retargeting
from chains.bitcoin.nodes.reading import Reading
from chains.bitcoin.provider import BitcoinProvider
from chains.errors import ChainError, Inconsistent, Refused, Throttled, Unreachable
from chains.rpc.node_endpoint import NodeEndpoint
from tests.devnet.bitcoind import BitcoinNode, needs_bitcoind
from tests.faultproxy.faults import constant, failing
from tests.faultproxy.proxy import FaultProxy, start_proxy
from tests.live_bitcoin.conftest import MakeSource
from tests.live_bitcoin.world import TILL, regtest_traits

pytestmark = [pytest.mark.live, needs_bitcoind]

HIDDEN = "00" * 32


@pytest.fixture
async def proxy(node: BitcoinNode) -> AsyncIterator[FaultProxy]:
    async with start_proxy(node.login_url) as one:
        yield one


def change(alter: Callable[[str], Any]) -> Callable[[list[Any], dict[str, Any]], dict[str, Any]]:
    """Rewrite the text of a result."""
    return lambda _params, answer: answer | {"result": alter(answer["result"])}


BLOCK_LIES: dict[str, Callable[[str], Any]] = {
    "cut by a byte": lambda text: text[:-2],
    "cut by a digit": lambda text: text[:-1],
    "cut to its header": lambda text: text[:160],
    "cut to nothing": lambda _: "",
    "null": lambda _: None,
    "a number": lambda _: 7,
    "an object": lambda _: {"hash": HIDDEN},
    "no hexadecimal": lambda text: "zz" + text[2:],
    "an escape in the text": lambda text: text[:-2] + "\n",
    "more behind it": lambda text: text + "00",
    "another amount": lambda text: text.replace(
        (70_000).to_bytes(8, "little").hex(), (70_001).to_bytes(8, "little").hex()
    ),
    "another recipient": lambda text: text.replace(TILL.hex(), TILL[:-1].hex() + "00"),
    "another nonce": lambda text: text[:152] + "ffffffff" + text[160:],
    "a transaction left out": lambda text: text[:160] + "01" + text[162:],
}


@pytest.mark.parametrize("lie", BLOCK_LIES)
async def test_a_block_that_was_changed_on_its_way_is_refused(
    node: BitcoinNode, proxy: FaultProxy, make_source: MakeSource, lie: str
) -> None:
    await node.mine(txs=[await node.pay((TILL, 70_000))])
    height = await node.height()
    provider = make_source(NodeEndpoint(proxy.url)).choose_provider()
    (honest,) = await provider.fetch_blocks(height, height)
    proxy.bend("getblock", change(BLOCK_LIES[lie]))
    with pytest.raises(Inconsistent):
        await provider.fetch_blocks_at([honest.header.ref])
    proxy.heal()
    assert await provider.fetch_blocks_at([honest.header.ref])


async def test_another_block_or_header_than_the_one_that_was_asked_for_is_refused(
    node: BitcoinNode, proxy: FaultProxy, make_source: MakeSource
) -> None:
    other = await node.call("getblockhash", 3)
    ref = await node.block_ref(4)
    provider = make_source(NodeEndpoint(proxy.url)).choose_provider()
    proxy.bend("getblock", constant(await node.call("getblock", other, 0)))
    proxy.bend("getblockheader", constant(await node.call("getblockheader", other, False)))
    with pytest.raises(Inconsistent, match="asked for block"):
        await provider.fetch_blocks_at([ref])
    with pytest.raises(Inconsistent, match="asked for the header"):
        await provider.fetch_head_report()


@pytest.mark.parametrize(
    "info",
    [
        None,
        {},
        "regtest",
        {"blocks": -1, "headers": 1, "bestblockhash": HIDDEN},
        {"blocks": 2**31, "headers": 1, "bestblockhash": HIDDEN},
        {"blocks": 1.5, "headers": 1, "bestblockhash": HIDDEN},
        {"blocks": "1", "headers": 1, "bestblockhash": HIDDEN},
        {"blocks": 1, "headers": 1, "bestblockhash": "../../etc"},
        {"blocks": 1, "headers": 1, "bestblockhash": HIDDEN},
    ],
)
async def test_a_head_that_cannot_be_one_is_an_error(
    proxy: FaultProxy, make_source: MakeSource, info: object
) -> None:
    provider = make_source(NodeEndpoint(proxy.url)).choose_provider()
    proxy.bend("getblockchaininfo", constant(info))
    with pytest.raises(ChainError):
        await provider.fetch_head_report()


async def test_case_076_a_node_whose_version_believed_false_blocks_is_refused_by_its_number(
    proxy: FaultProxy, make_source: MakeSource
) -> None:
    source = make_source(NodeEndpoint(proxy.url))
    for version in (150_100, 160_299):
        proxy.heal()
        proxy.bend("getnetworkinfo", constant({"version": version, "subversion": "/Satoshi:29.0.0/"}))
        with pytest.raises(Refused, match=str(version)):
            await source.choose_provider().fetch_head_report()
    proxy.heal()
    assert COINS["litecoin"].node_version_min == 210_505
    await source.choose_provider().fetch_head_report()


async def test_a_target_that_was_not_due_is_refused(node: BitcoinNode, make_source: MakeSource) -> None:
    await node.ripen(4_032 - await node.height())
    regtest = make_source(node).choose_provider()
    strict = replace(COINS["bitcoin-regtest"], retargeting=Retargeting.PERIODS)
    provider = BitcoinProvider(
        regtest.node, Reading(strict, regtest_traits().native.asset_id), lambda _name, _head: None
    )
    assert [block.header.height for block in await provider.fetch_blocks(4_030, 4_031)] == [4_030, 4_031]
    with pytest.raises(Inconsistent, match="were due"):  # its blocks took no two weeks
        await provider.fetch_blocks(4_032, 4_032)
    await regtest.fetch_blocks(4_032, 4_032)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-28, "Loading block index…", Unreachable),
        (-5, "Block not found", ChainError),
        (-1, "Block not available (pruned data)", Refused),
        (0, "Work queue depth exceeded", Throttled),
    ],
)
async def test_what_a_node_says_when_it_cannot_is_weather(
    node: BitcoinNode,
    proxy: FaultProxy,
    make_source: MakeSource,
    code: int,
    message: str,
    kind: type[ChainError],
) -> None:
    ref = await node.block_ref(4)
    provider = make_source(NodeEndpoint(proxy.url)).choose_provider()
    proxy.bend("getblock", failing(code, message))
    with pytest.raises(kind):
        await provider.fetch_blocks_at([ref])
