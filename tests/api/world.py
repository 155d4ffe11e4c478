"""The API on a real database behind a real socket, with a scripted chain that a real follower follows.

Lives here: `World`, which starts all of it and calls as merchants and operators do. Does not live here: what must hold
(`test_*.py`), the database (tests/conftest.py).
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from chains.model import Address
from chains.scripted import ScriptedChain, ScriptedProvider, ScriptedSource, ScriptedTx
from gateway.compose_chains import load_known_chains
from gateway.config.file import load_settings
from gateway.config.settings import Bind, Secret, Settings
from gateway.faces import Faces
from gateway.http.edge.app import Api
from gateway.http.edge.calls import Services
from gateway.http.edge.server import PLENTY_OF_FILES, serve
from gateway.http.operations import OPERATIONS
from gateway.http.resources.docs_page import DOCUMENTATION
from gateway.process.files import FileShares
from indexer.follow.step import Follower
from indexer.move.desk import build_desk
from indexer.rows.store import PostgresFollowStore
from indexer.rows.work_store import ChainStatus, write_status
from indexer.rules.events import Fact
from migrations.connect import open_pool
from migrations.handles import Connection, Pool
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.out.egress import Egress

PATIENCE_S = 90.0
"""For a connection: far above what a busy machine takes, and what is stuck is still told."""
ADMIN_TOKEN = "an-admin-token-for-tests"
CONFIG = """
[relay]
allow_private_networks = true
[chains.local]
family = "evm"
chain_id = 31337
native = { symbol = "ETH", decimals = 18, slip44 = 60 }
endpoints = ["http://127.0.0.1:1"]
block_time_s = 1
confirmed = { confirmations = 3 }
final = { confirmations = 12 }
assets = [ { symbol = "USDT", contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3", decimals = 6 } ]
[chains.other]
family = "evm"
chain_id = 31338
native = { symbol = "ETH", decimals = 18, slip44 = 60 }
endpoints = ["http://127.0.0.1:1"]
confirmed = { confirmations = 1 }
"""
WATCHED = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ANOTHER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
Json = Any


def read_clock() -> datetime:
    """The tests' clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def pointers(self) -> list[str]:
        """Where a problem says the request is wrong."""
        return [error["pointer"] for error in self.json["errors"]]


@dataclass(slots=True)
class Line:
    """One scripted chain and its follower."""

    chain: ScriptedChain
    follower: Follower

    async def follow(self) -> None:
        """Step until nothing moves any more."""
        quiet = 0
        while quiet < 2:
            outcome = await self.follower.step(read_clock())
            quiet = quiet + 1 if type(outcome).__name__ == "Idle" else 0

    async def mine(self, *txs: ScriptedTx, empty: int = 0) -> None:
        """Mine a block with these transactions and so many empty ones, and follow."""
        self.chain.mine(*txs)
        if empty:
            self.chain.mine_many(empty)
        await self.follow()


@dataclass(slots=True)
class World:
    """What a test calls."""

    base_url: str
    pool: Pool
    services: Services
    session: aiohttp.ClientSession
    lines: dict[str, Line]
    calls: list[tuple[str, int]]
    """Every call that was answered, or given up: its operation and its status."""
    keys: dict[str, str] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Reply:
        """One call; `key` is an API key, `data` a body as it is."""
        sent = {"Authorization": f"Bearer {key}"} if key is not None else {}
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        async with self.session.request(
            method,
            self.base_url + path,
            data=None if data is None else io.BytesIO(data),
            headers={**sent, **(headers or {})},
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def admin(self, method: str, path: str, body: Json = None, **options: Any) -> Reply:
        """One call with the admin token."""
        return await self.call(method, path, body, key=ADMIN_TOKEN, **options)

    async def create_merchant(self, name: str = "Shop") -> str:
        """A merchant; returns its key."""
        created = await self.admin("POST", "/v1/merchants", {"name": name})
        assert created.status == 201, created.body
        self.keys[name] = created.json["api_key"]
        return self.keys[name]

    async def watch(self, key: str, address: str = WATCHED, **members: Any) -> Json:
        """Watch an address on the first chain; returns it as answered."""
        reply = await self.call(
            "POST", "/v1/addresses", {"chain": "local", "address": address, **members}, key=key
        )
        assert reply.status in (200, 201), reply.body
        return reply.json

    async def pay(self, address: str = WATCHED, amount: int = 10**18, *, empty: int = 0) -> None:
        """Pay native coin to an address in a block of its own, then so many empty blocks."""
        line = self.lines["local"]
        tx = line.chain.pay(Address(bytes.fromhex(address[2:])), amount)
        await line.mine(tx, empty=empty)

    async def report_heads(self) -> None:
        """What a running follower says of itself every second."""
        for alias, line in self.lines.items():
            provider = {"host": "node.test", "operator": "node.test", "head_height": line.chain.head.height}
            status = ChainStatus(
                line.chain.traits.chain,
                alias,
                line.chain.head.height,
                {"providers": [provider]},
                read_clock(),
            )
            await write_status(self.pool, status)


async def publish(conn: Connection, facts: Sequence[Fact]) -> None:
    """As the composition does."""
    await log.append(conn, facts, now=read_clock())


async def start_line(settings: Settings, alias: str, pool: Pool) -> Line:
    """A scripted chain with a first block, followed."""
    follow = settings.chains[alias].follow
    chain = ScriptedChain(follow.traits)
    chain.mine_many(2)
    store = PostgresFollowStore(pool, publish)
    desk = build_desk(follow, store)
    line = Line(chain, Follower(desk, ScriptedSource(ScriptedProvider(chain))))
    await line.follow()
    return line


@asynccontextmanager
async def open_world(
    database_url: str,
    settings: Settings,
    *,
    without: Collection[str] = (),
    pool_size: int = 12,
    files: FileShares = PLENTY_OF_FILES,
) -> AsyncIterator[World]:
    """Everything, stopped at the end; the chains `without` are configured and have no first block."""
    pool = await open_pool(
        database_url, size=pool_size, application_name="test", acquire_timeout_s=PATIENCE_S
    )
    try:
        lines = {
            alias: await start_line(settings, alias, pool)
            for alias in settings.chains
            if alias not in without
        }
        faces = Faces(settings.chains, lambda: load_known_chains(pool))
        await faces.refresh()
        services = Services(pool, settings, faces, read_clock, SecretBox([bytes(32)]))
        calls: list[tuple[str, int]] = []
        api = Api(
            services,
            (*OPERATIONS, *DOCUMENTATION),
            admin_token=Secret(ADMIN_TOKEN),
            observe=lambda operation, status, _seconds: calls.append((operation, status)),
            connections=files.connections,
        )
        async with (
            Egress(timeout_s=5.0, allow_private_networks=True) as services.egress,
            serve(
                api.build(), Bind("127.0.0.1", 0), files=files, trusted=settings.http.trusted_proxies
            ) as bind,
            aiohttp.ClientSession() as session,
        ):
            world = World(f"http://{bind}", pool, services, session, lines, calls)
            await world.report_heads()
            yield world
            services.stop.set()
    finally:
        await pool.close()


async def readiness(world: World) -> tuple[int, str]:
    """The status of `/readyz`, and what it says of the database."""
    reply = await world.call("GET", "/readyz")
    return reply.status, reply.json["database"]


def read_settings(text: str, folder: Any) -> Settings:
    """Settings from a file with this text."""
    file = folder / "chainbell.toml"
    file.write_text(text)
    return load_settings(file, environment={})
