"""How many attempts may be under way to one host, whoever's endpoints they are, and who is next when it is full.

Many endpoints can name one host: a platform that hosts shops, or a victim that somebody chose. Lives here, pure: the
count by host, and one line per full host in which merchants take turns, and endpoints within a merchant. Loopback has
no line: it is called "" here. Does not live here: one endpoint's own pace (`pace`), starting attempts (`dispatch`).
"""

from __future__ import annotations

from uuid import UUID

ANY_HOST = ""
"""The host that is never full."""


class Hosts:
    """The hosts one worker sends to. Only the first of a line has room, so nobody overtakes it."""

    __slots__ = ("_in_flight", "_in_flight_max", "_lines", "_waiting")

    def __init__(self, in_flight_max: int) -> None:
        assert in_flight_max >= 1, "a host that is always full is never sent to"
        self._in_flight_max = in_flight_max
        self._in_flight: dict[str, int] = {}
        self._lines: dict[str, dict[UUID, dict[UUID, None]]] = {}  # host → merchant → endpoints, in turn
        self._waiting: dict[UUID, tuple[str, UUID]] = {}  # endpoint → its host and merchant

    @property
    def waiting(self) -> int:
        """Endpoints that wait for a place."""
        return len(self._waiting)

    def free(self, host: str) -> int:
        """Attempts that may start at this host, whoever makes them."""
        return self._in_flight_max - self._in_flight.get(host, 0)

    def room(self, host: str, endpoint_id: UUID) -> int:
        """Attempts this endpoint may start now; 0 also while others are before it."""
        first = self._first(host)
        return self.free(host) if first is None or first == endpoint_id else 0

    def started(self, host: str, count: int) -> None:
        """So many attempts began. A probe may begin outside the line, never beyond `free`."""
        if host == ANY_HOST or not count:
            return
        self._in_flight[host] = self._in_flight.get(host, 0) + count
        assert self._in_flight[host] <= self._in_flight_max, "more attempts at one host than may be"

    def ended(self, host: str) -> None:
        """One attempt came to its end."""
        if host == ANY_HOST:
            return
        self._in_flight[host] -= 1
        if not self._in_flight[host]:
            del self._in_flight[host]

    def wait(self, host: str, merchant_id: UUID, endpoint_id: UUID) -> None:
        """Join the line, or keep the place in it."""
        if self._waiting.get(endpoint_id) == (host, merchant_id):
            return
        self.leave(endpoint_id)
        self._waiting[endpoint_id] = (host, merchant_id)
        self._lines.setdefault(host, {}).setdefault(merchant_id, {})[endpoint_id] = None

    def leave(self, endpoint_id: UUID) -> str | None:
        """Leave the line, served or not; its merchant's next endpoint waits until the others had a turn.

        Returns the host it waited for.
        """
        if endpoint_id not in self._waiting:
            return None
        host, merchant_id = self._waiting.pop(endpoint_id)
        line = self._lines[host]
        was_first = next(iter(line)) == merchant_id
        endpoints = line[merchant_id]
        del endpoints[endpoint_id]
        if was_first or not endpoints:
            del line[merchant_id]
        if was_first and endpoints:
            line[merchant_id] = endpoints
        if not line:
            del self._lines[host]
        return host

    def next_at(self, host: str) -> UUID | None:
        """Who may start now that something changed at this host; None if it is full or nobody waits."""
        return self._first(host) if self.free(host) > 0 else None

    def _first(self, host: str) -> UUID | None:
        line = self._lines.get(host)
        return None if line is None else next(iter(next(iter(line.values()))))
