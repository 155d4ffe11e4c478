"""What is told of a chain's pace and finality, by a process that has just started and by one that has watched.

Here: decisions on measures. Not here: that they are told at all, which a real loop shows
(`tests/live/test_cases_finality.py`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chains.mempool import FeeRung
from chains.traits import FinalByTag
from indexer.follow.status import Vitals
from indexer.move.notices import CONGESTED, FINALITY_DELAYED, INTERVALS_MIN, Pulse, decide_conditions
from indexer.rows.storage import ChainRecord
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from tests.devnet.local import local_traits
from tests.unit.indexer.making import NOW, chain_record

SETTINGS = FollowSettings(
    local_traits(),
    (ConfirmRule(Requirement(ConfirmedBy.DEPTH, 1)),),
    FinalByTag(),
    finality_delayed_after_s=60,
)
RECORD = chain_record(9, chain=SETTINGS.traits.chain, final_height=5)


def judge(vitals: Vitals, record: ChainRecord, after_s: float) -> frozenset[str]:
    """The conditions so many seconds later."""
    now = NOW + timedelta(seconds=after_s)
    vitals.note_record(record, now=now)
    pulse = replace(vitals.pulse(record, by_tag=True, now=now), quiet_s=0.0)
    return decide_conditions(record, pulse, SETTINGS)


def test_finality_is_late_after_it_was_seen_to_stand_still() -> None:
    vitals = Vitals(list)
    assert judge(vitals, RECORD, 0) == frozenset()
    assert judge(vitals, RECORD, 60) == frozenset()
    assert judge(vitals, RECORD, 61) == {FINALITY_DELAYED}
    assert judge(vitals, replace(RECORD, final_height=6), 62) == frozenset()


def test_a_new_process_has_not_seen_late_finality_recover() -> None:
    vitals, late = Vitals(list), replace(RECORD, conditions=frozenset({FINALITY_DELAYED}))
    assert judge(vitals, late, 0) == {FINALITY_DELAYED}
    assert judge(vitals, late, 1) == {FINALITY_DELAYED}
    assert judge(vitals, replace(late, final_height=6), 2) == frozenset()


def test_a_new_process_has_not_seen_congestion_end() -> None:
    slow, fast = 10.0, 1.0
    congested = replace(RECORD, conditions=frozenset({CONGESTED}))

    def at_pace(record: ChainRecord, interval_s: float, count: int) -> frozenset[str]:
        return decide_conditions(record, Pulse(0.0, None, (interval_s,) * count), SETTINGS)

    assert at_pace(RECORD, slow, INTERVALS_MIN - 1) == frozenset()
    assert at_pace(RECORD, slow, INTERVALS_MIN) == {CONGESTED}
    assert at_pace(congested, fast, INTERVALS_MIN - 1) == {CONGESTED}
    assert at_pace(congested, fast, INTERVALS_MIN) == frozenset()


CALM = (FeeRung(1, 3_000), FeeRung(144, 1_000))
DEAR = (FeeRung(1, 9_000), FeeRung(144, 2_000))


@pytest.mark.parametrize(
    ("rungs", "was", "congested"),
    [
        (CALM, False, False),
        (DEAR, False, True),
        (CALM, True, True),  # it is told as over at half of what begins it
        ((FeeRung(1, 2_000), FeeRung(144, 1_000)), True, False),
        ((), False, False),
        ((), True, True),  # nobody has said that it is over
        ((FeeRung(1, 0),), False, False),
    ],
)
def test_fees_say_that_a_chain_is_congested_and_silence_does_not(
    rungs: tuple[FeeRung, ...], was: bool, congested: bool
) -> None:
    record = replace(RECORD, conditions=frozenset({CONGESTED} if was else ()))
    pulse = Pulse(0.0, None, (1.0,) * INTERVALS_MIN, rungs, has_mempool=True)
    assert (CONGESTED in decide_conditions(record, pulse, SETTINGS)) == congested


def test_fees_do_not_end_what_slow_blocks_began() -> None:
    record = replace(RECORD, conditions=frozenset({CONGESTED}))
    cheap = (FeeRung(1, 1_000),)
    few, slow = Pulse(0.0, None, (), cheap, True), Pulse(0.0, None, (10.0,) * INTERVALS_MIN, cheap, True)
    assert decide_conditions(record, few, SETTINGS) == {CONGESTED}, "a process that has just started"
    assert decide_conditions(record, slow, SETTINGS) == {CONGESTED}
