"""Connections kept between webhooks: each for the one endpoint it was opened for, none for longer than a moment.

What a receiver says too late could be taken for its next answer, and nothing on the wire tells the two apart. So an endpoint gets
a connection for each webhook until one of them was quiet for a moment after its answer, and again for a while once its receiver
spoke out of turn. Lives here: `Kept`. Does not live here: how that is noticed (`wire`).
"""

from __future__ import annotations

import asyncio
import resource
from typing import NamedTuple

from relay.out.wire import Wire

KEEPALIVE_S = 15.0
QUIET_S = 0.5
UNTRUSTED_KEPT_MAX = 4
"""Of one endpoint, while they are watched for whether it stays quiet: as many as it may be sent at once in one turn."""
KEPT_MAX = 4_096
FILES_SHARE = 4
"""Of the files this process may open, one in so many at most is an idle connection."""
TRUSTED_MAX = 16_384
DISTRUST_S = 3_600.0
DISTRUSTED_MAX = 4_096


class Owner(NamedTuple):
    """Whose a connection is: one endpoint with the URL it had then. Another endpoint at the same host is a stranger."""

    endpoint: int  # its id
    url: str


class Kept:
    """One process's idle connections. Use from one event loop."""

    def __init__(self) -> None:
        self._idle: dict[Wire, tuple[Owner, float]] = {}  # since when; in that order
        self._by_owner: dict[Owner, dict[Wire, None]] = {}
        self._trusted: dict[Owner, None] = {}
        self._distrusted: dict[Owner, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._kept_max = KEPT_MAX if files_max < 0 else min(KEPT_MAX, files_max // FILES_SHARE)

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, owner: Owner) -> Wire | None:
        """The one that was used last, or None. Who is not trusted yet is judged by the one that has rested longest."""
        wires = self._by_owner.get(owner)
        if not wires:
            return None
        wire = next(reversed(wires))
        if owner not in self._trusted:
            wire = next(iter(wires))
            if self._idle[wire][1] + QUIET_S > asyncio.get_running_loop().time():
                return None
            self._trusted[owner] = None
            if len(self._trusted) > TRUSTED_MAX:
                del self._trusted[next(iter(self._trusted))]
        self._forget(wire)
        return wire

    def give(self, owner: Owner, wire: Wire) -> None:
        """Keep it if that is safe, or close it."""
        now = asyncio.get_running_loop().time()
        if wire.spoke_unasked:
            self._distrust(owner, now)
        if (
            not wire.may_be_kept
            or self._is_distrusted(owner, now)
            or (owner not in self._trusted and len(self._by_owner.get(owner, ())) >= UNTRUSTED_KEPT_MAX)
        ):
            wire.abort()
            return
        wire.rest()
        wire.on_stir = self._let_go
        self._idle[wire] = owner, now
        self._by_owner.setdefault(owner, {})[wire] = None
        if len(self._idle) > self._kept_max:
            self._close(next(iter(self._idle)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEEPALIVE_S, self._close_late)

    def close(self) -> None:
        """Close all of them."""
        while self._idle:
            self._close(next(iter(self._idle)))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go(self, wire: Wire) -> None:
        owner = self._forget(wire)
        if owner is not None and wire.spoke_unasked:
            self._distrust(owner, asyncio.get_running_loop().time())

    def _forget(self, wire: Wire) -> Owner | None:
        owner, _ = self._idle.pop(wire, (None, 0.0))
        if owner is not None:
            wire.on_stir = None
            del self._by_owner[owner][wire]
            if not self._by_owner[owner]:
                del self._by_owner[owner]
        return owner

    def _close(self, wire: Wire) -> None:
        self._forget(wire)
        wire.abort()

    def _close_late(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._idle:
            wire, (_, since) = next(iter(self._idle.items()))
            if since + KEEPALIVE_S > loop.time():
                self._timer = loop.call_at(since + KEEPALIVE_S, self._close_late)
                return
            self._close(wire)

    def _distrust(self, owner: Owner, now: float) -> None:
        self._trusted.pop(owner, None)
        self._distrusted.pop(owner, None)
        self._distrusted[owner] = now + DISTRUST_S
        if len(self._distrusted) > DISTRUSTED_MAX:
            del self._distrusted[next(iter(self._distrusted))]

    def _is_distrusted(self, owner: Owner, now: float) -> bool:
        until = self._distrusted.get(owner)
        if until is not None and until <= now:
            del self._distrusted[owner]
        return until is not None and until > now
