"""What commands say of heights under the lowest block we hold: nothing is claimed that was not done."""

from __future__ import annotations

import asyncpg

from tests.commands.shell import Shell
from tests.commands.test_commands import DEAD_CHAIN

THEIRS = "0x" + "ab" * 32
WATCHED = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

HALTED = """insert into chains
  (chain, alias, genesis_hash, start_height, tip_height, tip_hash, agreed_height, state, halt_reason,
   halted_fork_height, created_at, moved_at)
values ('eip155:31337', 'local', 'g', 100, 105, 't', 105, 'halted', 'a branch', $1, now(), now())"""

ADDRESS = """insert into addresses
  (id, merchant_id, chain, address, watching_from_height, watching_from_hash, effective_start, created_at)
values (gen_random_uuid(), gen_random_uuid(), 'eip155:31337', $1, 105, 't', 106, now())"""


async def test_a_reorganisation_right_under_our_start_can_be_accepted(shell: Shell) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    database = await asyncpg.connect(shell.database_url)
    await database.execute(HALTED, 99)
    ended = await shell.run("chain", "accept-reorg", "--chain", "local", "--fork", THEIRS)
    assert ended.status == 0, ended.err
    assert await database.fetchval("select accepted_fork_hash from chains") == bytes.fromhex(THEIRS[2:])
    await database.execute("delete from chains")
    await database.execute(HALTED, 103)
    ended = await shell.run("chain", "accept-reorg", "--chain", "local", "--fork", THEIRS)
    assert (ended.status, "not the block" in ended.err) == (1, True)
    await database.close()


async def test_a_rescan_under_our_start_does_not_say_that_it_read(shell: Shell) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    database = await asyncpg.connect(shell.database_url)
    await database.execute(HALTED, 103)
    await database.execute(ADDRESS, bytes.fromhex(WATCHED[2:]))
    await database.close()
    asked = ("rescan", "--chain", "local", "--from", "5", "--to", "10", "--json")
    ended = await shell.run(*asked)
    assert (ended.status, "nothing below height 100" in ended.err) == (1, True), ended.err
    ended = await shell.run(*asked, "--address", WATCHED)
    assert (ended.status, ended.json["done"]) == (0, False), ended.err


async def test_an_audit_of_what_we_do_not_hold_does_not_say_that_it_compared(shell: Shell) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    database = await asyncpg.connect(shell.database_url)
    await database.execute(HALTED, 103)
    await database.close()
    for first, last in ((5, 10), (0, 99), (106, 106), (10**9, 10**12)):
        ended = await shell.run(
            "audit", "--chain", "local", "--from", str(first), "--to", str(last), "--json"
        )
        assert ended.status == 1, ended.out
        assert "we hold 100 to 105" in ended.err, ended.err
