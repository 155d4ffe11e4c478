"""Many schedules of each kind of chain in eight parts, two thousand a kind in CI, and the proof that trouble really came.

Each part is one test, so that workers share them evenly. A failing seed is printed with the command that replays it.
"""

from __future__ import annotations

import os

import pytest

from tests.depth import times
from tests.simulation.kinds import ANY, KINDS, Kind
from tests.simulation.runner import rare_collections, replay_command, run_schedule
from tests.simulation.troubles import Tally, Trouble

SCHEDULES = int(os.environ.get("CHAINBELL_SCHEDULES", times(200, ci=2000)))
"""Each kind of trouble is asked for in proportion."""

STEPS = 60
PARTS = 8
EACH_TROUBLE_MIN = 100
ANY_SHARE = 4
"""Of the mixed kind a quarter as many as of each family's own."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_law_holds_after_every_step_of_every_schedule(kind: Kind, part: int, seed: int) -> None:
    schedules = SCHEDULES // ANY_SHARE if kind is ANY else SCHEDULES
    tally, first, count = Tally(), seed % (1 << 31), schedules // PARTS
    with rare_collections() as collect:
        for number in range(count):
            failure = run_schedule(first + number, STEPS, tally, kind)
            collect(number)
            if failure is not None:
                pytest.fail(f"{failure}\n{replay_command(first + number, STEPS, kind)}", pytrace=False)
    expected = [one for one in Trouble if one is not Trouble.CONNECTION_LOST and one not in kind.lacks]
    for trouble in expected:
        print(f"{tally.counts[trouble]:>10}  {trouble}")
    enough = EACH_TROUBLE_MIN * schedules // 10_000 // PARTS
    too_rare = {str(trouble): tally.counts[trouble] for trouble in expected if tally.counts[trouble] < enough}
    assert not too_rare
    strange = {str(trouble): tally.counts[trouble] for trouble in kind.lacks if tally.counts[trouble]}
    assert not strange, "what such chains do not have came all the same"
