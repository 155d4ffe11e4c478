"""Repeated messages, let through once a minute and told when the trouble is over.

A loop that fails four times a second must not write four lines a second; one that is well again says so once.  Lives
here: `Damper`, per loop and kind of message.  Does not live here: the messages (the loops') or the logs' form (the
gateway's).
"""

from __future__ import annotations

import asyncio

DAMPED_LOG_S = 60.0


class Damper:
    """Lets a repeated message through once a minute, and tells when the trouble is over."""

    def __init__(self) -> None:
        self._next_at: dict[str, float] = {}

    def ripe(self, kind: str) -> bool:
        """Whether a message of this kind should be written now."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._next_at.get(kind, 0.0):
            return False
        self._next_at[kind] = now_s + DAMPED_LOG_S
        return True

    def over(self) -> bool:
        """Whether there was trouble that is over now; True once."""
        troubled = bool(self._next_at)
        self._next_at.clear()
        return troubled
