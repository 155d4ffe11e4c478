"""What can be wrong with the database, in words an operator can act on.

Every message says what was found and what to do about it; the command line prints it as it stands.
Weather that passes (a connection lost while running) is `DatabaseAway`; `weather` says what of asyncpg's is that.
"""

from __future__ import annotations

from typing import ClassVar


class DatabaseProblem(Exception):
    """The database can not be used as it is; the message says what to do."""


class DatabaseAway(DatabaseProblem):
    """The database does not answer, or asks for the work again. What was asked may have happened; it may be repeated."""

    kind: ClassVar = "Retryable"
    """As metrics and logs count it."""


class DatabaseFull(DatabaseAway):
    """No space is left; nothing was lost, and nothing can be written until there is some."""

    kind = "StorageFull"


class DatabaseRefused(DatabaseProblem):
    """The database refuses us for good: a wrong password, a missing database."""


class DatabaseUnreachable(DatabaseProblem):
    """No connection could be made within the time allowed."""


class ServerTooOld(DatabaseProblem):
    """The server is older than the oldest PostgreSQL this program is written for."""


class PoolerBetween(DatabaseProblem):
    """A connection pooler that gives us no session of our own stands between us and PostgreSQL."""


class SchemaMismatch(DatabaseProblem):
    """The schema in the database is not the one this program was built with."""


class SchemaBehind(SchemaMismatch):
    """The database lacks migrations this program knows."""


class SchemaNewer(SchemaMismatch):
    """The database has migrations this program does not know."""


class ChecksumChanged(SchemaMismatch):
    """A migration that was applied here has another text now."""


class MigrationFailed(DatabaseProblem):
    """A migration raised; its transaction was rolled back and nothing of it remains."""


class MigrationsMalformed(DatabaseProblem):
    """The migration files themselves are wrong: a bad name, or a number used twice."""


class EmbeddedProblem(DatabaseProblem):
    """Our own PostgreSQL can not be set up, started or stopped."""


class BackupProblem(DatabaseProblem):
    """An archive can not be written, or can not be restored here."""
