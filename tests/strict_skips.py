"""
A pytest plugin: where CI is set, a skipped test is a failed test.

On a laptop a test may skip because a node is missing, and says so. In CI everything is installed, so a
skip means that something went untested without anybody noticing. The reasons that stay allowed are listed
here, and only here; each begins with words that the skipping test must use.
Loaded by `-p tests.strict_skips` (pyproject.toml), on every xdist worker too.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping

import pytest

ALLOWED_REASONS = (
    "recorded chain data",  # lives beside the repository and is never copied into it; a fresh clone has none
    "only root may",  # what a test needs of the machine, and CI may run as anybody
)


def in_ci(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether CI is set to anything but an explicit no."""
    return environment.get("CI", "").strip().lower() not in {"", "0", "false", "no"}


def is_allowed(reason: str) -> bool:
    """Whether a skip may stand in CI; `reason` is the text given to skip, without pytest's prefix."""
    return reason.removeprefix("Skipped: ").lower().startswith(ALLOWED_REASONS)


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail") or not in_ci():
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not is_allowed(reason):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped in CI, which fails (tests/strict_skips.py): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skipped, by mark or by call, fails instead."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole module that skipped at import fails instead."""
    report = yield
    _forbid_skip(report)
    return report
