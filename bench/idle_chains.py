"""What a chain that stands still costs: CPU of the program and of PostgreSQL, and database sessions.

Some anvils that mine nothing, followed by one program as anybody runs it, with a merchant, an endpoint and an address on
each. No floor: the aim is a share of a core for each chain.

    .venv/bin/python -m bench.idle_chains [--chains 1 10] [--seconds 30]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from bench.report import write_result
from migrations.embedded import embedded_database
from tests.devnet.anvil import start_anvil
from tests.processes.program import Program, Settings

SETTLED_AFTER_S = 10.0
FIRST_CHAIN_ID = 31337
TILL = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figures:
    """One program; CPU as per cent of a core."""

    chains: int
    program_percent: float
    postgres_percent: float
    program_percent_a_chain: float
    sessions: int
    commits_a_minute: float


def read_cpu_s(pid: int) -> float:
    """User and system time of one process so far; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def measure(chains: int, seconds: float) -> Figures:
    """One program on fresh chains and a fresh database."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbell-bench-")))
        dsn = await stack.enter_async_context(embedded_database(folder / "database"))
        ids = range(FIRST_CHAIN_ID, FIRST_CHAIN_ID + chains)
        nodes = [await stack.enter_async_context(start_anvil("--chain-id", str(one))) for one in ids]
        others = [
            f"""[chains.local{one}]
family = "evm"
chain_id = {one}
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = {json.dumps([node.url, node.ws_url])}
block_time_s = 1
poll_interval_s = 0.25
confirmed = {{ confirmations = 3 }}
"""
            for one, node in list(zip(ids, nodes, strict=True))[1:]
        ]
        for node in nodes:
            await node.mine(3)
        settings = Settings(
            [nodes[0].url, nodes[0].ws_url], database_url=dsn, poll_interval_s=0.25, extra="\n".join(others)
        )
        program = Program(folder, settings)
        program.write_config()
        stack.push_async_callback(program.end_all)
        running = await program.start()
        await program.wait_ready()
        merchant = await program.create_merchant("bench")
        await program.call(merchant, "POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/none"})
        for alias in ("local", *(f"local{one}" for one in ids[1:])):
            await program.call(merchant, "POST", "/v1/addresses", {"chain": alias, "address": TILL})
        await asyncio.sleep(SETTLED_AFTER_S)
        conn = await asyncpg.connect(dsn)
        stack.push_async_callback(conn.close)
        elsewhere = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        sessions = [row["pid"] for row in await conn.fetch(f"select pid {elsewhere}")]
        commits = "select xact_commit from pg_stat_database where datname = current_database()"
        await conn.execute("select pg_stat_clear_snapshot()")
        pids = [running.process.pid, *sessions]
        before = [*map(read_cpu_s, pids), await conn.fetchval(commits)]
        await asyncio.sleep(seconds)
        after = [*map(read_cpu_s, pids), await conn.fetchval(commits)]
        # A session that nobody needed any more has ended meanwhile, and used nothing before.
        program_share, *postgres_shares, commits_count = (
            max(0.0, b - a) / seconds * 100 for a, b in zip(before, after, strict=True)
        )
        return Figures(
            chains,
            round(program_share, 2),
            round(sum(postgres_shares), 2),
            round(program_share / chains, 2),
            await conn.fetchval(f"select count(*) {elsewhere}"),
            round(commits_count * 60 / 100),
        )


async def run_all(arguments: argparse.Namespace) -> None:
    """Each number of chains in turn."""
    runs = []
    for chains in arguments.chains:
        figures = await measure(chains, arguments.seconds)
        runs.append(asdict(figures))
        print(json.dumps(runs[-1]), flush=True)
    write_result("idle_chains", {"seconds": arguments.seconds, "runs": runs})


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chains", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--seconds", type=float, default=30.0)
    asyncio.run(run_all(parser.parse_args()))


if __name__ == "__main__":
    main()
