"""Wake-ups: somebody's log grew, so whoever waits for it may look now instead of at the next poll.

Lives here: the protocol `Wakes`, its equal for one process, and `GrownLogs`, which waits for the commit. Does not live
here: carrying them to other processes (`redis.wakes`), the database's own notices and polling, which are the truth. A
wake-up may be lost, late, repeated or false, and nothing depends on it but speed: who is woken asks the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from relay.log.bodies import Published
from relay.workers.fresh import FreshEvents
from relay.workers.storage import HeadSequences

Listener = Callable[[HeadSequences], None]
"""Is told which logs may have grown; empty means that any may have grown. Must return at once and raise nothing."""

Forget = Callable[[], None]
"""Ends a subscription; calling it again does nothing."""


class Wakes(Protocol):
    """Tells and listens."""

    def tell(self, heads: HeadSequences) -> None:
        """These logs grew, and it is committed. Returns at once."""
        ...

    def listen(self, listener: Listener) -> Forget:
        """Call `listener` for every wake-up from now on."""
        ...


class LocalWakes:
    """Wake-ups inside one process."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def tell(self, heads: HeadSequences) -> None:
        """As `Wakes.tell`."""
        for listener in list(self._listeners.values()):
            listener(heads)

    def listen(self, listener: Listener) -> Forget:
        """As `Wakes.listen`."""
        ticket = object()
        self._listeners[ticket] = listener

        def forget() -> None:
            self._listeners.pop(ticket, None)

        return forget


class GrownLogs:
    """The logs that each chain's transaction has grown, told when its move is known to be committed.

    What they grew by is left with the relay of this process, if there is one.
    """

    def __init__(self, wakes: Wakes, fresh: FreshEvents | None = None) -> None:
        self._wakes = wakes
        self._fresh = fresh
        self._grown: dict[str, dict[UUID, int]] = {}

    def note(self, alias: str, events: Sequence[Published]) -> None:
        """A transaction of this chain holds these events, and is not committed yet."""
        if self._fresh is not None:
            self._fresh.note(events)
        grown = self._grown.setdefault(alias, {})
        for event in events:
            grown[event.merchant_id] = max(event.sequence, grown.get(event.merchant_id, 0))

    def tell(self, alias: str) -> None:
        """A move of this chain was committed. What was noted by one that was not is told too, and harms nobody."""
        heads = self._grown.pop(alias, {})
        if heads:
            self._wakes.tell(heads)
