"""What following Bitcoin's head takes: from a node's announcement to the commit, in memory, and in calls to the node.

The real program follows a regtest bitcoind through a front that counts JSON-RPC
calls, with ZMQ and without.  Blocks hold thousands of transactions, of which one
in a hundred pays a watched script; the announcement is heard over ZMQ by the
bench as by the program, and the commit is seen by asking `/v1/chains` every few
milliseconds.  Then tens of thousands of payments wait in the node's mempool, and
are weighed by what the process grew.  The floor of the latency is what the node
takes to hand out the same block's bytes.

    .venv/bin/python -m bench.bitcoin_head [--blocks 8] [--transactions 4000] [--waiting 50000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop
import zmq
import zmq.asyncio
from aiohttp import web

from bench.follow_bitcoin import WATCHED, build_block, split_coins
from bench.provider_bill import serving
from bench.report import write_result
from tests.devnet.bitcoind import BitcoinNode, start_bitcoind
from tests.live_bitcoin.world import spell
from tests.processes.program import Program, Settings
from tests.unit.chains.bitcoin.making import Tx, output

ASKED_EVERY_S = 0.004
QUIET_BLOCKS = 20
QUIET_EVERY_S = 1.5
SENT_AT_ONCE = 200
READ_WITHIN_S = 600.0

CONFIGURATION = """
data_dir = "{folder}/data"

[http]
bind = "127.0.0.1:{port}"

[chains.bitcoin-regtest]
endpoints = [{endpoints}]
confirmed = {{ confirmations = 2 }}
"""


@dataclass(slots=True)
class Front:
    """A node's JSON-RPC endpoint that counts calls by method, and passes them on."""

    node: BitcoinNode
    calls: Counter[str] = field(default_factory=Counter)

    async def serve(self, request: web.Request) -> web.Response:
        """One exchange."""
        content = await request.read()
        asked = json.loads(content)
        self.calls.update(one["method"] for one in (asked if isinstance(asked, list) else [asked]))
        headers = {"authorization": self.node.authorization()}
        async with self.node.session.post(self.node.url, data=content, headers=headers) as response:
            return web.Response(body=await response.read(), status=response.status)


@dataclass(slots=True)
class Followed:
    """The program at work, with one watched script."""

    program: Program
    shop: str
    front: Front

    async def ask(self) -> dict[str, Any]:
        """Its chain, as its API says."""
        (chain,) = (await self.program.call(self.shop, "GET", "/v1/chains"))["items"]
        return dict(chain)

    async def wait_for(self, height: int) -> float:
        """The moment at which a height is seen committed."""
        async with asyncio.timeout(READ_WITHIN_S):
            while ((await self.ask())["tip"] or {"height": -1})["height"] < height:
                await asyncio.sleep(ASKED_EVERY_S)
        return asyncio.get_running_loop().time()

    async def count_waiting(self) -> int:
        """Transactions of the node's mempool that it follows, as its metrics say."""
        async with self.front.node.session.get(f"{self.program.base_url}/metrics") as response:
            lines = (await response.text()).splitlines()
        found = [one for one in lines if one.startswith("chainbell_mempool_transactions{")]
        return sum(int(float(one.rpartition(" ")[2])) for one in found)

    def weigh(self) -> int:
        """Bytes of the process that belong to it, without its database."""
        return int(psutil.Process(self.program.running[0].process.pid).memory_info().rss)


@asynccontextmanager
async def follow(node: BitcoinNode, *, by_zmq: bool) -> AsyncIterator[Followed]:
    """chainbell on this node, with everything else as shipped."""
    async with AsyncExitStack() as stack:
        front = Front(node)
        url = await stack.enter_async_context(serving(front.serve, size_max=2**26))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbell-bench-")))
        program = Program(folder, Settings([]))
        endpoints = [f"http://{url}", *([node.zmq_url] if by_zmq else [])]
        told = ", ".join(f'"{one}"' for one in endpoints)
        program.config_file.write_text(CONFIGURATION.format(folder=folder, port=program.port, endpoints=told))
        await program.start()
        try:
            await program.wait_ready()
            shop = await program.create_merchant("bench")
            await program.call(
                shop, "POST", "/v1/addresses", {"chain": "bitcoin-regtest", "address": spell(WATCHED)}
            )
            yield Followed(program, shop, front)
        finally:
            await program.end_all()


async def measure_blocks(
    node: BitcoinNode, followed: Followed, blocks: int, coins: list[bytes]
) -> dict[str, Any]:
    """Milliseconds from the announcement to the commit, and those the node takes to hand the block out."""
    loop = asyncio.get_running_loop()
    taken_ms, floor_ms = [], []
    with zmq.asyncio.Context() as context:
        socket = context.socket(zmq.SUB)
        socket.subscribe(b"hashblock")
        socket.connect(node.zmq_url)
        await asyncio.sleep(0.5)
        for number in range(blocks):
            txs, coins = build_block(coins, number)
            heard = asyncio.ensure_future(socket.recv_multipart())
            announced = asyncio.ensure_future(_note_moment(heard))
            (made,) = await node.mine(txs=txs)
            height = await node.height()
            committed_s = await followed.wait_for(height)
            taken_ms.append((committed_s - await announced) * 1_000)
            began_s = loop.time()
            await node.call("getblock", made, 0)
            floor_ms.append((loop.time() - began_s) * 1_000)
        socket.close(linger=0)
    return {
        "announced_to_committed_ms": [round(one) for one in taken_ms],
        "median_ms": round(statistics.median(taken_ms)),
        "node_hands_it_out_ms": round(statistics.median(floor_ms)),
        "resident_mib": round(followed.weigh() / 2**20),
    }


async def _note_moment(heard: asyncio.Future[Any]) -> float:
    await heard
    return asyncio.get_running_loop().time()


async def measure_mempool(
    node: BitcoinNode, followed: Followed, coins: list[bytes], amount: int
) -> dict[str, Any]:
    """What the process grows by while so many payments wait; one in a hundred of them is ours."""
    before = followed.weigh()
    for first in range(0, len(coins), SENT_AT_ONCE):
        batch = []
        for place, coin in enumerate(coins[first : first + SENT_AT_ONCE], first):
            script = WATCHED if place % 100 == 0 else b"\0\x14" + place.to_bytes(20, "big")
            tx = Tx(((coin, b""),), (output(amount, script),))
            batch.append(
                {"jsonrpc": "1.0", "id": place, "method": "sendrawtransaction", "params": [tx.raw.hex()]}
            )
        headers = {"authorization": node.authorization()}
        async with node.session.post(node.url, json=batch, headers=headers) as response:
            answers = await response.json(content_type=None)
        assert not [one for one in answers if one["error"]], answers[0]
    loop = asyncio.get_running_loop()
    began_s, seen_count = loop.time(), 0
    async with asyncio.timeout(READ_WITHIN_S):
        while seen_count < len(coins):
            await asyncio.sleep(1.0)
            seen_count = await followed.count_waiting()
    await asyncio.sleep(5.0)
    return {
        "waiting": len(coins),
        "read_within_s_of_the_last": round(loop.time() - began_s - 5.0, 1),
        "grown_by_mib": round((followed.weigh() - before) / 2**20),
        "resident_mib": round(followed.weigh() / 2**20),
    }


async def count_calls(node: BitcoinNode, followed: Followed) -> dict[str, Any]:
    """Calls a block at the head, of blocks in which nobody is paid."""
    await node.mine(2)
    await followed.wait_for(await node.height())
    followed.front.calls.clear()
    for _ in range(QUIET_BLOCKS):
        await node.mine()
        await asyncio.sleep(QUIET_EVERY_S)
    await followed.wait_for(await node.height())
    calls = followed.front.calls
    return {
        "seconds_between_blocks": QUIET_EVERY_S,
        "calls_a_block": round(calls.total() / QUIET_BLOCKS, 2),
        "by_method": {name: round(count / QUIET_BLOCKS, 2) for name, count in calls.most_common()},
    }


async def count_idle(followed: Followed, seconds: float) -> dict[str, Any]:
    """Calls a minute while no block comes."""
    followed.front.calls.clear()
    await asyncio.sleep(seconds)
    calls = followed.front.calls
    return {
        "calls_a_minute": round(calls.total() * 60 / seconds, 1),
        "by_method": {name: round(count * 60 / seconds, 1) for name, count in calls.most_common()},
    }


async def run(asked: argparse.Namespace) -> None:
    found: dict[str, Any] = {"transactions_per_block": asked.transactions}
    async with start_bitcoind("-maxmempool=400", "-checkmempool=0", "-dbcache=64") as node:
        coins = await split_coins(node, asked.transactions)
        waiting: list[bytes] = []
        while len(waiting) < asked.waiting:
            waiting += await split_coins(node, min(4_000, asked.waiting - len(waiting)), amount=2_000)
        async with follow(node, by_zmq=True) as followed:
            found["with_zmq"] = await count_calls(node, followed)
            found["with_zmq_and_no_block"] = await count_idle(followed, 40.0)
            found["blocks"] = await measure_blocks(node, followed, asked.blocks, coins)
            print(json.dumps(found, indent=1), flush=True)
            found["mempool"] = await measure_mempool(node, followed, waiting, 1_000)
        print(json.dumps(found["mempool"], indent=1), flush=True)
    async with start_bitcoind() as node, follow(node, by_zmq=False) as followed:
        found["without_zmq"] = await count_calls(node, followed)
        found["without_zmq_and_no_block"] = await count_idle(followed, 40.0)
    print(json.dumps({name: one for name, one in found.items() if "without" in name}, indent=1))
    write_result("bitcoin_head", found)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.bitcoin_head")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--transactions", type=int, default=4_000)
    parser.add_argument("--waiting", type=int, default=50_000)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
