"""Other people's verifiers: which of the packages that merchants install accept a request of ours with a secret.

Lives here: asking `standardwebhooks` and `svix`, from PyPI in this process and from npm in a Node process (`others.mjs`).
All of them read the real clock. Does not live here: our own verifiers, which stand in `relay`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import standardwebhooks
import svix.webhooks

from tests.node_program import run_node

ALL = frozenset({"pypi standardwebhooks", "pypi svix", "npm standardwebhooks", "npm svix"})
NONE: frozenset[str] = frozenset()
SCRIPT = Path(__file__).with_name("others.mjs")


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and the one secret (`whsec_…`) a receiver has."""

    secret: str
    headers: Mapping[str, str]
    body: bytes


def judge(*cases: Case) -> list[frozenset[str]]:
    """For each case, the packages that accept it."""
    return [
        frozenset({f"npm {name}" for name in npm} | _judge_here(case))
        for case, npm in zip(cases, _judge_in_node(cases), strict=True)
    ]


def _judge_in_node(cases: Sequence[Case]) -> list[list[str]]:
    given = [
        {
            "secret": case.secret,
            "headers": dict(case.headers),
            "body": base64.b64encode(case.body).decode(),
        }
        for case in cases
    ]
    verdicts: list[list[str]] = run_node(SCRIPT, given)
    return verdicts


def _judge_here(case: Case) -> set[str]:
    found = set()
    try:
        standardwebhooks.Webhook(case.secret).verify(case.body, dict(case.headers))
        found.add("pypi standardwebhooks")
    except standardwebhooks.WebhookVerificationError:
        pass
    try:
        svix.webhooks.Webhook(case.secret).verify(case.body, dict(case.headers))
        found.add("pypi svix")
    except svix.webhooks.WebhookVerificationError:
        pass
    return found
