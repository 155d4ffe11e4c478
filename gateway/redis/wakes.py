"""Wake-ups between processes, by publish and subscribe.

Lives here: `SharedWakes`: what one process tells, listeners in every process hear. Redis promises no message: after every
(re)subscription, and after an outage in which something was told, listeners hear that any log may have grown. Does not
live here: the truth. The database's notices and polling wake too, and whoever is woken reads the log.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

from gateway.redis.connection import ANSWER_S, RedisAway, RedisConnection, Subscription
from gateway.redis.metrics import Use
from gateway.wakes import Forget, Listener, LocalWakes
from relay.log.eventlog import decode_notice, encode_notice
from relay.workers.storage import HeadSequences

GATHERED_S = 0.002
"""A commit tells several merchants; those of a few milliseconds travel together."""
PENDING_MAX = 1_000
"""More merchants than this in one message are told as "any"."""
QUIET_S = 5.0
"""A subscription that heard nothing for so long is asked whether it still lives."""


class SharedWakes:
    """Implements `gateway.wakes.Wakes`; `run_telling` and `run_listening` belong in a TaskGroup."""

    def __init__(self, connection: RedisConnection, local: LocalWakes) -> None:
        self._connection = connection
        self._local = local
        self._channel = connection.name("wakes")
        self._process = uuid4().hex.encode()
        self._pending: dict[UUID, int] = {}
        self._pending_any = False
        self._told = asyncio.Event()

    def tell(self, heads: HeadSequences) -> None:
        """As `Wakes.tell`: this process hears it now, the others in a moment."""
        self._local.tell(heads)
        for merchant_id, sequence in heads.items():
            self._pending[merchant_id] = max(sequence, self._pending.get(merchant_id, 0))
        if not heads or len(self._pending) > PENDING_MAX:
            self._pending.clear()
            self._pending_any = True
        self._told.set()

    def listen(self, listener: Listener) -> Forget:
        """As `Wakes.listen`."""
        return self._local.listen(listener)

    async def run_telling(self) -> None:
        """Publish what was told, until cancelled. What Redis did not take becomes one "any" when it is back."""
        while True:
            await self._told.wait()
            await asyncio.sleep(GATHERED_S)
            self._told.clear()
            heads = {} if self._pending_any else self._pending
            self._pending, self._pending_any = {}, False
            try:
                await self._publish(self._process + encode_notice(heads).encode())
            except RedisAway:
                self._pending_any = True
                self._told.set()
                await self._connection.wait_until_up()

    async def _publish(self, message: bytes) -> None:
        await self._connection.ask(Use.WAKES, lambda: self._connection.client.publish(self._channel, message))

    async def run_listening(self) -> None:
        """Hear what others tell, until cancelled; subscribe again whenever Redis comes back."""
        while True:
            await self._connection.wait_until_up()
            try:
                async with self._connection.open_subscription(self._channel) as subscription:
                    self._local.tell({})
                    while True:
                        await self._hear(subscription)
            except Exception as error:  # noqa: BLE001  (weather, see the card of `connection`)
                self._connection.report_failure(Use.WAKES, error)

    async def _hear(self, subscription: Subscription) -> None:
        """One message; raises when the connection is gone, or silent after having been asked."""
        message = await subscription.get_message(timeout=QUIET_S)
        if message is None:
            async with asyncio.timeout(ANSWER_S):
                await subscription.ping()
                while message is None:
                    message = await subscription.get_message(timeout=ANSWER_S)
        if message["type"] == "message":
            self._receive(message["data"])

    def _receive(self, data: Any) -> None:
        process, notice = data[: len(self._process)], data[len(self._process) :]
        if process == self._process:
            return
        try:
            heads = decode_notice(notice.decode())
        except ValueError:
            self._connection.metrics.errors.labels(Use.WAKES, "message").inc()
            return
        self._local.tell(heads)
