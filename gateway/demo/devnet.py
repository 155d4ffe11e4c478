"""The demo's chain: a local anvil node and the few things a customer does on it.

Finding and starting the node lives here, and so do deploying the token,
paying, mining and reorganising.  What the story is lives in `story`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.demo.ports import choose_port

START_PATIENCE_S = 20.0
CUSTOMER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
"""The first of anvil's own accounts; it owns play money only."""

TRANSFER_SELECTOR = "a9059cbb"
MINT_SELECTOR = "40c10f19"

CONFIGURATION = """\
[chains.local]
family = "evm"
chain_id = 31337
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = ["{url}", "{ws_url}"]
block_time_s = 1
final = {{ confirmations = 12 }}
assets = [ {{ symbol = "USDT", contract = "{token}", decimals = 6, min_base_units = "1" }} ]"""


class DevnetFailure(Exception):
    """The local node is missing or answered with an error; the message says what to do."""


def find_anvil() -> Path:
    """The node's binary: `$CHAINBELL_ANVIL`, on PATH, or in a `node_modules` above the working folder."""
    named = os.environ.get("CHAINBELL_ANVIL")
    if named:
        return Path(named)
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        candidate = folder / "node_modules" / ".bin" / "anvil"
        if candidate.exists():
            return candidate
    raise DevnetFailure(
        "the demo needs the local node `anvil`: run `make setup` in the repository, "
        "or set CHAINBELL_ANVIL to its path"
    )


@dataclass(slots=True)
class Devnet:
    """A running node; amounts are base units."""

    url: str
    ws_url: str
    session: aiohttp.ClientSession
    token: str = ""

    @property
    def configuration(self) -> str:
        """How chainbell is told of it."""
        return CONFIGURATION.format(url=self.url, ws_url=self.ws_url, token=self.token)

    async def call(self, method: str, *params: object) -> Any:
        """The result of one JSON-RPC call; raises `DevnetFailure` on an error answer."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        async with self.session.post(self.url, json=request) as response:
            answer = await response.json(content_type=None)
        if "error" in answer:
            raise DevnetFailure(f"{method}: {answer['error']}")
        return answer["result"]

    async def mine(self, blocks_count: int = 1) -> None:
        """Mine so many blocks, one by one."""
        for _ in range(blocks_count):
            await self.call("evm_mine")

    async def deploy_token(self) -> None:
        """Deploy the play-money USDT and give the customer some."""
        artifact = json.loads(Path(__file__).with_name("token.json").read_text())
        data = artifact["bytecode"] + encode_token_arguments("Play USDT", "USDT", decimals=6)
        tx_hash = await self.call(
            "eth_sendTransaction", {"from": CUSTOMER, "data": data, "gas": hex(5_000_000)}
        )
        await self.mine()
        receipt = await self.call("eth_getTransactionReceipt", tx_hash)
        self.token = receipt["contractAddress"]
        await self._call_token(MINT_SELECTOR, CUSTOMER, 1_000_000_000_000)
        await self.mine()

    async def pay_token(self, to: str, amount_base_units: int) -> str:
        """Send a token payment without mining it; returns the transaction's hash."""
        return await self._call_token(TRANSFER_SELECTOR, to, amount_base_units)

    async def pay_native(self, to: str, amount_base_units: int) -> str:
        """Send ether without mining it; returns the transaction's hash."""
        transaction = {"from": CUSTOMER, "to": to, "value": hex(amount_base_units), "gas": hex(21_000)}
        return str(await self.call("eth_sendTransaction", transaction))

    async def raw_transaction(self, tx_hash: str) -> str:
        """A transaction in the form in which a reorganisation takes it again."""
        return str(await self.call("eth_getRawTransactionByHash", tx_hash))

    async def reorganise(self, depth_blocks: int, kept: list[tuple[str, int]] | None = None) -> None:
        """Replace the last blocks; `kept` are raw transactions with the new block each goes into."""
        await self.call("anvil_reorg", depth_blocks, [[raw, offset] for raw, offset in kept or []])

    async def _call_token(self, selector: str, to: str, amount_base_units: int) -> str:
        data = f"0x{selector}{to[2:].lower().rjust(64, '0')}{amount_base_units:064x}"
        transaction = {"from": CUSTOMER, "to": self.token, "data": data, "gas": hex(200_000)}
        return str(await self.call("eth_sendTransaction", transaction))


def encode_token_arguments(name: str, symbol: str, *, decimals: int) -> str:
    """ABI encoding of (string, string, uint8), the token's constructor, for texts of up to 32 bytes."""
    head = [0x60, 0xA0, decimals]
    tail = "".join(
        f"{len(text.encode()):064x}{text.encode().hex().ljust(64, '0')}" for text in (name, symbol)
    )
    return "".join(f"{word:064x}" for word in head) + tail


@asynccontextmanager
async def open_devnet() -> AsyncIterator[Devnet]:
    """A fresh node on a free loopback port, ended with the context."""
    binary = find_anvil()
    port = choose_port()
    process = await asyncio.create_subprocess_exec(
        str(binary),
        "--port",
        str(port),
        "--no-mining",
        "--silent",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            devnet = Devnet(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", session)
            await _wait_until_up(devnet, process)
            yield devnet
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _wait_until_up(devnet: Devnet, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_PATIENCE_S):
        while True:
            if process.returncode is not None:
                raise DevnetFailure(f"anvil ended with status {process.returncode} while starting")
            try:
                await devnet.call("eth_chainId")
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
            else:
                return
