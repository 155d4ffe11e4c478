"""`chainbell chain`: where each chain stands, and the two ways out of a halt.

Lives here: the commands. Does not live here: halting and resuming (indexer.move.halts), the same view over HTTP
(`gateway.http.resources.chains`). They work beside a running follower: what they write is one move under the chain's lock.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable

from chains.families import rules_of
from chains.model import BlockHash
from gateway import store
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame, Group, add_chain
from gateway.compose import publish
from gateway.compose_chains import build_chain_desk, load_known_chains
from gateway.faces import Faces
from gateway.http.resources.chains import load_chain_objects
from gateway.http.shapes.chains import ChainObject
from gateway.process.database import open_for_command
from gateway.process.terminal import format_table
from gateway.store import AuditEntry
from indexer.move.commit import ChainDesk
from indexer.move.halts import commit_accept_reorg, commit_resume, commit_trust
from indexer.rows.storage import ChainRecord, LeaseLost

HEIGHT_MAX = 2**53 - 1

COLUMNS = ("alias", "state", "head", "tip", "final", "lag", "trust", "providers")
TRIES = 5

Write = Callable[[ChainDesk, ChainRecord], Awaitable[bool]]


async def _status(frame: Frame) -> int:
    settings = frame.settings()
    async with open_for_command(settings) as pool:
        faces = Faces(settings.chains, lambda: load_known_chains(pool))
        await faces.refresh()
        wanted = frame.arguments.chain
        if wanted is not None and faces.find(wanted) is None:
            raise BadUse(f"--chain {wanted}: not a chain of this installation")
        shown = [face for face in faces.all if wanted is None or wanted in (face.alias, face.chain)]
        objects = await load_chain_objects(pool, shown, frame.now())
    frame.terminal.data(
        {"items": objects},
        lambda: [*format_table([_row(one) for one in objects], COLUMNS), *_troubles(objects)],
    )
    return 1 if any(one.state in ("halted", "disputed", "stalled") for one in objects) else 0


def _row(chain: ChainObject) -> dict[str, object]:
    return {
        "alias": chain.alias,
        "state": chain.state,
        "head": chain.head_height,
        "tip": None if chain.tip is None else chain.tip.height,
        "final": chain.final_height,
        "lag": chain.lag_blocks,
        "trust": chain.trust,
        "providers": ", ".join(one.host + (" (failing)" if one.last_error else "") for one in chain.providers)
        or None,
    }


def _troubles(objects: list[ChainObject]) -> list[str]:
    lines = []
    for one in objects:
        if one.halt_reason is not None:
            lines.append(f"{one.alias} is halted: {one.halt_reason}")
            lines.append(
                f"  to go on with our own chain: chainbell chain resume --chain {one.alias}; "
                f"to follow theirs: chainbell chain accept-reorg --chain {one.alias} --fork HASH, the hash of our block "
                f"at height {one.halted_fork_height}"
            )
        elif one.held_height is not None:
            lines.append(
                f"{one.alias}: credit waits from block {one.held_height} on, whose rows are in doubt"
            )
            lines.append(
                f"  another operator's endpoint lifts it, or your word: chainbell chain trust --chain {one.alias} "
                "--until HEIGHT"
            )
        elif one.last_error:
            lines.append(f"{one.alias}: {one.last_error}")
        if one.unverified:
            lines.append(
                f"{one.alias} is unverified: one operator, and not all of its newest blocks could be verified in full; "
                "another operator's endpoint makes it two words"
            )
    return lines


async def _resume(frame: Frame) -> int:
    async def write(desk: ChainDesk, record: ChainRecord) -> bool:
        return await commit_resume(desk, record, now=frame.now())

    return await _commit(frame, "chain-resumed", {}, write)


async def _accept(frame: Frame) -> int:
    settings = frame.settings()
    family = frame.chain_of(settings).follow.traits.family
    try:
        fork: BlockHash = rules_of(family).parse_block_hash(frame.arguments.fork)
    except ValueError as error:
        raise BadUse(f"--fork: {error}") from error

    async def write(desk: ChainDesk, record: ChainRecord) -> bool:
        height = record.halted_fork_height
        # Under our lowest block we hold nothing to compare with: a hash that is not theirs halts the chain again.
        if height is not None and height >= record.start_height:
            ours = (await desk.store.load_hashes(record.chain, height, height)).get(height)
            if ours != fork:
                shown = "none" if ours is None else rules_of(family).format_block_hash(ours)
                raise CommandFailed(
                    f"--fork is not the block the chain would go back to: that is our block {height}, {shown}"
                )
        return await commit_accept_reorg(desk, record, fork_hash=fork, now=frame.now())

    return await _commit(frame, "reorg-accepted", {"fork": frame.arguments.fork}, write)


async def _trust(frame: Frame) -> int:
    until_height: int = frame.arguments.until

    async def write(desk: ChainDesk, record: ChainRecord) -> bool:
        return await commit_trust(desk, record, until_height=until_height, now=frame.now())

    unchanged = f"is vouched for up to {until_height} already"
    return await _commit(frame, "rows-trusted", {"until": until_height}, write, unchanged=unchanged)


async def _commit(
    frame: Frame, action: str, detail: dict[str, object], write: Write, *, unchanged: str = "is not halted"
) -> int:
    settings = frame.settings()
    chain = frame.chain_of(settings)
    async with open_for_command(settings) as pool:
        for _ in range(TRIES):
            desk, follow_store = await build_chain_desk(chain, pool, publish)
            record = await follow_store.load_chain(chain.follow.traits.chain)
            if record is None:
                raise CommandFailed(f"{chain.alias} has no first block yet")
            try:
                changed = await write(desk, record)
            except LeaseLost:
                continue  # another process took the chain between two lines; its epoch is read again
            break
        else:
            raise CommandFailed(f"{chain.alias} changes hands too often; try again")
        if changed:
            async with pool.acquire() as conn:
                await store.insert_audit(
                    conn, AuditEntry(frame.now(), frame.actor, action, record.chain, detail)
                )
    said = f"{chain.alias}: done" if changed else f"{chain.alias} {unchanged}"
    frame.terminal.data({"chain": record.chain, "changed": changed}, lambda: [said])
    return 0


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chain", metavar="ALIAS", help="only this one")


def _accept_arguments(parser: argparse.ArgumentParser) -> None:
    add_chain(parser)
    parser.add_argument(
        "--fork", metavar="HASH", required=True, help="our block that the rewind goes back to"
    )


def _trust_arguments(parser: argparse.ArgumentParser) -> None:
    add_chain(parser)
    parser.add_argument(
        "--until", metavar="HEIGHT", type=_height, required=True, help="the last block you vouch for"
    )


def _height(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > HEIGHT_MAX:
        raise argparse.ArgumentTypeError(f"a height between 0 and {HEIGHT_MAX}")
    return int(text)


CHAIN = Group(
    "chain",
    "followed chains: status, resume, accept-reorg, trust",
    (
        Command(
            "status",
            "where each chain stands; 1 if one is halted, disputed or stalled",
            _status,
            _status_arguments,
        ),
        Command("resume", "follow our own chain again after a halt", _resume, add_chain),
        Command(
            "accept-reorg",
            "allow one rewind below what was final, and follow the other branch",
            _accept,
            _accept_arguments,
        ),
        Command(
            "trust",
            "let credit rest on rows that could not be checked, up to a height",
            _trust,
            _trust_arguments,
        ),
    ),
)
