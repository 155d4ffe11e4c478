"""Tips over ZMQ: hints that there is something to fetch, never truth.

A node publishes to whoever listens, counts what it sends, and drops what a
listener is too slow for; it tells only the newest tip of many, and nothing
after a reconnect of what was missed.  So a tip heard here only wakes the
follower; a gap in the count ends the belief that tips are told in time, like a
lost connection.  How far the timer may rely on it is `chains.hints`.  Source:
Bitcoin Core `doc/zmq.md`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
import zmq
import zmq.asyncio
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential
from zmq.utils.monitor import recv_monitor_message

from chains.bitcoin.rows.blocks import HEADER_BYTES, hash_twice
from chains.rpc.node_endpoint import NodeEndpoint

TOPICS = (b"hashblock", b"rawblock", b"sequence")
OPEN_DEADLINE_S = 10.0
HEARTBEAT_S = 20
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""A whole block and more."""

MESSAGES_WAITING_MAX = 10_000
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 30.0
STEADY_S = 10.0
"""A connection that lasted so long was a good one: no backoff after it."""

COUNTS = 1 << 32

_log = structlog.get_logger(__name__)


class TipsLost(Exception):
    """A connection ended, or never began; says why."""


class TipWatch:
    """One connection at a time, moving on to the next endpoint when it fails.

    `on_hint` takes a tip's hash in hexadecimal, `on_left` is called when a block left the chain, `on_entered` takes the
    id of a transaction that came into the mempool, as people read it, `on_put_away` that of one that left it without a block.
    """

    def __init__(
        self,
        chain_alias: str,
        endpoints: Sequence[NodeEndpoint],
        on_hint: Callable[[str], None],
        on_left: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
        on_open: Callable[[], None] = lambda: None,
        on_entered: Callable[[bytes], None] = lambda _: None,
        on_put_away: Callable[[bytes], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last_trouble = ""
        self.hints_count = 0
        self.gaps_count = 0
        self.listening_to = ""
        self._endpoints = list(endpoints)
        self._on_hint = on_hint
        self._on_left = on_left
        self._on_lost = on_lost
        self._on_open = on_open
        self._on_entered = on_entered
        self._on_put_away = on_put_away
        self._clock = clock
        self._position = 0
        self._log = _log.bind(chain=chain_alias)
        self._is_lost = False

    async def run(self) -> None:
        """Listen until cancelled; returns at once where no endpoint publishes."""
        while self._endpoints:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(TipsLost),
                wait=wait_random_exponential(multiplier=BACKOFF_FIRST_S, max=BACKOFF_MAX_S),
            ):
                with attempt:
                    await self._listen_to_next()

    async def _listen_to_next(self) -> None:
        """One connection; returns when it was steady, raises `TipsLost` otherwise."""
        endpoint = self._endpoints[self._position % len(self._endpoints)]
        self._position += 1
        began = self._clock()
        try:
            await self._listen(endpoint)
        except TipsLost as lost:
            self.last_trouble = str(lost)
            if not self._is_lost:
                self._log.warning("tips-lost", provider=endpoint.host, reason=str(lost))
            self._is_lost = True
            if self._clock() - began < STEADY_S:
                raise
        finally:
            self._on_lost()

    async def _listen(self, endpoint: NodeEndpoint) -> None:
        with zmq.asyncio.Context() as context:
            context.linger = 0
            socket = context.socket(zmq.SUB)
            for option, value in (
                (zmq.RECONNECT_IVL, -1),  # whoever comes back comes back by `run`
                (zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX),
                (zmq.RCVHWM, MESSAGES_WAITING_MAX),
                (zmq.HEARTBEAT_IVL, HEARTBEAT_S * 1000),
                (zmq.IPV6, 1),
                (zmq.LINGER, 0),
            ):
                socket.setsockopt(option, value)
            for topic in TOPICS:
                socket.subscribe(topic)
            monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
            try:
                socket.connect(endpoint.url)
                async with asyncio.timeout(OPEN_DEADLINE_S):
                    event = await recv_monitor_message(monitor)
                if event["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    raise TipsLost("closed the connection")
                self._note_open(endpoint)
                await self._hear(socket, monitor)
            except TimeoutError:
                raise TipsLost(f"no connection within {OPEN_DEADLINE_S:g} s") from None
            except zmq.ZMQError as error:
                raise TipsLost(f"the exchange failed ({error.errno})") from None
            finally:
                socket.disable_monitor()
                monitor.close(linger=0)
                socket.close(linger=0)

    async def _hear(self, socket: zmq.asyncio.Socket, monitor: zmq.asyncio.Socket) -> None:
        """Messages until the connection ends."""
        counts: dict[bytes, int] = {}
        poller = zmq.asyncio.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        while True:
            ready = dict(await poller.poll())
            if socket in ready:
                self._note(await socket.recv_multipart(), counts)
                await asyncio.sleep(0)
            elif monitor in ready:
                raise TipsLost("closed the connection")

    def _note(self, frames: Sequence[bytes], counts: dict[bytes, int]) -> None:
        if len(frames) != 3 or frames[0] not in TOPICS or len(frames[2]) != 4:
            raise TipsLost("publishes something else than blocks")
        topic, body, counted = frames
        count = int.from_bytes(counted, "little")
        expected = counts.get(topic, count)
        counts[topic] = (count + 1) % COUNTS
        if count != expected:
            self.gaps_count += 1
            self._log.warning("tips-missed", topic=topic.decode(), count=(count - expected) % COUNTS)
            self._on_lost()
            self._on_open()
            self._on_left()
        if topic == b"sequence" and body[32:33] == b"D":
            self._on_left()
            return
        if topic == b"sequence" and body[32:33] == b"A" and len(body) == 41:
            self._on_entered(body[:32])
            return
        if topic == b"sequence" and body[32:33] == b"R" and len(body) == 41:
            self._on_put_away(body[:32])
            return
        tip = read_tip(topic, body)
        if tip is not None:
            self.hints_count += 1
            self._on_hint(tip)

    def _note_open(self, endpoint: NodeEndpoint) -> None:
        if self._is_lost:
            self._log.info("tips-restored", provider=endpoint.host)
            self._is_lost = False
        self.listening_to = endpoint.host
        self._on_open()


def read_tip(topic: bytes, body: bytes) -> str | None:
    """The hash of the block that a message names as newly connected, in lower-case hexadecimal; None for any other."""
    match topic:
        case b"hashblock" if len(body) == 32:
            return body.hex()
        case b"rawblock" if len(body) >= HEADER_BYTES:
            return hash_twice(body[:HEADER_BYTES])[::-1].hex()
        case b"sequence" if body[32:] == b"C":
            return body[:32].hex()
        case _:
            return None
