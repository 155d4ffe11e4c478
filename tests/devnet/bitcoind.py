"""A real bitcoind on regtest for tests: started on free loopback ports, mined by command, restarted and killed.

Coins need no wallet and no key: rewards go to the script `OP_TRUE`, which anybody may spend, and tests write their own
transactions.  Where the node comes from is `bitcoind_install`.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chains.bitcoin.coins import COIN_BASE_UNITS
from chains.model import BlockHash, BlockRef
from gateway.demo.ports import choose_port
from tests.devnet.anvil import RpcFailure
from tests.devnet.bitcoind_install import FOLDER, READY
from tests.unit.chains.bitcoin.making import Tx, output

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
RIPE_BLOCKS = 100
COINS_FIRST = 24
"""So many rewards can be spent when a world begins."""

BLOCKS_AT_ONCE = 250
"""So few that a busy machine answers in time."""

REWARD = 50 * COIN_BASE_UNITS
ANYONE = b"\x51"
"""`OP_TRUE`."""
USER, PASSWORD = "tester", "a-word-of-tests"
HOW_TO_GET_ONE = "bitcoind is not installed: run `make bitcoind` in the repository, or put one on PATH"


def find_bitcoind() -> Sequence[str] | None:
    """The command that starts this checkout's bitcoind, or the one on PATH."""
    if READY.exists():
        libraries = FOLDER / "root" / "usr" / "lib" / "x86_64-linux-gnu"
        loader, binary = libraries / "ld-linux-x86-64.so.2", FOLDER / "root" / "usr" / "bin" / "bitcoind"
        return str(loader), "--library-path", str(libraries), str(binary)
    found = shutil.which("bitcoind")
    return None if found is None else (found,)


needs_bitcoind = pytest.mark.skipif(find_bitcoind() is None, reason=HOW_TO_GET_ONE)


@dataclass(slots=True)
class BitcoinNode:
    """One node and its folder; `call` raises `RpcFailure` on an error answer."""

    folder: Path
    options: tuple[str, ...]
    session: aiohttp.ClientSession
    port: int = field(default_factory=choose_port)
    p2p_port: int = field(default_factory=choose_port)
    zmq_port: int = field(default_factory=choose_port)
    process: asyncio.subprocess.Process | None = None
    spent: int = 0
    branch: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def login_url(self) -> str:
        """The same, let in by user and password."""
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    @property
    def zmq_url(self) -> str:
        return f"tcp://127.0.0.1:{self.zmq_port}"

    @property
    def cookie_file(self) -> Path:
        """Where the node writes whom it lets in."""
        return self.folder / "regtest" / ".cookie"

    async def start(self) -> None:
        """Start, or start again; returns when it answers."""
        command = find_bitcoind()
        assert command is not None, HOW_TO_GET_ONE
        self.process = await asyncio.create_subprocess_exec(
            *command,
            "-regtest",
            f"-datadir={self.folder}",
            f"-rpcport={self.port}",
            f"-rpcauth={USER}:{_hash_password()}",
            f"-bind=127.0.0.1:{self.p2p_port}",
            f"-bind=127.0.0.1:{choose_port()}=onion",
            f"-zmqpubsequence={self.zmq_url}",
            f"-zmqpubhashblock={self.zmq_url}",
            "-dnsseed=0", "-fixedseeds=0", "-discover=0", "-listenonion=0", "-natpmp=0", "-i2pacceptincoming=0",
            "-printtoconsole=0", "-persistmempool=0", "-acceptnonstdtxn=1", "-disablewallet=1", "-dbcache=4",
            "-maxmempool=16", "-par=1", *self.options,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(START_DEADLINE_S):
            while True:
                if self.process.returncode is not None:
                    raise RpcFailure(f"bitcoind ended with {self.process.returncode} while starting")
                try:
                    await self.call("getblockcount")
                except (aiohttp.ClientError, OSError, RpcFailure):
                    await asyncio.sleep(0.05)
                else:
                    return

    async def stop(self) -> None:
        """End it in good order."""
        await self._end(kill=False)

    async def kill(self) -> None:
        """As kill -9."""
        await self._end(kill=True)

    async def _end(self, *, kill: bool) -> None:
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.kill() if kill else process.terminate()
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def authorization(self) -> str:
        """The header that lets us in now."""
        return "Basic " + base64.b64encode(self.cookie_file.read_bytes()).decode()

    async def call(self, method: str, *params: object) -> Any:
        """The result of one JSON-RPC call."""
        request = {"jsonrpc": "1.0", "id": 1, "method": method, "params": list(params)}
        headers = {"authorization": self.authorization()}
        async with self.session.post(self.url, json=request, headers=headers) as response:
            answer = await response.json(content_type=None)
        if answer["error"] is not None:
            raise RpcFailure(f"{method}: {answer['error']}")
        return answer["result"]

    async def mine(self, blocks: int = 1, *, txs: Sequence[Tx | str] = ()) -> list[str]:
        """Mine so many blocks with nothing in them but, in the first, these transactions; returns their hashes."""
        raw = [one if isinstance(one, str) else one.raw.hex() for one in txs]
        hashes = []
        for number in range(blocks):
            made = await self.call("generateblock", await self._describe_reward(), raw if number == 0 else [])
            hashes.append(str(made["hash"]))
        return hashes

    async def ripen(self, blocks: int = RIPE_BLOCKS + COINS_FIRST) -> None:
        """Mine many empty blocks at once, so that rewards can be spent."""
        reward = await self._describe_reward()
        for begun in range(0, blocks, BLOCKS_AT_ONCE):
            await self.call("generatetodescriptor", min(BLOCKS_AT_ONCE, blocks - begun), reward)

    async def _describe_reward(self) -> str:
        """Another number that is true on each branch, so that no two blocks are one."""
        info = await self.call("getdescriptorinfo", f"raw({ANYONE[0] + self.branch:02x})")
        return str(info["descriptor"])

    async def pay(self, *outputs: tuple[bytes, int], fee: int = 10_000, coin: int | None = None) -> Tx:
        """A transaction that pays these scripts of a reward nobody spent yet; `coin` spends that one again."""
        if coin is None:
            self.spent += 1
            coin = self.spent
        block = await self.call("getblock", await self.call("getblockhash", coin))
        outpoint = bytes.fromhex(block["tx"][0])[::-1] + bytes(4)
        change = REWARD - fee - sum(amount for _, amount in outputs)
        written = [output(amount, script) for script, amount in outputs]
        return Tx(((outpoint, b""),), (*written, output(change, ANYONE)))

    async def height(self) -> int:
        """The newest block's height."""
        return int(await self.call("getblockcount"))

    async def block_ref(self, height: int) -> BlockRef:
        """The canonical block at a height, as the port asks for it."""
        return BlockRef(height, BlockHash(bytes.fromhex(await self.call("getblockhash", height))))

    async def leave(self, depth: int) -> str:
        """Take so many blocks off the head; returns the lowest, which `reconsiderblock` brings back."""
        self.branch += 1
        lowest = str(await self.call("getblockhash", await self.height() - depth + 1))
        await self.call("invalidateblock", lowest)
        return lowest

    async def connect(self, other: BitcoinNode) -> None:
        """Be another's peer; returns when both know."""
        await self.call("addnode", f"127.0.0.1:{other.p2p_port}", "onetry")
        async with asyncio.timeout(START_DEADLINE_S):
            while not await self.call("getpeerinfo"):  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.05)

    async def wait_for(self, block_hash: str) -> None:
        """Return when this is its newest block."""
        async with asyncio.timeout(START_DEADLINE_S):
            while await self.call("getbestblockhash") != block_hash:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.05)


def _hash_password() -> str:
    """The password as a node's settings hold it, beside its salt."""
    salt = "5a17"
    return f"{salt}${hmac.new(salt.encode(), PASSWORD.encode(), 'sha256').hexdigest()}"


@asynccontextmanager
async def start_bitcoind(*options: str, ripe: bool = True) -> AsyncIterator[BitcoinNode]:
    """A fresh node in a folder of its own, with coins that can be spent unless not `ripe`."""
    folder = Path(tempfile.mkdtemp(prefix="chainbell-bitcoind-"))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            node = BitcoinNode(folder, options, session)
            try:
                try:
                    await node.start()
                except RpcFailure:  # somebody took one of its ports between choosing and binding
                    node.port, node.p2p_port, node.zmq_port = choose_port(), choose_port(), choose_port()
                    await node.start()
                if ripe:
                    await node.ripen()
                yield node
            finally:
                await node.stop()
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)
