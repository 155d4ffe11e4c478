"""What a database raises on a bad day that passes: the same list for every room.

Lives here: the classes of asyncpg after which the same call may be made again, once the server is back, is the primary
again or has let go of a lock. Does not live here: what a room calls it then (its own exceptions), a full disk, and what
never passes by itself (a wrong password, a broken invariant). Classes are PostgreSQL's error codes, as asyncpg names them.
"""

from __future__ import annotations

import asyncpg

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
"""`DiskFullError` is among the insufficient resources: who has words for it catches it first."""
