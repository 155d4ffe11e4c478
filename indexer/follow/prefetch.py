"""Reading ahead while catching up: the next batches are fetched while this one is written.

Bounded by batches and forgotten at the first sign of a fork.  Tasks are born
through the `spawn` it is given, which is `service`'s TaskGroup; without one
(tests, simulation) nothing is read ahead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from chains.errors import Unreachable
from chains.model import Block, Sought
from chains.port import Provider

Fetched = list[Block] | Exception

NOTHING = -2
"""No height goes on from there."""

Spawn = Callable[[Coroutine[Any, Any, Fetched]], "asyncio.Task[Fetched]"]


@dataclass(slots=True)
class _Ahead:
    provider: Provider
    height_first: int
    height_last: int
    task: asyncio.Task[Fetched]


class Prefetch:
    """A queue of ranges under way, in ascending order of height."""

    def __init__(self, spawn: Spawn, *, batches_max: int) -> None:
        self._spawn = spawn
        self._batches_max = batches_max
        self._ahead: deque[_Ahead] = deque()
        self._taken_to = NOTHING
        """The height of the last block that was taken: what is under way goes on from there."""

    async def take(
        self,
        provider: Provider,
        height_first: int,
        height_last: int,
        *,
        head_height: int,
        sought: Sought | None = None,
    ) -> list[Block]:
        """The blocks of a range, from what was read ahead where it fits; then reads further ahead.

        May return a range that ends elsewhere than asked, when one of another
        length was under way, and starts higher where the range before showed
        that the heights between have no block.  Raises what the fetch raised.
        """
        if self._ahead and not self._fits(provider, height_first):
            self.forget()
        if not self._ahead:
            self._request(provider, height_first, height_last, sought)
        length = height_last - height_first + 1
        next_first = self._ahead[-1].height_last + 1
        while len(self._ahead) < self._batches_max and next_first + length - 1 <= head_height:
            self._request(provider, next_first, next_first + length - 1, sought)
            next_first += length
        current = self._ahead.popleft()
        await asyncio.wait([current.task])
        fetched = (
            Unreachable("was not read to its end", provider=provider.name)
            if current.task.cancelled()
            else current.task.result()
        )
        if isinstance(fetched, Exception):
            self.forget()
            raise fetched
        self._taken_to = fetched[-1].header.height if fetched else NOTHING
        return fetched

    def forget(self) -> None:
        """Drop everything that is under way."""
        self._taken_to = NOTHING
        while self._ahead:
            self._ahead.popleft().task.cancel()

    def _fits(self, provider: Provider, height_first: int) -> bool:
        return self._ahead[0].provider is provider and self._taken_to + 1 == height_first

    def _request(
        self, provider: Provider, height_first: int, height_last: int, sought: Sought | None
    ) -> None:
        task = self._spawn(_contained(provider.fetch_blocks(height_first, height_last, sought=sought)))
        self._ahead.append(_Ahead(provider, height_first, height_last, task))


async def _contained(fetch: Coroutine[Any, Any, list[Block]]) -> Fetched:
    """Whatever goes wrong is kept for the step that takes the range: raised here it would end the TaskGroup."""
    try:
        return await fetch
    except Exception as error:  # noqa: BLE001  # raised again where it stops one step only
        return error
