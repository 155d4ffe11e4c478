"""`chainbell audit`: read a range of the chain again and compare it with our rows; 1 on a difference.

Lives here: the command. Does not live here: comparing (indexer.audit). It writes nothing,
and asks providers in the lane of history, behind a running follower.
"""

from __future__ import annotations

import argparse
import dataclasses

from chains.errors import ChainError
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.compose import publish
from gateway.compose_chains import build_chain_desk, build_source
from gateway.database import open_for_command
from gateway.settings import ChainSettings
from gateway.terminal import format_table
from indexer.audit import Difference, audit_range
from indexer.commit import ChainDesk
from indexer.store import PostgresFollowStore
from migrations.handles import Pool

APPLICATION = "chainbell-audit"
SHOWN_MAX = 1_000


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", metavar="ALIAS", required=True, help="which chain")
    parser.add_argument(
        "--from", dest="height_first", metavar="H", type=int, required=True, help="first height"
    )
    parser.add_argument("--to", dest="height_last", metavar="H", type=int, required=True, help="last height")


async def _audit(frame: Frame) -> int:
    asked = frame.arguments
    settings = frame.settings()
    chain = frame.chain_of(settings)
    if not 0 <= asked.height_first <= asked.height_last:
        raise BadUse("--from and --to: heights, the first not above the last")
    async with open_for_command(settings, APPLICATION) as pool:
        desk, store = await build_chain_desk(chain, pool, publish)
        record = await store.load_chain(chain.follow.traits.chain)
        if record is None:
            raise CommandFailed(f"{chain.alias} has no first block yet")
        first = max(asked.height_first, record.start_height)
        last = min(asked.height_last, record.tip.height)
        if (first, last) != (asked.height_first, asked.height_last):
            frame.terminal.say(
                f"we hold {record.start_height} to {record.tip.height}: reading {first} to {last}"
            )
        await _load_watched(desk, store)
        try:
            differences, blocks, deposits = await _read(frame, chain, pool, desk, store, first, last)
        except ChainError as error:
            raise CommandFailed(f"{chain.alias} can not be read: {error}") from error
    rows = [dataclasses.asdict(one) for one in differences[:SHOWN_MAX]]
    view = {
        "chain": chain.follow.traits.chain,
        "from": first,
        "to": last,
        "blocks": blocks,
        "deposits": deposits,
        "differences_count": len(differences),
        "differences": rows,
    }
    said = f"{chain.alias} {first} to {last}: {blocks} blocks, {deposits} deposits, {len(differences)} differences"
    columns = ("height", "what", "ours", "theirs")
    frame.terminal.data(view, lambda: [said, *(format_table(rows, columns) if rows else [])])
    return 1 if differences else 0


async def _read(
    frame: Frame,
    chain: ChainSettings,
    pool: Pool,
    desk: ChainDesk,
    store: PostgresFollowStore,
    first: int,
    last: int,
) -> tuple[list[Difference], int, int]:
    differences: list[Difference] = []
    blocks = deposits = 0
    async with build_source(chain) as source:
        provider = source.choose_provider().for_backfill()
        with frame.terminal.progress(f"audit of {chain.alias}") as progress:
            async for chunk in audit_range(pool, desk, store, provider, height_first=first, height_last=last):
                differences += chunk.differences
                blocks += chunk.blocks_count
                deposits += chunk.deposits_count
                progress.at(chunk.height_last - first + 1, last - first + 1, f"at height {chunk.height_last}")
    return differences, blocks, deposits


async def _load_watched(desk: ChainDesk, store: PostgresFollowStore) -> None:
    """The watch list as it stands; the follower's own set is in another process."""
    while True:
        page = await store.load_watch_page(desk.settings.traits.chain, after_version=desk.watched.version)
        if page.version == desk.watched.version:
            return
        desk.watched.add(page.addresses, version=page.version)


AUDIT = Command(
    "audit", "read a range again and compare it with our rows; 1 on a difference", _audit, _arguments
)
