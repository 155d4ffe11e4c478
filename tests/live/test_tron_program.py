"""The whole program on a made Tron chain, by what outsiders have: configuration, commands, HTTP, a webhook."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from chains.tron.address import format_address
from gateway.demo.ports import choose_port
from gateway.http.shapes.chains import ChainList
from relay.kit.verify_deposit import ProofInvalid, verify_deposit
from tests.devnet.tron_chain import TOKEN, TronChain, account, call, log, pay
from tests.devnet.tron_node import start_tron_node
from tests.processes.program import CommandFailed, Program, Settings

pytestmark = pytest.mark.live

CONFIGURATION = """
data_dir = "{folder}/data"

[http]
bind = "127.0.0.1:{port}"

[relay]
allow_private_networks = true

[chains.made]
family = "tron"
chain_id = "{suffix}"
native = {{ symbol = "TRX", decimals = 6, slip44 = 195 }}
endpoints = ["{url}"]
start = 1
poll_interval_s = 0.1
confirmed = {{ confirmations = 2 }}
assets = [ {{ symbol = "USDT", contract = "{token}", decimals = 6, min_base_units = "1" }} ]
"""

SHOPS = [account(f"shop {number}") for number in range(3)]


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[str, list[Any]]]:
    """A receiver on loopback, and the events it was sent; a challenge is answered with itself."""
    events: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        event = await request.json()
        if "challenge" in json.dumps(event.get("type", "")):
            return web.json_response(event)
        events.append(event)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    port = choose_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/hook", events
    finally:
        await runner.cleanup()


async def test_every_spelling_is_watched_paid_told_and_explained(tmp_path: Path) -> None:
    made = TronChain()
    made.mine()
    async with start_tron_node(made) as node, receiving() as (hook, events):
        program = Program(tmp_path, Settings([]))
        program.config_file.write_text(
            CONFIGURATION.format(
                folder=tmp_path,
                port=program.port,
                suffix=made.chain.partition(":")[2],
                url=node.url,
                token=format_address(TOKEN),
            )
        )
        try:
            await program.start()
            await program.wait_ready()
            shop = await program.create_merchant("shop")
            await program.call(shop, "POST", "/v1/endpoints", {"url": hook})
            await check_story(program, shop, made, events)
        finally:
            await program.end_all()


async def check_story(program: Program, shop: str, made: TronChain, events: list[Any]) -> None:
    spellings = [SHOPS[0].hex(), "0x" + SHOPS[1][1:].hex(), format_address(SHOPS[2])]
    for spelling, address in zip(spellings, SHOPS, strict=True):
        watched = await program.call(shop, "POST", "/v1/addresses", {"chain": "made", "address": spelling})
        assert watched["address"] == format_address(address), spelling
    mistyped = format_address(SHOPS[0])[:-1] + "1"
    with pytest.raises(CommandFailed, match="422"):
        await program.call(shop, "POST", "/v1/addresses", {"chain": "made", "address": mistyped})
    dry = call(log(SHOPS[1], 9), outcome="OUT_OF_ENERGY", nonce=9)
    paid = made.mine(
        pay(SHOPS[0], 7_000_000),
        call(log(SHOPS[1], 1_500_000), nonce=1, data=ask_transfer(SHOPS[1], 1_500_000)),
        pay(SHOPS[2], 3, nonce=2),
        dry,
    )
    for _ in range(4):
        made.mine()
    deposits = await wait_final(program, shop, 3)
    assert sorted(int(one["amount_base_units"]) for one in deposits) == [3, 1_500_000, 7_000_000]
    assert {one["to"] for one in deposits} == {format_address(one) for one in SHOPS}
    await wait_told(events, "deposit.final", 3)
    await check_proofs(program, shop, deposits)
    for spelling, address in zip(spellings, SHOPS, strict=True):
        found = (await program.call(shop, "GET", f"/v1/deposits?chain=made&address={spelling}"))["items"]
        assert [one["to"] for one in found] == [format_address(address)], spelling
        told = await program.call(shop, "GET", f"/v1/explain?chain=made&address={spelling}")
        assert told["findings"], spelling
    told = await program.call(shop, "GET", f"/v1/explain?chain=made&tx_hash={dry.id.hex()}")
    assert "ran out of energy" in json.dumps(told), told
    (chain,) = msgspec.convert(await program.call(shop, "GET", "/v1/chains"), ChainList).items
    assert {one.check: one.state for one in chain.checks}["internal-transfers"] == "not-shown"
    assert chain.seen is None, "it is in no catalogue"
    covered = await program.call(shop, "GET", "/v1/coverage?chain=made")
    assert (covered["holes"], covered["not_covered"]) == ([], []), covered
    assert {one["level"] for one in covered["ranges"] if one["first"] <= paid.height <= one["last"]} == {
        "partial"
    }
    span = ("--chain", "made", "--from", "1", "--to", str(paid.height + 1), "--json")
    audited = json.loads(await program.command("audit", *span))
    assert (audited["differences_count"], audited["deposits"]) == (0, 3), audited
    assert json.loads(await program.command("rescan", *span))["done"]
    assert len((await program.call(shop, "GET", "/v1/deposits"))["items"]) == 3
    examined = json.loads(await program.command("doctor", "--json"))["checks"]
    ours = {one["check"]: one["grade"] for one in examined if one["check"].startswith("made")}
    assert "fail" not in ours.values(), examined
    assert any(name.endswith("contract-sent TRX") for name in ours), examined


def ask_transfer(to: bytes, amount: int) -> bytes:
    """`transfer(address,uint256)`, as a wallet calls it."""
    return bytes.fromhex("a9059cbb") + bytes(12) + to[1:] + amount.to_bytes(32, "big")


async def check_proofs(program: Program, shop: str, deposits: list[Any]) -> None:
    """Every deposit is proven to whoever has the block's id, and to nobody who names other signers."""
    for deposit in deposits:
        proof = await program.call(shop, "GET", f"/v1/deposits/{deposit['id']}/proof")
        proven = verify_deposit(json.dumps(proof), deposit["block"]["hash"])
        assert (proven.deposit_id, proven.amount_base_units) == (
            deposit["id"],
            int(deposit["amount_base_units"]),
        )
        assert proven.by_agreement[0] == "witness-schedule"
        assert ("logs" in proven.by_agreement) == (deposit["kind"] == "token")
        verify_deposit(proof, deposit["block"]["hash"], signers=[proven.signer])
        with pytest.raises(ProofInvalid, match="nobody whom you named"):
            verify_deposit(proof, deposit["block"]["hash"], signers=["41" + "00" * 20])
        await check_command(program, deposit, proof, proven.signer)


async def check_command(program: Program, deposit: Any, proof: Any, signer: str) -> None:
    """People are told by the command what is proven, by whom, and what is not."""
    file = program.folder / "proof.json"
    file.write_text(json.dumps(proof))
    url = tomllib.loads(program.config_file.read_text())["chains"]["made"]["endpoints"][0]
    asked = (sys.executable, "-m", "gateway.cli", "verify", str(file), "--rpc", url)
    for options, status in (((), 0), (("--signer", signer), 0), (("--signer", "T" * 34), 1)):
        ended = await asyncio.create_subprocess_exec(*asked, *options, stdout=PIPE, stderr=PIPE)
        out, err = await ended.communicate()
        said = (out + err).decode()
        assert ended.returncode == status, said
        if not status:
            assert f"signed by {signer}" in said
            is_token = deposit["kind"] == "token"
            assert ("were sent to" in said) == ("what the token's contract did" in said) == is_token, said


async def wait_told(events: list[Any], kind: str, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            if sum(one["type"] == kind for one in events) >= count:
                return
            await asyncio.sleep(0.1)


async def wait_final(program: Program, shop: str, count: int) -> list[Any]:
    async with asyncio.timeout(40):
        while True:
            found = (await program.call(shop, "GET", "/v1/deposits"))["items"]
            if len(found) == count and {one["state"] for one in found} == {"final"}:
                return list(found)
            await asyncio.sleep(0.1)
