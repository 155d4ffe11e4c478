"""`chainbell rescan`: read a range of a chain again, and wait until the follower has done it.

Lives here: the command and its progress. Does not live here: reading (indexer.history.backfill, in the running follower). The
request is kept in the database: ending the command early changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio

from chains.families import rules_of
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame, add_chain, add_range
from gateway.process.database import open_for_command
from gateway.store import AuditEntry, insert_audit
from indexer.rows.work_store import load_rescan, request_rescan
from migrations.ids import new_id

LOOK_EVERY_S = 0.5


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_chain(parser)
    add_range(parser)
    parser.add_argument("--address", metavar="A", help="only for this address, which counts from --from on")
    parser.add_argument("--no-wait", action="store_true", help="ask for it and end")


async def _rescan(frame: Frame) -> int:
    asked = frame.arguments
    settings = frame.settings()
    traits = frame.chain_of(settings).follow.traits
    if not 0 <= asked.height_first <= asked.height_last:
        raise BadUse("--from and --to: heights, the first not above the last")
    try:
        address = (
            None
            if asked.address is None
            else rules_of(traits.family).parse_address(traits.chain, asked.address)
        )
    except ValueError as error:
        raise BadUse(f"--address: {error}") from error
    now = frame.now()
    async with open_for_command(settings) as pool:
        try:
            rescan = await request_rescan(
                pool,
                traits.chain,
                new_id=new_id(int(now.timestamp() * 1000)),
                height_first=asked.height_first,
                height_last=asked.height_last,
                address=address,
                now=now,
            )
        except LookupError as error:
            raise CommandFailed(str(error)) from error
        detail = {"from": rescan.height_first, "to": rescan.height_last, "address": asked.address}
        async with pool.acquire() as conn:
            await insert_audit(conn, AuditEntry(now, frame.actor, "rescan-asked", traits.chain, detail))
        done = False
        if not asked.no_wait:
            total = rescan.height_last - rescan.height_first + 1
            with frame.terminal.progress(f"rescan of {traits.alias}") as progress:
                while (state := await load_rescan(pool, rescan.id)) is not None and not state.done:
                    progress.at(
                        rescan.height_last - state.height_next, total, f"at height {state.height_next}"
                    )
                    await asyncio.sleep(LOOK_EVERY_S)
                done = state is not None  # below our start no range waits: addresses are read down one by one
                progress.at(total, total)
    view = {"chain": traits.chain, "from": rescan.height_first, "to": rescan.height_last, "done": done}
    word = "read again" if done else "asked for"
    frame.terminal.data(
        view, lambda: [f"{traits.alias}: {rescan.height_first} to {rescan.height_last} {word}"]
    )
    return 0


RESCAN = Command("rescan", "read a range of a chain again; the running follower does it", _rescan, _arguments)
