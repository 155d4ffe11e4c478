"""Idempotency-Key: the same call again gives the first answer again, and does nothing.

What a call does and the answer that its repetitions get are written in one transaction, so there is no moment in which one
exists without the other. While it runs, an advisory lock of that transaction says "in progress"; a process that dies lets
go of it. A call that waits for a stranger holds no connection meanwhile: it writes that it is in progress, for a bounded
time, and its answer takes that row's place. An answer of 5xx rolls everything back and is not remembered.

Does not live here: the table (`gateway.store`), which calls take a key (`app`: every POST).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, cast
from uuid import UUID, uuid4

from gateway import store
from gateway.http.edge.calls import Answer, Stream
from gateway.http.edge.problem import CONTENT_TYPE, Problem, busy, problem_of
from gateway.store import RememberedAnswer
from migrations.errors import DatabaseProblem
from migrations.handles import Connection, Pool
from relay.errors import SecretUnreadable
from relay.keys.secretbox import Column, Place, SecretBox

REMEMBERED_FOR = timedelta(hours=24)
KEY_CHARACTERS_MAX = 255
REPLAYED = {"Idempotency-Replayed": "true"}
WAITING_CALL_MAX_S = 80.0
"""Above the longest attempt that may be configured, and the reads and writes around it."""
CLAIM_LEASE_S = 120.0
"""So long a key stays "in progress" after its process died: above all that one call may take, its end written included."""


class Repetition(Enum):
    """What a key that was seen before means."""

    FIRST = "first"
    SAME = "same"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """What identifies a call: who asks, where, under which key; and what is asked."""

    caller: UUID
    path: str
    key: str
    request_hash: bytes

    @property
    def place(self) -> Place:
        """Where its answer is kept; only the same request reads it."""
        row = self.request_hash + f"{self.path}\n{self.key}".encode()
        return Place(Column.REMEMBERED_ANSWER, self.caller, row)

    @property
    def lock_key(self) -> int:
        """32 bits, signed, for the advisory lock; two calls that share them wait for each other's end, no more."""
        digest = hashlib.sha256(f"{self.caller}\n{self.path}\n{self.key}".encode()).digest()
        return int.from_bytes(digest[:4], "big", signed=True)


def read_key(text: str) -> str:
    """The header's key; Problem 400 for one that can not be kept."""
    if not 1 <= len(text) <= KEY_CHARACTERS_MAX or not text.isascii() or not text.isprintable():
        raise Problem(400, f"an Idempotency-Key has 1 to {KEY_CHARACTERS_MAX} printable ASCII characters")
    return text


def compute_request_hash(query: str, body: bytes) -> bytes:
    """What must be the same for two calls to be one."""
    return hashlib.sha256(query.encode() + b"\n" + body).digest()


def decide_repetition(remembered: RememberedAnswer | None, request_hash: bytes) -> Repetition:
    """Whether this call is a first one, a repetition, or another one under a used key."""
    if remembered is None:
        return Repetition.FIRST
    return Repetition.SAME if remembered.request_hash == request_hash else Repetition.OTHER


async def answer_once(
    pool: Pool,
    box: SecretBox,
    call: KeyedCall,
    run: Callable[[Pool], Awaitable[Answer | Stream]],
    *,
    request_id: str,
    now: datetime,
) -> Answer:
    """Run the call, or give the answer of its first run. Problem 409 where neither is possible; raises as `run` does."""
    async with pool.acquire() as conn, conn.transaction():
        if not await store.try_lock_call(conn, call.lock_key):
            raise _in_progress()
        remembered = await _find(conn, box, call, now=now)
        if remembered is not None:
            return remembered
        answer = await _run_inside(conn, run, request_id)
        await _remember(conn, box, call, answer, now=now)
        return answer


async def answer_once_beside(
    pool: Pool,
    box: SecretBox,
    call: KeyedCall,
    run: Callable[[Pool], Awaitable[Answer | Stream]],
    *,
    request_id: str,
    now: datetime,
) -> Answer:
    """The same for a call that waits for a stranger: a row says "in progress", and no connection is held meanwhile."""
    claim = uuid4()
    async with pool.acquire() as conn, conn.transaction():
        if not await store.claim_call(
            conn, call.caller, call.path, call.key, claim=claim, lease_s=CLAIM_LEASE_S
        ):
            raise _in_progress()
        remembered = await _find(conn, box, call, now=now)
        if remembered is not None:
            await store.let_go_of_call(conn, call.caller, call.path, call.key, claim=claim)
            return remembered
    try:
        async with asyncio.timeout(WAITING_CALL_MAX_S):
            answer = await _answer_or_refusal(run(pool), request_id)
        async with pool.acquire() as conn, conn.transaction():
            # Whoever lost its claim was slower than all that may take; the answer is the other one's to remember.
            if await store.let_go_of_call(conn, call.caller, call.path, call.key, claim=claim):
                await _remember(conn, box, call, answer, now=now)
    except BaseException as error:
        await _let_go(pool, call, claim)
        if isinstance(error, TimeoutError):
            raise busy("this took too long") from error
        raise
    return answer


async def _let_go(pool: Pool, call: KeyedCall, claim: UUID) -> None:
    """Nothing was answered, so the call may be made again at once; without a database, when the claim is over."""
    with suppress(DatabaseProblem):
        async with pool.acquire() as conn:
            await store.let_go_of_call(conn, call.caller, call.path, call.key, claim=claim)


def _in_progress() -> Problem:
    return Problem(409, "a call with this Idempotency-Key is still in progress", headers={"Retry-After": "1"})


async def _find(conn: Connection, box: SecretBox, call: KeyedCall, *, now: datetime) -> Answer | None:
    remembered = await store.load_answer(conn, call.caller, call.path, call.key, now=now)
    match decide_repetition(remembered, call.request_hash):
        case Repetition.FIRST:
            return None
        case Repetition.OTHER:
            raise Problem(409, "this Idempotency-Key was used for another request")
        case Repetition.SAME:
            assert remembered is not None
            return Answer(
                remembered.status, _open_body(box, call, remembered.body), remembered.content_type, REPLAYED
            )


def _open_body(box: SecretBox, call: KeyedCall, sealed: bytes) -> bytes:
    try:
        return box.open(sealed, call.place)
    except SecretUnreadable as error:
        # Trying again would do the call a second time once the key expires.
        detail = "the call was done, but its answer can not be read any more: look at what it made"
        raise Problem(409, detail) from error


async def _remember(
    conn: Connection, box: SecretBox, call: KeyedCall, answer: Answer, *, now: datetime
) -> None:
    if not answer.is_remembered:
        return
    # Sealed, because the answer may be the only place where a new key or secret was shown.
    body = box.seal(answer.body, call.place)
    kept = RememberedAnswer(call.request_hash, answer.status, answer.content_type, body)
    await store.insert_answer(
        conn, call.caller, call.path, call.key, kept, now=now, expires_at=now + REMEMBERED_FOR
    )


async def _run_inside(
    conn: Connection, run: Callable[[Pool], Awaitable[Answer | Stream]], request_id: str
) -> Answer:
    """Run within a savepoint: a refusal undoes what was done, and is an answer like any other."""

    async def run_in_savepoint() -> Answer | Stream:
        async with conn.transaction():
            return await run(cast("Pool", OneConnection(conn)))

    return await _answer_or_refusal(run_in_savepoint(), request_id)


async def _answer_or_refusal(running: Awaitable[Answer | Stream], request_id: str) -> Answer:
    try:
        answer = await running
    except Exception as error:
        problem = problem_of(error)
        if problem is None or problem.status >= 500:
            raise
        return Answer(problem.status, problem.body(request_id), CONTENT_TYPE, problem.headers)
    assert isinstance(answer, Answer), "a stream is never asked for by POST"
    return answer


class OneConnection:
    """A pool of one connection, in the middle of its transaction: what rooms do with it commits with everything else."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """The connection; a transaction opened on it is a savepoint."""
        yield self._conn

    async def execute(self, query: str, *arguments: object) -> str:
        """As asyncpg's pool."""
        return await self._conn.execute(query, *arguments)

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """As asyncpg's pool."""
        return await self._conn.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> Any:
        """As asyncpg's pool."""
        return await self._conn.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        """As asyncpg's pool."""
        return await self._conn.fetchval(query, *arguments)
