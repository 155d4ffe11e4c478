"""The whole program on a regtest node, by what outsiders have: configuration, commands, HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.http.shapes.chains import ChainList
from tests.devnet.bitcoind import BitcoinNode, needs_bitcoind
from tests.live_bitcoin.world import TILL, spell
from tests.processes.program import CommandFailed, Program, Settings

pytestmark = [pytest.mark.live, needs_bitcoind]

CONFIGURATION = """
data_dir = "{folder}/data"

[http]
bind = "127.0.0.1:{port}"

[chains.bitcoin-regtest]
endpoints = [{{ url = "{url}", cookie_file = "{cookie_file}" }}, "{zmq_url}"]
poll_interval_s = 0.2
confirmed = {{ confirmations = 2 }}
"""


async def test_a_shop_is_told_of_a_payment_and_nothing_secret_is_logged(
    node: BitcoinNode, tmp_path: Path
) -> None:
    program = Program(tmp_path, Settings([]))
    program.config_file.write_text(
        CONFIGURATION.format(
            folder=tmp_path,
            port=program.port,
            url=node.url,
            cookie_file=node.cookie_file,
            zmq_url=node.zmq_url,
        )
    )
    try:
        await program.start()
        await program.wait_ready()
        shop = await program.create_merchant("shop")
        with pytest.raises(CommandFailed, match=r"422.*an address of bitcoin, not of bitcoin-regtest"):
            await watch(program, shop, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
        address = await watch(program, shop, spell(TILL))
        assert address["address"] == spell(TILL)
        tx = await node.pay((TILL, 70_000))
        await node.mine(2, txs=[tx])
        deposit = await wait_for_deposit(program, shop, "confirmed")
        assert (deposit["tx_hash"], deposit["amount_base_units"]) == (tx.id[::-1].hex(), "70000")
        for query in (f"tx_hash={deposit['tx_hash']}", f"address={spell(TILL)}", "chain=bitcoin-regtest"):
            found = await program.call(shop, "GET", f"/v1/deposits?{query}")
            assert [one["id"] for one in found["items"]] == [deposit["id"]], query
        stranger = await node.pay((b"\x00\x14" + b"\x09" * 20, 70_000))
        await node.mine(txs=[stranger])
        await check_that_nobody_is_said_to_have_sent_nothing(program, shop, stranger.id[::-1].hex())
        answer = await program.call(shop, "GET", "/v1/chains")
        assert msgspec.convert(answer, ChainList).items[0].seen == "node"
        (chain,) = answer["items"]
        assert (chain["chain"], chain["state"]) == (deposit["chain"], "following")
        explained = await program.call(
            shop, "GET", f"/v1/explain?chain=bitcoin-regtest&address={spell(TILL)}"
        )
        assert explained["findings"], explained
        await node.mine(4)
        assert (await wait_for_deposit(program, shop, "final"))["credited_base_units"] == "70000"
    finally:
        await program.end_all()
    cookie = node.cookie_file.read_text().partition(":")[2]
    assert all(cookie not in one.read_text() for one in program.log_files)


async def check_that_nobody_is_said_to_have_sent_nothing(program: Program, shop: str, tx_hash: str) -> None:
    """A node without an index of transactions knows none that is in a block."""
    told = await program.call(shop, "GET", f"/v1/explain?chain=bitcoin-regtest&tx_hash={tx_hash}")
    (finding,) = told["findings"]
    assert finding["reason"] == "not_asked", told
    assert "txindex=1" in finding["text"]


async def watch(program: Program, shop: str, address: str) -> Any:
    return await program.call(shop, "POST", "/v1/addresses", {"chain": "bitcoin-regtest", "address": address})


async def wait_for_deposit(program: Program, shop: str, state: str) -> Any:
    async with asyncio.timeout(30):
        while True:
            found = (await program.call(shop, "GET", "/v1/deposits"))["items"]
            if found and found[0]["state"] == state:
                return found[0]
            await asyncio.sleep(0.1)
