"""One operator, a chain nobody can verify and one that proves itself, followed by one process and shown by another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.devnet.anvil import start_anvil
from tests.processes.program import Program, Settings

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
ETHER = 10**18
MORE = """verification = "agreement"

[chains.linea]
endpoints = ["{url}"]
poll_interval_s = 0.1
"""


async def until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """The answer once this holds of it."""
    answer: Any = None
    for _ in range(150):
        answer = await ask()
        if holds(answer):
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(answer)


@pytest.mark.timeout(120)
async def test_a_large_payment_waits_for_a_word_and_the_other_process_says_what_was_learnt(
    tmp_path: Path, empty_database_url: str
) -> None:
    async with start_anvil() as node, start_anvil("--chain-id", "59144") as proving:
        await node.mine(2)
        await proving.mine(2)
        settings = Settings([node.url], database_url=empty_database_url, extra=MORE.format(url=proving.url))
        program = Program(tmp_path, settings)
        program.write_config()
        try:
            await program.start("follow")
            await program.start("gateway")
            await program.wait_ready()
            merchant = await program.create_merchant("Shop")
            await program.call(merchant, "POST", "/v1/addresses", {"chain": "local", "address": TILL})
            await check_what_was_learnt(program, merchant, proving)
            await check_what_waits(program, merchant, node)
        finally:
            await program.end_all()


async def check_what_was_learnt(program: Program, merchant: str, proving: Any) -> None:
    async def ask() -> Any:
        return await program.call(merchant, "GET", "/v1/chains/linea")

    before = await ask()
    states = {one["check"]: one["state"] for one in before["checks"]}
    assert states["receipts-root"] == "on-trial", "no block with a transaction yet"
    await proving.send(to=TILL, value=1)
    await proving.mine(1)
    height = await proving.height()
    after = await until(
        ask, lambda chain: any(one["enforced_since_height"] is not None for one in chain["checks"])
    )
    learnt = {one["check"]: (one["state"], one["enforced_since_height"]) for one in after["checks"]}
    assert learnt["receipts-root"] == ("enforced", height)
    assert after["unverified"] is False


async def check_what_waits(program: Program, merchant: str, node: Any) -> None:
    await node.send(to=TILL, value=ETHER + 1)
    await node.send(to=TILL, value=ETHER)
    await node.mine(14)

    async def deposits() -> Any:
        items = (await program.call(merchant, "GET", "/v1/deposits"))["items"]
        return {int(one["amount_base_units"]): one for one in items}

    found = await until(deposits, lambda rows: rows.get(ETHER, {}).get("state") == "final")
    large = found[ETHER + 1]
    assert (large["state"], large["credited_base_units"]) == ("included", "0")
    path = f"/v1/explain?chain=local&tx_hash={large['tx_hash']}"
    (finding,) = (await program.call(merchant, "GET", path))["findings"]
    assert finding["reason"] == "unverified"
    chain = await program.call(merchant, "GET", "/v1/chains/local")
    assert (chain["unverified"], chain["trust"], chain["held_height"]) == (True, "single", None)
    assert "local is unverified" in await program.command("chain", "status")
    height = str(large["block"]["height"])
    assert json.loads(
        await program.command("chain", "trust", "--chain", "local", "--until", height, "--json")
    )
    found = await deposits()
    assert found[ETHER + 1]["state"] == "final", "without another block"
    (finding,) = (await program.call(merchant, "GET", path))["findings"]
    assert finding["reason"] == "credited"
