"""One time limit for many attempts, kept by one timer.

All attempts of a process may take equally long, so the one that began first is late first, and one timer is enough.
`asyncio.timeout` sets and drops one for each. Lives here: `Deadlines`, with the manners of `asyncio.timeout`: what is late
gets a cancellation that comes out as TimeoutError, and anybody else's cancellation stays one. Does not live here: how long
that is (`settings`), what a late attempt is called (`egress`).
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self


class Deadlines:
    """Limits of `timeout_s` each, in one event loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._open: dict[Limit, None] = {}  # in the order in which they end
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> Limit:
        """A new one, for one `with` block of the current task; it begins with the block."""
        return Limit(self)

    def close(self) -> None:
        """Forget the timer; nothing may be under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin(self, limit: Limit) -> float:
        """When it will be late, by the loop's clock."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._timeout_s
        self._open[limit] = None
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._ring)
        return due_s

    def end(self, limit: Limit) -> None:
        """The block was left."""
        self._open.pop(limit, None)

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for limit in list(self._open):
            if limit.due_s > loop.time():
                self._timer = loop.call_at(limit.due_s, self._ring)
                return
            del self._open[limit]
            limit.expire()


class Limit:
    """One block's. `due_s` is when it will be late, by the loop's clock."""

    __slots__ = ("_cancelling", "_late", "_owner", "_task", "due_s")

    def __init__(self, owner: Deadlines) -> None:
        self._owner = owner
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._late = False
        self.due_s = 0.0

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None, "only a task can be late"
        self._cancelling = self._task.cancelling()
        self.due_s = self._owner.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._owner.end(self)
        if self._late:
            assert self._task is not None
            others = self._task.uncancel() > self._cancelling
            if not others and kind is asyncio.CancelledError:
                raise TimeoutError from error

    @property
    def is_all(self) -> bool:
        """Whether lateness, and nobody else, has cancelled the task: a block that is left well then stays well."""
        assert self._task is not None
        return self._late and self._task.cancelling() <= self._cancelling + 1

    def expire(self) -> None:
        """It is late now."""
        assert self._task is not None
        self._late = True
        self._task.cancel()
