"""`chainbell witness`: a process that signs along what it is shown, with a key and a memory of its own."""

from __future__ import annotations

import json
import signal
import stat
from datetime import UTC, datetime

import aiohttp

from relay import strict
from relay.keys import signing
from relay.proof import merkle, notes, witnessing
from tests.commands.shell import Shell

LOG_KEY = signing.signing_key_from_seed(b"l" * 32)
ORIGIN = "chainbell/log/mer_00000000000000000000000001/2/7"
KNOWN = notes.encode_verifier_key(
    "chainbell/log/mer_00000000000000000000000001/1/0", signing.public_bytes(LOG_KEY)
)


def submission(size: int) -> tuple[str, bytes]:
    root = merkle.compute_root([merkle.hash_leaf(bytes([n])) for n in range(size)])
    text = notes.compose_checkpoint(ORIGIN, size=size, root_hash=root)
    return text, f"old 0\n\n{notes.sign_note(text, ORIGIN, LOG_KEY, at=datetime.now(UTC))}".encode()


async def test_it_signs_along_every_epoch_of_a_log_it_knows(shell: Shell) -> None:
    arguments = (
        "witness",
        "--name",
        "w.example/1",
        "--folder",
        "seen",
        "--log",
        KNOWN,
        "--bind",
        "127.0.0.1:0",
    )
    process = await shell._start(*arguments, "--json")
    assert process.stdout is not None
    said = json.loads(await process.stdout.readline())
    text, body = submission(9)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{said['bind']}/add-checkpoint", data=body) as answer,
    ):
        assert answer.status == 200
        line = await answer.text()
    name, key = witnessing.parse_verifier_key(said["verifier_key"], notes.COSIGNATURE)
    raw = strict.decode_base64(line.strip().split(" ")[2])
    content = f"cosignature/v1\ntime {int.from_bytes(raw[4:12], 'big')}\n{text}".encode()
    assert strict.is_signed(key, content, [raw[12:]])
    assert name == "w.example/1"
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert stat.S_IMODE((shell.folder / "seen" / "key").stat().st_mode) == 0o600


async def test_bad_use_is_said(shell: Shell) -> None:
    for more, words in (
        (("--name", "w", "--log", "x"), "not a verifier key"),
        (("--name", "a b"), "no blanks"),
        (("--name", "w", "--bind", "x"), "a host and a port"),
    ):
        ended = await shell.run("witness", "--folder", "seen", *more)
        assert (ended.status, words in ended.err) == (2, True), ended.err
