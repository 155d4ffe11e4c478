"""Opens connections to PostgreSQL: time limits, codecs, and a refusal to work on the wrong server or schema.

Lives here: the pool every room is handed, single connections for commands, and the patience of the first connection.
Does not live here: our own server (`embedded`), applying migrations (`runner`). A connection lost later is replaced by
the pool; the loop that lost it sees asyncpg's exception and runs its step again.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from migrations.errors import DatabaseUnreachable, SchemaBehind, ServerTooOld
from migrations.handles import Connection, Pool
from migrations.pool import BoundedPool
from migrations.pooler import check_sessions, refused_start
from migrations.runner import pending

SERVER_MAJOR_MIN = 14
STATEMENT_TIMEOUT_S = 60.0
"""Far above any step (write transactions stay under 250 ms); audits read in bounded batches."""
LOCK_TIMEOUT_MS = 10_000
"""Locks are held for one commit; who waits longer is behind a mistake or a dead machine, and tries again."""
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000
"""A process that stopped inside a transaction must not hold a chain's or a merchant's lock for ever."""
GIVING_UP_LATER_S = 5.0
"""The client gives up so long after the server should have: this only catches a server that is gone."""
CONNECT_TIMEOUT_S = 10.0
ACQUIRE_TIMEOUT_S = 15.0
"""Whoever waits for a connection of a pool waits no longer: above a connection's own making, so that a slow server is told
from a pool in which nothing comes free. Steps begin again, and calls of the API end sooner (gateway.compose)."""
FIRST_CONNECTION_PATIENCE_S = 30.0
STATEMENTS_CACHED_MAX = 512
STATEMENT_CACHED_S = 3600

_NOT_YET = (
    OSError,  # nothing listens there, or no such socket; TimeoutError is one of them
    asyncpg.CannotConnectNowError,  # starting, stopping or recovering
    asyncpg.ConnectionDoesNotExistError,  # closed while we were introducing ourselves
    asyncpg.TooManyConnectionsError,
)

_log = structlog.get_logger()


async def open_pool(
    dsn: str,
    *,
    size: int,
    application_name: str,
    patience_s: float = FIRST_CONNECTION_PATIENCE_S,
    resets: bool = True,
    acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
) -> Pool:
    """A pool of at most `size` connections to a server and a schema this program can work with; the caller closes it.

    Retries the first connection for `patience_s`. Raises DatabaseUnreachable, ServerTooOld, SchemaBehind, SchemaNewer
    or another SchemaMismatch; what the server refuses for good (a wrong password) is asyncpg's own error. A connection
    that is given back is reset, by a statement of its own; without `resets` only an open transaction is rolled back, for
    borrowers who leave nothing else behind (settings or locks of the session) and come many times a second. Whoever waits
    for a connection is told ConnectionsBusy after `acquire_timeout_s`; a statement ends after `statement_timeout_s`, and five
    seconds later also where the server does not say so any more.
    """
    conn = await connect(dsn, application_name=application_name, patience_s=patience_s)
    try:
        await check_schema(conn)
    finally:
        await conn.close()

    async def reset(conn: Connection) -> None:
        """What asyncpg asks before a connection goes back; it has ended a transaction left open before."""
        if resets:
            await conn.execute(conn.get_reset_query())
        if not may_write(conn):
            await pool.expire_connections()

    pool = await BoundedPool(
        dsn,
        acquire_timeout_s=acquire_timeout_s,
        min_size=0,
        max_size=size,
        init=set_codecs,
        reset=reset,
        **_options(application_name, statement_timeout_s),
    )
    return pool


def may_write(conn: Connection) -> bool:
    """Whether the server takes writes from this session, as it said last: it tells every change by itself.

    A session may stay read-only when the server is not any more, or be one with a server that was made a standby; so no pool
    keeps any connection that was made before that was seen.
    """
    said = conn.get_settings()
    return (
        getattr(said, "in_hot_standby", "off")
        == getattr(said, "default_transaction_read_only", "off")
        == "off"
    )


async def connect(
    dsn: str, *, application_name: str, patience_s: float = FIRST_CONNECTION_PATIENCE_S
) -> asyncpg.Connection[asyncpg.Record]:
    """One connection with the same limits and codecs as the pool's, whatever the schema; the caller closes it.

    Raises DatabaseUnreachable after `patience_s`, ServerTooOld, and PoolerBetween.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(_NOT_YET),
        stop=stop_after_delay(patience_s),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        before_sleep=_report_retry,
        reraise=True,
    )
    try:
        conn: asyncpg.Connection[asyncpg.Record] = await attempts(
            asyncpg.connect, dsn, **_options(application_name)
        )
    except _NOT_YET as error:
        raise DatabaseUnreachable(
            f"the database did not answer within {patience_s:g} s ({_describe(error)}): check that PostgreSQL runs, "
            "and `database.url`"
        ) from error
    except asyncpg.ProtocolViolationError as error:
        raise refused_start(error) from error
    major = conn.get_server_version().major
    if major < SERVER_MAJOR_MIN:
        await conn.close()
        raise ServerTooOld(
            f"the server is PostgreSQL {major}; at least {SERVER_MAJOR_MIN} is needed: upgrade it, or leave "
            "`database.url` empty to use the embedded one"
        )
    try:
        await check_sessions(conn, lambda: asyncpg.connect(dsn, **_options(application_name)))
        await set_codecs(conn)
    except BaseException:
        conn.terminate()
        raise
    return conn


async def check_schema(conn: Connection) -> None:
    """Return when the database has exactly the migrations this program knows; a SchemaMismatch otherwise."""
    missing = await pending(conn)
    if missing:
        raise SchemaBehind(
            f"the database lacks {len(missing)} migration(s), from {missing[0].filename} on: run `chainbell migrate`"
        )


async def set_codecs(conn: Connection) -> None:
    """Make `json` and `jsonb` columns Python values, in binary so that COPY takes them too."""
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_jsonb, decoder=_decode_jsonb
    )
    await conn.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=msgspec.json.encode, decoder=msgspec.json.decode
    )


def _encode_jsonb(value: object) -> bytes:
    return b"\x01" + msgspec.json.encode(value)


def _decode_jsonb(data: bytes) -> Any:
    return msgspec.json.decode(data[1:])  # the first byte is the version of the binary form


def _options(application_name: str, statement_timeout_s: float = STATEMENT_TIMEOUT_S) -> dict[str, Any]:
    return {
        "timeout": CONNECT_TIMEOUT_S,
        "command_timeout": statement_timeout_s + GIVING_UP_LATER_S,
        "statement_cache_size": STATEMENTS_CACHED_MAX,
        "max_cached_statement_lifetime": STATEMENT_CACHED_S,
        "server_settings": {
            "application_name": application_name,
            "timezone": "UTC",
            "jit": "off",  # our statements are short; compiling one costs more than running it
            "statement_timeout": str(int(statement_timeout_s * 1000)),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
        },
    }


def _report_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    if state.attempt_number == 1:
        _log.warning("database-not-answering", error=_describe(error))


def _describe(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
