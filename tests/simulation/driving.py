"""A whole step of the product as one call, and the end of its process in the middle.

Coroutines of the in-memory store and of the scripted providers never wait, so that nothing but the seed decides an order.
Does not live here: when a process ends (`world.py`).
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Crash(BaseException):
    """The process is gone; nothing catches this but the schedule."""


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits to its end."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise AssertionError("a coroutine of the simulation waited")
