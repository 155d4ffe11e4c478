"""`chainbell retention`: what it says about days, holders and strangers, and that `run` does what it announces."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from migrations.connect import connect
from migrations.handles import Connection
from migrations.ids import encode_id
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms, Rules
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from tests.commands.shell import Shell
from tests.database.relay.stages import MERCHANT, facts_of

LOOKS = 600


async def two_days(conn: Connection, *, now: datetime) -> str:
    """An event of 40 days ago, one of today, and a paused endpoint that had neither; returns the endpoint's id."""
    old = now - timedelta(days=40)
    async with conn.transaction():
        await log.append(conn, facts_of(("dep_a", 1, "deposit.included")), now=old)
    async with conn.transaction():
        await log.append(conn, facts_of(("dep_a", 2, "deposit.included")), now=now)
    await log.make_partitions(conn, now=now)
    box, rules = SecretBox([bytes(32)]), Rules((), allow_private_networks=False)
    async with conn.transaction():
        terms = EndpointTerms(url="https://shop.example/")
        made, _ = await endpoints.create_endpoint(
            conn, box, MERCHANT, terms, rules=rules, from_sequence=1, now=old
        )
        await endpoints.pause_endpoint(conn, box, MERCHANT, made.endpoint_id, now=now)
    return encode_id("end", made.endpoint_id)


async def test_it_says_which_days_are_kept_and_who_holds_them(shell: Shell) -> None:
    now = datetime.now(UTC)
    conn = await connect(shell.database_url, application_name="test")
    endpoint_id = await two_days(conn, now=now)
    old, today = ((now - timedelta(days=ago)).date().isoformat() for ago in (40, 0))
    said = (await shell.run("retention", "--json")).json
    assert [one["day"] for one in said["days"]] == [old, today]
    assert {one["why"] for one in said["days"]} == {"kept for ever: relay.retention_days is not set"}
    assert said["holders"] == []
    shell.extra = "retention_days = 30\nretention_max_days = 60"
    shell.write_config()
    said = (await shell.run("retention", "--json")).json
    assert [one["why"] for one in said["days"]] == [
        f"held: needed from {old} on, see below",
        "younger than 30 days",
    ]
    assert all(one["bytes"] > 0 for one in said["days"])
    (holder,) = said["holders"]
    assert (holder["endpoint_id"], holder["needs"], holder["sequence"]) == (endpoint_id, "cursor", 1)
    assert (holder["day"], holder["state"], holder["warned_since"]) == (old, "paused", None)
    assert holder["lost_at"][:10] == (now + timedelta(days=21)).date().isoformat()
    assert holder["do"] == "resume the endpoint, or delete it"
    shown = await shell.run("retention")
    assert shown.status == 0
    assert f"held: needed from {old} on" in shown.out
    assert endpoint_id in shown.out
    await conn.close()


async def test_a_running_relay_drops_what_the_command_says_goes(shell: Shell) -> None:
    now = datetime.now(UTC)
    conn = await connect(shell.database_url, application_name="test")
    await two_days(conn, now=now)
    await conn.execute("update endpoint_cursors set sequence = 2")
    shell.extra = "retention_days = 30"
    shell.write_config()
    said = (await shell.run("retention", "--json")).json
    assert said["days"][0]["why"] == "goes as soon as a running relay gets to it"
    async with shell.service("--role", "relay", "--role", "gateway"):
        for _ in range(LOOKS):
            # Another process, in two steps: out of the log, and then away.
            said = (await shell.run("retention", "--json")).json
            if len(said["days"]) == 1:
                break
            await asyncio.sleep(0.1)
    assert await log.load_oldest_sequence(conn, MERCHANT) == 2
    assert len(said["days"]) == 1
    await conn.close()
