"""`chainbell replay` in its three forms, and what the merchant sees of it."""

from __future__ import annotations

import aiohttp

from tests.commands.developer import Developer, post
from tests.commands.shell import Shell


async def test_an_operators_replay_is_done_and_stands_in_the_merchants_trail_without_a_name(
    developer: Developer,
) -> None:
    shell: Shell = developer.shell
    await developer.publish("dep_" + "0" * 26, "dep_" + "1" * 26, "dep_" + "0" * 26)
    async with shell.service("--role", "gateway"):
        made = await post(shell, "/v1/endpoints", {"url": "http://127.0.0.1:9/"}, developer.api_key)
        asked = (
            (("--deposit", "dep_" + "0" * 26), (1, 3, 2)),
            (("--exhausted-since", "2026-11-20T08:00:00+01:00"), (None, None, 0)),
            (("--from-sequence", "2"), (2, 3, None)),
        )
        for arguments, (first, last, count) in asked:
            ended = await shell.run("replay", "--endpoint", made["id"], *arguments, "--json")
            assert (ended.status, ended.json) == (
                0,
                {"endpoint_id": made["id"], "from_sequence": first, "to_sequence": last, "deliveries": count},
            )
        nothing = await shell.run("replay", "--endpoint", made["id"], *asked[1][0])
        assert "nothing to deliver again" in nothing.out
        headers = {"Authorization": f"Bearer {developer.api_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{shell.base_url}/v1/endpoints/{made['id']}/audit") as response,
        ):
            lines = (await response.json())["items"]
    assert [(line["action"], line["actor"]) for line in lines[1:]] == [("replay-asked", "operator")] * 4
    assert lines[1]["detail"] == {"deposit": "dep_" + "0" * 26}
    assert await developer.pool.fetchval("select count(*) from endpoint_replays") == 2
    ended = await shell.run("replay", "--endpoint", made["id"], "--deposit", "dep_" + "2" * 26)
    assert (ended.status, ended.err.strip()) == (1, "chainbell: no event of this object is kept")
