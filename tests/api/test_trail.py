"""The trail of an endpoint: every deed with who did it, in order, for its own merchant only, and no secret in it."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.store import AuditEntry, insert_audit
from tests.api.test_endpoints import create
from tests.api.world import World
from tests.relay_live.receiver import Receiver

SECRETS = ("s3cret-path", "s3cret-value", "s3cret-query")


async def lines_of(world: World, key: str, endpoint_id: str) -> list[dict[str, Any]]:
    """The whole trail, read page by page."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await world.call("GET", f"/v1/endpoints/{endpoint_id}/audit?limit=2{after}", key=key)
        assert page.status == 200, page.body
        found += page.json["items"]
        if page.json["next"] is None:
            return found
        after = f"&after={page.json['next']}"


async def do(world: World, key: str, method: str, path: str, body: Any = None) -> Any:
    """One call that must be accepted; its answer."""
    reply = await world.call(method, path, body, key=key)
    assert reply.status < 300, (path, reply.body)
    return reply.json if reply.body else None


async def test_every_deed_leaves_one_line_in_order_with_the_key_that_asked(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    async with Receiver() as receiver:
        made = await create(world, key, url=receiver.url + "/s3cret-path", headers={"X-Key": "s3cret-value"})
        path = f"/v1/endpoints/{made['id']}"
        changes = {
            "url": receiver.url + "?k=s3cret-query",
            "headers": {"X-New": "s3cret-value"},
            "rate_per_s": 7,
        }
        await do(world, key, "PATCH", path, changes)
        await do(world, key, "POST", f"{path}/test")
    await do(world, key, "POST", f"{path}/rotate-secret", {"overlap_s": 60})
    await do(world, key, "POST", f"{path}/pause")
    await do(world, key, "POST", f"{path}/resume")
    await do(world, key, "POST", f"{path}/replay", {"from_sequence": 1, "to_sequence": 2})
    delivery = (await do(world, key, "GET", f"{path}/deliveries?state=pending"))["items"]
    assert (await world.call("POST", f"/v1/deliveries/{delivery[0]['id']}/retry", key=key)).status == 409
    await world.pool.execute("update endpoint_cursors set sequence = 4")
    await do(world, key, "POST", f"/v1/deliveries/{delivery[0]['id']}/retry")
    await do(world, key, "DELETE", path)
    lines = await lines_of(world, key, made["id"])
    assert [line["action"] for line in lines] == [
        "endpoint-created",
        "endpoint-changed",
        "endpoint-tested",
        "secret-rotated",
        "endpoint-paused",
        "endpoint-resumed",
        "replay-asked",
        "retry-asked",
        "endpoint-deleted",
    ]
    assert {line["actor"] for line in lines} == {"key_" + key.removeprefix("cb_")[:26]}
    assert lines[0]["detail"]["url"] == "127.0.0.1"
    assert lines[1]["detail"] == {"url": "127.0.0.1", "headers": ["X-New"], "rate_per_s": 7}
    assert lines[6]["detail"] == {"from_sequence": 1, "to_sequence": 2}
    assert lines[7]["detail"] == {"delivery_id": delivery[0]["id"], "sequence": delivery[0]["sequence"]}
    kept = str([dict(row) for row in await world.pool.fetch("select * from audit_trail")])
    for secret in (*SECRETS, made["secret"], "whsec_"):
        assert secret not in kept
        assert secret not in str(lines)


async def test_a_refused_deed_leaves_no_line(world: World, key: str) -> None:
    made = await create(world, key)
    path = f"/v1/endpoints/{made['id']}"
    for method, where, body in (
        ("PATCH", path, {"url": "http://[::1"}),
        ("PATCH", path, {"max_in_flight": 3, "event_types": ["deposit.nonsense"]}),
        ("POST", f"{path}/replay", {"from_sequence": 5}),
        ("POST", f"{path}/rotate-secret", {"overlap_s": -1}),
    ):
        assert (await world.call(method, where, body, key=key)).status == 422, where
    assert [line["action"] for line in await lines_of(world, key, made["id"])] == ["endpoint-created"]


async def test_a_repeated_call_leaves_one_line(world: World, key: str) -> None:
    made = await create(world, key)
    for _ in range(3):
        await world.call(
            "POST", f"/v1/endpoints/{made['id']}/pause", key=key, headers={"Idempotency-Key": "once"}
        )
    assert [line["action"] for line in await lines_of(world, key, made["id"])][1:] == ["endpoint-paused"]


async def test_nobody_reads_the_trail_of_anothers_endpoint(world: World, key: str) -> None:
    made = await create(world, key)
    stranger = await world.create_merchant("Stranger")
    for asked in (made["id"], "end_" + "0" * 26):
        assert (await world.call("GET", f"/v1/endpoints/{asked}/audit", key=stranger)).status == 404
    await world.call("POST", f"/v1/endpoints/{made['id']}/pause", key=stranger)
    assert len(await lines_of(world, key, made["id"])) == 1


async def test_the_operators_people_and_hosts_are_not_named(world: World, key: str) -> None:
    made = await create(world, key)
    entry = AuditEntry(
        world.services.clock(), "command:alice", "replay-asked", made["id"], {"from_sequence": 1}
    )
    async with world.pool.acquire() as conn:
        await insert_audit(conn, entry)
    lines = await lines_of(world, key, made["id"])
    assert lines[-1]["actor"] == "operator"
    assert "alice" not in str(lines)


async def test_lines_stand_in_the_order_in_which_things_were_done(world: World, key: str) -> None:
    made = await create(world, key)
    path = f"/v1/endpoints/{made['id']}"
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(do(world, key, "PATCH", path, {"description": f"number {number}"}))
    lines = await lines_of(world, key, made["id"])
    assert len(lines) == 21
    shown = (await world.call("GET", path, key=key)).json
    assert lines[-1]["detail"] == {"description": shown["description"]}


async def test_a_cursor_of_another_list_is_refused(world: World, key: str) -> None:
    made = await create(world, key)
    await create(world, key)
    foreign = (await world.call("GET", "/v1/endpoints?limit=1", key=key)).json["next"]
    for where in ("audit", "deliveries"):
        reply = await world.call("GET", f"/v1/endpoints/{made['id']}/{where}?after={foreign}", key=key)
        assert (reply.status, reply.pointers) == (422, ["/query/after"]), where
