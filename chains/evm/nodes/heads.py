"""newHeads over websockets: hints that there is something to fetch, never truth.

A subscription repeats, reorders, skips and falls silent, and says nothing
after a reconnect of what it missed; so a head heard here only wakes the
follower, whose own timer would have woken it anyway; how far that timer may
rely on it is `hints`.  Silence is watched: a subscription without a head for
three block times moves to another provider.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec
import websockets.asyncio.client as ws
from msgspec import Struct
from websockets.exceptions import InvalidStatus, WebSocketException

from chains.rpc.listening import HintsLost, Watch
from chains.rpc.node_endpoint import NodeEndpoint

SILENCE_MIN_S = 10.0
SILENCE_BLOCKS = 3
MESSAGE_SPACING_S = 0.02
"""A provider that floods us, with heads or anything else, is read slowly; its queue is its own problem."""

MESSAGE_BYTES_MAX = 1024 * 1024
OPEN_DEADLINE_S = 10.0
CLOSE_DEADLINE_S = 1.0
PING_EVERY_S = 20.0
"""What stands between forgets a connection without traffic; a chain may be slower than that."""

_SUBSCRIBE = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'

# The library logs request lines, and paths carry keys.
_SILENT = logging.getLogger(f"{__name__}.wire")
_SILENT.disabled = True


class _Head(Struct, gc=False):
    """What tells heads apart: a hash, else a height; some nodes wrap them in `header`."""

    number: str | int | None = None
    hash: str | None = None
    header: _Head | None = None
    topics: msgspec.Raw | None = None


class _Params(Struct, gc=False):
    result: _Head | None = None


class _Message(Struct, gc=False):
    method: str | None = None
    params: _Params | None = None
    error: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Accepted(Struct, gc=False):
    """A subscription's id: the answer to `_SUBSCRIBE`."""

    result: str


_MESSAGE = msgspec.json.Decoder(_Message)
_ACCEPTED = msgspec.json.Decoder(_Accepted)


class _Connect(ws.connect):
    """Never follows a redirect: another host would be handed our key."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class HeadWatch(Watch):
    """Subscriptions to newHeads; `on_hint` takes a head's hash, or its height where a node tells none."""

    def __init__(
        self,
        chain_alias: str,
        endpoints: Sequence[NodeEndpoint],
        block_time_s: float,
        on_hint: Callable[[str], None],
        on_lost: Callable[[], None] = lambda: None,
        on_open: Callable[[], None] = lambda: None,
        *,
        silence_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(chain_alias, endpoints, on_hint, on_lost, on_open, clock=clock)
        self._silence_s = silence_s or max(SILENCE_BLOCKS * block_time_s, SILENCE_MIN_S)

    async def _listen(self, endpoint: NodeEndpoint) -> None:
        try:
            async with _Connect(
                endpoint.url,
                additional_headers=dict(endpoint.headers),
                open_timeout=OPEN_DEADLINE_S,
                close_timeout=CLOSE_DEADLINE_S,
                max_size=MESSAGE_BYTES_MAX,
                ping_interval=PING_EVERY_S,
                ping_timeout=None,  # some never answer pings; silence is judged by heads
                proxy=None,
                logger=_SILENT,
            ) as connection:
                await connection.send(_SUBSCRIBE)
                await self._hear(endpoint, connection)
        except InvalidStatus as error:
            raise HintsLost(f"HTTP {error.response.status_code} instead of a websocket") from None
        except (WebSocketException, OSError, TimeoutError, ValueError, EOFError) as error:
            raise HintsLost(type(error).__name__) from None

    async def _hear(self, endpoint: NodeEndpoint, connection: ws.ClientConnection) -> None:
        head_before: str | None = None
        deadline_s = self._clock() + self._silence_s
        while True:
            try:
                async with asyncio.timeout(max(deadline_s - self._clock(), 0.0)):
                    message = await connection.recv()
            except TimeoutError:
                raise HintsLost(f"no head for {self._silence_s:g} s") from None
            head = read_head(message)
            if head is None and is_subscribed(message):
                self._on_open()
            elif head is not None and head != head_before:
                head_before = head
                deadline_s = self._clock() + self._silence_s
                self._note_listening(endpoint)
                self._note_hint(head)
            await asyncio.sleep(MESSAGE_SPACING_S)


def is_subscribed(message: str | bytes) -> bool:
    """Whether a node says that the subscription stands."""
    try:
        return bool(_ACCEPTED.decode(message).result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def read_head(message: str | bytes) -> str | None:
    """What a newHeads notification names, a hash or else a height; None for any other message.

    Raises `HintsLost` when the node refuses the subscription.
    """
    try:
        parsed = _MESSAGE.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if memoryview(parsed.error).nbytes > 0 and bytes(parsed.error) != b"null":
        raise HintsLost("refuses to subscribe")
    if parsed.method != "eth_subscription" or parsed.params is None or parsed.params.result is None:
        return None
    told = parsed.params.result
    head = told.header or told
    if told.topics is not None or (head.hash is None and head.number is None):
        return None
    return head.hash or str(head.number)
