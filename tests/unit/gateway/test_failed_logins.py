"""Guessing keys costs the guesser, and not the database or the neighbours behind the same proxy."""

from __future__ import annotations

import pytest

from gateway.http.limits import FAILED_LOGINS, FailedLogins
from gateway.http.problem import Problem


def test_a_place_that_shows_too_many_wrong_keys_is_turned_away_for_a_while() -> None:
    now_s = [0.0]
    logins = FailedLogins(clock=lambda: now_s[0])
    for number in range(FAILED_LOGINS.requests + 1):
        logins.check("here", f"Bearer wrong-{number}")
        logins.note_wrong("here", f"Bearer wrong-{number}")
    with pytest.raises(Problem) as refused:
        logins.check("here", "Bearer another")
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) >= 1
    logins.check("elsewhere", "Bearer another")
    now_s[0] += FAILED_LOGINS.period_s
    logins.check("here", "Bearer another")


def test_a_key_that_was_right_lately_passes_until_it_is_wrong() -> None:
    logins = FailedLogins(clock=lambda: 0.0)
    logins.note_right("Bearer mine")
    for number in range(FAILED_LOGINS.requests + 1):
        logins.note_wrong("here", f"Bearer wrong-{number}")
    logins.check("here", "Bearer mine")
    logins.note_wrong("here", "Bearer mine")
    with pytest.raises(Problem):
        logins.check("here", "Bearer mine")
