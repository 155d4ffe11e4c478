"""The connection to Redis: short deadlines, a circuit, a keeper that finds out when it is back.

Lives here: `RedisConnection.ask`, through which every question goes, and `run`, the keeper's loop. A question costs at
most ANSWER_S once; after a failure nobody asks until the keeper's probe was answered, so a Redis that is slow, full,
read-only or gone slows nobody. Whatever the client raises is weather: a helper must not stop the house. Does not live
here: any question, any in-process equal. The only import of redis.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from importlib.resources import files
from typing import TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.process.observe import Damper
from gateway.redis.circuit import Circuit
from gateway.redis.metrics import RedisMetrics, Use

ANSWER_S = 0.25
"""Above any healthy answer; below what a caller of the API would notice once."""
PROBE_EVERY_S = 2.0
TRY_S = 3.0
PROBE_KEPT_MS = 10_000
CONNECTIONS_MAX = 32
NAMESPACE_BYTES = 8

Subscription = PubSub
Answer = TypeVar("Answer")
_log = structlog.get_logger(__name__)


class RedisAway(Exception):
    """Redis can not be asked now: the in-process equal serves."""


class RedisConnection:
    """One process's way to Redis. `secret` is the same in all processes of an installation, and in no other."""

    def __init__(
        self, url: str, secret: bytes, metrics: RedisMetrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Connects to nothing yet. Raises ValueError for a URL that can not be used."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=ANSWER_S,
            socket_timeout=None,  # our own deadline covers the whole exchange
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            client_name="chainbell",
        )
        self.client: Redis = Redis.from_pool(pool)
        self.metrics = metrics
        self._secret = secret
        self._namespace = self.derive(b"namespace", NAMESPACE_BYTES).hex()
        self._clock = clock
        self._circuit = Circuit()
        self._usable = asyncio.Event()
        self._troubled = asyncio.Event()
        self._damper = Damper()

    @property
    def is_up(self) -> bool:
        """Whether questions are asked now."""
        return self._circuit.is_closed

    def derive(self, purpose: bytes, size: int) -> bytes:
        """Bytes that every process of this installation derives alike, and nobody else can."""
        return blake2b(purpose, digest_size=size, key=self._secret, person=b"chainbell-redis").digest()

    def name(self, *parts: str) -> str:
        """A key or channel of this installation; channels are common to all databases of a server."""
        return ":".join(("chainbell", self._namespace, *parts))

    async def ask(self, use: Use, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer within ANSWER_S. Raises RedisAway, at once while the circuit is open."""
        if not self._circuit.is_closed:
            self.metrics.fallbacks.labels(use).inc()
            raise RedisAway
        try:
            async with asyncio.timeout(ANSWER_S):
                return await question()
        except Exception as error:  # noqa: BLE001  (weather, see the card)
            self.metrics.fallbacks.labels(use).inc()
            self.report_failure(use, error)
            raise RedisAway from None

    def report_failure(self, use: Use, error: Exception) -> None:
        """Count a failure and open the circuit; the keeper is woken to probe."""
        kind = type(error).__name__
        self.metrics.errors.labels(use, kind).inc()
        if self._circuit.is_closed:  # late failures of one outage are one failure
            self._note_failure(kind)
            self._troubled.set()

    async def wait_until_up(self) -> None:
        """Return when questions are asked."""
        await self._usable.wait()

    async def run(self) -> None:
        """The keeper: probe every PROBE_EVERY_S, and after a failure until Redis answers. Until cancelled."""
        while True:
            await self._probe()
            if self.is_up:
                await self._wait_for_trouble(PROBE_EVERY_S)
            if not self.is_up:
                await asyncio.sleep(self._circuit.rest_s)

    async def _wait_for_trouble(self, timeout_s: float) -> None:
        self._troubled.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._troubled.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()
        await self.client.connection_pool.disconnect()

    @asynccontextmanager
    async def open_subscription(self, channel: str) -> AsyncIterator[Subscription]:
        """A subscription on a connection of its own."""
        subscription = self.client.pubsub(ignore_subscribe_messages=True)
        try:
            async with asyncio.timeout(ANSWER_S):
                await subscription.subscribe(channel)
            yield subscription
        finally:
            with suppress(Exception):  # its connection may be the trouble
                await subscription.aclose()  # type: ignore[no-untyped-call]  # published without a return type

    async def _probe(self) -> None:
        """Write something: a full or read-only server answers a ping, and is of no use."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.client.set(self.name("probe"), b"1", px=PROBE_KEPT_MS)
        except Exception as error:  # noqa: BLE001  (weather, see the card)
            self.metrics.errors.labels(Use.PROBE, type(error).__name__).inc()
            self._note_failure(type(error).__name__)
            return
        if self._circuit.succeed(self._clock()):
            self.metrics.up.set(1)
            self._usable.set()
            if self._damper.recovers("redis"):
                _log.info("redis-back")

    def _note_failure(self, kind: str) -> None:
        now_s = self._clock()
        self._circuit.fail(now_s)
        self.metrics.up.set(0)
        self._usable.clear()
        count = self._damper.fails("redis", now_s)
        if count is not None:
            _log.warning("redis-away", kind=kind, failures=count, rest_s=self._circuit.rest_s)


async def try_once(url: str) -> str:
    """Write one key as the keeper does; empty if that works, else the kind of failure, without address or password."""
    try:
        client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), protocol=2)
    except ValueError:
        return "this URL can not be used"
    try:
        async with asyncio.timeout(TRY_S):
            await client.set("chainbell:doctor", b"1", px=PROBE_KEPT_MS)
    except Exception as error:  # noqa: BLE001  (weather, see the card)
        return type(error).__name__
    finally:
        await client.aclose()
    return ""


class Script:
    """A Lua script of this folder: asked by its digest, sent again to a server that forgot it."""

    def __init__(self, connection: RedisConnection, name: str) -> None:
        source = files("gateway.redis").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        self._run = connection.client.register_script(source)
        self._connection = connection

    async def ask(self, use: Use, key: str, *arguments: str | float) -> Sequence[int]:
        """Run it on one key; its integers. Raises RedisAway."""

        async def question() -> Sequence[int]:
            answer: Sequence[int] = await self._run(keys=[key], args=list(arguments))
            return answer

        return await self._connection.ask(use, question)
