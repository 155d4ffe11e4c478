"""Proofs of deposits from a real chain, fetched over a socket and checked by what merchants are given."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.compose_chains import load_known_chains
from gateway.config.settings import Bind, Secret
from gateway.faces import Faces
from gateway.http.edge.app import Api
from gateway.http.edge.calls import Services
from gateway.http.edge.server import serve
from gateway.http.operations import OPERATIONS
from gateway.http.resources import deposit_proofs
from indexer.rules.identity import MerchantId
from migrations.ids import decode_id
from relay.keys import signing
from relay.keys.secretbox import SecretBox
from relay.kit.verify_deposit import ProofInvalid, check_told, verify_deposit
from relay.verify_log import verify_checkpoint, verify_inclusion
from tests.api.world import ADMIN_TOKEN, Reply, read_clock, read_settings
from tests.devnet.anvil import ACCOUNTS
from tests.java_program import ask_java, b64
from tests.live.world import CHAIN, World, mint_data, open_world
from tests.unit.relay.deposit_cases import changed
from tests.unit.relay.deposit_verdicts import judge, judge_in_node
from tests.unit.relay.test_third_language import deposit_question

ROOT = Path(__file__).resolve().parents[2]
PAGE, KIT = ROOT / "docs" / "proofs.md", ROOT / "relay" / "kit" / "verify_deposit.mjs"
FLIPS = 100
OTHER_KEY = signing.encode_public_key(bytes([9]) * 32)
TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
CONFIG = """
[chains.local]
family = "evm"
chain_id = 31337
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = ["http://127.0.0.1:1"]
confirmed = {{ confirmations = 1 }}
assets = [ {{ symbol = "USDT", contract = "{token}", decimals = 6 }} ]
"""
Json = Any


@dataclass(slots=True)
class Shop:
    """A merchant of a followed anvil, who calls the API over a socket."""

    world: World
    base_url: str
    session: aiohttp.ClientSession
    services: Services
    key: str = ""
    merchant: str = ""

    async def call(
        self, path: str, *, method: str = "GET", key: str | None = None, body: Json = None
    ) -> Reply:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        async with self.session.request(method, self.base_url + path, json=body, headers=headers) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def paid(self) -> list[Json]:
        """What was told of, oldest first."""
        await self.world.node.mine()
        await self.world.settle()
        items: list[Json] = (await self.call("/v1/deposits")).json["items"]
        return items

    async def proof_of(self, deposit: Json) -> Reply:
        return await self.call(f"/v1/deposits/{deposit['id']}/proof")


@asynccontextmanager
async def open_shop(database_url: str, folder: Path) -> AsyncIterator[Shop]:
    async with open_world(database_url, token=True, confirmations=1) as world:
        settings = read_settings(CONFIG.format(token=world.token), folder)
        faces = Faces(settings.chains, lambda: load_known_chains(world.pool))
        await faces.refresh()
        services = Services(world.pool, settings, faces, read_clock, SecretBox([bytes(32)]))
        services.sources[CHAIN] = world.source
        api = Api(services, OPERATIONS, admin_token=Secret(ADMIN_TOKEN))
        async with serve(api.build(), Bind("127.0.0.1", 0)) as bind, aiohttp.ClientSession() as session:
            shop = Shop(world, f"http://{bind}", session, services)
            made = await shop.call("/v1/merchants", method="POST", key=ADMIN_TOKEN, body={"name": "Shop"})
            shop.key, shop.merchant = made.json["api_key"], made.json["merchant_id"]
            await world.watch(TILL, merchant=MerchantId(decode_id("mer", shop.merchant)))
            yield shop
            services.stop.set()


@pytest.fixture
async def shop(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database_url, tmp_path) as opened:
        yield opened


async def pay_both_ways(shop: Shop) -> list[Json]:
    """In one block: native coin, other people's business, two equal amounts of a token."""
    node = shop.world.node
    await node.send(to=TILL, value=3 * 10**18, sender=ACCOUNTS[1])
    await node.send(to=ACCOUNTS[3], value=1, sender=ACCOUNTS[2])
    await node.send(to=shop.world.token, data=mint_data(TILL, 2_500_000))
    await node.send(to=shop.world.token, data=mint_data(TILL, 2_500_000))
    return sorted(await shop.paid(), key=lambda one: (one["kind"], one["n"]))


def flip(text: bytes) -> bytes:
    """One bit of it changed, anywhere."""
    place = random.randrange(len(text))
    return text[:place] + bytes([text[place] ^ 1 << random.randrange(8)]) + text[place + 1 :]


async def test_native_and_token_deposits_are_proven_over_a_socket_to_both_kits(shop: Shop) -> None:
    deposits = await pay_both_ways(shop)
    assert [one["kind"] for one in deposits].count("token") == 2
    for deposit in deposits:
        reply = await shop.proof_of(deposit)
        assert reply.status == 200, reply.body
        block_hash = await shop.world.node.block_hash(deposit["block"]["height"])
        verdict = judge(reply.body, block_hash)
        assert judge_in_node([(reply.body, block_hash)]) == [verdict]
        assert verdict["depositId"] == deposit["id"]
        assert verdict["amountBaseUnits"] == deposit["amount_base_units"]
        assert (verdict["txHash"], verdict["recipient"]) == (deposit["tx_hash"], TILL.lower())
        flipped = [flip(reply.body) for _ in range(FLIPS)]
        verdicts = [judge(text, block_hash) for text in flipped]
        assert judge_in_node([(text, block_hash) for text in flipped]) == verdicts
        assert all("refused" in one or one == verdict for one in verdicts)
        other = await shop.world.node.block_hash(deposit["block"]["height"] - 1)
        assert judge(reply.body, other) == {"refused": "this is the proof of another block"}


async def test_the_event_in_a_proof_stands_under_the_checkpoint_that_is_in_it(shop: Shop) -> None:
    deposit = (await pay_both_ways(shop))[0]
    assert (await shop.proof_of(deposit)).json["event"] is None
    signed = await shop.call("/v1/events/checkpoints", method="POST", body={})
    assert signed.status == 201, signed.body
    line = "\N{EM DASH} witness.example " + b64(bytes(76)) + "\n"
    async with shop.world.pool.acquire() as conn:
        await conn.execute("update log_checkpoints set cosignatures = $1", line)
    reply = await shop.proof_of(deposit)
    proof = reply.json
    assert proof["event"]["checkpoint"].endswith(line)  # witnesses stand behind our lines, here too
    proven = verify_deposit(proof, proof["block"]["hash"])
    body, told = proof["event"]["body"].encode(), proof["event"]
    note = verify_checkpoint(
        told["checkpoint"], merchant_id=shop.merchant, public_key=signed.json["public_key"]
    )
    verify_inclusion(body, told["path"], note)
    check_told(proven, body)
    question = deposit_question(reply.body, proof["block"]["hash"], shop.merchant)
    signed_by = {"public_key": signed.json["public_key"]}
    whole, untold = ask_java([{**question, **signed_by}, {**question, "public_key": OTHER_KEY}])
    assert (whole["holds"], whole["amount_base_units"]) == (True, str(proven.amount_base_units))
    assert not untold["holds"]


async def test_a_deposit_whose_block_left_the_chain_is_not_proven(shop: Shop) -> None:
    deposit = (await pay_both_ways(shop))[0]
    assert (await shop.proof_of(deposit)).status == 200
    await shop.world.node.call("anvil_reorg", 1, [])
    early = await shop.proof_of(deposit)
    assert (early.status, early.json["reason"]) == (409, "block-left")
    await shop.world.node.mine()
    await shop.world.settle()
    late = await shop.proof_of(deposit)
    assert (late.status, late.json["reason"]) == (409, "no-block")


async def test_people_verify_a_file_against_a_node_of_their_choice(shop: Shop, tmp_path: Path) -> None:
    deposit = (await pay_both_ways(shop))[0]
    file = tmp_path / "proof.json"
    reply = await shop.proof_of(deposit)
    file.write_bytes(reply.body)

    async def run(*options: str) -> tuple[int | None, str]:
        command = [sys.executable, "-m", "gateway.cli", "verify", *options]
        ended = await create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        out, err = await ended.communicate()
        return ended.returncode, (out + err).decode()

    node = shop.world.node.url
    status, said = await run(str(file), "--rpc", node)
    assert status == 0, said
    assert "proven: 3000000000000000000 base units" in said
    assert deposit["id"] in said
    assert (await run(str(file), "--block-hash", deposit["block"]["hash"]))[0] == 0
    for unusable in ("http://127.0.0.1:1", "http://[::1", "http://", "ftp://127.0.0.1", ""):
        status, said = await run(str(file), "--rpc", unusable)
        assert status == 2, said
        assert "Traceback" not in said
    assert (await run(str(file)))[0] == 2
    assert (await run(str(tmp_path / "none.json"), "--rpc", node))[0] == 2
    elsewhere = changed({**reply.json, "chain": "eip155:5"}, "deposit", "chain", to="eip155:5")
    elsewhere["deposit"]["asset"] = "eip155:5/slip44:60"
    (tmp_path / "other.json").write_text(json.dumps(changed(elsewhere, "deposit", "n", to=0)))
    status, said = await run(str(tmp_path / "other.json"), "--rpc", node)
    assert status == 2, said
    assert "serves chain 31337, not 5" in said
    (tmp_path / "other.json").write_bytes(b"[" * 100_000)
    assert (await run(str(tmp_path / "other.json"), "--rpc", node))[0] == 1
    other = changed(reply.json, "deposit", "amount_base_units", to="1")
    (tmp_path / "other.json").write_text(json.dumps(other))
    status, said = await run(str(tmp_path / "other.json"), "--rpc", node)
    assert status == 1
    assert "the chain says 3000000000000000000" in said
    await shop.world.node.call("anvil_reorg", 1, [])
    status, said = await run(str(file), "--rpc", node)
    assert status == 1
    assert "has another block at height" in said


def printed(language: str) -> str:
    (program,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(program)


async def test_the_programs_printed_in_the_docs_prove_a_deposit_and_notice_a_lie(
    shop: Shop, tmp_path: Path
) -> None:
    deposit = (await pay_both_ways(shop))[0]
    names: dict[str, Any] = {"__name__": "printed"}
    exec(compile(printed("py"), str(PAGE), "exec"), names)
    asked = (shop.base_url, shop.key, deposit["id"], shop.world.node.url)
    proven = await asyncio.to_thread(names["prove"], *asked)
    assert (proven.deposit_id, proven.amount_base_units) == (deposit["id"], 3 * 10**18)

    shutil.copy(KIT, tmp_path)
    run = "console.log(String((await prove(...process.argv.slice(2))).amountBaseUnits));\n"
    (tmp_path / "prove.mjs").write_text(printed("js").replace("export ", "") + run)

    async def run_node() -> tuple[int | None, str]:
        ended = await create_subprocess_exec(
            "node", str(tmp_path / "prove.mjs"), *asked, stdout=PIPE, stderr=PIPE
        )
        out, err = await ended.communicate()
        return ended.returncode, (out + err).decode()

    status, said = await run_node()
    assert (status, said.strip()) == (0, str(3 * 10**18)), said

    # A dishonest operator: the row says more than the chain, and the merchant's own check at the server is gone, too.
    await shop.world.pool.execute(
        "update deposits set amount_base_units = amount_base_units + 1, credited_base_units = amount_base_units + 1"
    )
    refused = await shop.proof_of(deposit)
    assert (refused.status, refused.json["reason"]) == (409, "not-shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deposit_proofs, "_check", lambda *_: proven)
        with pytest.raises(ProofInvalid, match="the chain says 3000000000000000000"):
            await asyncio.to_thread(names["prove"], *asked)
        status, said = await run_node()
    assert status != 0
    assert "ProofInvalid" in said
