"""What one outcome means for one delivery: delivered, tried again at a time, or out of tries.

Lives here, pure: the retry schedule with its jitter (the random number is an argument), Retry-After, the shorter wait
in front of a reversal, tries that cost nothing, and when a sick endpoint is probed. Does not live here: what else
waits (`lane`), how fast one endpoint is sent to (`pace`), sending (`egress`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.model import SAYS_NOTHING, Outcome, OutcomeKind
from relay.settings import RetrySettings

REVERSAL = "deposit.reversed"
"""The event type that may not wait long: a credit is being taken back."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Another try at `retry_at`; `failures` so far; `free` if that try costs nothing."""

    failures: int
    retry_at: datetime
    free: bool


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The last retry failed; the delivery stays, replayable."""

    failures: int


Verdict = Delivered | RetryLater | Exhausted


def decide(
    outcome: Outcome,
    *,
    failures: int,
    free: bool,
    hurried: bool,
    now: datetime,
    chance: float,
    settings: RetrySettings,
) -> Verdict:
    """The verdict on an attempt that ended at `now`.

    `failures` is what had cost before it, `free` whether it was a free try, `hurried` whether a reversal waits behind
    it, `chance` uniform in [0, 1). A Retry-After longer than the schedule replaces it; a shorter one is obeyed by one
    free try, after which the schedule goes on: so neither can an impatient endpoint use up its retries in a minute.
    """
    if outcome.kind is OutcomeKind.DELIVERED:
        return Delivered()
    if outcome.kind in SAYS_NOTHING:
        return RetryLater(failures, now, free)
    if not free and outcome.kind is not OutcomeKind.GONE:
        failures += 1
    if failures > len(settings.schedule_s):
        return Exhausted(failures)
    wait_s = compute_wait_s(failures, chance=chance, settings=settings)
    next_free = False
    if outcome.retry_after_s is not None:
        asked_s = min(max(outcome.retry_after_s, settings.retry_after_min_s), settings.retry_after_max_s)
        next_free = asked_s < wait_s and not free
        wait_s = asked_s if next_free else max(asked_s, wait_s)
    if hurried:
        wait_s = min(wait_s, settings.hurry_s)
    return RetryLater(failures, now + timedelta(seconds=wait_s), next_free)


def compute_wait_s(failures: int, *, chance: float, settings: RetrySettings) -> float:
    """The wait after the `failures`-th failure: the schedule's, spread by the jitter; `chance` in [0, 1)."""
    if not settings.schedule_s:
        return 0.0
    step = min(max(failures, 1), len(settings.schedule_s)) - 1
    return settings.schedule_s[step] * (1 + settings.jitter * (2 * chance - 1))


def compute_probe_wait_s(probes_failed: int, *, chance: float, settings: RetrySettings) -> float:
    """The wait before the next probe of a failing endpoint; the last entry of its schedule repeats."""
    step = min(probes_failed, len(settings.probe_schedule_s) - 1)
    return settings.probe_schedule_s[step] * (1 + settings.jitter * (2 * chance - 1))
