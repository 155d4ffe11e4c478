"""`chainbell migrate`: bring the database's schema up to date, or say what is missing.

Lives here: the command. Does not live here: applying (migrations.runner), choosing the database (`gateway.process.database`).
`run` migrates by itself; this is for those who want it apart from a start.
"""

from __future__ import annotations

import argparse

from gateway.commands.frame import Command, Frame
from gateway.process.database import load_pending, migrate_database, open_dsn


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if something is missing")


async def _migrate(frame: Frame) -> int:
    async with open_dsn(frame.settings()) as dsn:
        if frame.arguments.check:
            missing = await load_pending(dsn, application_name="chainbell-migrate")
            names = [migration.filename for migration in missing]
            frame.terminal.data({"pending": names}, lambda: names or ["nothing is pending"])
            return 1 if missing else 0
        applied = await migrate_database(dsn, application_name="chainbell-migrate")
        done = [migration.filename for migration in applied]
        frame.terminal.data({"applied": done}, lambda: done or ["nothing was pending"])
    return 0


MIGRATE = Command("migrate", "bring the database's schema up to date", _migrate, _arguments)
