"""Wake-ups: somebody's log grew, so whoever waits for it may look now instead of at the next poll.

Lives here: the protocol `Wakes` and its equal for one process. Does not live here: carrying them to other processes
(`redis.wakes`), the database's own notices and polling, which are the truth. A wake-up may be lost, late, repeated or
false, and nothing depends on it but speed: who is woken reads the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from relay.storage import HeadSequences

Listener = Callable[[HeadSequences], None]
"""Is told which logs grew; empty means that any may have grown. Must return at once and raise nothing."""

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
