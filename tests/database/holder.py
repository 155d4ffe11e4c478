"""A process of its own that uses an embedded database, for tests that kill it or run it as somebody else.

    python holder.py DATA_DIR [UID]

Prints the DSN when it is inside, leaves when its standard input ends. A problem is printed behind `problem:`.
Not here: what is tested (`test_embedded.py`).
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import pwd
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from migrations import binaries
from migrations.account import Account
from migrations.embedded import embedded_database
from migrations.errors import EmbeddedProblem


async def hold(data_dir: Path) -> None:
    with ThreadPoolExecutor(1) as reader:
        async with embedded_database(data_dir) as dsn:
            print(dsn, flush=True)
            await asyncio.get_running_loop().run_in_executor(reader, sys.stdin.read)


def take_programs_along(user: pwd.struct_passwd) -> None:
    """That user has an installation it can read, wherever this checkout lies; here it is the one root would make for it."""
    found = asyncio.run(binaries.reachable_binaries(Account(user.pw_uid, user.pw_gid, switches=True)))
    binaries.locate_binaries = lambda: found


def become(uid: int) -> None:
    if uid != os.geteuid():
        take_programs_along(pwd.getpwuid(uid))
    for codec in (
        "ascii",
        "idna",
    ):  # loaded when first asked for, when this uid may no longer read the installation
        codecs.lookup(codec)
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


if __name__ == "__main__":
    with contextlib.suppress(IndexError):
        become(int(sys.argv[2]))
    try:
        asyncio.run(hold(Path(sys.argv[1])))
    except EmbeddedProblem as problem:
        print(f"problem: {problem}", flush=True)
