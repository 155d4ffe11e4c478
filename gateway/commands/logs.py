"""`chainbell logs`: read event logs whole and hold them against their hashes and what was signed; 1 on a fault.

Lives here: the command. Does not live here: what makes a log sound (relay.log.audit), its subcommands (`anchors`). It writes
nothing, and a relay may go on beside it.
"""

from __future__ import annotations

import argparse

from gateway.commands.anchors import ANCHOR, ANCHORED
from gateway.commands.frame import Command, Frame
from gateway.process.database import open_for_command
from gateway.process.terminal import format_table
from migrations.handles import Connection
from migrations.ids import encode_id
from relay.log.audit import AuditedLog, audit_log, audit_logs, count_logged_events

COLUMNS = ("merchant_id", "sequence", "fault")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--merchant", metavar="ID", help="only this merchant's log (mer_...)")


async def _logs(frame: Frame) -> int:
    async with open_for_command(frame.settings()) as pool, pool.acquire() as conn:
        if frame.arguments.merchant is None:
            audited = await _read_all(frame, conn)
        else:
            audited = [await audit_log(conn, frame.id_of("mer", "merchant"))]
    faults: list[dict[str, object]] = [
        {"merchant_id": encode_id("mer", one.merchant_id), "sequence": one.sequence, "fault": one.fault}
        for log in audited
        for one in log.faults
    ]
    events = sum(log.events for log in audited)
    said = f"{len(audited)} logs, {events} events, {len(faults)} faults"
    frame.terminal.data(
        {"logs": len(audited), "events": events, "faults": faults},
        lambda: [said, *(format_table(faults, COLUMNS) if faults else [])],
    )
    return 1 if faults else 0


async def _read_all(frame: Frame, conn: Connection) -> list[AuditedLog]:
    total, read = await count_logged_events(conn), 0
    with frame.terminal.progress("reading logs") as progress:

        def show(events: int) -> None:
            nonlocal read
            read += events
            progress.at(read, total, f"{read} events")

        return [one async for one in audit_logs(conn, on_read=show)]


LOGS = Command(
    "logs",
    "read event logs whole, against their hashes and what was signed; 1 on a fault",
    _logs,
    _arguments,
    below=(ANCHOR, ANCHORED),
)
