"""Asking witnesses to sign our checkpoints along (C2SP tlog-witness), and keeping what they sign.

Lives here: one bounded step a witness: which checkpoints it has not signed, the proof from what it signed last, its answer read
with the key it is configured by. A witness that is away, slow or of another mind costs nobody else anything and is asked again
with the next round. Does not live here: being one (`witnessing`), when a log is signed (`checkpoints`).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from migrations.handles import Connection
from migrations.queries import load_queries
from relay import strict
from relay.errors import LogBroken
from relay.model import Outcome
from relay.out.egress import Egress
from relay.proof import merkle, notes, tree
from relay.settings import WitnessSettings

QUERIES = load_queries("relay", "cosigners.sql")

BATCH = 50
Connect = Callable[[], AbstractAsyncContextManager[Connection]]
_log = structlog.get_logger()
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,14})\n?")


@dataclass(frozen=True, slots=True)
class Unsigned:
    """The newest checkpoint of a log, not signed along yet; `since`: the size this witness signed of this epoch, or 0."""

    checkpoint_id: UUID
    merchant_id: UUID
    size: int
    note: str
    since: int


async def load_unsigned(conn: Connection, witness: WitnessSettings, *, after: UUID) -> list[Unsigned]:
    """Up to BATCH of them, by merchant behind `after`."""
    rows = await conn.fetch(QUERIES.load_unsigned, _prefix(witness), after, BATCH)
    return [Unsigned(**row) for row in rows]


async def compose_submission(conn: Connection, one: Unsigned, since: int) -> bytes:
    """The body of `add-checkpoint`. LogBroken where no proof can be made."""
    path: list[bytes] = []
    if 0 < since < one.size:
        path = await tree.load_roots(conn, one.merchant_id, merkle.compute_consistency(since, one.size))
    lines = "".join(f"{b64encode(node).decode()}\n" for node in path)
    return f"old {since}\n{lines}\n{one.note}".encode()


def read_size(outcome: Outcome, one: Unsigned) -> int | None:
    """Where the witness wants the proof to begin, where that can be."""
    found = _SIZE.fullmatch(outcome.excerpt) if outcome.status_code == 409 else None
    return int(found[1]) if found and int(found[1]) <= one.size else None


def read_cosignature(outcome: Outcome, one: Unsigned, witness: WitnessSettings) -> str | None:
    """The line of this witness, with a signature that holds; what else it sent is not kept."""
    if outcome.status_code != 200:
        return None
    text = one.note.partition("\n\n")[0] + "\n"
    key_id = notes.compute_key_id(witness.name, witness.public_key, notes.COSIGNATURE)
    for line in outcome.excerpt.decode("utf-8", "replace").split("\n"):
        try:
            raw = strict.decode_base64(line.removeprefix(_prefix(witness)))
        except ValueError:
            continue
        if len(raw) != 4 + 8 + 64 or not raw.startswith(key_id):
            continue
        content = f"cosignature/v1\ntime {int.from_bytes(raw[4:12], 'big')}\n{text}".encode()
        if strict.is_signed(witness.public_key, content, [raw[12:]]):
            return f"{line}\n"
    return None


async def ask_witness(connect: Connect, egress: Egress, witness: WitnessSettings, *, now: datetime) -> int:
    """One round over all logs; returns how many checkpoints it signed along. No connection is held while it thinks."""
    count, last = 0, UUID(int=0)
    while True:
        async with connect() as conn:
            found = await load_unsigned(conn, witness, after=last)
        for one in found:
            last = one.merchant_id
            count += await _ask(connect, egress, witness, one, now)
        if len(found) < BATCH:
            return count


async def _ask(
    connect: Connect, egress: Egress, witness: WitnessSettings, one: Unsigned, now: datetime
) -> bool:
    since: int | None = one.since
    tries, outcome = 2, None  # the second time from where the witness says that it stands
    while since is not None and tries:
        tries -= 1
        try:
            async with connect() as conn:
                body = await compose_submission(conn, one, since)
        except LogBroken:  # the operator is told when it is to be signed again
            return False
        headers = {"content-type": "text/plain; charset=utf-8"}
        outcome = await egress.post(f"{witness.url}/add-checkpoint", headers, body, now=now)
        if (line := read_cosignature(outcome, one, witness)) is not None:
            async with connect() as conn:
                await keep(conn, one, witness, line)
            return True
        since = read_size(outcome, one)
    assert outcome is not None, "it was asked once at least"
    _log.warning(
        "not-witnessed", witness=witness.name, outcome=outcome.kind, status=outcome.status_code, size=one.size
    )
    return False


async def keep(conn: Connection, one: Unsigned, witness: WitnessSettings, line: str) -> None:
    """Show it behind the note; once, whoever asked."""
    await conn.execute(QUERIES.keep_cosignature, one.checkpoint_id, line, _prefix(witness))


def _prefix(witness: WitnessSettings) -> str:
    return f"\N{EM DASH} {witness.name} "
