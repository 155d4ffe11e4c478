"""From the node's announcement to the merchant's socket: chainbell beside a bare script, in one run.

A local anvil mines a block with one payment every few hundredths of a second.
This process listens to `newHeads` itself and runs the merchant's receiver; the
latency of a block is the time between its announcement here and the arrival of
the webhook that tells its deposit.  The bare script does nothing but POST each
announced hash: the floor, with no block read, no database and no signature.

    .venv/bin/python -m bench.head_latency [--blocks 2000] [--interval-ms 50] [--runs 5]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web
from websockets.asyncio.client import connect as connect_websocket

from bench.report import write_result
from tests.devnet.anvil import AnvilNode, start_anvil
from tests.processes.program import Program, Settings

TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
ARRIVAL_PATIENCE_S = 30.0
WARM_UP_BLOCKS = 50


@dataclass(slots=True)
class Stopwatch:
    """When each block was announced, and when it was told; by block hash."""

    announced_at_s: dict[str, float] = field(default_factory=dict)
    arrived_at_s: dict[str, float] = field(default_factory=dict)

    def latencies_ms(self) -> list[float]:
        """One latency a block that was both announced and told."""
        return [
            (self.arrived_at_s[block_hash] - announced) * 1000
            for block_hash, announced in self.announced_at_s.items()
            if block_hash in self.arrived_at_s
        ]


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one subject."""

    subject: str
    blocks: int
    missing: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def summarise(subject: str, watch: Stopwatch) -> Figures:
    """Percentiles of one run."""
    latencies = sorted(watch.latencies_ms())
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return Figures(
        subject,
        len(watch.announced_at_s),
        len(watch.announced_at_s) - len(latencies),
        round(statistics.median(latencies), 2),
        round(cuts[89], 2),
        round(cuts[98], 2),
        round(latencies[-1], 2),
    )


@asynccontextmanager
async def open_sink(watch: Stopwatch) -> AsyncIterator[str]:
    """The merchant's receiver: notes when which block was first told."""

    async def receive(request: web.Request) -> web.Response:
        arrived_s = time.perf_counter()
        body = json.loads(await request.read())
        if "data" not in body:
            watch.arrived_at_s.setdefault(body["hash"], arrived_s)
        elif body["type"] == "deposit.included":
            watch.arrived_at_s.setdefault(body["data"]["deposit"]["block"]["hash"], arrived_s)
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/", receive)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def listen(node: AnvilNode, watch: Stopwatch, listening: asyncio.Event) -> None:
    """Note when the node announced which block."""
    async with connect_websocket(node.ws_url) as socket:
        await socket.send(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        )
        await socket.recv()
        listening.set()
        async for message in socket:
            announced_s = time.perf_counter()
            head = json.loads(message)["params"]["result"]
            watch.announced_at_s.setdefault(head["hash"], announced_s)


async def run_bare_script(ws_url: str, sink_url: str) -> None:
    """The floor, in a process of its own: POST every announced hash."""
    async with aiohttp.ClientSession() as session, connect_websocket(ws_url) as socket:
        await socket.send(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        )
        await socket.recv()
        print("listening", flush=True)
        async for message in socket:
            head = json.loads(message)["params"]["result"]
            async with session.post(sink_url, json={"hash": head["hash"]}) as response:
                await response.read()


@asynccontextmanager
async def open_bare(node: AnvilNode, sink_url: str) -> AsyncIterator[None]:
    """The bare script, running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.head_latency",
        "--bare",
        node.ws_url,
        sink_url,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def open_chainbell(node: AnvilNode, sink_url: str, folder: Path) -> AsyncIterator[None]:
    """chainbell as anybody runs it, with one merchant, one endpoint and one address."""
    settings = Settings(
        [node.url, node.ws_url], confirmations=12, final_confirmations=64, poll_interval_s=0.2
    )
    program = Program(folder, settings)
    program.write_config()
    await program.start()
    try:
        await program.wait_ready()
        merchant = await program.create_merchant("bench")
        await program.call(merchant, "POST", "/v1/endpoints", {"url": sink_url})
        await program.call(merchant, "POST", "/v1/addresses", {"chain": "local", "address": TILL})
        yield
    finally:
        await program.end_all()


async def mine(node: AnvilNode, blocks: int, interval_s: float) -> None:
    """A payment and a block at a steady pace."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    for _ in range(blocks):
        await node.send(to=TILL, value=1_000_000)
        await node.mine()
        due_s += interval_s
        await asyncio.sleep(max(0.0, due_s - loop.time()))


async def measure(subject: str, arguments: argparse.Namespace) -> Figures:
    """One subject on a fresh chain."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="chainbell-bench-") as folder:
        async with start_anvil() as node, open_sink(watch) as sink_url:
            await node.mine()
            running = (
                open_bare(node, sink_url)
                if subject == "bare"
                else open_chainbell(node, sink_url, Path(folder))
            )
            async with running, asyncio.TaskGroup() as group:
                await mine(node, WARM_UP_BLOCKS, arguments.interval_ms / 1000)
                listening = asyncio.Event()
                listener = group.create_task(listen(node, watch, listening))
                await listening.wait()
                await mine(node, arguments.blocks, arguments.interval_ms / 1000)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ARRIVAL_PATIENCE_S):
                        while len(watch.latencies_ms()) < arguments.blocks:
                            await asyncio.sleep(0.1)
                listener.cancel()
    return summarise(subject, watch)


async def run_all(arguments: argparse.Namespace) -> None:
    """Both subjects in turn, so that the machine's drift hits both."""
    runs: list[Figures] = []
    for number in range(arguments.runs):
        for subject in ("bare", "chainbell"):
            figures = await measure(subject, arguments)
            runs.append(figures)
            print(
                f"  run {number + 1}: {subject:<9} p50 {figures.p50_ms:6.2f} ms   p99 {figures.p99_ms:7.2f} ms   "
                f"max {figures.max_ms:7.2f} ms   missing {figures.missing}",
                flush=True,
            )
    medians = {
        subject: {
            key: statistics.median(getattr(run, key) for run in runs if run.subject == subject)
            for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms")
        }
        for subject in ("bare", "chainbell")
    }
    write_result(
        "head_latency",
        {
            "blocks": arguments.blocks,
            "interval_ms": arguments.interval_ms,
            "medians": medians,
            "ratio_to_bare": {
                key: round(medians["chainbell"][key] / medians["bare"][key], 2)
                for key in ("p50_ms", "p99_ms")
            },
            "runs": [asdict(run) for run in runs],
        },
    )
    print(json.dumps(medians, indent=1))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=2000)
    parser.add_argument("--interval-ms", type=float, default=50.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--bare", nargs=2, metavar=("WS_URL", "SINK_URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    uvloop.run(run_bare_script(*arguments.bare) if arguments.bare else run_all(arguments))


if __name__ == "__main__":
    main()
