"""`chainbell trail`: who did what to this installation, newest first.

Lives here: the command. Does not live here: the trail itself (`gateway.store`), into which every admin call of the API
and every command that changes something writes one line.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

import msgspec

from gateway.commands.frame import BadUse, Command, Frame
from gateway.process.database import open_for_command
from gateway.process.terminal import format_table
from gateway.store import AuditEntry, list_audit

SHOWN = 50
SHOWN_MAX = 10_000
COLUMNS = ("at", "actor", "action", "subject", "detail")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", metavar="N", type=float, help="only the last N days")
    parser.add_argument(
        "--limit", metavar="N", type=int, default=SHOWN, help=f"at most so many ({SHOWN}; up to {SHOWN_MAX})"
    )


async def _trail(frame: Frame) -> int:
    days, limit = frame.arguments.days, frame.arguments.limit
    if not 1 <= limit <= SHOWN_MAX:
        raise BadUse(f"--limit: 1 to {SHOWN_MAX}")
    try:
        since = None if days is None else frame.now() - timedelta(days=days)
    except (OverflowError, ValueError) as error:
        raise BadUse("--days: a number of days") from error
    async with open_for_command(frame.settings()) as pool:
        entries = await list_audit(pool, since=since, limit=limit)
    rows = [_row(entry) for entry in entries]
    frame.terminal.data({"items": rows}, lambda: format_table([_shown(row) for row in rows], COLUMNS))
    return 0


def _row(entry: AuditEntry) -> dict[str, object]:
    return {
        "at": entry.at.isoformat(timespec="seconds"),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": dict(entry.detail),
    }


def _shown(row: dict[str, object]) -> dict[str, object]:
    return {**row, "detail": msgspec.json.encode(row["detail"]).decode() if row["detail"] else None}


TRAIL = Command("trail", "who did what to this installation, newest first", _trail, _arguments)
