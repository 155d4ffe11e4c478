"""How fast a gap is caught up: chainbell against a bare loop over the same blocks, in one run.

A local anvil holds thousands of blocks of five transactions with twenty ERC-20
transfers each; one in a hundred (or ten) goes to one of a million watched addresses.
The bare loops fetch and decode the same batches with the same library and
store nothing: one batch after the other, and the floor, three batches ahead.
Catch-up into PostgreSQL is measured unverified and verified.  Every run is a
process of its own.  What a deposit costs is the difference that more of them make.

    .venv/bin/python -m bench.follow_blocks [--blocks 4900] [--runs 5] [--wide] [--watched-percent 1 10]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import uvloop

from bench.busy_chain import WATCHED_COUNT, Shape, address_of, build_chain
from bench.report import write_result
from chains.evm.address import parse_address
from chains.evm.facts import EvmFacts, facts_of
from chains.evm.nodes.reading import believe_consistent
from chains.evm.rows.structs import RawBlock, RawReceipts, decode_receipts
from chains.evm.source import EvmSource
from chains.evm.verify.profiles import PROFILES
from chains.evm.verify.verifier import BlockVerifier
from chains.model import Asset, AssetId, ChainId
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits, Family, FinalAtDepth
from gateway.process.collector import collect_rarely
from indexer.follow.outcomes import Advanced, Idle, Started
from indexer.follow.prefetch import Prefetch
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from indexer.move.desk import build_desk
from indexer.rows.store import PostgresFollowStore
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from migrations.connect import connect, open_pool
from migrations.embedded import embedded_database
from migrations.handles import Connection
from migrations.runner import migrate
from relay.log import eventlog as relay_log
from tests.devnet.anvil import start_anvil

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
CHAIN = ChainId("eip155:31337")
SHOP = UUID(int=0x5109)
BATCH_BLOCKS = 32
AHEAD_BATCHES = 3
SUBJECTS = ("bare", "ahead", "unverified", "verified")


@dataclass(frozen=True, slots=True)
class Run:
    """One measured process: wall and CPU seconds, blocks read, and its largest PSS."""

    name: str
    wall_s: float
    cpu_s: float
    blocks: int
    transfers: int
    pss_max_mib: float


class Answer(msgspec.Struct, gc=False):
    """One answer of a batch."""

    id: int
    result: msgspec.Raw


async def run_bare(url: str, token: str, first: int, last: int, *, batches_ahead: int) -> int:
    """Fetch and decode every block and receipt in the same batches; count the token's transfers."""
    answers = msgspec.json.Decoder(list[Answer])
    blocks = msgspec.json.Decoder(RawBlock)
    found = 0

    async def fetch(start: int) -> bytes:
        calls = [
            {"jsonrpc": "2.0", "id": 2 * (height - start) + kind, "method": method, "params": params}
            for height in range(start, min(start + BATCH_BLOCKS, last + 1))
            for kind, (method, params) in enumerate(
                (("eth_getBlockByNumber", [hex(height), True]), ("eth_getBlockReceipts", [hex(height)]))
            )
        ]
        async with session.post(
            url, data=msgspec.json.encode(calls), headers={"content-type": "application/json"}
        ) as response:
            return await response.read()

    async with aiohttp.ClientSession(auto_decompress=True) as session, asyncio.TaskGroup() as group:
        starts = iter(range(first, last + 1, BATCH_BLOCKS))
        coming = deque(group.create_task(fetch(start)) for start in islice(starts, batches_ahead))
        while coming:
            body = await coming.popleft()
            coming.extend(group.create_task(fetch(start)) for start in islice(starts, 1))
            for answer in sorted(answers.decode(body), key=lambda one: one.id):
                if answer.id % 2 == 0:
                    blocks.decode(answer.result)
                    continue
                found += count_transfers(decode_receipts(answer.result), token)
    return found


def count_transfers(receipts: RawReceipts, token: str) -> int:
    """The token's transfers, decoded as far as their recipient and amount."""
    recipients: list[bytes] = []
    amounts: list[int] = []
    for receipt in receipts:
        for log in receipt.logs:
            if log.address == token and len(log.topics) == 3 and log.topics[0] == TRANSFER:
                recipients.append(bytes.fromhex(log.topics[2][26:]))
                amounts.append(int(log.data, 16))
    return len(recipients)


def bench_traits(token: str) -> ChainTraits:
    """The bench chain, with its one token."""
    return ChainTraits(
        chain=CHAIN,
        alias="bench",
        family=Family.EVM,
        native=Asset(AssetId(f"{CHAIN}/slip44:60"), "ETH", 18, None),
        assets=(Asset(AssetId(f"{CHAIN}/erc20:{token}"), "SPRAY", 6, parse_address(token)),),
        block_time_s=1.0,
        finality=FinalAtDepth(64),
        reorg_window_blocks=128,
        facts=EvmFacts(safe_tag=False),
    )


@asynccontextmanager
async def open_desk(
    dsn: str, url: str, token: str, *, verified: bool, start: int
) -> AsyncIterator[tuple[ChainDesk, EvmSource]]:
    """A desk over an empty chain that starts below the first block, with a million watched addresses."""
    pool = await open_pool(dsn, size=4, application_name="bench")

    async def publish(conn: Connection, facts: Sequence[Any]) -> None:
        await relay_log.append(conn, facts, now=datetime.now(UTC))

    traits = bench_traits(token)
    settings = FollowSettings(
        traits=traits,
        confirm_rules=(ConfirmRule(Requirement(ConfirmedBy.DEPTH, 12)),),
        finality=traits.finality,
        start_height=start,
        batch_blocks_max=128,
    )
    store = PostgresFollowStore(pool, publish)
    desk = build_desk(settings, store)
    verifier = (
        BlockVerifier(PROFILES[facts_of(traits).verification_profile]) if verified else believe_consistent
    )
    try:
        async with EvmSource(traits, [NodeEndpoint(url)], verifier=verifier) as source:
            yield desk, source
    finally:
        await pool.close()


async def run_follow(
    dsn: str, url: str, token: str, first: int, last: int, *, verified: bool
) -> tuple[float, float]:
    """Catch up once; returns wall and CPU seconds of the catching up alone."""
    conn = await connect(dsn, application_name="bench-reset")
    try:
        await conn.execute(
            """truncate chains, blocks, left_blocks, assets, addresses, deposits, rescans, chain_status, events,
            merchant_logs, log_locks, event_days cascade"""
        )
        async with open_desk(dsn, url, token, verified=verified, start=first - 1) as (desk, source):
            follower = Follower(desk, source)
            assert isinstance(await follower.step(datetime.now(UTC)), Started)
            await watch_million(conn, first - 1)
            epoch = await desk_store(desk).acquire_lease(CHAIN, holder="bench", lease_s=3600)
            assert epoch is not None
            desk.lease_epoch = epoch
            while True:
                page = await desk_store(desk).load_watch_page(CHAIN, after_version=desk.watched.version)
                if page.version == desk.watched.version:
                    break
                desk.watched.add(page.addresses, version=page.version)
            return await _catch_up(desk, source, last)
    finally:
        await conn.close()


async def _catch_up(desk: ChainDesk, source: EvmSource, last: int) -> tuple[float, float]:
    began, cpu_began = time.perf_counter(), time.process_time()
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
    return time.perf_counter() - began, time.process_time() - cpu_began


def desk_store(desk: ChainDesk) -> PostgresFollowStore:
    """The desk's store as what it is here."""
    assert isinstance(desk.store, PostgresFollowStore)
    return desk.store


async def watch_million(conn: Connection, tip: int) -> None:
    """Put a million registrations into the table, as a merchant of long standing has."""
    at = datetime.now(UTC)
    records = (
        (
            UUID(int=0xADD0000000 + index),
            SHOP,
            CHAIN,
            bytes.fromhex(address_of(index)[2:]),
            tip,
            b"\0" * 32,
            0,
            index + 1,
            at,
        )
        for index in range(WATCHED_COUNT)
    )
    columns = (
        "id", "merchant_id", "chain", "address", "watching_from_height", "watching_from_hash",
        "effective_start", "watch_version", "created_at",
    )  # fmt: skip
    await conn.copy_records_to_table("addresses", records=records, columns=columns, timeout=300)
    await conn.execute("analyze addresses")


def measure(arguments: Sequence[str], name: str, blocks: int, transfers: int) -> Run:
    """Run one child to its end, sampling its PSS."""
    import subprocess

    child = subprocess.Popen(
        [sys.executable, "-m", "bench.follow_blocks", *arguments], stdout=subprocess.PIPE, text=True
    )
    pss_max_kib = 0
    while child.poll() is None:
        pss_max_kib = max(pss_max_kib, read_pss_kib(child.pid))
        time.sleep(0.1)
    assert child.stdout is not None
    output = child.stdout.read()
    assert child.returncode == 0, output
    result = json.loads(output.splitlines()[-1])
    return Run(name, result["wall_s"], result["cpu_s"], blocks, transfers, pss_max_kib / 1024)


def read_pss_kib(pid: int) -> int:
    """Proportional set size of one process; 0 once it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0


async def run_child(arguments: argparse.Namespace) -> None:
    """One measured piece of work in this process; prints its figures as JSON."""
    collect_rarely()
    if arguments.child in ("bare", "ahead"):
        batches_ahead = 1 if arguments.child == "bare" else AHEAD_BATCHES
        began, cpu_began = time.perf_counter(), time.process_time()
        found = await run_bare(
            arguments.url, arguments.token, arguments.first, arguments.last, batches_ahead=batches_ahead
        )
        assert found == arguments.transfers, (found, arguments.transfers)
        figures = (time.perf_counter() - began, time.process_time() - cpu_began)
    else:
        figures = await run_follow(
            arguments.dsn, arguments.url, arguments.token, arguments.first, arguments.last,
            verified=arguments.child == "verified",
        )  # fmt: skip
    print(json.dumps({"wall_s": figures[0], "cpu_s": figures[1]}))


async def run_share(arguments: argparse.Namespace, percent: int) -> list[Run]:
    """Build a chain with so many watched recipients, then measure the pieces in turn, so that drift hits all alike."""
    shape = Shape(*((100, 1) if arguments.wide else (5, 20)), 100 // percent)
    transfers = arguments.blocks * shape.transactions * shape.transfers
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="chainbell-bench-") as folder:
        async with start_anvil("--gas-limit", "300000000") as node, embedded_database(Path(folder)) as dsn:
            conn = await connect(dsn, application_name="bench")
            await migrate(conn)
            await conn.close()
            token = await build_chain(node, shape, arguments.blocks)
            last = await node.height()
            first = last - arguments.blocks + 1
            common = [
                "--url", node.url, "--token", token, "--dsn", dsn, "--first", str(first), "--last", str(last),
                "--transfers", str(transfers),
            ]  # fmt: skip
            for number in range(arguments.runs):
                for name in SUBJECTS:
                    run = await asyncio.to_thread(
                        measure, ["--child", name, *common], name, arguments.blocks, transfers
                    )
                    runs.append(run)
                    print(
                        f"  {percent:2} %, run {number + 1}: {name:<10} {run.wall_s:6.2f} s wall, "
                        f"{run.cpu_s:6.2f} s CPU, {run.pss_max_mib:.0f} MiB PSS",
                        flush=True,
                    )
    return runs


def summarise(runs: Sequence[Run], deposits: int) -> dict[str, Any]:
    """Medians of one share, and their ratios to both bare loops."""
    wall_s = {name: statistics.median(run.wall_s for run in runs if run.name == name) for name in SUBJECTS}
    cpu_s = {name: statistics.median(run.cpu_s for run in runs if run.name == name) for name in SUBJECTS}
    return {
        "deposits": deposits,
        "wall_s_median": wall_s,
        "cpu_s_median": cpu_s,
        "transfers_per_s": {name: round(runs[0].transfers / wall_s[name]) for name in SUBJECTS},
        **{
            f"ratio_to_{floor}": {
                name: round(wall_s[floor] / wall_s[name], 3) for name in ("unverified", "verified")
            }
            for floor in ("bare", "ahead")
        },
        "pss_max_mib": {
            name: round(max(run.pss_max_mib for run in runs if run.name == name))
            for name in ("unverified", "verified")
        },
        "runs": [asdict(run) for run in runs],
    }


async def run_all(arguments: argparse.Namespace) -> None:
    """Each share of watched recipients on a chain of its own."""
    shares: dict[int, dict[str, Any]] = {}
    for percent in arguments.watched_percent:
        runs = await run_share(arguments, percent)
        shares[percent] = summarise(runs, runs[0].transfers * percent // 100)
    figures: dict[str, Any] = {"blocks": arguments.blocks, "wide": arguments.wide, "watched_percent": shares}
    if len(shares) > 1:
        few, *_, many = (shares[percent] for percent in sorted(shares))
        figures["cpu_ms_a_deposit"] = {
            name: round(
                (many["cpu_s_median"][name] - few["cpu_s_median"][name])
                / (many["deposits"] - few["deposits"])
                * 1000,
                3,
            )
            for name in ("unverified", "verified")
        }
    write_result("follow_blocks_wide" if arguments.wide else "follow_blocks", figures)
    print(json.dumps(figures, indent=1))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=4900)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--wide", action="store_true", help="100 transactions of one transfer instead of 5 of 20"
    )
    parser.add_argument(
        "--watched-percent", type=int, nargs="+", default=[1], help="of recipients, each on its own chain"
    )
    for name in ("child", "url", "token", "dsn"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    for name in ("first", "last", "transfers"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    uvloop.run(run_child(arguments) if arguments.child else run_all(arguments))


if __name__ == "__main__":
    main()
