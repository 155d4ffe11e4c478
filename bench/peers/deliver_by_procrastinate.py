"""The sender one builds from procrastinate and aiohttp: a job for each delivery, signed and posted as the relay does.

Lives here: filling a queue (`enqueue`) and working on it (`work`, until standard input ends), as an `Assignment` on
standard input says. It runs in the peers' own virtual environment, and of the rooms it imports `relay.keys.signing` only. Does
not live here: the server, and what is measured (`stores`, `deliver_with_peers`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp
import uvloop
from procrastinate import App, PsycopgConnector, RetryStrategy
from psycopg import AsyncConnection

from bench.peers.assignment import Assignment
from relay.keys import signing

ENQUEUED_AT_ONCE = 1_000
ATTEMPT_TIMEOUT_S = 15
RETRY = RetryStrategy(max_attempts=10, exponential_wait=5)
CONNECTIONS_SPARE = 4
"""For heartbeats and for listening, beside those that fetch and finish jobs."""
CONNECTIONS_MAX = 24


def open_app(told: Assignment) -> App:
    """The application, on a pool that no job has to wait for."""
    wanted = told.tuning.workers * told.tuning.concurrency + CONNECTIONS_SPARE
    size = min(wanted, CONNECTIONS_MAX)
    return App(
        connector=PsycopgConnector(
            conninfo=told.store, min_size=2, max_size=size, configure=commit_each_statement
        )
    )


async def commit_each_statement(conn: AsyncConnection) -> None:
    """procrastinate sends single statements, which need no begin and no commit: a sixth less CPU time."""
    await conn.set_autocommit(True)


def read_jobs(path: str) -> list[dict[str, str]]:
    """The arguments of each."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


async def enqueue(told: Assignment) -> None:
    """Make the tables, and one job for each line of the file."""
    app = open_app(told)
    task = app.configure_task("deliver")
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        jobs = read_jobs(told.jobs_path)
        for first in range(0, len(jobs), ENQUEUED_AT_ONCE):
            await task.batch_defer_async(*jobs[first : first + ENQUEUED_AT_ONCE])
    print(len(jobs), flush=True)


async def work(told: Assignment) -> None:
    """Deliver until standard input ends."""
    app = open_app(told)
    secret, key = told.keys.secret_bytes, signing.signing_key_from_seed(told.keys.seed_bytes)
    timeout = aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)

    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        async def deliver(url: str, webhook_id: str, delivery_id: str, body: str) -> None:
            content, timestamp_s = body.encode(), int(time.time())
            headers = {
                "accept": "*/*",
                "accept-encoding": "identity",
                "content-type": "application/json",
                "user-agent": "procrastinate-webhooks/1",
                "webhook-id": webhook_id,
                "webhook-timestamp": str(timestamp_s),
                "webhook-signature": signing.sign(
                    webhook_id, timestamp_s, content, secrets=[secret], signing_keys=[key]
                ),
                "chainbell-delivery": delivery_id,
            }
            async with session.post(url, data=content, headers=headers) as answer:
                await answer.read()
                answer.raise_for_status()

        app.task(name="deliver", retry=RETRY)(deliver)
        async with app.open_async(), asyncio.TaskGroup() as group:
            workers = [
                group.create_task(
                    app.run_worker_async(concurrency=told.tuning.concurrency, install_signal_handlers=False)
                )
                for _ in range(told.tuning.workers)
            ]
            await asyncio.to_thread(sys.stdin.read)
            for worker in workers:
                worker.cancel()


def main() -> None:
    """Do what standard input says."""
    told = Assignment.decode(sys.stdin.readline())
    uvloop.run(enqueue(told) if told.task == "enqueue" else work(told))


if __name__ == "__main__":
    main()
