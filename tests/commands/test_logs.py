"""`chainbell logs`: says that logs are sound, and what is wrong with one that somebody wrote in."""

from __future__ import annotations

from datetime import UTC, datetime

from migrations.connect import connect
from migrations.ids import encode_id
from relay import log
from tests.commands.shell import Shell
from tests.database.relay.stages import MERCHANT, facts_of


async def test_it_reads_every_log_and_finds_what_was_rewritten(shell: Shell) -> None:
    conn = await connect(shell.database_url, application_name="test")
    async with conn.transaction():
        told = facts_of(("dep_a", 1, "deposit.included"), ("dep_b", 1, "deposit.included"))
        await log.append(conn, told, now=datetime.now(UTC))
    sound = await shell.run("logs")
    assert (sound.status, sound.out.splitlines()[0]) == (0, "1 logs, 2 events, 0 faults")
    await conn.execute("alter table events disable trigger user")
    await conn.execute("update events set body = body || ' ' where sequence = 1")
    for only in ((), ("--merchant", encode_id("mer", MERCHANT))):
        broken = await shell.run("logs", "--json", *only)
        assert broken.status == 1
        assert broken.json["events"] == 2
        faults = [(one["sequence"], one["fault"]) for one in broken.json["faults"]]
        assert (2, "does not continue the hash chain") in faults
    assert (await shell.run("logs", "--merchant", "mer_nobody")).status == 2
    await conn.close()
