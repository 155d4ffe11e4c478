"""A receiver that missed webhooks repairs its log through the pull API, with either kit."""

from __future__ import annotations

import asyncio
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay import verify
from tests.api.world import ANOTHER, World
from tests.node_program import run_node

PROGRAM = Path(__file__).with_name("repair.mjs")
Applied = list[tuple[int | None, str | None, int | None]]


def repair_in_python(base_url: str, key: str, saw: tuple[int, int], types: list[str]) -> dict[str, Any]:
    """What repair.mjs does."""
    tracker = verify.GapTracker(0)
    tracker.saw(*saw)
    applied: Applied = []
    verify.repair(
        tracker,
        verify.pull_pages(base_url, key, types=types),
        lambda event: applied.append((event.sequence, event.object_id, event.version)),
    )
    return {
        "applied": [list(one) for one in applied],
        "complete_to": tracker.complete_to,
        "gap": tracker.gap,
        "status": 200,
    }


def repair_in_node(base_url: str, key: str, saw: tuple[int, int], types: list[str]) -> dict[str, Any]:
    given = {"base_url": base_url, "key": key, "saw": [*saw, 1], "types": types}
    found: dict[str, Any] = run_node(PROGRAM, given)
    return found


@pytest.mark.parametrize("repair", [repair_in_python, repair_in_node])
async def test_what_is_missing_is_pulled_and_the_gap_is_closed(world: World, key: str, repair: Any) -> None:
    for address in (None, ANOTHER):
        await world.watch(key, *([address] if address else []))
    await world.pay()
    await world.pay(ANOTHER, empty=12)
    page = (await world.call("GET", "/v1/events", key=key)).json
    log = [
        [one["sequence"], one["data"]["deposit"]["id"], one["data"]["deposit"]["version"]]
        for one in page["items"]
    ]
    finals = [one["sequence"] for one in page["items"] if one["type"] == "deposit.final"]
    head = page["head_sequence"]
    assert (len(log), len(finals)) == (head, 2)
    everything = await asyncio.to_thread(repair, world.base_url, key, (head, head - 1), [])
    assert everything == {"applied": log[:-1], "complete_to": head, "gap": None, "status": 200}
    some = await asyncio.to_thread(repair, world.base_url, key, (head + 1, head), ["deposit.final"])
    assert ([one[0] for one in some["applied"]], some["complete_to"]) == (finals, head + 1)


async def test_a_refusal_leaves_the_gap_as_it_was(world: World) -> None:
    said = await asyncio.to_thread(repair_in_node, world.base_url, "cb_wrong", (5, 4), [])
    assert said == {"applied": [], "complete_to": 0, "gap": [0, 4], "status": 401}
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(repair_in_python, world.base_url, "cb_wrong", (5, 4), [])
    assert refused.value.code == 401
    refused.value.close()


async def test_a_redirect_never_takes_the_key_to_another_server() -> None:
    shown: list[str | None] = []

    async def send_away(request: web.Request) -> web.Response:
        if request.path != "/v1/events":
            shown.append(request.headers.get("Authorization"))
            return web.json_response({"items": [], "next": None, "head_sequence": 9})
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_get("/{path:.*}", send_away)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    said = await asyncio.to_thread(repair_in_node, base_url, "cb_key", (5, 4), [])
    assert said["gap"] == [0, 4]
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(repair_in_python, base_url, "cb_key", (5, 4), [])
    refused.value.close()
    assert shown == []
    await runner.cleanup()
