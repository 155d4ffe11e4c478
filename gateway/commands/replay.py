"""`chainbell replay`: deliver to one endpoint again what it was told, or what it could not be told.

Lives here: the command, for a stretch of the log, for one deposit, and for what was exhausted since a time. Does not live
here: replaying (relay.desk.redeliver); a running relay does the work.
"""

from __future__ import annotations

import argparse
from datetime import datetime
from uuid import UUID

from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.process.database import open_for_command
from gateway.store import AuditEntry, insert_audit
from migrations.handles import Connection
from migrations.ids import encode_id
from relay.desk.endpoints import find_merchant
from relay.desk.redeliver import Replay, replay, replay_exhausted, replay_object
from relay.errors import RelayError


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", metavar="ID", required=True, help="end_…")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--from-sequence", metavar="N", type=int, help="a stretch of the log from this event on"
    )
    what.add_argument("--deposit", metavar="ID", help="dep_…: every event of one deposit")
    what.add_argument(
        "--exhausted-since",
        metavar="TIME",
        help="what was given up at this time or later (2026-11-20T08:00:00Z)",
    )
    parser.add_argument("--to-sequence", metavar="M", type=int, help="last event; the newest when left out")


def read_time(text: str) -> datetime:
    """A time with its zone; raises BadUse."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadUse(f"--exhausted-since: {error}") from error
    if at.tzinfo is None:
        raise BadUse("--exhausted-since: say the zone too, for example 2026-11-20T08:00:00Z")
    return at


async def _replay(frame: Frame) -> int:
    asked = frame.arguments
    endpoint_id = frame.id_of("end", "endpoint")
    deposit_id = None if asked.deposit is None else frame.id_of("dep", "deposit")
    since = None if asked.exhausted_since is None else read_time(asked.exhausted_since)
    if asked.from_sequence is not None and asked.from_sequence < 1:
        raise BadUse("--from-sequence: sequences start at 1")
    if asked.to_sequence is not None and asked.from_sequence is None:
        raise BadUse("--to-sequence: needs --from-sequence")
    now, subject = frame.now(), encode_id("end", endpoint_id)
    try:
        async with open_for_command(frame.settings()) as pool, pool.acquire() as conn, conn.transaction():
            accepted = await _ask(frame, conn, endpoint_id, deposit_id, since, now)
            detail = {
                name: value
                for name in ("from_sequence", "to_sequence", "deposit", "exhausted_since")
                if (value := getattr(asked, name)) is not None
            }
            await insert_audit(conn, AuditEntry(now, frame.actor, "replay-asked", subject, detail))
    except RelayError as error:
        raise CommandFailed(str(error)) from error
    view = {
        "endpoint_id": subject,
        "from_sequence": accepted.from_sequence,
        "to_sequence": accepted.to_sequence,
        "deliveries": accepted.deliveries,
    }
    frame.terminal.data(view, lambda: [f"{subject}: {_said(accepted)}"])
    return 0


async def _ask(
    frame: Frame,
    conn: Connection,
    endpoint_id: UUID,
    deposit_id: UUID | None,
    since: datetime | None,
    now: datetime,
) -> Replay:
    merchant_id = await find_merchant(conn, endpoint_id)
    if deposit_id is not None:
        object_id = encode_id("dep", deposit_id)
        return await replay_object(conn, merchant_id, endpoint_id, object_id=object_id, now=now)
    if since is not None:
        return await replay_exhausted(conn, merchant_id, endpoint_id, since=since, now=now)
    first, last = frame.arguments.from_sequence, frame.arguments.to_sequence
    return await replay(conn, merchant_id, endpoint_id, from_sequence=first, to_sequence=last, now=now)


def _said(accepted: Replay) -> str:
    if accepted.from_sequence is None:
        return "there is nothing to deliver again"
    count = "" if accepted.deliveries is None else f"{accepted.deliveries} of "
    return f"{count}{accepted.from_sequence} to {accepted.to_sequence} will be delivered again"


REPLAY = Command("replay", "deliver to an endpoint again", _replay, _arguments)
