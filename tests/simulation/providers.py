"""Scripted providers: honest, late, silent, confused and lying ones, behind the indexer's own port.

Lives here: what each mood answers, and the book of everything that was served, by which operator and in which poll,
which the laws on evidence are checked against. Does not live here: when moods change (`world.py`), and the blocks
themselves (`chain.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chains.errors import ChainError, Inconsistent, Missing, Refused, Throttled, Unreachable
from chains.model import (
    Address,
    Block,
    BlockHash,
    BlockRef,
    Header,
    HeadReport,
    Sought,
    TransactionStory,
    TxHash,
)
from chains.port import Along, Provider
from chains.proofs import DepositProof, Unprovable
from tests.simulation.blocks import SimBlock
from tests.simulation.chain import SimChain

Pause = Callable[[], None]


OTHER_BRANCH_SHARE = 0.02
"""Of answers found by height: those of a node that still stands on a branch which was left."""


class Mood(StrEnum):
    """How a provider behaves until it is told otherwise."""

    HONEST = "honest"
    LAGGING = "lagging"
    SILENT = "silent"
    THROTTLING = "throttling"
    ERRING = "erring"
    SIDE_BRANCH = "side branch"
    FORGING = "forging"
    STALE_HEAD = "stale head"
    FLAPPING = "flapping"
    HIDING = "hiding"


class TagMood(StrEnum):
    """What a provider says about finality until it is told otherwise."""

    TRUE = "true"
    NULL = "null"
    FROZEN = "frozen"
    BACKWARD = "backward"
    STRANGE = "strange"
    LEADING = "leading"


@dataclass(slots=True)
class ServedBook:
    """What was vouched for: by number or as a head. An answer by hash vouches for nothing.

    `by_operator` holds the blocks an operator named (it vouches for their ancestors too); `polls_of` the polls in which
    a block was named by number; `finals` the blocks somebody called final, and the last two what was said in this poll.
    """

    poll: int = 0
    by_operator: dict[str, set[SimBlock]] = field(default_factory=dict)
    polls_of: dict[BlockHash, set[int]] = field(default_factory=dict)
    finals: set[SimBlock] = field(default_factory=set)
    named_now: list[tuple[str, SimBlock]] = field(default_factory=list)
    final_now: dict[str, int] = field(default_factory=dict)

    def begin_poll(self) -> None:
        """The follower looks again."""
        self.poll += 1
        self.named_now.clear()
        self.final_now.clear()

    def note_head(self, provider: SimProvider, head: SimBlock, final: SimBlock | None) -> None:
        """A provider named its head, and perhaps what is final."""
        self.by_operator.setdefault(provider.operator, set()).add(head)
        self.named_now.append((provider.name, head))
        if final is not None:
            self.finals.add(final)
            self.final_now[provider.name] = final.height

    def note_numbered(self, provider: SimProvider, blocks: Sequence[SimBlock]) -> None:
        """A provider named these blocks by their numbers."""
        self.by_operator.setdefault(provider.operator, set()).update(blocks)
        for block in blocks:
            self.polls_of.setdefault(block.hash, set()).add(self.poll)
            self.named_now.append((provider.name, block))

    def operators_for(self, block: SimBlock) -> int:
        """How many operators named `block` or something on top of it."""
        return sum(
            any(named.descends_from(block) for named in named_blocks)
            for named_blocks in self.by_operator.values()
        )

    def was_called_final(self, block: SimBlock, tip_height: int) -> bool:
        """Whether some provider's final block was `block` or stood on top of it.

        While we catch up its final block lies above our tip: then what it names in the same breath below that counts.
        """
        if any(final.descends_from(block) for final in self.finals):
            return True
        return any(
            self.final_now.get(name, 0) > tip_height and named.descends_from(block)
            for name, named in self.named_now
        )


class SimProvider:
    """One provider of one chain; `view` is the tip it believes in."""

    __slots__ = (
        "_book",
        "_chain",
        "_pause",
        "_rng",
        "frozen_final",
        "hidden",
        "mood",
        "name",
        "operator",
        "other_view",
        "rest_until",
        "stale_blocks",
        "tag_mood",
        "view",
    )

    def __init__(
        self, name: str, operator: str, chain: SimChain, rng: random.Random, book: ServedBook, pause: Pause
    ) -> None:
        self.name = name
        self.operator = operator
        self.mood = Mood.HONEST
        self.tag_mood = TagMood.TRUE
        self.view = chain.tip
        self.other_view = chain.tip
        self.frozen_final: SimBlock | None = None
        self.stale_blocks = 1
        self.hidden: frozenset[SimBlock] = frozenset()
        self.rest_until = 0
        self._chain = chain
        self._rng = rng
        self._book = book
        self._pause = pause

    def for_backfill(self) -> Provider:
        """Itself: nothing is scarce here."""
        return self

    async def fetch_transaction(self, tx_hash: TxHash) -> TransactionStory | None:
        """Nobody asks for explanations in a simulation."""
        return None

    async def fetch_balances(
        self, wanted: Sequence[tuple[Address, Address | None]], block: BlockRef
    ) -> list[int]:
        """Nobody holds a simulated chain against its balances: it traces no calls."""
        raise Refused("keeps no balances", provider=self.name)

    async def fetch_deposit_proof(self, block: BlockRef, tx_hash: TxHash) -> DepositProof | Unprovable:
        """Nobody asks for proofs in a simulation."""
        raise Refused("proves nothing", provider=self.name)

    async def fetch_network_id(self) -> bytes:
        self._answer()
        return self._chain.genesis.hash

    async def fetch_head_report(self, *, safe: bool = True, final: bool = True) -> HeadReport:
        view = self._answer()
        head = view
        if self.mood is Mood.STALE_HEAD:
            head = view.path[max(0, view.height - self.stale_blocks)]
        final_block, safe_block = self._tags(head)
        if not final or not self._chain.kind.has_tags:
            final_block = None
        self._book.note_head(self, head, final_block)
        has_safe = safe and self._chain.kind.has_safe
        return HeadReport(
            head.header,
            safe=safe_block.header if has_safe and safe_block is not None else None,
            final=None if final_block is None else final_block.header,
        )

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        return [block.header for block in self._numbered(height_first, height_last)]

    async def fetch_blocks_at(self, refs: Sequence[BlockRef], *, sought: Sought | None = None) -> list[Block]:
        view = self._answer()
        found = [self._chain.blocks[ref.hash] for ref in refs]
        if self._chain.kind.reads_by_height:
            if self._chain.side_tips and self._rng.random() < OTHER_BRANCH_SHARE:
                view = self._rng.choice(self._chain.side_tips)
            self._refuse_others(view, found)
        return [self._chain.tell(block, sought) for block in found]

    async def fetch_blocks(
        self, height_first: int, height_last: int, *, sought: Sought | None = None
    ) -> list[Block]:
        return [self._chain.tell(block, sought) for block in self._numbered(height_first, height_last)]

    def _refuse_others(self, view: SimBlock, wanted: Sequence[SimBlock]) -> None:
        """It finds blocks by height alone: what is not on its branch is another block there, or none."""
        for block in wanted:
            if block.height > view.height:
                raise Missing(f"no block {block.height}", provider=self.name)
            if view.path[block.height] is not block:
                self._chain.note_other_at_height()
                raise Missing(f"another block at {block.height}", provider=self.name)

    def _numbered(self, height_first: int, height_last: int) -> list[SimBlock]:
        """What it calls canonical at these heights; where no height is skipped, all of them or nothing."""
        view = self._answer()
        if height_last > view.height:
            raise Missing(f"no block {height_last}", provider=self.name)
        found = view.ancestors(height_first, height_last)
        if self.mood is Mood.HIDING:
            found = [block for block in found if block not in self.hidden]
        if not self._chain.skipped_heights_max and len(found) <= height_last - height_first:
            raise Missing("no block at every height", provider=self.name)
        self._book.note_numbered(self, found)
        return found

    def _answer(self) -> SimBlock:
        """The view this answer comes from, after whatever weather the mood brings."""
        self._pause()
        match self.mood:
            case Mood.SILENT:
                raise Unreachable("no answer", provider=self.name)
            case Mood.THROTTLING:
                if self._rng.random() < 0.7:
                    raise Throttled("slow down", provider=self.name, retry_after_s=1.0)
            case Mood.ERRING:
                if self._rng.random() < 0.4:
                    kind = self._rng.choice((Unreachable, Missing, Refused, Inconsistent))
                    raise kind("bad weather", provider=self.name)
            case Mood.FLAPPING:
                return self.view if self._rng.random() < 0.5 else self.other_view
            case _:
                pass
        return self.view

    def _tags(self, head: SimBlock) -> tuple[SimBlock | None, SimBlock | None]:
        """The `finalized` and `safe` blocks as told along with `head`."""
        depth = self._chain.final_depth
        final: SimBlock | None = head.path[max(0, head.height - depth)]
        safe: SimBlock | None = head.path[max(0, head.height - depth // 2)]
        match self.tag_mood:
            case TagMood.TRUE:
                pass
            case TagMood.NULL:
                final = safe = None
            case TagMood.FROZEN:
                self.frozen_final = self.frozen_final or final
                final = self.frozen_final
            case TagMood.BACKWARD:
                back = self._rng.randrange(depth + 3)
                final = head.path[max(0, head.height - depth - back)]
                safe = head.path[max(0, head.height - depth // 2 - back)]
            case TagMood.LEADING:
                final = self.view
            case TagMood.STRANGE:
                stranger = self.other_view
                final = stranger.path[max(0, stranger.height - depth)]
                safe = stranger
        return final, safe


class SimSource:
    """All providers of one chain, each resting after a failure as long as it deserves."""

    def __init__(self, providers: Sequence[SimProvider], rng: random.Random) -> None:
        self.providers = list(providers)
        self.now = 0
        self._rng = rng
        self._operators_count = len({provider.operator for provider in providers})

    def operator_of(self, host: str) -> str | None:
        return next((one.operator for one in self.providers if one.name == host), None)

    def choose_provider(self) -> Provider:
        usable = [provider for provider in self.providers if provider.rest_until <= self.now]
        if not usable:
            raise Unreachable("every provider rests")
        return self._rng.choice(usable)

    async def fetch_head_hedged(
        self, *, safe: bool = True, final: bool = True, along: Along | None = None
    ) -> tuple[Provider, HeadReport]:
        provider = self.choose_provider()
        try:
            return provider, await provider.fetch_head_report(safe=safe, final=final)
        except ChainError as error:
            self.report_failure(provider, error)
            raise

    def second_opinions(self, first: Provider) -> Sequence[Provider]:
        others = [
            provider
            for provider in self.providers
            if provider.operator != first.operator and provider.rest_until <= self.now
        ]
        if len(others) > 1 and self._rng.random() < 0.5:
            others.reverse()
        return others

    @property
    def operators_count(self) -> int:
        return self._operators_count

    def report_failure(self, provider: Provider, error: ChainError) -> None:
        self._rest(provider, 3 if isinstance(error, Inconsistent) else 1)

    def pin_network(self, network_id: bytes) -> None:
        pass

    def report_success(self, provider: Provider) -> None:
        pass

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        if self._rng.random() < 0.5:
            self._rest(provider, 1)

    async def run_hints(self) -> None:
        pass

    @property
    def are_hints_live(self) -> bool:
        return False

    @property
    def would_hint(self) -> bool:
        return False

    def wake(self) -> None:
        pass

    async def wait_for_hint(self, timeout_s: float) -> bool:
        return False

    def _rest(self, provider: Provider, polls: int) -> None:
        assert isinstance(provider, SimProvider)
        provider.rest_until = self.now + polls + 1
