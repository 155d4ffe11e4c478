"""What every test may ask for: a database of its own, and chance that can be repeated. Nothing else belongs here.

One embedded PostgreSQL serves a whole run, shared by xdist's workers; a database is migrated once and copied for each
test (some 30 ms). The seed is printed at the top of every run: `CHAINBELL_SEED=… pytest` repeats it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import pytest_asyncio
import uvloop

from chains.evm.nodes.tokens import RECURSION_LIMIT
from migrations.cluster import APPLICATION_ROLE, SUPERUSER_ROLE, open_cluster
from migrations.connect import connect
from migrations.embedded import embedded_database, stop_if_unused
from migrations.errors import EmbeddedProblem
from migrations.runner import load_migrations, migrate
from tests.depth import SEED_VARIABLE

RUN_DIR_PREFIX = "chainbell-tests-"
ABANDONED_AFTER_S = 1800
TEMPLATE_LOCK_KEY = 1

FAST_AND_FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
}
"""A test's database need not outlive the machine's power; what must is tested in tests/database/test_embedded.py."""

hypothesis.settings.register_profile("chainbell", deadline=None, print_blob=True)
hypothesis.settings.load_profile("chainbell")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault(SEED_VARIABLE, str(random.SystemRandom().randrange(1 << 32)))
    os.environ.setdefault(
        "PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex
    )  # xdist's workers are all given the same


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the program runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests import web3 and eth-account, which raise the recursion limit a hundredfold; the program does not let them."""
    sys.setrecursionlimit(RECURSION_LIMIT)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {SEED_VARIABLE}={os.environ[SEED_VARIABLE]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"repeat with {SEED_VARIABLE}={os.environ[SEED_VARIABLE]}")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """This test's own seed: 64 bits of the run's seed and the test's name."""
    text = f"{os.environ[SEED_VARIABLE]}:{request.node.name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Chance that the run's seed repeats."""
    return random.Random(seed)


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """The run's server. Databases are made as its superuser and used as the role the product has."""

    superuser_url: str
    application_url: str

    def url_of(self, database: str) -> str:
        """Where the product's role finds that database."""
        before, _, after = self.application_url.partition("@/")
        return f"{before}@/{database}?{after.partition('?')[2]}"


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """One server for the whole run, of which every worker holds a share."""
    run_dir = Path(tempfile.gettempdir()) / f"{RUN_DIR_PREFIX}{os.environ['PYTEST_XDIST_TESTRUNUID']}"
    with asyncio.Runner() as runner:
        runner.run(_remove_abandoned_servers())
        share = embedded_database(run_dir, settings=FAST_AND_FORGETFUL)
        dsn = runner.run(share.__aenter__())
        superuser_url = runner.run(open_cluster(run_dir)).dsn(SUPERUSER_ROLE, "postgres")
        yield DatabaseServer(superuser_url, dsn)
        runner.run(share.__aexit__(None, None, None))
    # Another worker may still be at it.
    if not (run_dir / "postgres" / "cluster" / "postmaster.pid").exists():
        shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(database_server: DatabaseServer) -> str:
    """The name of a fully migrated database that nobody is connected to, made by the first worker to ask."""
    return asyncio.run(_make_template(database_server))


async def _make_template(server: DatabaseServer) -> str:
    checksums = b"".join(migration.checksum for migration in load_migrations())
    name = f"template_{hashlib.sha256(checksums).hexdigest()[:16]}"
    conn = await asyncpg.connect(server.superuser_url)
    try:
        await conn.execute("select pg_advisory_lock($1)", TEMPLATE_LOCK_KEY)
        if not await conn.fetchval("select exists (select from pg_database where datname = $1)", name):
            await conn.execute(f"drop database if exists {name}_partial")
            await conn.execute(f"create database {name}_partial owner {APPLICATION_ROLE}")
            template = await connect(server.url_of(f"{name}_partial"), application_name="template")
            try:
                await migrate(template)
            finally:
                await template.close()
            await conn.execute(f"alter database {name}_partial rename to {name}")
    finally:
        await conn.close()
    return name


@pytest_asyncio.fixture
async def database_url(database_server: DatabaseServer, migrated_template: str) -> AsyncIterator[str]:
    """A DSN of this test's own, fully migrated, empty database."""
    async with own_database(database_server, migrated_template) as url:
        yield url


@pytest_asyncio.fixture
async def empty_database_url(database_server: DatabaseServer) -> AsyncIterator[str]:
    """A DSN of this test's own database, never migrated."""
    async with own_database(database_server, "template1") as url:
        yield url


@asynccontextmanager
async def own_database(server: DatabaseServer, template: str) -> AsyncIterator[str]:
    """A DSN of a database copied from `template` and dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    await _execute(server, f"create database {name} template {template} owner {APPLICATION_ROLE}")
    yield server.url_of(name)
    await _execute(server, f"drop database {name} with (force)")


async def _execute(server: DatabaseServer, statement: str) -> None:
    conn = await asyncpg.connect(server.superuser_url)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


async def _remove_abandoned_servers() -> None:
    """A run that was killed leaves its server behind; nobody holds its locks any more."""
    for run_dir in _old_run_dirs():
        with suppress(OSError, EmbeddedProblem):  # somebody else's, or just removed by another run
            if await stop_if_unused(run_dir):
                shutil.rmtree(run_dir, ignore_errors=True)


def _old_run_dirs() -> list[Path]:
    before = time.time() - ABANDONED_AFTER_S
    found = Path(tempfile.gettempdir()).glob(f"{RUN_DIR_PREFIX}*")
    return [path for path in found if path.exists() and path.stat().st_mtime < before]
