"""`chainbell replay`: deliver a stretch of a merchant's log to one endpoint again.

Lives here: the command. Does not live here: replaying (relay.redeliver); a running relay does the work.
"""

from __future__ import annotations

import argparse

from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.database import open_for_command
from gateway.store import AuditEntry, database_weather, insert_audit
from migrations.ids import encode_id
from relay.endpoints import find_merchant
from relay.errors import RelayError
from relay.redeliver import replay

APPLICATION = "chainbell-command"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", metavar="ID", required=True, help="end_…")
    parser.add_argument("--from-sequence", metavar="N", type=int, required=True, help="first event")
    parser.add_argument("--to-sequence", metavar="M", type=int, help="last event; the newest when left out")


async def _replay(frame: Frame) -> int:
    asked = frame.arguments
    endpoint_id = frame.id_of("end", "endpoint")
    if asked.from_sequence < 1:
        raise BadUse("--from-sequence: sequences start at 1")
    now = frame.now()
    try:
        async with (
            open_for_command(frame.settings(), APPLICATION) as pool,
            database_weather(),
            pool.acquire() as conn,
            conn.transaction(),
        ):
            accepted = await replay(
                conn,
                await find_merchant(conn, endpoint_id),
                endpoint_id,
                from_sequence=asked.from_sequence,
                to_sequence=asked.to_sequence,
                now=now,
            )
            detail = {"from_sequence": accepted.from_sequence, "to_sequence": accepted.to_sequence}
            subject = encode_id("end", endpoint_id)
            await insert_audit(conn, AuditEntry(now, frame.actor, "replay-asked", subject, detail))
    except RelayError as error:
        raise CommandFailed(str(error)) from error
    view = {
        "endpoint_id": subject,
        "from_sequence": accepted.from_sequence,
        "to_sequence": accepted.to_sequence,
    }
    said = f"{subject}: {accepted.from_sequence} to {accepted.to_sequence} will be delivered again"
    frame.terminal.data(view, lambda: [said])
    return 0


REPLAY = Command("replay", "deliver a stretch of the log to an endpoint again", _replay, _arguments)
