"""The golden schema: what a fully migrated database looks like, written to `schema.sql` and compared by a test.

Lives here: dumping the structure of a database with the embedded server's own pg_dump, and removing what differs from
run to run. `python -m tests.database.golden --write` (make schema) renews the file; review its diff like code.
Does not live here: the migrations that lead there (`migrations/sql`), and data (`migrations.backup`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from migrations.account import Account, run_as
from migrations.binaries import locate_binaries
from migrations.connect import connect
from migrations.embedded import embedded_database
from migrations.runner import migrate

GOLDEN_FILE = Path(__file__).with_name("schema.sql")
HEADING = "-- The schema all migrations together make. Written by `make schema`; never edited.\n"

_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)?$")


async def dump_schema(dsn: str) -> str:
    """The structure of the database at `dsn` as SQL, the same text for the same structure; RuntimeError if it fails."""
    parts = urlsplit(dsn)
    without_password = urlunsplit(parts._replace(netloc=f"{parts.username}@"))
    ourselves = Account(os.geteuid(), os.getegid(), switches=False)
    dumped = await run_as(
        ourselves,
        [
            locate_binaries().bin_dir / "pg_dump",
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "--no-password",
            f"--dbname={without_password}",
        ],
        cwd=Path("/"),
        environment={"PGPASSWORD": parts.password or ""},
    )
    if dumped.returncode != 0:
        raise RuntimeError(f"pg_dump failed: {dumped.output}")
    return normalise_dump(dumped.output)


def normalise_dump(text: str) -> str:
    """Drop what pg_dump writes about itself and the session, and leave one empty line between statements."""
    lines = ["" if _NOISE.match(line) else line for line in text.splitlines()]
    statements = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return f"{HEADING}\n{statements}\n"


async def dump_migrated_schema() -> str:
    """The structure all migrations make, from an embedded server started for this and thrown away."""
    with tempfile.TemporaryDirectory(prefix="chainbell-golden-") as directory:
        async with embedded_database(Path(directory)) as dsn:
            conn = await connect(dsn, application_name="golden")
            try:
                await migrate(conn)
            finally:
                await conn.close()
            return await dump_schema(dsn)


def main() -> int:
    """Write or print the golden schema; without `--write`, 1 when the file on disk is another."""
    parser = argparse.ArgumentParser(prog="python -m tests.database.golden", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write tests/database/schema.sql")
    arguments = parser.parse_args()
    schema = asyncio.run(dump_migrated_schema())
    if arguments.write:
        GOLDEN_FILE.write_text(schema, encoding="utf-8")
        return 0
    sys.stdout.write(schema)
    return 0 if schema == GOLDEN_FILE.read_text(encoding="utf-8") else 1


if __name__ == "__main__":
    sys.exit(main())
