"""Finality under any order of moves, tags and disagreements: forward only, and never beyond its grounds."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chains.model import BlockHash, BlockRef, Header
from chains.traits import FinalAtDepth, FinalByTag, FinalityRule
from indexer.rules.finality import TagReport, compute_final_height, compute_safe_height
from tests.unit.indexer.making import block_hash

START = 5

Tag = tuple[int, bool] | None
Told = tuple[Tag, Tag, bool]
tag = st.none() | st.tuples(st.integers(-3, 12), st.booleans())
tags = st.tuples(tag, tag, st.booleans())
bounds = st.sampled_from([0, 0, 2])


class FinalityMachine(RuleBasedStateMachine):
    """A chain that grows and is rewound above what is final, and a provider that says anything."""

    @initialize(rule=st.one_of(st.just(FinalByTag()), st.builds(FinalAtDepth, st.integers(1, 6))))
    def begin(self, rule: FinalityRule) -> None:
        self.rule = rule
        self.hashes: list[BlockHash] = [block_hash("first")]
        self.made = 0
        self.final: int | None = None
        self.safe: int | None = None
        self.agreed = START

    @property
    def tip(self) -> int:
        return START + len(self.hashes) - 1

    @rule(
        depth=st.integers(0, 6), blocks=st.integers(1, 5), agreed=st.integers(-2, 6), told=tags, bound=bounds
    )
    def move(self, depth: int, blocks: int, agreed: int, told: Told, bound: int) -> None:
        lowest = START if self.final is None else self.final
        fork = max(self.tip - depth, lowest)
        del self.hashes[fork - START + 1 :]
        for _ in range(blocks):
            self.made += 1
            self.hashes.append(block_hash(f"b{self.made}"))
        self.agreed = max(min(self.agreed, fork), min(self.tip, fork + agreed))
        self.decide(told, bound, fork=fork)

    @rule(told=tags, bound=bounds)
    def look_again(self, told: Told, bound: int) -> None:
        self.decide(told, bound, fork=None)

    def decide(self, told: Told, bound: int, *, fork: int | None) -> None:
        before, ceiling = self.final, max(START, self.agreed - bound)
        safe, final, tip_is_theirs = told
        report = TagReport(self.header(safe), self.header(final), tip_is_theirs)
        tip = BlockRef(self.tip, self.hashes[-1])
        self.final = compute_final_height(
            previous=before,
            tip=tip,
            start_height=START,
            rule=self.rule,
            tags=report,
            hash_at=self.at,
            ceiling=ceiling,
        )
        self.safe = compute_safe_height(
            previous=self.safe, fork_height=fork, tip=tip, tags=report, hash_at=self.at
        )
        if before is not None:
            assert self.final is not None
            assert self.final >= before
        if self.final is not None and self.final != before:
            assert START <= self.final <= ceiling
            self.check_grounds(self.final, report, ceiling)

    def check_grounds(self, final: int, tags: TagReport, ceiling: int) -> None:
        if isinstance(self.rule, FinalAtDepth):
            assert final + self.rule.confirmations - 1 <= ceiling
            return
        assert tags.final is not None
        assert final <= tags.final.height
        assert tags.final.hash == self.at(tags.final.height) or (
            tags.tip_is_theirs and tags.final.height > self.tip
        )

    def header(self, tag: Tag) -> Header | None:
        """What a provider says: a height under or over our tip, on our chain or on another."""
        if tag is None:
            return None
        below_tip, is_ours = tag
        height = max(START - 1, self.tip - below_tip)
        own = self.at(height) or block_hash("ahead")
        return Header(
            height, own if is_ours else block_hash("elsewhere"), BlockRef(height - 1, block_hash("?")), 0
        )

    def at(self, height: int) -> BlockHash | None:
        return self.hashes[height - START] if START <= height <= self.tip else None

    @invariant()
    def nothing_is_final_or_safe_beyond_the_tip(self) -> None:
        assert (self.final or START) <= self.tip
        assert (self.safe or START) <= self.tip


TestFinality = FinalityMachine.TestCase
