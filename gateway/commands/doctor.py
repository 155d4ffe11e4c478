"""`chainbell doctor`: asks every dependency, and says what to do.

Lives here: the order of the checks and how they are shown. Does not live here: the checks (`gateway.doctor.machine`,
`gateway.doctor.chains`). Ends with 1 when something fails, with 0 when there are only warnings.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools

from gateway.commands.frame import Command, Frame
from gateway.commands.run import choose_chains
from gateway.doctor import machine as checks
from gateway.doctor.chains import check_chain
from gateway.doctor.machine import Finding, Grade

MARKS = {Grade.OK: "ok  ", Grade.WARN: "warn", Grade.FAIL: "FAIL"}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", action="append", nargs="+", metavar="ALIAS", help="only these chains")


async def _doctor(frame: Frame) -> int:
    settings = frame.settings()
    chains = choose_chains(settings, frame.arguments.chain)
    findings = [
        *checks.check_program(),
        *checks.check_configuration(settings),
        *checks.check_files(settings),
        *checks.check_alerts(settings),
    ]
    async with checks.open_checked_database(settings, findings, clock=frame.now) as pool:
        findings += await checks.check_redis(settings)
        findings += await checks.check_proxy(settings)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(check_chain(chain, pool, now=frame.now())) for chain in chains]
        findings += itertools.chain.from_iterable(task.result() for task in asked)
    frame.terminal.data({"checks": [dataclasses.asdict(one) for one in findings]}, lambda: _lines(findings))
    return 1 if any(one.grade is Grade.FAIL for one in findings) else 0


def _lines(findings: list[Finding]) -> list[str]:
    width = max(len(one.check) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"{MARKS[one.grade]}  {one.check.ljust(width)}  {one.found}")
        if one.advice and one.grade is not Grade.OK:
            lines.append(f"      {' ' * width}  → {one.advice}")
    return lines


DOCTOR = Command(
    "doctor", "ask every dependency and say what to do; 1 if something fails", _doctor, _arguments
)
