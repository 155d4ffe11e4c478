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

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from chains.bitcoin.rows.blocks import HEADER_BYTES, hash_twice
from chains.rpc.listening import HintsLost, Watch
from chains.rpc.node_endpoint import NodeEndpoint

TOPICS = (b"hashblock", b"rawblock", b"sequence")
OPEN_DEADLINE_S = 10.0
HEARTBEAT_S = 20
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""A whole block and more."""

MESSAGES_WAITING_MAX = 10_000
COUNTS = 1 << 32


class TipWatch(Watch):
    """Connections to what nodes publish.

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
        super().__init__(chain_alias, endpoints, on_hint, on_lost, on_open, clock=clock)
        self.gaps_count = 0
        self._on_left = on_left
        self._on_entered = on_entered
        self._on_put_away = on_put_away

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
                    raise HintsLost("closed the connection")
                self._note_listening(endpoint)
                self._on_open()
                await self._hear(socket, monitor)
            except TimeoutError:
                raise HintsLost(f"no connection within {OPEN_DEADLINE_S:g} s") from None
            except zmq.ZMQError as error:
                raise HintsLost(f"the exchange failed ({error.errno})") from None
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
                raise HintsLost("closed the connection")

    def _note(self, frames: Sequence[bytes], counts: dict[bytes, int]) -> None:
        if len(frames) != 3 or frames[0] not in TOPICS or len(frames[2]) != 4:
            raise HintsLost("publishes something else than blocks")
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
            self._note_hint(tip)


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
