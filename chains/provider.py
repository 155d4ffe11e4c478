"""What the providers of all families have in common: one node, asked with one priority, and blamed for what goes wrong.

A provider is thin: sending, budgets and identity are its node's, choosing
between providers is `chains.source`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Generic, Self, TypeVar

from chains.errors import ChainError, name_provider
from chains.model import Header
from chains.rpc.node import ProvenNode
from chains.rpc.throttle import Priority

HEAD_DEADLINE_S: Final = 10.0
"""A head that takes longer is no news; whole blocks may (`transport`)."""

NodeT = TypeVar("NodeT", bound=ProvenNode)
ReadingT = TypeVar("ReadingT")


@dataclass(frozen=True, slots=True, eq=False)
class NodeProvider(Generic[NodeT, ReadingT]):
    """One node, asked with one priority; `for_backfill` gives the same node with the other.

    `reading` is how its family's answers are read; `on_head` takes the
    provider's name and each head that it claims.
    """

    node: NodeT
    reading: ReadingT
    on_head: Callable[[str, Header], None]
    priority: Priority = Priority.HEAD

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def operator(self) -> str:
        return self.node.operator

    def for_backfill(self) -> Self:
        """The same node, yielding to calls for the head."""
        return replace(self, priority=Priority.BACKFILL)

    async def fetch_network_id(self) -> bytes:
        with self._blamed():
            return await self.node.fetch_network_id(self.priority)

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except ChainError as error:
            self.node.forget_identity()
            raise name_provider(error, self.name) from error.__cause__
