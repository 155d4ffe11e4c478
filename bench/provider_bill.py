"""What following a chain's head costs at its providers: calls and bytes a block, an hour, a day.

The real program follows a real anvil through fronts that count every JSON-RPC
call by method, every byte either way and every head told over a websocket.  A
front also gives `safe` and `finalized` as a proof-of-stake chain does: they
stand still for an epoch of 32 blocks, then jump.  Blocks pay a watched
address now and then, so that something always waits for finality, and in
every block strangers move a listed token, so that receipts are needed where
nothing is known of them: each setup is followed with `spare_receipts` and
without.

Time is compressed for slow chains: the block time that is configured, and at
which blocks are mined, is the chain's divided by a factor that the result
names; everything that paces the follower is counted in block times, so calls
a block are the same, and a day has the blocks of the real chain.  A machine
that is busy otherwise polls less than it is told to: look at the load in the
result before believing that little was asked.

    .venv/bin/python -m bench.provider_bill [--chain 12] [--blocks 96]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from bench.report import print_table, write_result
from tests.devnet.anvil import AnvilNode, start_anvil
from tests.devnet.compiled import load_contract
from tests.processes.program import Program, Settings

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
STRANGERS_EACH_BLOCK = 3
EPOCH_BLOCKS = 32
PAYS_EVERY_BLOCKS = 4
BLOCKS_BEFORE = 3 * EPOCH_BLOCKS
WARM_UP_BLOCKS = EPOCH_BLOCKS + EPOCH_BLOCKS // 2
"""What a block costs while the follower learns a chain's pace is not what it costs for years."""

FREE_METHODS = ("eth_chainId",)
"""What published tables of compute units list at nothing; everything else is billed by usual plans."""

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Pace:
    """A chain's block time, and by how much it is compressed here."""

    block_time_s: float
    compressed: float

    @property
    def mined_every_s(self) -> float:
        """The block time of the bench."""
        return self.block_time_s / self.compressed

    @property
    def blocks_a_day(self) -> float:
        """Blocks of the real chain in a day."""
        return DAY_S / self.block_time_s


PACES = (Pace(12.0, 10.0), Pace(2.0, 1.0), Pace(0.25, 1.0))


@dataclass(slots=True)
class Bill:
    """What one operator was asked."""

    calls: Counter[str] = field(default_factory=Counter)
    exchanges: int = 0
    bytes_asked: int = 0
    bytes_answered: int = 0
    heads_told: int = 0
    bytes_told: int = 0


@dataclass(slots=True)
class Front:
    """One operator's JSON-RPC endpoint before a node: counts, and passes on."""

    node: AnvilNode
    bill: Bill = field(default_factory=Bill)
    url: str = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One exchange, or a websocket."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._serve_socket(request)
        content = await request.read()
        asked = json.loads(content)
        calls = asked if isinstance(asked, list) else [asked]
        height = await self.node.height() if any(map(_is_by_finality, calls)) else 0
        for call in calls:
            self.bill.calls[_name_of(call)] += 1
            if _is_by_finality(call):
                epochs = 1 if call["params"][0] == "safe" else 2
                call["params"][0] = hex(max(0, (height // EPOCH_BLOCKS - epochs) * EPOCH_BLOCKS))
        self.bill.exchanges += 1
        self.bill.bytes_asked += len(content)
        async with self.node.session.post(self.node.url, json=asked) as response:
            answer = await response.read()
        self.bill.bytes_answered += len(answer)
        return web.Response(body=answer, content_type="application/json")

    async def _serve_socket(self, request: web.Request) -> web.WebSocketResponse:
        ours = web.WebSocketResponse()
        await ours.prepare(request)
        async with self.node.session.ws_connect(self.node.ws_url) as theirs, asyncio.TaskGroup() as group:
            forth = group.create_task(_forward(ours, theirs))
            async for message in theirs:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self.bill.heads_told += '"eth_subscription"' in message.data
                self.bill.bytes_told += len(message.data)
                await ours.send_str(message.data)
            forth.cancel()
        return ours


async def _forward(source: web.WebSocketResponse, sink: aiohttp.ClientWebSocketResponse) -> None:
    async for message in source:
        await sink.send_str(str(message.data))
    await sink.close()


def _is_by_finality(call: dict[str, Any]) -> bool:
    return call.get("params", [])[:1] in (["safe"], ["finalized"])


def _name_of(call: dict[str, Any]) -> str:
    """The method; of a block by number also which, because tags are the timer's and numbers are not."""
    first = (call.get("params") or [""])[0]
    is_tagged = call["method"] == "eth_getBlockByNumber" and not str(first).startswith("0x")
    return f"{call['method']}({first})" if is_tagged else str(call["method"])


@asynccontextmanager
async def serving(
    serve: Callable[[web.Request], Awaitable[web.StreamResponse]], *, size_max: int = 2**24
) -> AsyncIterator[str]:
    """Host and port of a server on loopback that answers whatever is asked by `serve`."""
    application = web.Application(client_max_size=size_max)
    application.router.add_route("*", "/", serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_front(node: AnvilNode) -> AsyncIterator[Front]:
    """A front on a port of its own."""
    front = Front(node)
    async with serving(front.serve) as front.url:
        yield front


class Follower(Program):
    """The program with a chain whose finality is told by tags, and no pace but its block time."""

    __slots__ = ("endpoints", "pace", "spares", "token")

    endpoints: str
    pace: Pace
    spares: bool
    token: str

    def write_config(self) -> None:
        """One chain and what it needs, everything else as shipped."""
        every_s = self.pace.mined_every_s
        poll = f"poll_interval_s = {every_s / 4}" if self.pace.compressed > 1 else ""
        self.config_file.write_text(
            f"""
data_dir = "{self.folder / "data"}"

[http]
bind = "127.0.0.1:{self.port}"
public_url = "{self.base_url}"

[chains.local]
family = "evm"
chain_id = 31337
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = [{self.endpoints}]
block_time_s = {every_s}
{poll}
confirmed = {{ confirmations = 12 }}
final = {{ tag = "finalized" }}
spare_receipts = {str(self.spares).lower()}
assets = [{{ symbol = "USDT", contract = "{self.token}", decimals = 6 }}]
"""
        )


@dataclass(frozen=True, slots=True)
class Setup:
    """Who is asked."""

    websocket: bool
    operators: int
    spares: bool = False

    def __str__(self) -> str:
        told = f"{'websocket' if self.websocket else 'no websocket'}, {self.operators} operator(s)"
        return f"{told}, receipts {'where they can matter' if self.spares else 'always'}"


@asynccontextmanager
async def open_follower(
    pace: Pace, setup: Setup, fronts: list[Front], folder: Path, token: str
) -> AsyncIterator[None]:
    """chainbell with one watched address, following through these fronts."""
    program = Follower(folder, Settings([]))
    program.pace, program.spares, program.token = pace, setup.spares, token
    told = [f'{{ url = "http://{one.url}", operator = "op-{at}" }}' for at, one in enumerate(fronts)]
    if setup.websocket:
        told.append(f'"ws://{fronts[0].url}"')
    program.endpoints = ", ".join(told)
    program.write_config()
    await program.start()
    try:
        await program.wait_ready()
        merchant = await program.create_merchant("bench")
        await program.call(merchant, "POST", "/v1/addresses", {"chain": "local", "address": TILL})
        yield
    finally:
        await program.end_all()


async def mine(node: AnvilNode, blocks: int, every_s: float, token: str) -> None:
    """Blocks at a steady pace, all with payments of strangers, one in four with one that is watched for."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    mint = load_contract("DemoToken").call
    for number in range(blocks):
        for _ in range(STRANGERS_EACH_BLOCK):
            await node.send(to=token, data=mint("mint", "0x" + secrets.token_hex(20), 1_000))
        if number % PAYS_EVERY_BLOCKS == 0:
            await node.send(to=TILL, value=1_000_000)
        await node.mine()
        due_s += every_s
        await asyncio.sleep(max(0.0, due_s - loop.time()))


async def measure(pace: Pace, setups: list[Setup], blocks: int) -> list[dict[str, Any]]:
    """Every setup beside the others on one chain: calls do not depend on who else is asked."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(start_anvil())
        token = await node.deploy(load_contract("DemoToken").creation("Tether", "USDT", 6))
        await node.call("anvil_mine", hex(BLOCKS_BEFORE))
        fronts = {
            setup: [await stack.enter_async_context(open_front(node)) for _ in range(setup.operators)]
            for setup in setups
        }
        for setup in setups:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbell-bench-")))
            await stack.enter_async_context(open_follower(pace, setup, fronts[setup], folder, token))
        await mine(node, WARM_UP_BLOCKS, pace.mined_every_s, token)
        for front in (one for several in fronts.values() for one in several):
            front.bill = Bill()
        await mine(node, blocks, pace.mined_every_s, token)
        return [tell(pace, setup, [front.bill for front in fronts[setup]], blocks) for setup in setups]


def tell(pace: Pace, setup: Setup, bills: list[Bill], blocks: int) -> dict[str, Any]:
    """The figures of one setup, all operators together."""
    calls: Counter[str] = sum((bill.calls for bill in bills), Counter())
    billed = sum(count for method, count in calls.items() if method not in FREE_METHODS)
    of_bytes = sum(bill.bytes_asked + bill.bytes_answered for bill in bills)
    a_day = pace.blocks_a_day / blocks
    return {
        "block_time_s": pace.block_time_s,
        "compressed": pace.compressed,
        "setup": str(setup),
        "blocks": blocks,
        "calls_a_block": round(calls.total() / blocks, 2),
        "billed_calls_a_block": round(billed / blocks, 2),
        "requests_a_block": round(sum(bill.exchanges for bill in bills) / blocks, 2),
        "bytes_a_block": round(of_bytes / blocks),
        "heads_told_a_block": round(sum(bill.heads_told for bill in bills) / blocks, 2),
        "bytes_told_a_block": round(sum(bill.bytes_told for bill in bills) / blocks),
        "calls_an_hour": round(calls.total() * a_day / 24),
        "calls_a_day": round(calls.total() * a_day),
        "billed_calls_a_day": round(billed * a_day),
        "calls_a_block_of_each_operator": [round(bill.calls.total() / blocks, 2) for bill in bills],
        "calls_a_day_by_method": {method: round(count * a_day) for method, count in calls.most_common()},
    }


async def run_all(arguments: argparse.Namespace) -> None:
    """Each chain in turn."""
    setups = [
        Setup(websocket, operators, spares)
        for operators, websocket, spares in product((1, 2), (True, False), (False, True))
    ]
    found: list[dict[str, Any]] = []
    for pace in PACES:
        if arguments.chain in (None, pace.block_time_s):
            found += await measure(pace, setups, arguments.blocks)
    write_result(arguments.name, {"epoch_blocks": EPOCH_BLOCKS, "runs": found})
    columns = ("block_time_s", "calls_a_block", "billed_calls_a_block", "bytes_a_block", "calls_a_day")
    print_table(("setup", *columns), [[one["setup"], *(one[name] for name in columns)] for one in found])


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chain", type=float, choices=[pace.block_time_s for pace in PACES])
    parser.add_argument("--blocks", type=int, default=3 * EPOCH_BLOCKS)
    parser.add_argument("--name", default="provider_bill", help="of the result file")
    arguments = parser.parse_args()
    uvloop.run(run_all(arguments))


if __name__ == "__main__":
    main()
