"""`chainbell logs`: says that logs are sound, what is wrong with one that somebody wrote in, and plans anchors of what was signed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pytest

from migrations.connect import connect
from migrations.ids import encode_id
from relay.log import eventlog as log
from relay.verify_log import verify_anchor
from tests.commands.shell import Shell
from tests.database.relay import notary
from tests.database.relay.notary import sign, tell
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


@pytest.mark.timeout(300)  # a dozen processes, one after the other
async def test_it_plans_the_anchor_of_a_note_and_checks_what_became_of_it(shell: Shell) -> None:
    conn = await connect(shell.database_url, application_name="test")
    merchant = ("--merchant", encode_id("mer", notary.MERCHANT))
    folder = shell.folder / "anchors"
    await tell(conn, 2)
    nothing = await shell.run("logs", "anchor", *merchant, "--folder", str(folder))
    assert (nothing.status, "no checkpoint" in nothing.err) == (1, True)
    signed = await sign(conn)
    await tell(conn, 3)
    newest = await sign(conn)
    line = "\N{EM DASH} witness.example AAAAAAAA\n"
    await conn.execute("update log_checkpoints set cosignatures = $1 where size = 5", line)

    to = "0x" + "11" * 20
    where = ("--folder", str(folder), "--chain", "eip155:10", "--to", to)
    planned = await shell.run("logs", "anchor", "--json", *merchant, *where)
    assert planned.status == 0, planned.err
    note = newest.note + line
    digest = hashlib.sha256(note.encode()).hexdigest()
    assert planned.json["digest"] == digest
    assert (folder / planned.json["note_file"]).read_bytes() == note.encode()
    kept = json.loads((folder / planned.json["anchor_file"]).read_text())
    assert (kept["format"], kept["algorithm"], kept["note"]) == ("chainbell-anchor-1", "sha256", note)
    assert datetime.fromisoformat(kept["created_at"]).tzinfo is not None
    assert kept["evm"] == {"chainId": "0xa", "to": to, "value": "0x0", "data": f"0x63626c31{digest}"}
    assert kept["bitcoin"] == {"script": f"6a2463626c31{digest}"}
    assert len(bytes.fromhex(kept["bitcoin"]["script"])) <= 80
    for anchored in (kept["evm"]["data"], kept["bitcoin"]["script"]):
        verify_anchor(note, anchored)
        held = await shell.run("logs", "anchored", str(folder / planned.json["note_file"]), anchored)
        assert (held.status, "existed when" in held.out) == (0, True)
        altered = await shell.run("logs", "anchored", str(folder / planned.json["anchor_file"]), anchored)
        assert (altered.status, "another note" in altered.err) == (1, True)

    said = (await shell.run("logs", "anchor", *merchant, *where)).out
    assert f"evm      chain 10, to {to}, value 0, data 0x63626c31{digest}" in said

    earlier = await shell.run("logs", "anchor", "--json", *merchant, "--size", "2", "--folder", str(folder))
    assert (folder / earlier.json["note_file"]).read_text() == signed.note
    assert "evm" not in json.loads((folder / earlier.json["anchor_file"]).read_text())
    assert sorted(earlier.json) == ["anchor_file", "bitcoin", "digest", "note_file"]

    for wrong in (
        ("--chain", "eip155:10"),
        ("--chain", "eip155:0", "--to", to),
        ("--size", "99999999999999999999"),
        ("--chain", "eip155:10", "--to", "0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1A1A1a1A1a1a2"),
    ):
        refused = await shell.run("logs", "anchor", *merchant, "--folder", str(folder), *wrong)
        assert (refused.status, "Traceback" in refused.err) == (2, False), refused.err
    assert (await shell.run("logs", "anchor", "--folder", str(folder))).status == 2
    assert (await shell.run("logs", "anchored", str(folder / "none"), "0x")).status == 2
    unwritable = await shell.run(
        "logs", "anchor", *merchant, "--folder", str(folder / planned.json["note_file"])
    )
    assert (unwritable.status, "Traceback" in unwritable.err) == (2, False)
    await conn.close()
