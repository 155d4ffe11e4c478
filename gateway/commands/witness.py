"""`chainbell witness`: sign along the checkpoints of logs, anybody's, as long as each continues the one before.

Lives here: the command: the key's file, the logs that are known, the address. Does not live here: what is signed along
(relay.proof.witnessing), the socket (`gateway.witness`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.config.shapes import parse_bind
from gateway.http.edge.server import BindFailed, serve
from gateway.witness import Memory, Witness
from relay.keys import signing
from relay.proof import notes
from relay.proof.witnessing import group_of, parse_verifier_key


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="what the witness is called: example.com/witness")
    parser.add_argument("--folder", metavar="DIR", required=True, help="its key and its memory")
    parser.add_argument(
        "--log", metavar="KEY", action="append", default=[], help="a log's verifier key; may be given again"
    )
    parser.add_argument("--bind", metavar="HOST:PORT", default="127.0.0.1:8490", help="where it answers")


async def _witness(frame: Frame) -> int:
    asked = frame.arguments
    if not asked.name or any(letter.isspace() or letter == "+" for letter in asked.name):
        raise BadUse("--name: a name has no blanks and no plus sign")
    logs: dict[str, list[bytes]] = {}
    for text in asked.log:
        try:
            origin, public_key = parse_verifier_key(text, notes.ED25519)
        except ValueError as error:
            raise BadUse(f"--log {text}: {error}") from error
        logs.setdefault(group_of(origin), []).append(public_key)
    try:
        bind = parse_bind(asked.bind)
    except ValueError as error:
        raise BadUse(f"--bind {asked.bind}: {error}") from error
    folder = Path(asked.folder)
    key = _load_key(folder)
    witness = Witness(asked.name, key, logs, Memory(folder), frame.now)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with serve(witness.build(), bind) as where:
            verifier_key = notes.encode_verifier_key(asked.name, signing.public_bytes(key), notes.COSIGNATURE)
            frame.terminal.data(
                {"verifier_key": verifier_key, "bind": str(where)},
                lambda: [f"verifier key  {verifier_key}", f"answers at    http://{where}/add-checkpoint"],
            )
            await stop.wait()
    except BindFailed as error:
        raise CommandFailed(str(error)) from error
    return 0


def _load_key(folder: Path) -> Ed25519PrivateKey:
    """The key of this witness, made at its first start."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "key"
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as made:
            made.write(signing.encode_signing_key(os.urandom(signing.SEED_BYTES)))
    try:
        return signing.decode_signing_key(file.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise CommandFailed(f"{file}: {error}") from error


WITNESS = Command("witness", "sign along the checkpoints of logs", _witness, _arguments, is_service=True)
