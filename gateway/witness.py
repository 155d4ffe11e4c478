"""A witness as a server: C2SP tlog-witness behind a socket, with a memory of one small file for each origin.

Lives here: `add-checkpoint`, and keeping what was signed along, on disk before it is answered. Does not live here: what is signed
along (`relay.proof.witnessing`), the command (`gateway.commands.witness`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.proof import notes
from relay.proof.witnessing import SUBMISSION_BYTES_MAX, Submission, Witnessed, decide, parse_submission

SIZE_TYPE = "text/x.tlog.size"


@dataclass(slots=True)
class Memory:
    """The last checkpoint of each origin, one file each; written whole or not at all."""

    folder: Path

    def load(self, origin: str) -> Witnessed | None:
        """What was signed along last."""
        try:
            kept = json.loads(self._file(origin).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Witnessed(kept["size"], bytes.fromhex(kept["root_hash"]))

    def store(self, asked: Submission) -> None:
        """Keep it, so that it is there after a loss of power."""
        file = self._file(asked.origin)
        kept = {"origin": asked.origin, "size": asked.size, "root_hash": asked.root_hash.hex()}
        partial = file.with_suffix(".new")
        with partial.open("w", encoding="utf-8") as opened:
            opened.write(json.dumps(kept))
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
        directory = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _file(self, origin: str) -> Path:
        return self.folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.json"


@dataclass(slots=True)
class Witness:
    """One witness: its name and key, the logs it knows, and what it signed along before."""

    name: str
    key: Ed25519PrivateKey
    logs: Mapping[str, Sequence[bytes]]
    memory: Memory
    now: Callable[[], datetime]
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def build(self) -> web.Application:
        """The application; `add-checkpoint` is all there is."""
        application = web.Application(client_max_size=SUBMISSION_BYTES_MAX)
        application.router.add_post("/add-checkpoint", self._add_checkpoint)
        return application

    async def _add_checkpoint(self, request: web.Request) -> web.Response:
        try:
            asked = parse_submission(await request.read())
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        # Looking and keeping are one step: two submissions at once would let the log go back to the smaller one.
        async with self._turn:
            refusal = decide(self.logs, self.memory.load(asked.origin), asked)
            if refusal is None:
                self.memory.store(asked)
        if refusal is None:
            return web.Response(text=notes.cosign(asked.text, self.name, self.key, at=self.now()))
        if refusal.size is not None:
            return web.Response(status=409, body=f"{refusal.size}\n".encode(), content_type=SIZE_TYPE)
        return web.Response(status=refusal.status, text=f"{refusal.words}\n")
