"""How long tests look that could look for ever: at a desk as long as somebody waits, in CI several times as long.

Only repetition differs: more schedules, more kills, every network where a desk plays some that the run's seed draws. Each
law has its test in both. `CI=true make test` looks as long as CI does.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import TypeVar

from tests.strict_skips import in_ci

T = TypeVar("T")

SEED_VARIABLE = "CHAINBELL_SEED"


def times(at_a_desk: int, *, ci: int) -> int:
    """How often something is repeated."""
    return ci if in_ci() else at_a_desk


def some_of(names: Iterable[T], count: int) -> list[T]:
    """So many of them in their order, drawn by the run's seed; in CI all."""
    everything = list(names)
    if in_ci() or count >= len(everything):
        return everything
    drawn = set(random.Random(os.environ[SEED_VARIABLE]).sample(range(len(everything)), count))
    return [one for number, one in enumerate(everything) if number in drawn]
