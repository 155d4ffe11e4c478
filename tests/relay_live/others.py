"""Other people's verifiers: which of the packages that merchants install accept a request of ours with a secret.

Lives here: asking `standardwebhooks` and `svix`, from PyPI in this process and from npm in a Node process (`others.mjs`).
All of them read the real clock. Does not live here: our own verifiers, which stand in `relay`.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import standardwebhooks
import svix.webhooks

ALL = frozenset({"pypi standardwebhooks", "pypi svix", "npm standardwebhooks", "npm svix"})
NONE: frozenset[str] = frozenset()
SCRIPT = Path(__file__).with_name("others.mjs")
NODE_TIMEOUT_S = 60


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


def run_node(script: Path, given: object) -> object:
    """Run a program of ours with JSON on stdin; what it printed, parsed."""
    node = shutil.which("node")
    assert node is not None, "node is not on PATH; it comes with npm"
    done = subprocess.run(
        [node, str(script)],
        input=json.dumps(given).encode(),
        capture_output=True,
        timeout=NODE_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: object = json.loads(done.stdout)
    return found


def _judge_in_node(cases: Sequence[Case]) -> list[list[str]]:
    given = [
        {
            "secret": case.secret,
            "headers": dict(case.headers),
            "body": base64.b64encode(case.body).decode(),
        }
        for case in cases
    ]
    verdicts = run_node(SCRIPT, given)
    assert isinstance(verdicts, list)
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
