"""Finding where another branch leaves our chain, by number and on one provider.

The common ancestor and the provider's linked headers above it are what
`evidence` judges.  Nothing here writes, and nothing here decides to leave a
block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import Missing, WrongNetwork
from chains.model import BEFORE_FIRST, BlockRef, Header, is_linked
from chains.port import Provider
from indexer.rows.storage import ChainRecord, FollowStore
from indexer.rules.canonical import find_common_ancestor, search_windows
from indexer.settings import FollowSettings

WEIGHED_MAX = 4_032
"""Headers of a branch that are read for their work, two periods of Bitcoin; what is not heavier by then is lighter."""

WEIGHED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Branch:
    """The common ancestor, and the provider's linked headers above it.

    `below_final`: the branch leaves our chain below what counts as final, or
    deeper than is looked for, and no operator has accepted that.  A branch
    that shares none of our blocks forks under our start.  `is_lighter`: up to
    its provider's head it adds no more work than our blocks do.
    """

    fork: BlockRef
    headers: tuple[Header, ...]
    below_final: bool
    is_lighter: bool = False


class ForkSearch:
    """Searches forks of one chain."""

    def __init__(self, store: FollowStore, settings: FollowSettings) -> None:
        self._store = store
        self._settings = settings
        self._skipped_heights_max = settings.traits.skipped_heights_max

    async def find_branch(
        self, record: ChainRecord, provider: Provider, head: Header, height_last: int
    ) -> Branch:
        """The common ancestor and the provider's linked headers above it, by number."""
        floor = self._search_floor(record)
        collected: list[Header] = []
        common: BlockRef | None = None
        for low, high in search_windows(min(height_last, head.height), floor):
            theirs = await provider.fetch_headers(low, high)
            parents_from = max(low - 1 - self._skipped_heights_max, record.start_height)
            ours = await self._store.load_hashes(record.chain, parents_from, high)
            collected = theirs + collected
            common = find_common_ancestor(ours, theirs)
            if common is not None:
                break
        fork = common
        if fork is None and floor == record.start_height:
            fork = await self._fork_below_start(provider, floor, head, height_last, collected)
        below_final = record.final_height is not None and (fork is None or fork.height < record.final_height)
        if fork is None:
            # Deeper than is looked for: a halt names the floor, and nothing is applied on it.
            lowest = await self._block_near(record, floor)
            if lowest.height + 1 < floor:  # ours skips the floor; what theirs has there is asked of everybody
                collected = await provider.fetch_headers(lowest.height + 1, floor - 1) + collected
            headers = await self._complete_branch(provider, record, head, lowest, collected)
            is_lighter = await self._is_lighter(provider, record, lowest, headers, head)
            return Branch(lowest, tuple(headers), True, is_lighter)
        headers = await self._complete_branch(provider, record, head, fork, collected)
        if headers[0].parent != fork:
            raise Missing("headers by number do not link to the fork", provider=provider.name)
        if fork.hash == record.accepted_fork_hash:
            return Branch(fork, tuple(headers), below_final=False)
        is_lighter = await self._is_lighter(provider, record, fork, headers, head)
        return Branch(fork, tuple(headers), below_final, is_lighter)

    async def _is_lighter(
        self,
        provider: Provider,
        record: ChainRecord,
        fork: BlockRef,
        headers: Sequence[Header],
        head: Header,
    ) -> bool:
        """Read on towards the head for as long as what was read is not heavier than our blocks; nothing of it is kept."""
        ours, theirs = await self._store.load_work_above(record.chain, fork.height), _sum_work(headers)
        if ours is None or theirs is None:
            return False
        last, read_count = headers[-1], len(headers)
        while theirs <= ours and last.height < head.height and read_count < WEIGHED_MAX:
            more = await provider.fetch_headers(
                last.height + 1, min(last.height + WEIGHED_AT_ONCE, head.height)
            )
            work = _sum_work(more)
            if not more or work is None:
                raise Missing("has no blocks below its own head", provider=provider.name)
            if not is_linked([last, *more], skipped_heights_max=self._skipped_heights_max):
                raise Missing("headers by number do not link", provider=provider.name)
            if more[-1].height == head.height and more[-1].hash != head.hash:
                raise Missing("the head and its height name different blocks", provider=provider.name)
            theirs, last, read_count = theirs + work, more[-1], read_count + len(more)
        return theirs <= ours

    async def _block_near(self, record: ChainRecord, height: int) -> BlockRef:
        """Our highest block up to a height that may have none; where all of ours lie above it, the lowest."""
        reach = self._skipped_heights_max
        first = max(record.start_height, height - reach)
        hashes = await self._store.load_hashes(record.chain, first, height + reach)
        near = max((one for one in hashes if one <= height), default=None)
        near = min(hashes) if near is None else near
        return BlockRef(near, hashes[near])

    async def _fork_below_start(
        self,
        provider: Provider,
        start_height: int,
        head: Header,
        height_last: int,
        collected: Sequence[Header],
    ) -> BlockRef:
        """Under the lowest block we hold: the branch shares none of ours, and we hold nothing to compare."""
        lowest = collected[0] if collected else head
        if not collected and head.parent.height >= start_height:
            # It skipped every height of ours that was looked at: its lowest block lies above them.
            reach = min(head.height, height_last + 1 + self._skipped_heights_max)
            found = await provider.fetch_headers(start_height, reach)
            lowest = found[0] if found else head
        if lowest.parent.height == BEFORE_FIRST:
            raise WrongNetwork("has another genesis block", provider=provider.name)
        if lowest.parent.height >= start_height:
            raise Missing("leaves out a block that its headers name as their parent", provider=provider.name)
        return lowest.parent

    def _search_floor(self, record: ChainRecord) -> int:
        """The lowest height at which a fork is looked for.

        It lies below what is final as well, so that a halt can name the fork
        that an operator would have to accept.
        """
        if record.accepted_fork_hash is not None:
            return record.start_height
        floor = record.tip.height - self._settings.reorg_window_blocks
        if record.final_height is not None:
            floor = min(floor, record.final_height)
        return max(record.start_height, floor)

    async def _complete_branch(
        self,
        provider: Provider,
        record: ChainRecord,
        head: Header,
        fork: BlockRef,
        collected: Sequence[Header],
    ) -> list[Header]:
        """The provider's headers from the fork to its head, bounded, and linked or refused."""
        reach = max(self._settings.batch_blocks_max, 2 * (record.tip.height - fork.height))
        bounded = max(min(reach, self._settings.rewind_blocks_max), self._skipped_heights_max + 1)
        last = min(head.height, fork.height + bounded)
        headers = [header for header in collected if fork.height < header.height <= last]
        held_up_to = headers[-1].height if headers else fork.height
        if held_up_to < last:
            headers += await provider.fetch_headers(held_up_to + 1, last)
        # Heights name forks: a node that changes its mind between two answers is no liar.
        if not headers:
            raise Missing("the head answers by one fork and the heights by another", provider=provider.name)
        if not is_linked(headers, skipped_heights_max=self._skipped_heights_max):
            raise Missing("headers by number do not link", provider=provider.name)
        if head.height == last and headers[-1].hash != head.hash:
            raise Missing("the head and its height name different blocks", provider=provider.name)
        ours = await self._store.load_hashes(record.chain, headers[0].height, headers[0].height)
        if ours.get(headers[0].height) == headers[0].hash:
            # Where heights may be skipped, a node that had fallen behind leaves out what it shows a moment later.
            raise Missing("a block of ours was left out and is there again", provider=provider.name)
        return headers


def _sum_work(headers: Sequence[Header]) -> int | None:
    """All their work; None where one says none."""
    works = [header.work for header in headers if header.work is not None]
    return sum(works) if len(works) == len(headers) else None
