"""How fast a gap of full blocks is caught up on Bitcoin: chainbell against a bare loop over the same blocks, in one run.

A local bitcoind on regtest holds blocks of thousands of transactions with two
outputs each, of which one in a hundred pays a watched script.  The bare loop
fetches the same batches, decodes them with the same code and stores nothing.
Catch-up checks work, transactions and witnesses, matches, and writes deposits
and their events into PostgreSQL.  Both run in turn in one process.

    .venv/bin/python -m bench.follow_bitcoin [--blocks 16] [--transactions 4000] [--runs 3]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.report import write_result
from chains import catalog
from chains.bitcoin.nodes.answers import read_block
from chains.bitcoin.provider import BitcoinProvider
from chains.bitcoin.source import BitcoinSource
from chains.model import Address
from chains.rpc.jsonrpc import Call
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import Priority
from chains.traits import ChainTraits
from gateway.process.collector import collect_rarely
from indexer.follow.outcomes import Advanced, Idle, Started
from indexer.follow.prefetch import Prefetch
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from indexer.move.desk import build_desk
from indexer.move.registration import RegistrationRequest, register
from indexer.rows.store import PostgresFollowStore
from indexer.rules.identity import MerchantId
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from migrations.connect import connect, open_pool
from migrations.embedded import embedded_database
from migrations.handles import Connection
from migrations.runner import migrate
from relay.log import eventlog as relay_log
from tests.devnet.bitcoind import ANYONE, REWARD, BitcoinNode, start_bitcoind
from tests.unit.chains.bitcoin.making import Tx, output

SHOP = MerchantId(UUID(int=0x5109))
WATCHED_OF = 100
BATCH_BLOCKS = 4
WATCHED = b"\0\x14" + b"\x71" * 20


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds by the wall, and of this process; begun and not ended, two clocks."""

    wall_s: float
    cpu_s: float

    @staticmethod
    def begin() -> Taken:
        return Taken(time.perf_counter(), time.process_time())

    def end(self) -> Taken:
        """What was taken since."""
        return Taken(time.perf_counter() - self.wall_s, time.process_time() - self.cpu_s)

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} s wall, {self.cpu_s:.2f} s CPU"


async def split_coins(node: BitcoinNode, count: int, *, amount: int | None = None) -> list[bytes]:
    """So many outputs that anybody may spend, mined; of all of a reward, or of this amount each."""
    share = (REWARD - 1_000_000) // count if amount is None else amount
    split = Tx((await node.pay((ANYONE, 1))).inputs, tuple(output(share, ANYONE) for _ in range(count)))
    await node.mine(txs=[split])
    return [split.id + place.to_bytes(4, "little") for place in range(count)]


def build_block(coins: Sequence[bytes], number: int) -> tuple[list[Tx], list[bytes]]:
    """Payments that spend these coins, for the block of this number in a row; and the coins they leave."""
    share, txs = (REWARD - 1_000_000) // len(coins), []
    for place, coin in enumerate(coins):
        script = WATCHED if place % WATCHED_OF == 0 else b"\0\x14" + place.to_bytes(20, "big")
        left = share - (number + 1) * 1_000
        txs.append(Tx(((coin, b""),), (output(left, ANYONE), output(900, script))))
    return txs, [one.id + bytes(4) for one in txs]


async def build_chain(node: BitcoinNode, blocks: int, transactions: int) -> None:
    """Blocks of chains of payments: each transaction spends what the one at its place in the block before left."""
    coins = await split_coins(node, transactions)
    for number in range(blocks):
        txs, coins = build_block(coins, number)
        await node.mine(txs=txs)


def endpoint_of(node: BitcoinNode) -> NodeEndpoint:
    return NodeEndpoint(node.url, cookie_file=node.cookie_file)


def regtest() -> ChainTraits:
    entry = catalog.entry("bitcoin-regtest")
    assert entry is not None
    return entry.traits


async def run_bare(provider: BitcoinProvider, first: int, last: int) -> int:
    """Fetch and decode, as few at once as the source would; counts outputs."""
    found = 0
    for start in range(first, last + 1, BATCH_BLOCKS):
        heights = range(start, min(start + BATCH_BLOCKS, last + 1))
        refs = [header.hash for header in await provider.fetch_headers(heights[0], heights[-1])]
        calls = [Call("getblock", (one.hex(), 0)) for one in refs]
        for one, outcome in zip(refs, await provider.node.ask(calls, Priority.HEAD), strict=True):
            block = read_block(provider.reading.coin, outcome, one)
            found += sum(len(tx.outputs) for tx in block.transactions)
    return found


@asynccontextmanager
async def open_desk(
    dsn: str, node: BitcoinNode, start: int
) -> AsyncIterator[tuple[ChainDesk, BitcoinSource]]:
    pool = await open_pool(dsn, size=6, application_name="bench")

    async def publish(conn: Connection, facts: Sequence[Any]) -> None:
        await relay_log.append(conn, facts, now=datetime.now(UTC))

    settings = FollowSettings(
        traits=regtest(),
        confirm_rules=(ConfirmRule(Requirement(ConfirmedBy.DEPTH, 3)),),
        finality=regtest().finality,
        start_height=start,
    )
    store = PostgresFollowStore(pool, publish)
    try:
        async with BitcoinSource(regtest(), [endpoint_of(node)]) as source:
            desk = build_desk(settings, store)
            assert isinstance(await Follower(desk, source).step(datetime.now(UTC)), Started)
            request = RegistrationRequest(UUID(int=0xADD), SHOP, regtest().chain, Address(WATCHED))
            await register(pool, [request], now=datetime.now(UTC))
            epoch = await store.acquire_lease(regtest().chain, holder="bench", lease_s=3600)
            assert epoch is not None
            desk.lease_epoch = epoch
            yield desk, source
    finally:
        await pool.close()


async def run_follow(dsn: str, node: BitcoinNode, first: int, last: int) -> Taken:
    """Catch up once into an emptied database; the seconds of the catching up alone."""
    conn = await connect(dsn, application_name="bench-reset")
    await conn.execute(
        """truncate chains, blocks, left_blocks, assets, addresses, deposits, rescans, chain_status, events,
        merchant_logs, log_locks, event_days cascade"""
    )
    await conn.close()
    async with open_desk(dsn, node, first - 1) as (desk, source):
        began = Taken.begin()
        async with asyncio.TaskGroup() as group:
            prefetch = Prefetch(group.create_task, batches_max=3)
            follower = Follower(desk, source, prefetch=prefetch)
            while True:
                outcome = await follower.step(datetime.now(UTC))
                if isinstance(outcome, Idle) or (
                    isinstance(outcome, Advanced) and outcome.moved.record.tip.height >= last
                ):
                    break
            prefetch.forget()
        return began.end()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.follow_bitcoin")
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--transactions", type=int, default=4_000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    collect_rarely()
    bare: list[Taken] = []
    followed: list[Taken] = []
    with tempfile.TemporaryDirectory(prefix="chainbell-bench-") as folder:
        async with start_bitcoind() as node, embedded_database(Path(folder)) as dsn:
            conn = await connect(dsn, application_name="bench")
            await migrate(conn)
            await conn.close()
            await build_chain(node, asked.blocks, asked.transactions)
            last = await node.height()
            first = last - asked.blocks + 1
            for number in range(asked.runs):
                async with BitcoinSource(regtest(), [endpoint_of(node)]) as source:
                    began = Taken.begin()
                    await run_bare(source.choose_provider(), first, last)
                    bare.append(began.end())
                followed.append(await run_follow(dsn, node, first, last))
                print(f"  run {number + 1}: bare {bare[-1]}, followed {followed[-1]}", flush=True)
    share = [statistics.median(one.wall_s for one in runs) for runs in (bare, followed)]
    cpu_share = [statistics.median(one.cpu_s for one in runs) for runs in (bare, followed)]
    print(
        f"{asked.blocks} blocks: {asked.blocks / share[1]:.1f} blocks/s, {share[0] / share[1]:.2f} of the bare loop "
        f"({cpu_share[0] / cpu_share[1]:.2f} by the CPU time of this process)"
    )
    write_result(
        "follow_bitcoin",
        {
            "blocks": asked.blocks,
            "transactions_per_block": asked.transactions,
            "bare": [asdict(one) for one in bare],
            "followed": [asdict(one) for one in followed],
            "of_the_bare_loop": round(share[0] / share[1], 3),
            "of_the_bare_loop_by_cpu": round(cpu_share[0] / cpu_share[1], 3),
        },
    )


if __name__ == "__main__":
    asyncio.run(main())
