"""`python -m tests.api.fuzz --minutes 60`: schemathesis, with every check and every phase, against the API on a socket.

Lives here: a world to try it on, with something of every kind in it, and the call of schemathesis' own program, once with a
merchant's key and once with the admin's token. Also used by `test_description`, for seconds instead of minutes. Does not
live here: what the API promises (gateway/http/openapi.json, which schemathesis reads off the server).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.ratelimits import LocalRateLimits, RateLimit, Verdict
from migrations.connect import connect
from migrations.embedded import embedded_database
from migrations.runner import migrate
from tests.api.world import ADMIN_TOKEN, CONFIG, World, open_world, read_settings

PROGRAM = Path(sys.executable).with_name("schemathesis")
ROOT = Path(__file__).resolve().parents[2]
EXPECTED = """
[checks.positive_data_acceptance]
expected-statuses = [200, 201, 202, 204, 400, 401, 403, 404, 409, 410, 422]

[[operations]]
include-operation-id = "list_endpoint_audit"
checks.use_after_free.enabled = false
"""
"""A description says what can be said of form; what is well-formed and still wrong is 422 by contract. The trail of an
endpoint outlives it, on purpose."""
REQUEST_TIMEOUT_S = 20
REPORT_S = 5.0
ROUND_S = 300
"""Of a long run, so that one seed's beginning is seen often."""


class NoLimits(LocalRateLimits):
    """Counts, and refuses nobody: a test that is turned away learns nothing."""

    async def spend(self, subject: str, limit: RateLimit, *, cost: int = 1) -> Verdict:
        return Verdict(True, limit, remaining=1, reset_s=0.0, retry_after_s=0.0)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """How one run ended, and everything it said."""

    is_good: bool
    output: str


@asynccontextmanager
async def open_fuzzed_world(database_url: str, folder: Path) -> AsyncIterator[tuple[World, str]]:
    """A world with a merchant, an address, deposits, an endpoint; and the merchant's key. Nobody waits in it."""
    async with open_world(database_url, read_settings(CONFIG, folder)) as world:
        world.services.limits = NoLimits()
        world.services.stop.set()  # long polls and streams end at once
        key = await world.create_merchant()
        await world.watch(key)
        await world.pay(empty=12)
        endpoint = {"url": "http://127.0.0.1:9/"}
        assert (await world.call("POST", "/v1/endpoints", endpoint, key=key)).status == 201
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(_report(world))
            yield world, key
            follower.cancel()


async def _report(world: World) -> None:
    """As a running follower does, so that readiness is no matter of how long it takes."""
    while True:
        await world.report_heads()
        await asyncio.sleep(REPORT_S)


def fuzz(base_url: str, token: str, *, seconds: int, seed: int) -> Fuzzed:
    """Run schemathesis for that long."""
    command = [
        str(PROGRAM), "run", f"{base_url}/openapi.json", "--url", base_url, "--checks", "all", "--mode", "all",
        "--phases", "examples,coverage,fuzzing,stateful", "--max-time", str(seconds), "--seed", str(seed),
        "--header", f"Authorization: Bearer {token}", "--request-timeout", str(REQUEST_TIMEOUT_S),
        "--suppress-health-check", "all", "--generation-database", "none", "--no-color", "--warnings", "off",
        "--continue-on-failure",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.api.fuzz_hooks"}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "schemathesis.toml").write_text(EXPECTED)
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 300,
        )
    return Fuzzed(done.returncode == 0, done.stdout + done.stderr)


async def run(minutes: float, seed: int) -> int:
    """0 when nothing was found; a new seed every round, the tokens in turn."""
    ends_s = time.monotonic() + minutes * 60
    found = 0
    with tempfile.TemporaryDirectory(prefix="chainbell-fuzz-") as folder:
        async with embedded_database(Path(folder)) as dsn:
            conn = await connect(dsn, application_name="fuzz")
            await migrate(conn)
            await conn.close()
            async with open_fuzzed_world(dsn, Path(folder)) as (world, key):
                tokens = {"merchant": key, "admin": ADMIN_TOKEN}
                while (left_s := ends_s - time.monotonic()) > 1:
                    for name, token in tokens.items():
                        seconds = max(1, int(min(ROUND_S, left_s / len(tokens))))
                        result = await asyncio.to_thread(
                            fuzz, world.base_url, token, seconds=seconds, seed=seed
                        )
                        found += not result.is_good
                        print(f"seed {seed}  {name:<8}  {'good' if result.is_good else 'FOUND'}", flush=True)
                        if not result.is_good:
                            print(result.output, flush=True)
                    seed += 1
    return 1 if found else 0


def main() -> int:
    """Exit status 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.fuzz")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    return asyncio.run(run(options.minutes, options.seed))


if __name__ == "__main__":
    sys.exit(main())
