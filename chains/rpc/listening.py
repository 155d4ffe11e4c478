"""Listening for what nodes announce: one connection at a time, to the next endpoint when it fails.

What is heard only wakes (`chains.hints`); what a connection is and says is the family's.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from chains.rpc.node_endpoint import NodeEndpoint

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 30.0
STEADY_S: Final = 10.0
"""A connection that lasted so long was a good one: no backoff after it."""

_log = structlog.get_logger(__name__)


class HintsLost(Exception):
    """A connection ended, or never began; says why without the URL."""


class Watch(ABC):
    """Who announces now (`listening_to`, empty for nobody), how often, and what went wrong last.

    `on_hint` takes what names a head as the family's nodes spell it; `on_open`
    is called when nothing told from now on is missed, `on_lost` when that ends.
    """

    def __init__(
        self,
        chain_alias: str,
        endpoints: Sequence[NodeEndpoint],
        on_hint: Callable[[str], None],
        on_lost: Callable[[], None] = lambda: None,
        on_open: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.listening_to = ""
        self.hints_count = 0
        self.last_trouble = ""
        self._endpoints = list(endpoints)
        self._on_hint = on_hint
        self._on_lost = on_lost
        self._on_open = on_open
        self._clock = clock
        self._position = 0
        self._log = _log.bind(chain=chain_alias)
        self._is_lost = False

    async def run(self) -> None:
        """Listen until cancelled; returns at once where no endpoint announces."""
        while self._endpoints:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(HintsLost),
                wait=wait_random_exponential(multiplier=BACKOFF_FIRST_S, max=BACKOFF_MAX_S),
            ):
                with attempt:
                    await self._listen_to_next()

    @abstractmethod
    async def _listen(self, endpoint: NodeEndpoint) -> None:
        """One connection until it ends; raises `HintsLost` saying how it did."""

    def _note_listening(self, endpoint: NodeEndpoint) -> None:
        """The connection stands, and says something."""
        self.listening_to = endpoint.host
        if self._is_lost:
            self._log.info("hints-restored", provider=endpoint.host)
            self._is_lost = False

    def _note_hint(self, head: str) -> None:
        self.hints_count += 1
        self._on_hint(head)

    async def _listen_to_next(self) -> None:
        """One connection; returns when it was steady, raises `HintsLost` otherwise."""
        endpoint = self._endpoints[self._position % len(self._endpoints)]
        self._position += 1
        began = self._clock()
        try:
            await self._listen(endpoint)
        except HintsLost as lost:
            self.last_trouble = str(lost)
            if not self._is_lost:
                self._log.warning("hints-lost", provider=endpoint.host, reason=str(lost))
            self._is_lost = True
            if self._clock() - began < STEADY_S:
                raise
        finally:
            self.listening_to = ""
            self._on_lost()
