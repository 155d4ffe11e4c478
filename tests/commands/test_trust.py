"""`chain trust`: an operator vouches for rows in doubt, and it is written down who did."""

from __future__ import annotations

import asyncpg
import pytest

from tests.commands.shell import Shell
from tests.commands.test_commands import DEAD_CHAIN

HELD = """insert into chains
  (chain, alias, genesis_hash, start_height, tip_height, tip_hash, agreed_height, held_height, created_at, moved_at)
values ('eip155:31337', 'local', 'g', 100, 105, 't', 102, 103, now(), now())"""


@pytest.mark.parametrize(
    ("until", "held"), [("103", 104), ("104", 105), ("105", None), ("9000", None), ("102", 103)]
)
async def test_what_is_vouched_for_is_held_no_more(shell: Shell, until: str, held: int | None) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    database = await asyncpg.connect(shell.database_url)
    await database.execute(HELD)
    shown = await shell.run("chain", "status")
    assert "credit waits from block 103" in shown.out + shown.err
    ended = await shell.run("chain", "trust", "--chain", "local", "--until", until)
    assert ended.status == 0, ended.err
    row = await database.fetchrow("select held_height, trusted_height, agreed_height from chains")
    assert row is not None
    assert tuple(row) == (held, int(until), 102)
    again = await shell.run("chain", "trust", "--chain", "local", "--until", until)
    assert "already" in again.out + again.err
    await database.close()


@pytest.mark.parametrize("until", ["-1", "0x10", "1e3", "", "9" * 17, "\u0661"])
async def test_a_height_that_is_none_is_refused(shell: Shell, until: str) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    ended = await shell.run("chain", "trust", "--chain", "local", f"--until={until}")
    assert ended.status == 2, ended.out
