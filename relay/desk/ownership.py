"""Whether whoever answers at an endpoint's URL wants our webhooks: a challenge that must come back.

Lives here, pure: who is asked, what counts as an echo, when to ask again. Does not live here: sending the challenge and
keeping what came of it (`challenges`), what a receiver runs (`verify.challenge_of`).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from relay.model import Outcome, OutcomeKind
from relay.out.addresses import host_of, names_this_machine

CHALLENGE = "endpoint.challenge"
"""The type of the event that asks; it is in no log and in no filter."""
NOT_ECHOED = "not_echoed"
CHALLENGE_WAITS_S = (5, 30, 120, 600, 3_600, 21_600, 86_400)
"""Between the challenges of one endpoint. Then we stop by ourselves: a stranger who never asked for us has said no."""


def must_prove(url: str, *, asked: bool) -> bool:
    """Whether this URL's owner is asked at all; a receiver on this machine is not."""
    return asked and not names_this_machine(host_of(url))


def must_prove_again(before: str, after: str, *, proven: bool) -> bool:
    """Whether a change of URL undoes what was proven, or gives an endpoint that proved nothing a new chance."""
    return before != after and (not proven or host_of(before) != host_of(after))


def judge_echo(challenge: str, outcome: Outcome) -> str | None:
    """Why an answer is no echo, in one of `OutcomeKind`'s words or `not_echoed`; None when it is one.

    An echo is a 2xx whose body is the challenge itself, or a JSON object with the member `challenge`.
    """
    if outcome.kind is not OutcomeKind.DELIVERED:
        return outcome.kind.value
    try:
        text = outcome.excerpt.decode("utf-8").strip()
        answer = json.loads(text) if text.startswith("{") else text
    except (ValueError, RecursionError):
        return NOT_ECHOED
    echoed = answer.get("challenge") if isinstance(answer, dict) else answer
    return None if echoed == challenge else NOT_ECHOED


def next_challenge_at(asked_before: int, now: datetime) -> datetime | None:
    """When to ask again after a challenge that failed, with so many failed before it; None: not by ourselves."""
    if asked_before >= len(CHALLENGE_WAITS_S):
        return None
    return now + timedelta(seconds=CHALLENGE_WAITS_S[asked_before])
