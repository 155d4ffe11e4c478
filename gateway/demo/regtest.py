"""The demo's other chain: a bitcoind on regtest, whose wallet is the customer and another of whose wallets is the shop's.

Finding and starting the node lives here, and so do paying, taking a payment back, mining and reorganising.  What the
story is lives in `story_bitcoin`.  The keys are the node's; chainbell is told addresses only.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.demo.devnet import DevnetFailure
from gateway.demo.ports import choose_port

START_PATIENCE_S = 60.0
RIPE_BLOCKS = 101
CALL_DEADLINE_S = 30.0

CONFIGURATION = """\
[chains.bitcoin-regtest]
endpoints = [ {{ url = "{url}", cookie_file = "{cookie_file}" }}, "tcp://127.0.0.1:{zmq_port}" ]"""


def find_bitcoind() -> Sequence[str]:
    """The command of the node: `$CHAINBELL_BITCOIND`, on PATH, or what `make bitcoind` unpacked above the working folder."""
    named = os.environ.get("CHAINBELL_BITCOIND") or shutil.which("bitcoind")
    if named:
        return (named,)
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        root = folder / ".bitcoind" / "root" / "usr"
        libraries = root / "lib" / "x86_64-linux-gnu"
        if (root / "bin" / "bitcoind").exists():
            loader = libraries / "ld-linux-x86-64.so.2"
            return str(loader), "--library-path", str(libraries), str(root / "bin" / "bitcoind")
    raise DevnetFailure(
        "the demo needs a `bitcoind`: run `make bitcoind` in the repository, put one on PATH, "
        "or set CHAINBELL_BITCOIND to its path"
    )


@dataclass(slots=True)
class Regtest:
    """A running node; amounts are in base units."""

    folder: Path
    port: int
    zmq_port: int
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie_file(self) -> Path:
        """Whom the node lets in."""
        return self.folder / "regtest" / ".cookie"

    @property
    def configuration(self) -> str:
        """How chainbell is told of it."""
        return CONFIGURATION.format(url=self.url, cookie_file=self.cookie_file, zmq_port=self.zmq_port)

    async def call(self, method: str, *params: object, wallet: str = "") -> Any:
        """The result of one JSON-RPC call; raises `DevnetFailure` on an error answer."""
        request = {"jsonrpc": "1.0", "id": 1, "method": method, "params": list(params)}
        let_in = "Basic " + base64.b64encode(self.cookie_file.read_bytes()).decode()
        url = f"{self.url}/wallet/{wallet}" if wallet else self.url
        async with self.session.post(url, json=request, headers={"authorization": let_in}) as response:
            answer = await response.json(content_type=None)
        if answer["error"] is not None:
            raise DevnetFailure(f"{method}: {answer['error']}")
        return answer["result"]

    async def begin(self) -> None:
        """Two wallets, and coins for the customer."""
        for wallet in ("customer", "shop"):
            await self.call("createwallet", wallet)
        await self.call("generatetoaddress", RIPE_BLOCKS, await self.address("customer"))

    async def address(self, wallet: str) -> str:
        """A new address of one of the two."""
        return str(await self.call("getnewaddress", "", "bech32", wallet=wallet))

    async def pay(self, to: str, amount_base_units: int) -> str:
        """The customer pays; the transaction waits. Returns its id."""
        asked = {"address": to, "amount": spell(amount_base_units), "replaceable": True, "fee_rate": 5}
        return str(await self.call("sendtoaddress", *_named(asked), wallet="customer"))

    async def take_back(self, tx_hash: str) -> str:
        """The customer replaces a payment that waits by one to himself, for a higher fee."""
        own = await self.address("customer")
        known = await self.call("gettransaction", tx_hash, wallet="customer")
        amount = spell(round(-known["amount"] * 10**8))
        asked = {"fee_rate": 25, "outputs": [{own: amount}]}
        return str((await self.call("bumpfee", tx_hash, asked, wallet="customer"))["txid"])

    async def mine(self, blocks_count: int = 1) -> None:
        """Mine what waits, and so many blocks in all, one by one."""
        address = await self.address("customer")
        for _ in range(blocks_count):
            await self.call("generatetoaddress", 1, address)

    async def replace_blocks(self, depth_blocks: int) -> None:
        """Leave the last blocks for as many empty ones and one more."""
        height = await self.call("getblockcount")
        await self.call("invalidateblock", await self.call("getblockhash", height - depth_blocks + 1))
        address = await self.address("customer")
        for _ in range(depth_blocks + 1):
            await self.call("generateblock", address, [])


def spell(amount_base_units: int) -> str:
    """An amount in coins, as the node's calls take it."""
    return f"{amount_base_units // 10**8}.{amount_base_units % 10**8:08d}"


def _named(asked: dict[str, object]) -> Sequence[object]:
    """`sendtoaddress` by position: behind address and amount what is left alone, whether it may be replaced, its fee rate."""
    return (
        asked["address"], asked["amount"], "", "", False, asked["replaceable"], None, "unset", None, asked["fee_rate"],
    )  # fmt: skip


@asynccontextmanager
async def open_regtest(folder: Path) -> AsyncIterator[Regtest]:
    """A fresh node below `folder` on free loopback ports, ended with the context."""
    command, data = find_bitcoind(), folder / "bitcoind"
    data.mkdir()
    port, zmq_port = choose_port(), choose_port()
    zmq = f"tcp://127.0.0.1:{zmq_port}"
    process = await asyncio.create_subprocess_exec(
        *command,
        "-regtest", f"-datadir={data}", f"-rpcport={port}", f"-zmqpubsequence={zmq}", f"-zmqpubhashblock={zmq}",
        "-listen=0", "-dnsseed=0", "-connect=0", "-fallbackfee=0.0002", "-printtoconsole=0", "-dbcache=4",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        timeout = aiohttp.ClientTimeout(total=CALL_DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            node = Regtest(data, port, zmq_port, session)
            await _wait_until_up(node, process)
            await node.begin()
            yield node
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _wait_until_up(node: Regtest, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_PATIENCE_S):
        while True:
            if process.returncode is not None:
                raise DevnetFailure(f"bitcoind ended with status {process.returncode} while starting")
            try:
                await node.call("getblockcount")
            except (aiohttp.ClientError, OSError, DevnetFailure):
                await asyncio.sleep(0.05)
            else:
                return
