"""Every block of a real node verifies in full, under every hard fork it knows and with every transaction type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from chains.errors import Inconsistent
from chains.evm.rows.consistency import STRICT, check_block
from chains.evm.verify import PROFILES, Check, Mode, Unavailable, examine_block, verify_block
from chains.model import VerificationLevel
from tests.devnet.anvil import ACCOUNTS, AnvilNode, find_anvil, start_anvil
from tests.devnet.compiled import load_contract
from tests.unit.chains.verify.recorded import build
from tests.unit.chains.verify.test_corruptions import change_an_amount, verify_rows

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(find_anvil() is None, reason="anvil is not installed: run `npm ci` in the repository"),
]

FORKS = [
    "frontier", "homestead", "tangerine", "spuriousdragon", "byzantium", "constantinople", "petersburg", "istanbul",
    "muirglacier", "berlin", "london", "arrowglacier", "grayglacier", "paris", "shanghai", "cancun", "prague", "osaka",
]  # fmt: skip
SIGNER = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
CHAIN_NUMBER = 31337

Rows = dict[str, Any]


@pytest.fixture(params=FORKS)
async def old_node(request: pytest.FixtureRequest) -> AsyncIterator[AnvilNode]:
    async with start_anvil("--hardfork", request.param) as node:
        yield node


@pytest.fixture(params=["prague", "osaka"])
async def new_node(request: pytest.FixtureRequest) -> AsyncIterator[AnvilNode]:
    async with start_anvil("--hardfork", request.param) as node:
        yield node


async def fetch_answer(node: AnvilNode, height: int) -> tuple[Rows, list[Rows]]:
    block = await node.call("eth_getBlockByNumber", hex(height), True)
    return block, await node.call("eth_getBlockReceipts", hex(height))


async def verify_every_block(node: AnvilNode) -> set[str]:
    """Verify genesis to tip; returns the transaction types that were there."""
    kinds: set[str] = set()
    for height in range(await node.height() + 1):
        block, receipts = await fetch_answer(node, height)
        built, rows = build(block, receipts)
        check_block(STRICT, block["hash"], built, rows)
        assert verify_block(PROFILES["full"], built, rows) is VerificationLevel.FULL, height
        kinds |= {item.get("type") or "0x0" for item in block["transactions"]}
    return kinds


async def send_raw(node: AnvilNode, fields: Rows, *, blobs: list[bytes] | None = None) -> str:
    base = {
        "chainId": CHAIN_NUMBER,
        "nonce": int(await node.call("eth_getTransactionCount", ACCOUNTS[0], "pending"), 16),
        "gas": 500_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 10**9,
        "to": bytes.fromhex(ACCOUNTS[1][2:]),
        "value": 12345,
        "data": "0x",
    }
    merged = {name: value for name, value in {**base, **fields}.items() if value is not None}
    signed = SIGNER.sign_transaction(merged, **({"blobs": blobs} if blobs else {}))
    return str(await node.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex()))


async def test_every_block_verifies_under_every_hard_fork(old_node: AnvilNode) -> None:
    node = old_node
    for value in (0, 1, 10**18):
        await node.send(to=ACCOUNTS[2], value=value, gas=hex(21_000), gasPrice=hex(10**10))
    await node.mine()
    await node.send(
        data="0x600a600c600039600a6000f3602a60005260206000f3", gas=hex(200_000), gasPrice=hex(10**10)
    )
    await node.mine(3)
    await verify_every_block(node)


async def test_every_transaction_type_verifies(new_node: AnvilNode) -> None:
    node = new_node
    token = await node.deploy(load_contract("DemoToken").creation("Tether", "USDT", 6))
    mint = load_contract("DemoToken").call("mint", ACCOUNTS[3], 1_000_000)
    access = [{"address": token, "storageKeys": ["0x" + "00" * 31 + "07"]}]
    await node.send(to=token, data=mint, gasPrice=hex(10**10))
    await send_raw(node, {"to": bytes.fromhex(token[2:]), "value": 0, "data": mint})
    await node.mine()
    await send_raw(node, {"accessList": access})
    await node.mine()
    legacy = {"maxFeePerGas": None, "maxPriorityFeePerGas": None, "gasPrice": 10**10}
    await send_raw(node, {**legacy, "type": 1, "accessList": access})
    await node.mine()
    authorization = {"chainId": CHAIN_NUMBER, "address": bytes.fromhex(token[2:]), "nonce": 0}
    other = Account.from_key("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
    await send_raw(node, {"authorizationList": [other.sign_authorization(authorization)]})
    await node.mine()
    assert await verify_every_block(node) >= {"0x0", "0x1", "0x2", "0x4"}


async def test_a_blob_transaction_gives_its_hash() -> None:
    """Anvil 1.7.1 puts the sidecar into the transactions root; recorded mainnet blocks prove ours (test_recorded)."""
    checks = {**PROFILES["full"].modes, Check.TRANSACTIONS_ROOT: Mode.BEST_EFFORT}
    profile = replace(PROFILES["full"], modes=checks)
    async with start_anvil("--hardfork", "cancun") as node:
        await send_raw(node, {"maxFeePerBlobGas": 10**10, "type": 3}, blobs=[bytes(32 * 4096)])
        await node.mine()
        block, receipts = await fetch_answer(node, 1)
        assert block["transactions"][0]["type"] == "0x3"
        examination = examine_block(profile, *build(block, receipts))
    assert examination.proven >= set(Check) - {Check.TRANSACTIONS_ROOT}
    unknown = examine_block(PROFILES["auto"], *build(block, receipts))
    assert Unavailable(Check.TRANSACTIONS_ROOT, "type-unproven:0x3") in unknown.unavailable


async def test_a_thousand_logs_in_a_block_verify_and_one_changed_amount_does_not() -> None:
    async with start_anvil() as node:
        token = await node.deploy(load_contract("DemoToken").creation("Tether", "USDT", 6))
        for number in range(150):
            mint = load_contract("DemoToken").call("mint", ACCOUNTS[number % 5], 1_000_000 + number)
            await node.send(sender=ACCOUNTS[number % 5], to=token, data=mint, gas=hex(100_000))
        await node.mine()
        block, receipts = await fetch_answer(node, await node.height())
        assert len(receipts) == 150
        verify_rows("full", block, receipts)
        change_an_amount(block, receipts)
        with pytest.raises(Inconsistent, match="receipts-root"):
            verify_rows("full", block, receipts)
