"""Anvil for tests: a real EVM node on a free loopback port, started and stopped.

`start_anvil` gives a node that mines only when told; `AnvilNode.call` speaks
to it.  It lives as long as its context, and is ended by its own process id.
Token contracts to deploy on it are in `contracts.py` beside it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from chains.model import BlockHash, BlockRef
from gateway.demo.ports import choose_port

REPOSITORY = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 30.0

ACCOUNTS = (
    "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
    "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65",
)
"""The first of anvil's ten unlocked accounts, each with 10,000 ETH."""


class RpcFailure(Exception):
    """The node answered a test's call with an error."""


def find_anvil() -> Path | None:
    """The anvil of this checkout's node_modules, or the one on PATH.

    The binary itself, not npm's script around it: killing that would leave the node behind.
    """
    for local in sorted((REPOSITORY / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*")):
        return local
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder) / "anvil"
        if candidate.is_file():
            return candidate
    return None


@dataclass(slots=True)
class AnvilNode:
    """One running node; `call` raises `RpcFailure` on an error answer."""

    port: int
    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    calls_made: int = field(default=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def call(self, method: str, *params: object) -> Any:
        """The result of one JSON-RPC call."""
        self.calls_made += 1
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        async with self.session.post(self.url, json=request) as response:
            answer = await response.json(content_type=None)
        if "error" in answer:
            raise RpcFailure(f"{method}: {answer['error']}")
        return answer["result"]

    async def mine(self, blocks: int = 1) -> None:
        """Mine so many blocks, the pending transactions in the first."""
        for _ in range(blocks):
            await self.call("evm_mine")

    async def send(
        self,
        *,
        sender: str = ACCOUNTS[0],
        to: str | None = None,
        value: int = 0,
        data: str = "0x",
        **others: object,
    ) -> str:
        """Hand in a transaction without mining it; returns its hash."""
        fields: dict[str, object] = {"from": sender, "value": hex(value), "data": data, **others}
        if to is not None:
            fields["to"] = to
        fields.setdefault("gas", hex(3_000_000))
        return str(await self.call("eth_sendTransaction", fields))

    async def deploy(self, bytecode: str, *, value: int = 0) -> str:
        """Create a contract in a block of its own; returns its lower-case address."""
        tx_hash = await self.send(data=bytecode, value=value, gas=hex(10_000_000))
        await self.mine()
        receipt = await self.call("eth_getTransactionReceipt", tx_hash)
        if receipt is None or receipt["status"] != "0x1":
            raise RpcFailure(f"deployment failed: {receipt}")
        return str(receipt["contractAddress"]).lower()

    async def height(self) -> int:
        """The newest block's height."""
        return int(await self.call("eth_blockNumber"), 16)

    async def block_hash(self, height: int) -> str:
        """The canonical hash at a height."""
        block = await self.call("eth_getBlockByNumber", hex(height), False)
        return str(block["hash"])

    async def block_ref(self, height: int) -> BlockRef:
        """The canonical block at a height, as the port asks for it."""
        return BlockRef(height, BlockHash(bytes.fromhex((await self.block_hash(height))[2:])))

    async def raw_transaction(self, tx_hash: str) -> str:
        """A transaction as `anvil_reorg` takes it back."""
        return str(await self.call("eth_getRawTransactionByHash", tx_hash))


@asynccontextmanager
async def start_anvil(
    *options: str, port: int | None = None, mining: bool = False
) -> AsyncIterator[AnvilNode]:
    """A fresh node that mines when told (or, with `mining`, at every transaction).

    One slot an epoch: `safe` is latest − 1 and `finalized` latest − 2.
    """
    binary = find_anvil()
    if binary is None:
        raise FileNotFoundError("anvil: run `npm ci` in the repository")
    chosen = choose_port() if port is None else port
    arguments: Sequence[str] = (
        "--port", str(chosen), "--silent", "--slots-in-an-epoch", "1",
        *(() if mining else ("--no-mining",)), *options,
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        str(binary),
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            node = AnvilNode(chosen, process, session)
            await _wait_until_up(node)
            yield node
    finally:
        await _stop(process)


async def _wait_until_up(node: AnvilNode) -> None:
    async with asyncio.timeout(START_DEADLINE_S):
        while True:
            if node.process.returncode is not None:
                raise RpcFailure(f"anvil ended with {node.process.returncode} while starting")
            try:
                await node.call("eth_chainId")
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
            else:
                return


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
