"""Searching for cycles is rare in a service, and still happens."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.process.collector import THRESHOLDS, collect_rarely


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def thresholds() -> Iterator[None]:
    """As they were."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("thresholds")
def test_cycles_are_found_after_a_while_and_what_stood_before_is_not_walked() -> None:
    collect_rarely()
    assert gc.get_freeze_count() > 0
    lost = weakref.ref(Knot())
    kept = [[] for _ in range(THRESHOLDS[0] // 2)]  # type: ignore[var-annotated]  # only their number counts
    assert lost() is not None
    kept += [[] for _ in range(2 * THRESHOLDS[0])]
    assert lost() is None
