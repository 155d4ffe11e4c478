"""Whose head a step reads, and with which finality tags.

Usually the chosen provider's; once another's, where the last step wanted to see
it, or where the chain has been quiet for long.  What a head means is
`canonical`, which tags are worth their call is `tags`, when to look is `pace`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from chains.errors import ChainError
from chains.model import BlockRef, HeadReport, Sought
from chains.port import Along, ChainSource, Provider
from indexer.follow.tags import TagWatch
from indexer.follow.voices import soon
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Change
from indexer.settings import FollowSettings

QUIET_BLOCK_TIMES = 3
"""After this many usual intervals without a block, another operator's head is read too."""


class Looks:
    """One chain's looks at heads; `next_provider` is whose is read next, whoever serves."""

    def __init__(self, settings: FollowSettings, source: ChainSource, waits_at_most_s: float | None) -> None:
        self.next_provider: Provider | None = None
        self._block_time_s = settings.traits.block_time_s
        self._source = source
        self._waits_at_most_s = waits_at_most_s
        self._is_chosen = False
        self._tags = TagWatch(settings)
        self._seen: tuple[Provider, HeadReport] | None = None
        self._quiet_looks = 0

    def recall(self, tip: BlockRef) -> tuple[Provider, HeadReport] | None:
        """The head that was read last, while it is our tip and no other provider's is to be read."""
        if self._seen is None or self.next_provider is not None:
            return None
        return self._seen if self._seen[1].head.hash == tip.hash else None

    async def fetch_head(
        self, record: ChainRecord, now: datetime, sought: Sought | None
    ) -> tuple[Provider, HeadReport]:
        """The head of the provider this step asks, with those finality tags that can have moved.

        Where the last one is our tip, the block that comes next may be asked for along with it.
        """
        now_s = now.timestamp()
        along = None if self.recall(record.tip) is None else Along(sought)
        wanted = self._tags.choose(
            now_s,
            tip_height=record.tip.height,
            safe_height=record.safe_height,
            final_height=record.final_height,
        )
        self._seen = None
        self._seen = await self._fetch(along, safe=wanted.safe, final=wanted.final)
        self._tags.note_answer(now_s, wanted, self._seen[1])
        return self._seen

    async def _fetch(self, along: Along | None, *, safe: bool, final: bool) -> tuple[Provider, HeadReport]:
        chosen, self.next_provider = self.next_provider, None
        self._is_chosen = chosen is not None
        if chosen is None:
            return await self._source.fetch_head_hedged(safe=safe, final=final, along=along)
        try:
            async with soon(chosen, self._waits_at_most_s):
                return chosen, await chosen.fetch_head_report(safe=safe, final=final)
        except ChainError as error:
            self._source.report_failure(chosen, error)
            raise

    def soon_where_chosen(self, provider: Provider) -> AbstractAsyncContextManager[None]:
        """A deadline for what is asked about another provider's side; our own may take its time."""
        return soon(provider, self._waits_at_most_s if self._is_chosen else None)

    def look_elsewhere_when_quiet(self, record: ChainRecord, provider: Provider, now: datetime) -> None:
        """A provider may be stuck on a block for ever while others go on: ask another operator next."""
        quiet_s = (now - record.moved_at).total_seconds()
        if quiet_s <= QUIET_BLOCK_TIMES * self._block_time_s:
            return
        others = self._source.second_opinions(provider)
        if others:
            self._quiet_looks += 1
            self.next_provider = others[self._quiet_looks % len(others)]

    def note_changes(self, changes: Iterable[Change]) -> None:
        """A move touched these deposits, which may wait for finality now."""
        self._tags.note_changes(changes)
