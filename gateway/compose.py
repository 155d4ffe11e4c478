"""The composition root: the only module that knows every room, and the one place where a process is put together.

Lives here: database, secrets, chains, relay, API and alerts of one process, started in their order and stopped within ten
seconds. Does not live here: any work of theirs. `publish` is handed to the indexer from here, so that events commit with
the deposits they tell, and neither room knows the other.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from chains.model import AssetId, ChainId
from chains.port import ChainSource
from gateway import store
from gateway.compose_chains import build_chain, build_source, check_token_decimals, load_known_chains
from gateway.config.keyfiles import Keys, load_keys
from gateway.config.settings import ChainSettings, Role, Settings
from gateway.config.table import ConfigInvalid
from gateway.faces import Faces
from gateway.http.edge.calls import Services
from gateway.http.operations import HEALTH, OPERATIONS
from gateway.http.resources.docs_page import DOCUMENTATION
from gateway.http.service import run_api, run_health
from gateway.process.alerts import Bell
from gateway.process.collector import collect_rarely
from gateway.process.database import migrate_database, open_dsn
from gateway.process.files import FileShares, decide_shares, raise_file_limit
from gateway.process.metrics import ApiMetrics, ChainMetrics, HouseMetrics, build_registry
from gateway.redis.service import Shared, build_shared
from gateway.store import EXPIRED_BATCH
from gateway.wakes import GrownLogs
from indexer.follow.steady import run_steadily
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.rules.events import Fact
from indexer.service import IndexerService
from migrations.connect import open_pool
from migrations.embedded import keep_running
from migrations.errors import DatabaseProblem
from migrations.handles import Connection, Pool
from migrations.weather import database_weather
from relay.keys.reseal import reseal_all
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as event_log
from relay.service import RelayService
from relay.workers.fresh import FreshEvents

STOP_TIMEOUT_S = 9.0
"""A clean stop ends by itself within this, of the ten seconds it may take."""

POOL_SIZE = 20
API_POOL_SIZE = 12
API_ACQUIRE_TIMEOUT_S = 5.0
"""A caller hears 503 and Retry-After after this; it is far above what a pool at work takes."""
API_STATEMENT_TIMEOUT_S = 8.0
"""A server that stands still is given up five seconds later by ourselves; pages and keyed look-ups take milliseconds."""
HOUSEKEEPING_INTERVAL_S = 3_600.0
DISK_INTERVAL_S = 60.0
DISK_FREE_MIN_BYTES = 512 * 1024 * 1024

_log = structlog.get_logger()


def read_clock() -> datetime:
    """The clock every room is handed."""
    return datetime.now(UTC)


async def publish(conn: Connection, facts: Sequence[Fact]) -> None:
    """The relay's door for the indexer: inside its transaction, last."""
    await event_log.append(conn, facts, now=read_clock())


def build_publish(grown: GrownLogs, alias: str) -> Callable[[Connection, Sequence[Fact]], Awaitable[None]]:
    """`publish` for one chain's follower, noting which logs grew, so that others are woken after the commit."""

    async def publish_and_note(conn: Connection, facts: Sequence[Fact]) -> None:
        grown.note(alias, await event_log.append(conn, facts, now=read_clock()))

    return publish_and_note


class WakingMetrics(ChainMetrics):
    """Counts what followers report, and wakes who waits for what they committed."""

    def __init__(self, registry: CollectorRegistry, grown: GrownLogs) -> None:
        super().__init__(registry)
        self._grown = grown

    def moved(self, alias: str, *, applied: int, left: int, changes: int) -> None:
        """One move was committed."""
        super().moved(alias, applied=applied, left=left, changes=changes)
        self._grown.tell(alias)


@dataclass(slots=True)
class House:
    """What every role of this process shares."""

    settings: Settings
    roles: frozenset[Role]
    chains: Sequence[ChainSettings]
    keys: Keys
    dsn: str = field(repr=False)
    pool: Pool
    bell: Bell
    faces: Faces
    registry: CollectorRegistry
    shared: Shared
    grown: GrownLogs
    holder: str
    files: FileShares
    fresh: FreshEvents
    stop: asyncio.Event = field(default_factory=asyncio.Event)


async def run_house(settings: Settings, roles: frozenset[Role], chains: Sequence[ChainSettings]) -> None:
    """Run these roles until a signal asks to stop. Raises DatabaseProblem, DecimalsMismatch, BindFailed, ConfigInvalid."""
    async with open_house(settings, roles, chains) as house:
        _stop_on_signals(house.stop)
        async with AsyncExitStack() as stack:
            followed = await _open_chains(house, stack)
            collect_rarely()
            async with asyncio.TaskGroup() as beside:
                work: dict[str, Callable[[], Awaitable[None]]] = {
                    "alerts": house.bell.run,
                    "housekeeping": lambda: _keep_house(house),
                    "disk": lambda: _watch_disk(house),
                    "redis": house.shared.run,
                }
                if not settings.database_url:
                    work["database"] = lambda: keep_running(settings.data_dir)
                tasks = [
                    beside.create_task(run_steadily(one, _tell_surprise(house, name)), name=name)
                    for name, one in work.items()
                ]
                await _work(house, followed)
                await house.bell.drain(1.0)
                for task in tasks:
                    task.cancel()
    _log.info("stopped")


def _tell_surprise(house: House, name: str) -> Callable[[BaseException], None]:
    """What nobody expected beside the work itself ends nothing: it is written down with its trace, and rings."""

    def tell(error: BaseException) -> None:
        _log.error("process-broken", part=name, exc_info=error)
        house.bell.ring("process.broken", {"part": name, "kind": type(error).__name__})

    return tell


@asynccontextmanager
async def open_house(
    settings: Settings, roles: frozenset[Role], chains: Sequence[ChainSettings]
) -> AsyncIterator[House]:
    """Database up and migrated, secrets known, nothing running yet."""
    keys = load_keys(settings)
    application_name = "chainbell-" + ("all" if roles == frozenset(Role) else "-".join(sorted(roles)))
    async with open_dsn(settings) as dsn:
        for migration in await migrate_database(dsn, application_name=application_name):
            _log.info("migrated", migration=migration.filename)
        with database_weather():
            pool = await open_pool(dsn, size=POOL_SIZE, application_name=application_name, resets=False)
        try:
            await _reseal(pool, keys)
            faces = Faces(settings.chains, lambda: load_known_chains(pool))
            await faces.refresh()
            registry = build_registry()
            shared, fresh = _build_shared(settings, keys, registry), FreshEvents()
            yield House(
                settings=settings,
                roles=roles,
                chains=chains,
                keys=keys,
                dsn=dsn,
                pool=pool,
                bell=Bell(settings.alerts, clock=read_clock),
                faces=faces,
                registry=registry,
                shared=shared,
                grown=GrownLogs(shared.wakes, fresh if Role.RELAY in roles else None),
                fresh=fresh,
                holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
                files=decide_shares(raise_file_limit()),
            )
        finally:
            await _close_pool(pool)


def _build_shared(settings: Settings, keys: Keys, registry: CollectorRegistry) -> Shared:
    try:
        return build_shared(settings.redis_url.reveal(), keys.encryption_keys[0], registry)
    except ValueError as error:
        raise ConfigInvalid(
            ["redis.url: this URL can not be used"], source=str(settings.source or "")
        ) from error


async def _close_pool(pool: Pool) -> None:
    try:
        async with asyncio.timeout(2.0):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def _open_chains(house: House, stack: AsyncExitStack) -> list[FollowedChain]:
    """The chains this process follows, their providers not asked yet."""
    if Role.FOLLOW not in house.roles:
        return []
    followed = []
    sources = []
    for chain in house.chains:
        face = await house.faces.of(chain.follow.traits.chain)
        source = await stack.enter_async_context(
            build_source(
                chain, share_budget=house.shared.share_budget, formerly_listed=face.naming.assets.values()
            )
        )
        sources.append(source)
        publish_noted = build_publish(house.grown, chain.alias)
        followed.append(await build_chain(chain, source, house.pool, publish_noted))
    async with asyncio.TaskGroup() as group:
        for chain, source, one in zip(house.chains, sources, followed, strict=True):
            rows = await one.store.load_asset_rows(chain.follow.traits.chain)
            check = check_token_decimals(chain, source, {AssetId(row.asset) for row in rows})
            group.create_task(check, name=f"decimals-{chain.alias}")
    return followed


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _work(house: House, followed: Sequence[FollowedChain]) -> None:
    """The roles themselves; returns when all have stopped, or when the time for that is over."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            if Role.FOLLOW in house.roles and followed:
                group.create_task(_follow(house, followed), name="follow")
            if Role.RELAY in house.roles:
                group.create_task(_deliver(house), name="relay")
            health_bind = house.settings.http.health_bind
            if Role.GATEWAY in house.roles:
                group.create_task(_serve(house), name="gateway")
            elif health_bind is not None:
                health = run_health(_services(house, house.pool), HEALTH, health_bind, house.files)
                group.create_task(health, name="health")
            _log.info("started", roles=sorted(house.roles), chains=[chain.alias for chain in house.chains])
            await house.stop.wait()
            _log.info("stopping")
            limit.reschedule(loop.time() + STOP_TIMEOUT_S)
    except TimeoutError:
        _log.warning("stop-cut-short", after_s=STOP_TIMEOUT_S)


async def _follow(house: House, followed: Sequence[FollowedChain]) -> None:
    around = Surroundings(
        pool=house.pool,
        holder=house.holder,
        observer=WakingMetrics(house.registry, house.grown),
        alert=house.bell.ring,
        clock=read_clock,
        stop=house.stop,
    )
    await IndexerService(around, followed).run()


async def _serve(house: House) -> None:
    """The API on connections of its own: a flood of calls must not keep followers and deliveries waiting for one."""
    with database_weather():
        pool = await open_pool(
            house.dsn,
            size=API_POOL_SIZE,
            application_name="chainbell-api",
            acquire_timeout_s=API_ACQUIRE_TIMEOUT_S,
            statement_timeout_s=API_STATEMENT_TIMEOUT_S,
        )
    try:
        async with _open_askers(house) as sources:
            services = _services(house, pool)
            services.sources = sources
            await run_api(
                services,
                (*OPERATIONS, *DOCUMENTATION),
                house.settings.http.bind,
                admin_token=house.keys.admin_token,
                observe=ApiMetrics(house.registry).note_call,
                wakes=house.shared.wakes,
                listens_on=house.pool,
                files=house.files,
            )
    finally:
        await _close_pool(pool)


@asynccontextmanager
async def _open_askers(house: House) -> AsyncIterator[dict[ChainId, ChainSource]]:
    """Providers for explaining, apart from the followers': a question must not take their turns."""
    async with AsyncExitStack() as stack:
        yield {
            chain.follow.traits.chain: await stack.enter_async_context(
                build_source(chain, share_budget=house.shared.share_budget)
            )
            for chain in house.chains
        }


def _services(house: House, pool: Pool) -> Services:
    return Services(
        pool,
        house.settings,
        house.faces,
        read_clock,
        SecretBox(house.keys.encryption_keys),
        limits=house.shared.limits,
        cache=house.shared.cache,
        registry=house.registry,
        stop=house.stop,
    )


async def _deliver(house: House) -> None:
    box = SecretBox(house.keys.encryption_keys)
    settings, ring, fresh = house.settings.relay, house.bell.ring, house.fresh
    service = RelayService(house.pool, box, settings, registry=house.registry, on_alert=ring, fresh=fresh)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(service.run(), name="relay-service")
        forget = house.shared.wakes.listen(service.hear)
        await house.stop.wait()
        forget()
        service.stop()
        await work


async def _reseal(pool: Pool, keys: Keys) -> None:
    """After an upgrade, and while keys are rotated: before anybody reads them, move every stored secret to the first key."""
    async with pool.acquire() as conn:
        done = await reseal_all(conn, SecretBox(keys.encryption_keys))
    if done.unreadable:
        _log.error("secrets-not-resealed", changed=done.moved, unreadable=done.unreadable)
    elif done.moved or len(keys.encryption_keys) > 1:
        _log.info("secrets-resealed", changed=done.moved, note="the keys after the first one may go")


async def _keep_house(house: House) -> None:
    """Once an hour: expired answers go."""
    while True:
        try:
            await _forget_expired(house.pool)
        except DatabaseProblem as error:
            _log.warning("housekeeping-failed", error=str(error))
        await asyncio.sleep(HOUSEKEEPING_INTERVAL_S)


async def _forget_expired(pool: Pool) -> None:
    await store.delete_abandoned_calls(pool)
    count = EXPIRED_BATCH
    while count == EXPIRED_BATCH:
        count = await store.delete_expired_answers(pool, now=read_clock())


async def _watch_disk(house: House) -> None:
    """Ring before the disk of an embedded database is full."""
    metrics = HouseMetrics(house.registry)
    while True:
        free_bytes = _free_bytes(house.settings.data_dir)
        if free_bytes is not None:
            metrics.disk_free.set(free_bytes)
        if free_bytes is not None and free_bytes < DISK_FREE_MIN_BYTES:
            house.bell.ring("disk.low", {"free_bytes": free_bytes, "data_dir": str(house.settings.data_dir)})
        await asyncio.sleep(DISK_INTERVAL_S)


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
