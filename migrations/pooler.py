"""Recognises a connection pooler between us and PostgreSQL, by what it does and not by its name.

We need sessions: locks that outlive a transaction, LISTEN, time limits, prepared statements. A pooler in transaction mode
gives every transaction another session, and all of these fail later and oddly; so it is refused where we connect first.
Lives here: the questions that tell. Does not live here: connecting (`connect`), the words for other troubles (`errors`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from migrations.errors import PoolerBetween
from migrations.handles import Connection
from migrations.queries import load_queries

QUERIES = load_queries("migrations", "pooler.sql")

ROUNDS = 3
"""A pooler that others use too may give us the same session twice by chance."""
ANSWER_TIMEOUT_S = 10.0

ADVICE = (
    "chainbell needs sessions of its own (advisory locks, LISTEN, prepared statements): point `database.url` at PostgreSQL "
    "itself, or set `pool_mode = session` for this database, with `ignore_startup_parameters = statement_timeout, "
    "lock_timeout, idle_in_transaction_session_timeout, jit` and these limits set for the role (`alter role … set …`)"
)
_SHARED = (
    asyncpg.InvalidSQLStatementNameError,  # what we prepared is in another session
    asyncpg.DuplicatePreparedStatementError,  # somebody else's is in ours
)

_log = structlog.get_logger()


async def check_sessions(conn: Connection, connect: Callable[[], Awaitable[Connection]]) -> None:
    """PoolerBetween where this connection is no session of its own; `connect` opens another one beside it.

    Costs a server without a pooler one short question.
    """
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            if await _load_session(conn) == conn.get_server_pid():
                return
            other = await connect()
            try:
                shared = [await _is_shared(conn, other) for _ in range(ROUNDS)]
            finally:
                await other.close(timeout=ANSWER_TIMEOUT_S)
    except (*_SHARED, TimeoutError) as error:
        raise _shares_sessions() from error
    except asyncpg.PostgresConnectionError as error:
        if "pooling" not in str(
            error
        ):  # statement mode hangs up on whoever begins a transaction, with these words
            raise
        raise _shares_sessions() from error
    if any(shared):
        raise _shares_sessions()
    if await conn.fetchval(QUERIES.load_lock_timeout) == "0":
        _log.warning("pooler-drops-time-limits", advice=ADVICE)


def refused_start(error: asyncpg.ProtocolViolationError) -> PoolerBetween:
    """What a pooler means that refuses a parameter which PostgreSQL knows."""
    return PoolerBetween(f"what answers is a pooler and not PostgreSQL ({error}): {ADVICE}")


def _shares_sessions() -> PoolerBetween:
    return PoolerBetween(
        f"a pooler answers for PostgreSQL, in transaction mode or with fewer sessions than we have connections: {ADVICE}"
    )


async def _is_shared(conn: Connection, other: Connection) -> bool:
    """Whether two connections, both open, are seen in one session, or one of them in two."""
    before = await _load_session(conn)
    async with other.transaction():
        beside = await other.fetchval(QUERIES.load_session)
        return before == beside or await _load_session(conn) != before


async def _load_session(conn: Connection) -> int:
    async with conn.transaction():  # preparing and asking in one session
        session: int = await conn.fetchval(QUERIES.load_session)
    return session
