"""How far each log is known to reach: what wake-ups say, and what the store is asked where they do not.

Lives here: `Heads`, of the merchants whose endpoints a worker sends for. Logs only grow: what was read before a wake-up does
not undo it, and what is known already is not asked for. Does not live here: what stands in a log (`dispatch`, `fresh`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from relay.workers.storage import HeadSequences, RelayStore

FORGOTTEN_FROM = 4_000
"""Logs of merchants who are not ours any more are not worth a look before there are so many."""


class Heads:
    """`ours` is the merchants that count; it may change at any time."""

    __slots__ = ("_asked", "_known", "_ours")

    def __init__(self, ours: Collection[UUID]) -> None:
        self._ours = ours
        self._known: dict[UUID, int] = {}
        self._asked: set[UUID] = set()

    def of(self, merchant_id: UUID) -> int:
        """The last sequence that is known to be there."""
        return self._known.get(merchant_id, 0)

    def note(self, heads: HeadSequences) -> None:
        """These logs reach so far, and it is committed."""
        for merchant_id, sequence in heads.items():
            self._known[merchant_id] = max(self.of(merchant_id), sequence)
        if len(self._known) > 2 * len(self._ours) + FORGOTTEN_FROM:
            self._known = {one: head for one, head in self._known.items() if one in self._ours}

    def ask(self, merchants: Iterable[UUID]) -> None:
        """Ask the store about these at the next `load`."""
        self._asked.update(merchants)

    async def load(self, store: RelayStore) -> None:
        """Ask for those that are to be asked for; where that fails, they are asked for again."""
        if self._asked:
            asked, self._asked = self._asked, set()
            try:
                self.note(await store.load_heads(asked))
            except BaseException:
                self._asked |= asked
                raise
