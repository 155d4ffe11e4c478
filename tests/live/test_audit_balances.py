"""`chainbell audit --balances` sees what no block tells, and calls nothing wrong that it cannot see.

A real node and a real database; the last test runs the command itself.  Amounts held block by block while following are
in `test_internal.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chains.errors import Pruned
from chains.evm.address import parse_address
from chains.evm.facts import change_facts
from chains.traits import ChainTraits
from indexer.history.audit import Difference, audit_range, settle_balances
from indexer.history.balance_audit import NOT_TRACED, AuditedBalances, BalanceTally
from tests.devnet.anvil import ACCOUNTS
from tests.devnet.compiled import load_contract
from tests.faultproxy import faults
from tests.faultproxy.proxy import start_proxy
from tests.live.world import ETHER as NATIVE
from tests.live.world import World, open_world

pytestmark = pytest.mark.live

ETHER = 10**18
TILL = f"0x{0x7111:040x}"


def traced(traits: ChainTraits) -> ChainTraits:
    """The local chain with its calls traced."""
    return change_facts(traits, traces=True)


async def audit(
    world: World, first: int = 1, *, chunk_blocks: int = 3
) -> tuple[list[Difference], AuditedBalances]:
    """The whole range up to the node's head, in small chunks."""
    tally = BalanceTally(world.settings.traits, world.desk.watched)
    provider = world.source.choose_provider()
    last = await world.node.height()
    differences: list[Difference] = []
    async for chunk in audit_range(
        world.pool,
        world.desk,
        world.store,
        world.source,
        height_first=first,
        height_last=last,
        chunk_blocks=chunk_blocks,
        tally=tally,
    ):
        differences += chunk.differences
    return differences, await settle_balances(world.desk, world.store, provider, tally)


async def send_through_a_contract(world: World, recipients: Sequence[str], value: int) -> None:
    """Equal parts by inner calls."""
    at = await world.node.deploy(load_contract("Multi").creation())
    data = load_contract("Multi").call("send", list(recipients))
    await world.node.send(to=at, data=data, value=value)
    await world.node.mine()


async def test_what_the_blocks_moved_is_what_the_balances_say(database_url: str) -> None:
    async with open_world(
        database_url, adapt=traced, deploys=[load_contract("FeeToken").creation()]
    ) as world:
        fee_token, call = world.contracts[0], load_contract("FeeToken").call
        await world.watch(TILL)
        await world.watch(ACCOUNTS[4])
        await world.node.send(to=fee_token, data=call("mint", ACCOUNTS[4], 10_000))
        await world.node.mine()
        await world.node.send(sender=ACCOUNTS[4], to=fee_token, data=call("transfer", TILL, 5_000))
        await world.node.send(sender=ACCOUNTS[4], to=TILL, value=7)
        await world.node.mine()
        await send_through_a_contract(world, [TILL, ACCOUNTS[4]], 2 * ETHER)
        await world.settle()
        differences, balances = await audit(world, 2)
        assert (differences, balances) == ([], AuditedBalances(4, ()))


async def test_case_010_a_fee_token_is_credited_with_what_arrived(database_url: str) -> None:
    async with open_world(database_url, deploys=[load_contract("FeeToken").creation()]) as world:
        fee_token, call = world.contracts[0], load_contract("FeeToken").call
        await world.watch(TILL)
        await world.node.send(to=fee_token, data=call("mint", ACCOUNTS[0], 10_000))
        await world.node.send(to=fee_token, data=call("transfer", TILL, 5_000))
        await world.node.mine()
        await world.settle()
        assert [one["data"]["deposit"]["amount_base_units"] for one in await world.told()] == ["4950"]
        differences, balances = await audit(world, 2)
        assert (differences, balances) == ([], AuditedBalances(1, ()))


async def test_case_003_a_token_that_lies_is_found_by_its_balance(database_url: str) -> None:
    async with open_world(database_url, deploys=[load_contract("LyingToken").creation()]) as world:
        await world.watch(TILL)
        await world.node.send(to=world.contracts[0], data=load_contract("LyingToken").call("lie", TILL, 9))
        await world.node.mine()
        await world.settle()
        _, balances = await audit(world, 2)
        (found,) = balances.differences
        assert (found.address, found.unexplained) == (parse_address(TILL), None)
        assert (found.moved_base_units, found.changed_base_units) == (9, 0)


async def test_case_042_a_balance_that_no_block_explains_is_a_difference(database_url: str) -> None:
    async with open_world(database_url, adapt=traced) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine()
        await world.settle()
        await world.node.call("anvil_setBalance", TILL, hex(5 + ETHER))
        await world.node.mine()
        await world.settle()
        differences, balances = await audit(world)
        (found,) = balances.differences
        assert differences == []
        assert (found.address, found.asset) == (parse_address(TILL), NATIVE)
        assert (found.moved_base_units, found.changed_base_units, found.unexplained) == (5, 5 + ETHER, None)


async def test_without_traces_what_contracts_sent_is_unexplained_and_not_an_error(database_url: str) -> None:
    async with open_world(database_url) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine()
        await send_through_a_contract(world, [TILL], ETHER)
        await world.settle()
        _, balances = await audit(world)
        (found,) = balances.differences
        assert (found.moved_base_units, found.changed_base_units) == (5, 5 + ETHER)
        assert found.unexplained == NOT_TRACED


async def test_what_genesis_gave_away_is_where_a_range_begins(database_url: str) -> None:
    async with open_world(database_url, adapt=traced) as world:
        await world.watch(ACCOUNTS[2])
        await world.node.send(to=ACCOUNTS[2], value=5)
        await world.node.mine()
        await world.settle()
        _, balances = await audit(world, 0)
        assert balances == AuditedBalances(1, ())


async def test_balances_that_are_not_kept_are_said_to_be_missing(database_url: str) -> None:
    async with open_world(database_url, operators=1) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine()
        await world.settle()
        world.proxies[0].bend("eth_getBalance", faults.failing(-32000, "state at block #1 is pruned"))
        with pytest.raises(Pruned):
            await audit(world)


async def test_the_command_tells_people_and_programs_and_ends_with_1(
    database_url: str, tmp_path: Path
) -> None:
    async with open_world(database_url, adapt=traced) as world:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine(2)
        await world.settle()
        write_config(tmp_path, world.node.url)
        last = str(await world.node.height())
        arguments = ["audit", "--chain", "local", "--from", "2", "--balances", "--to"]
        status, said = await run(tmp_path, database_url, *arguments, last)
        assert (status, "1 balances compared: 0 differences, 0 unexplained" in said) == (0, True), said
        await world.node.call("anvil_setBalance", TILL, hex(ETHER))
        await world.node.mine()
        await world.settle()
        last = str(await world.node.height())
        status, said = await run(tmp_path, database_url, *arguments, last, "--json")
        balances: dict[str, Any] = json.loads(said)["balances"]
        assert (status, balances["checked"], balances["differences_count"]) == (1, 1, 1)
        assert balances["differences"] == [
            {
                "address": world.desk.naming.address_text(parse_address(TILL)),
                "asset": NATIVE,
                "moved_base_units": "5",
                "changed_base_units": str(ETHER),
                "reason": None,
            }
        ]


async def test_the_command_asks_another_operator_and_tells_senders_apart(
    database_url: str, tmp_path: Path
) -> None:
    async with open_world(database_url, operators=1) as world, start_proxy(world.node.url) as second:
        await world.watch(TILL)
        await world.node.send(to=TILL, value=5)
        await world.node.mine(2)
        await world.settle()
        first = world.proxies[0].url
        arguments = ["audit", "--chain", "local", "--from", "2", "--to", str(await world.node.height())]
        write_config(tmp_path, first)
        status, said = await run(tmp_path, database_url, *arguments)
        assert status == 0, said
        assert "0 of them were asked of an operator who had not served them" in said
        assert "no other operator is configured" in said
        write_config(tmp_path, first, second.url)
        status, said = await run(tmp_path, database_url, *arguments, "--json")
        told: dict[str, Any] = json.loads(said)
        assert (status, told["blocks_asked_of_another_operator"]) == (0, told["blocks"])
        (asked,) = told["asked"]
        assert (asked["is_another_operator"], asked["reason"], asked["operator"]) == (
            True,
            None,
            "operator-1",
        )
        await world.pool.execute("update deposits set senders = $1, own_transfer = true", b"\x14" + bytes(20))
        status, said = await run(tmp_path, database_url, *arguments, "--json")
        told = json.loads(said)
        assert (status, [one["what"] for one in told["differences"]]) == (1, ["sender", "own transfer"])


def write_config(folder: Path, *node_urls: str) -> None:
    """A configuration for the world's node and database, each URL an operator's of its own."""
    endpoints = ", ".join(
        f'{{ url = "{url}", operator = "operator-{number}" }}' for number, url in enumerate(node_urls)
    )
    (folder / "chainbell.toml").write_text(
        f"""
data_dir = "data"
[database]
url = "$TEST_DATABASE"
[secrets]
admin_token = "the-admin-token-of-this-test"
encryption_key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
[chains.local]
family = "evm"
chain_id = 31337
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = [{endpoints}]
traces = true
"""
    )


async def run(folder: Path, database_url: str, *arguments: str) -> tuple[int | None, str]:
    """One command to its end: its status and what it printed."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("CHAINBELL")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", *arguments, cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=surroundings | {"TEST_DATABASE": database_url, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode() or err.decode()
