"""Evidence: every combination of sights and voices, and what no combination may lead to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chains.model import BlockRef
from indexer.rules.evidence import (
    Dismiss,
    Dispute,
    Halt,
    Opinion,
    Rewind,
    Suspicion,
    Wait,
    decide_evidence,
    weigh_opinions,
)
from tests.unit.indexer.making import block_hash

suspicions = st.builds(
    Suspicion,
    st.builds(BlockRef, st.integers(1, 2), st.sampled_from([block_hash("a"), block_hash("b")])),
    st.sampled_from([block_hash("x"), block_hash("y")]),
    st.booleans(),
    st.booleans(),
)


@given(st.none() | suspicions, suspicions, st.sampled_from(Opinion))
def test_nothing_happens_on_a_branch_that_the_last_poll_did_not_show(
    previous: Suspicion | None, seen: Suspicion, opinion: Opinion
) -> None:
    decision = decide_evidence(previous, seen, opinion)
    if previous is None or (previous.fork, previous.first_hash) != (seen.fork, seen.first_hash):
        assert decision == (Dismiss() if seen.is_lighter else Wait())


@given(st.none() | suspicions, suspicions, st.sampled_from(Opinion))
def test_blocks_leave_only_with_the_consent_of_a_second_voice_or_of_the_only_one(
    previous: Suspicion | None, seen: Suspicion, opinion: Opinion
) -> None:
    decision = decide_evidence(previous, seen, opinion)
    if isinstance(decision, Rewind | Halt):
        assert opinion in (Opinion.SINGLE, Opinion.AGREES)
        assert isinstance(decision, Halt) == seen.below_final
        assert not seen.is_lighter, "less work is no evidence, whoever agrees"
    if isinstance(decision, Dispute):
        assert opinion is Opinion.CONTRADICTS
    if isinstance(decision, Dismiss):
        assert seen.is_lighter or opinion is Opinion.OUTVOTED


voices = st.integers(0, 5)


@given(st.integers(2, 7), voices, voices)
def test_a_branch_is_agreed_on_only_by_more_voices_than_ours_has(
    operators_count: int, for_branch: int, for_ours: int
) -> None:
    opinion = weigh_opinions(operators_count=operators_count, for_branch=for_branch, for_ours=for_ours)
    assert opinion is not Opinion.SINGLE
    assert (opinion is Opinion.AGREES) == (for_branch >= 1 and for_branch + 1 > for_ours)
    if opinion is Opinion.SILENT:
        assert (for_branch, for_ours) == (0, 0)
    if opinion is Opinion.OUTVOTED:
        assert for_branch == 0
        assert for_ours >= 2


@given(voices, voices)
def test_a_single_operator_is_trusted_whatever_is_counted(for_branch: int, for_ours: int) -> None:
    assert weigh_opinions(operators_count=1, for_branch=for_branch, for_ours=for_ours) is Opinion.SINGLE


@given(st.integers(2, 7), voices, voices)
def test_a_voice_more_for_the_branch_never_makes_it_weaker(
    operators_count: int, for_branch: int, for_ours: int
) -> None:
    strength = (Opinion.OUTVOTED, Opinion.CONTRADICTS, Opinion.SILENT, Opinion.AGREES)
    weaker = weigh_opinions(operators_count=operators_count, for_branch=for_branch, for_ours=for_ours)
    stronger = weigh_opinions(operators_count=operators_count, for_branch=for_branch + 1, for_ours=for_ours)
    assert strength.index(stronger) >= strength.index(weaker)
