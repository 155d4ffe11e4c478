"""Who is believed about a block that no hash proves, when several operators tell of it.

Pure.  One operator is one voice, whoever recorded its rows counts until it
tells otherwise, and two that agree are believed when they are more than all
others.  Asking is `second_reading`, recording `backfill`; what a doubt does to
credit stands in `deposits`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chains.model import Block
from indexer.rules.deposits import ON_CHAIN, Deposit, DepositState, Sighting
from indexer.rules.identity import DepositId
from indexer.rules.witness import Particulars, is_held, recorded_particulars, seen_particulars

Story = frozenset[Particulars]
"""Everything one operator tells of one block that matters to us."""

NOTHING: Story = frozenset()


@dataclass(slots=True)
class Verdict:
    """What becomes of blocks: the reader's rows count, what is recorded counts, or neither until more is known.

    `differing`: somebody tells otherwise.  `liars`: operators that the
    believed ones outvote.
    """

    believed: set[int] = field(default_factory=set)
    upheld: set[int] = field(default_factory=set)
    doubted: set[int] = field(default_factory=set)
    differing: set[int] = field(default_factory=set)
    liars: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Findings:
    """What reading history found about doubts: for the log and the operator's bell.

    `replaced`: blocks whose recorded rows gave way to what others tell.
    """

    doubted: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    differing: set[int] = field(default_factory=set)
    replaced: set[int] = field(default_factory=set)
    liars: set[str] = field(default_factory=set)

    def add(self, later: Findings) -> None:
        """The same blocks were judged once more, with other rows at hand."""
        self.settled |= later.settled
        self.doubted = (self.doubted | later.doubted) - self.settled
        self.differing |= later.differing
        self.replaced |= later.replaced
        self.liars |= later.liars


@dataclass(frozen=True, slots=True)
class Testimony:
    """What is known of some blocks; operators by name, stories by height.

    `reader` served the rows that are to be recorded; `told` are it and every
    witness.  `recorder` is who told what is `recorded`, for blocks that are in
    doubt already.  `proven`: the reader's rows are tied to the hash.
    """

    reader: str
    told: Mapping[str, Mapping[int, Story]]
    recorder: Mapping[int, str]
    recorded: Mapping[int, Story]
    proven: Collection[int]


def find_doubtful(
    blocks: Sequence[Block], heights_paid: Collection[int], *, trusted_height: int, are_several: bool
) -> set[int]:
    """The blocks among these whose deposits no hash proves and nobody has vouched for."""
    return {
        height
        for block in blocks
        if (height := block.header.height) > trusted_height
        and height in heights_paid
        and is_held(block, are_several=are_several)
    }


def weigh_testimony(heights: Iterable[int], heard: Testimony) -> Verdict:
    """Judge each block by itself."""
    verdict = Verdict()
    for height in heights:
        stories = {operator: told.get(height, NOTHING) for operator, told in heard.told.items()}
        recorded = heard.recorded.get(height, NOTHING)
        if height in heard.recorder:
            stories.setdefault(heard.recorder[height], recorded)
        if len(set(stories.values())) > 1:
            verdict.differing.add(height)
        story = stories[heard.reader] if height in heard.proven else find_majority(stories)
        if story is None:
            verdict.doubted.add(height)
            continue
        if story == stories[heard.reader]:
            verdict.believed.add(height)
        elif height in heard.recorder and story == recorded:
            verdict.upheld.add(height)
        else:  # others are right, and their rows are not at hand
            verdict.doubted.add(height)
        verdict.liars |= {operator for operator, told in stories.items() if told != story}
    return verdict


def find_majority(stories: Mapping[str, Story]) -> Story | None:
    """What at least two operators tell, and more of them than tell anything else; None without it."""
    told = list(stories.values())
    return next((story for story in told if 2 <= told.count(story) > len(told) - told.count(story)), None)


def stories_of(sightings: Iterable[Sighting]) -> dict[int, Story]:
    """What these sightings tell of each block."""
    return _by_height(seen_particulars(one) for one in sightings)


def stories_recorded(deposits: Iterable[Deposit]) -> dict[int, Story]:
    """What is recorded of each block."""
    return _by_height(recorded_particulars(one) for one in deposits)


def _by_height(particulars: Iterable[Particulars]) -> dict[int, Story]:
    stories: dict[int, Story] = {}
    for one in particulars:
        height = one[0]
        assert isinstance(height, int)
        stories[height] = stories.get(height, NOTHING) | {one}
    return stories


def changes_nothing(sighting: Sighting, known: Mapping[DepositId, Deposit]) -> bool:
    """Whether it is recorded so, in this very block."""
    deposit = known.get(sighting.deposit_id)
    if deposit is None or deposit.occurrence is None:
        return False
    return recorded_particulars(deposit) == seen_particulars(sighting)


def may_be_recorded(sighting: Sighting, known: Mapping[DepositId, Deposit]) -> bool:
    """Whether a sighting that only one operator vouches for may be told: it moves and amends nothing that stands."""
    deposit = known.get(sighting.deposit_id)
    return deposit is None or deposit.state not in ON_CHAIN or changes_nothing(sighting, known)


def find_displaced(standing: Iterable[Deposit], heights: Collection[int]) -> list[Deposit]:
    """What was recorded of blocks that are told anew; what is final stays, whoever tells otherwise."""
    return [
        deposit
        for deposit in standing
        if deposit.occurrence is not None
        and deposit.occurrence.height in heights
        and deposit.state is not DepositState.FINAL
    ]
