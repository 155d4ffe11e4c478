"""`python -m tests.devnet.record`: blocks of the locked anvil, with receipts and traces, as `tests/recorded/anvil.json`.

What a newcomer's run proves rests on these; blocks of public chains come on top where they are at hand. Lives here: the
transactions of each block, and writing the file. Does not live here: reading it (tests/unit/chains/verify/recorded.py),
the node (`anvil`), the contracts (`compiled`).
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account

from tests.devnet.anvil import ACCOUNTS, REPOSITORY, AnvilNode, start_anvil
from tests.devnet.compiled import load_contract
from tests.devnet.local import payee

FILE = REPOSITORY / "tests" / "recorded" / "anvil.json"
BYTES_MAX = 300_000
CHAIN_NUMBER = 31337
GENESIS_TIME_S = 1_790_000_000
SIGNER = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
DELEGATING = Account.from_key("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
ETHER = 10**18
LEGACY: dict[str, Any] = {"gasPrice": hex(10**10)}

Rows = dict[str, Any]


@dataclass(slots=True)
class Recorder:
    """One node and the blocks it has shown."""

    node: AnvilNode
    token: str = ""
    multi: str = ""
    blocks: dict[str, Rows] = field(default_factory=dict)

    async def seal(self, name: str, *, traced: bool = False) -> None:
        """Mine what waits, and keep the block under a name."""
        height = await self.node.height() + 1
        await self.node.call("evm_setNextBlockTimestamp", GENESIS_TIME_S + 12 * height)
        await self.node.mine()
        block = await self.node.call("eth_getBlockByNumber", hex(height), True)
        kept = {"block": block, "receipts": await self.node.call("eth_getBlockReceipts", hex(height))}
        if traced:
            tracer = {"tracer": "callTracer"}
            kept["trace"] = await self.node.call("debug_traceBlockByHash", block["hash"], tracer)
        self.blocks[name] = kept

    async def pay(self, number: int, value: int, **others: Any) -> None:
        """Native coin to somebody new."""
        await self.node.send(sender=ACCOUNTS[number % 5], to=payee(number), value=value, **others)

    async def mint(self, number: int, amount: int, **others: Any) -> None:
        """Token units out of nothing."""
        data = load_contract("DemoToken").call("mint", ACCOUNTS[number % 5], amount)
        await self.node.send(sender=ACCOUNTS[number % 5], to=self.token, data=data, **others)

    async def transfer(self, number: int, amount: int, **others: Any) -> None:
        """Token units to somebody new."""
        data = load_contract("DemoToken").call("transfer", payee(number), amount)
        await self.node.send(sender=ACCOUNTS[number % 5], to=self.token, data=data, **others)

    async def call_multi(self, function: str, *arguments: object, value: int) -> None:
        """One way in which native coin moves inside."""
        data = load_contract("Multi").call(function, *arguments)
        await self.node.send(sender=ACCOUNTS[1], to=self.multi, data=data, value=value)

    async def send_signed(self, fields: Rows) -> None:
        """A transaction of a type that the node's own wallet does not make."""
        base = {
            "chainId": CHAIN_NUMBER,
            "nonce": int(await self.node.call("eth_getTransactionCount", ACCOUNTS[0], "pending"), 16),
            "gas": 500_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 10**9,
            "to": bytes.fromhex(ACCOUNTS[1][2:]),
            "value": 12345,
            "data": "0x",
        }
        merged = {name: value for name, value in {**base, **fields}.items() if value is not None}
        raw = SIGNER.sign_transaction(merged).raw_transaction.hex()
        await self.node.call("eth_sendRawTransaction", "0x" + raw)


async def record(to: Recorder) -> None:
    """Every block, in order."""
    await to.node.send(data=load_contract("DemoToken").creation("Tether", "USDT", 6), gas=hex(10_000_000))
    await to.seal("token")
    to.token = to.blocks["token"]["receipts"][0]["contractAddress"]
    await to.node.send(data=load_contract("Multi").creation(), gas=hex(10_000_000))
    await to.seal("multi")
    to.multi = to.blocks["multi"]["receipts"][0]["contractAddress"]
    await to.seal("empty", traced=True)
    for number in range(5):
        await to.mint(number, 10**12 + number, **LEGACY)
    for number in range(5, 10):
        await to.transfer(number, 1_500_000 + number, **LEGACY)
    await to.pay(10, ETHER, **LEGACY)
    await to.transfer(11, 10**15, gas=hex(100_000), **LEGACY)  # fails: more than there is
    await to.node.send(sender=ACCOUNTS[2], data=load_contract("Endowed").creation(), value=7, **LEGACY)
    await to.seal("legacy", traced=True)
    await _record_types(to)
    for function, arguments in (
        ("send", [[payee(40), payee(41), payee(42)]]), ("swallow", [payee(43)]), ("revertAll", [payee(44)]),
        ("dele", [payee(45)]), ("boom", [payee(46)]), ("endow", [bytes(31) + b"\x07"]),
        ("dive", [5, payee(47), ETHER]),
    ):  # fmt: skip
        await to.call_multi(function, *arguments, value=3 * ETHER)
    await to.seal("internal", traced=True)
    for number in range(50, 74):
        await to.mint(number, number)
    await to.seal("logs")


async def _record_types(to: Recorder) -> None:
    """One block with every type of transaction that anvil hashes as Ethereum does."""
    access = [{"address": to.token, "storageKeys": ["0x" + "00" * 31 + "07"]}]
    token = bytes.fromhex(to.token[2:])
    legacy = {"maxFeePerGas": None, "maxPriorityFeePerGas": None, "gasPrice": 10**10}
    authorization = {"chainId": CHAIN_NUMBER, "address": token, "nonce": 2}
    transfer = load_contract("DemoToken").call("transfer", payee(20), 2_000_000)
    await to.send_signed({**legacy, "value": ETHER})
    await to.send_signed({**legacy, "to": token, "value": 0, "data": transfer})
    await to.send_signed(
        {**legacy, "type": 1, "accessList": access, "to": token, "value": 0, "data": transfer}
    )
    await to.send_signed({"accessList": access, "value": 3 * ETHER})
    await to.send_signed({"authorizationList": [DELEGATING.sign_authorization(authorization)]})
    await to.send_signed({"to": None, "value": 5, "data": load_contract("Endowed").creation()})
    for number in range(21, 26):
        await to.transfer(number, 3_000_000 + number)
    await to.transfer(26, 10**15, gas=hex(100_000))  # fails
    await to.pay(27, 2 * ETHER)
    await to.seal("types", traced=True)


async def main() -> int:
    """Write the file."""
    async with start_anvil("--hardfork", "prague", "--timestamp", str(GENESIS_TIME_S)) as node:
        recorder = Recorder(node)
        await record(recorder)
        said = {
            "node": await node.call("web3_clientVersion"),
            "token": recorder.token,
            "blocks": recorder.blocks,
        }
    text = json.dumps(said, separators=(",", ":"))
    assert len(text) < BYTES_MAX, f"{len(text)} bytes"
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text.replace('},{"', '},\n{"') + "\n")
    for name, kept in recorder.blocks.items():
        outcomes = [(row["type"], row["status"], len(row["logs"])) for row in kept["receipts"]]
        print(f"{name:<9} {outcomes}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
