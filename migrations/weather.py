"""What a database does on a bad day, in the same words for every room.

Lives here: which classes of asyncpg mean that the same call may be made again, once the server is back, is the primary
again or has let go of a lock, and which that the server refuses us. The pool maps whatever passes through it; who opens a
connection without one does so itself. Does not live here: a broken invariant, which stays asyncpg's own. Classes are
PostgreSQL's error codes, as asyncpg names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from migrations.errors import DatabaseAway, DatabaseFull, DatabaseRefused

PASSING: tuple[type[Exception], ...] = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # a stop, and a statement that was cancelled
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,  # a server that was made a standby under us
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a server's parting words met a statement that was just being sent
    OSError,  # TimeoutError is one of them
)
REFUSING = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


@contextmanager
def database_weather() -> Iterator[None]:
    """Raise DatabaseAway, DatabaseFull or DatabaseRefused for what asyncpg raises in the block."""
    try:
        yield
    except asyncpg.DiskFullError as error:  # one of the insufficient resources
        raise DatabaseFull(
            "the database's disk is full: free space on its volume; nothing was lost, and work goes on by itself"
        ) from error
    except REFUSING as error:
        raise DatabaseRefused(f"the database refuses: {error}") from error
    except PASSING as error:
        raise DatabaseAway(f"{type(error).__name__}: {error}") from error
