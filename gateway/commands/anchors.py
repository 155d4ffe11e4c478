"""`chainbell logs anchor` and `logs anchored`: a note's hash for a transaction that somebody signs elsewhere, and its check.

Lives here: the two commands, the files and the plan they write. Nothing is signed or sent, and no key is needed. Does not live
here: when an anchor holds (relay.verify_log), making checkpoints (relay.proof.checkpoints).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from chains.families import rules_of
from chains.model import ChainId
from chains.traits import Family
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.process.database import open_for_command
from migrations.ids import encode_id
from relay.log.bodies import format_time
from relay.proof import checkpoints
from relay.strict import WHOLE_MAX
from relay.verify_log import ANCHOR_TAG, NOTE_LENGTH_MAX, ProofInvalid, verify_anchor

FORMAT = "chainbell-anchor-1"
OP_RETURN = 0x6A
_CHAIN = re.compile(r"eip155:([1-9][0-9]{0,17})")


def _anchor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--merchant", metavar="ID", default=argparse.SUPPRESS, help="whose log (mer_...)")
    parser.add_argument("--size", metavar="N", type=int, help="the checkpoint of this size; else the newest")
    parser.add_argument("--folder", metavar="DIR", default=".", help="where the files are written")
    parser.add_argument("--chain", metavar="A", help="plan an EVM transaction, too: an alias, or eip155:N")
    parser.add_argument("--to", metavar="0x…", help="its recipient: an account of whoever will sign it")


async def _anchor(frame: Frame) -> int:
    asked = frame.arguments
    merchant_id = frame.id_of("mer", "merchant")
    if asked.size is not None and not 1 <= asked.size <= WHOLE_MAX:
        raise BadUse(f"--size {asked.size}: no checkpoint has that size")
    call = _plan_call(frame)
    async with open_for_command(frame.settings()) as pool, pool.acquire() as conn:
        checkpoint = await checkpoints.load_last(conn, merchant_id, size=asked.size)
    if checkpoint is None:
        raise CommandFailed("there is no checkpoint of this log, or none of that size")
    note = checkpoint.note + checkpoint.cosignatures
    digest = hashlib.sha256(note.encode()).digest()
    payload = ANCHOR_TAG + digest
    plan: dict[str, object] = {"bitcoin": {"script": (bytes([OP_RETURN, len(payload)]) + payload).hex()}}
    if call is not None:
        plan["evm"] = {**call, "value": "0x0", "data": "0x" + payload.hex()}
    described = {
        "format": FORMAT,
        "merchant_id": encode_id("mer", merchant_id),
        "checkpoint_id": encode_id("chk", checkpoint.checkpoint_id),
        "size": checkpoint.size,
        "algorithm": "sha256",
        "digest": digest.hex(),
        "note": note,
        "created_at": format_time(frame.now()),
        **plan,
    }
    name = f"{described['checkpoint_id']}-{digest.hex()[:8]}"
    files = {"note_file": f"{name}.note", "anchor_file": f"{name}.anchor.json"}
    contents = (note.encode(), msgspec.json.format(msgspec.json.encode(described)) + b"\n")
    folder = Path(asked.folder)
    try:
        await asyncio.to_thread(_write, folder, dict(zip(files.values(), contents, strict=True)))
    except OSError as error:
        raise BadUse(f"--folder {folder}: {error.strerror or 'cannot be written'}") from error
    shown = {"digest": digest.hex(), **files, **plan}
    frame.terminal.data(shown, lambda: _say(folder, shown))
    return 0


def _say(folder: Path, shown: dict[str, Any]) -> list[str]:
    lines = [
        f"digest   {shown['digest']} (SHA-256)",
        f"note     {folder / shown['note_file']}",
        f"plan     {folder / shown['anchor_file']}",
        f"bitcoin  an output of value 0 with the script {shown['bitcoin']['script']}",
    ]
    if evm := shown.get("evm"):
        lines.append(f"evm      chain {int(evm['chainId'], 16)}, to {evm['to']}, value 0, data {evm['data']}")
    return lines


def _plan_call(frame: Frame) -> dict[str, str] | None:
    """Where the transaction goes; None where none is asked for."""
    chain, to = frame.arguments.chain, frame.arguments.to
    if chain is None and to is None:
        return None
    if chain is None or to is None:
        raise BadUse("--chain and --to are given together")
    found = _CHAIN.fullmatch(chain)
    if found is None:
        found = _CHAIN.fullmatch(frame.chain_of(frame.settings()).follow.traits.chain)
    if found is None:
        raise BadUse(f"--chain {chain}: no chain of the EVM family")
    rules, chain_id = rules_of(Family.EVM), ChainId(found[0])
    try:
        address = rules.parse_address(chain_id, to)
    except ValueError as error:
        raise BadUse(f"--to {to}: {error}") from error
    return {"chainId": hex(int(found[1])), "to": rules.encode_identity(chain_id, address)}


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _anchored_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("note", metavar="NOTE", help="a file with exactly the note")
    parser.add_argument(
        "anchored", metavar="HEX", help="the transaction's input data, or the script of its output"
    )


async def _anchored(frame: Frame) -> int:
    asked = frame.arguments
    try:
        note = (await asyncio.to_thread(_read, Path(asked.note))).decode()
        verify_anchor(note, asked.anchored)
    except OSError as error:
        raise BadUse(f"{asked.note}: {error.strerror or 'cannot be read'}") from error
    except (UnicodeDecodeError, ProofInvalid) as error:
        raise CommandFailed(f"not anchored: {error}") from error
    digest = hashlib.sha256(note.encode()).hexdigest()
    frame.terminal.data(
        {"digest": digest},
        lambda: [f"anchored: {digest}", "  this note existed when the block of that transaction was made"],
    )
    return 0


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(4 * NOTE_LENGTH_MAX)


ANCHOR = Command(
    "anchor",
    "write a note, its hash, and transactions that hold it, to be signed elsewhere",
    _anchor,
    _anchor_arguments,
)
ANCHORED = Command(
    "anchored", "check that a transaction holds the hash of a note; 1 if not", _anchored, _anchored_arguments
)
