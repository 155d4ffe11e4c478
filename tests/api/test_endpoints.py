"""Endpoints and deliveries over HTTP; what a delivery does is tested with the relay."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web

from gateway.http.edge.limits import KEY_LISTS
from migrations.ids import encode_id
from tests.api.world import World
from tests.relay_live.receiver import Received, Receiver, accept

URL = "https://shop.example/hook"


async def create(world: World, key: str, **members: Any) -> Any:
    """A new endpoint, as answered."""
    reply = await world.call("POST", "/v1/endpoints", {"url": URL, **members}, key=key)
    assert reply.status == 201, reply.body
    return reply.json


async def test_the_secret_is_shown_once(world: World, key: str) -> None:
    made = await create(world, key, headers={"X-Shop": "hidden-value"}, event_types=["deposit.confirmed"])
    assert made["secret"].startswith("whsec_")
    assert made["public_key"].startswith("whpk_")
    shown = await world.call("GET", f"/v1/endpoints/{made['id']}", key=key)
    listed = await world.call("GET", "/v1/endpoints", key=key)
    assert "secret" not in shown.json
    assert shown.json["header_names"] == ["X-Shop"]
    for reply in (shown, listed):
        assert b"hidden-value" not in reply.body
        assert made["secret"].encode() not in reply.body
    assert listed.json["items"] == [shown.json]


async def test_what_retention_dropped_before_it_was_delivered_stands_on_the_endpoint(
    world: World, key: str
) -> None:
    made = await create(world, key)
    assert made["lost"] == []
    async with world.pool.acquire() as conn:
        await conn.execute(
            """insert into endpoint_losses (endpoint_id, first_sequence, last_sequence, reason, events, lost_at)
            select endpoint_id, n, n + 1, 'undelivered', 2, '2026-03-01' from endpoints, generate_series(1, 50, 2) n"""
        )
    shown = (await world.call("GET", f"/v1/endpoints/{made['id']}", key=key)).json["lost"]
    assert shown == (await world.call("GET", "/v1/endpoints", key=key)).json["items"][0]["lost"]
    assert len(shown) == 20
    assert shown[0] == {
        "first_sequence": 49,
        "last_sequence": 50,
        "reason": "undelivered",
        "events": 2,
        "lost_at": "2026-03-01T00:00:00Z",
    }


BAD = [
    ({"url": "ftp://shop.example"}, "/url"),
    ({"url": "http://user:password@shop.example"}, "/url"),
    ({"url": URL, "event_types": ["deposit.paid"]}, "/event_types/0"),
    ({"url": URL, "event_types": []}, "/event_types"),
    ({"url": URL, "headers": {"Host": "x"}}, "/headers/Host"),
    ({"url": URL, "headers": {"X": "a\nb"}}, "/headers/X"),
    ({"url": URL, "max_in_flight": 0}, "/max_in_flight"),
    ({"url": URL, "rate_per_s": -1}, "/rate_per_s"),
    ({"url": URL, "drain": "newest"}, "/drain"),
    ({"url": URL, "from_sequence": 99}, "/from_sequence"),
    ({"url": URL, "descripton": "x"}, "/descripton"),
]


async def test_what_is_wrong_is_422_with_a_pointer(world: World, key: str) -> None:
    for body, pointer in BAD:
        reply = await world.call("POST", "/v1/endpoints", body, key=key)
        assert (reply.status, reply.pointers) == (422, [pointer]), reply.body
    assert (await world.call("GET", "/v1/endpoints", key=key)).json["items"] == []


async def test_a_change_touches_only_what_it_names(world: World, key: str) -> None:
    made = await create(world, key, description="one", rate_per_s=5, event_types=["deposit.final"])
    path = f"/v1/endpoints/{made['id']}"
    changed = (await world.call("PATCH", path, {"description": "two"}, key=key)).json
    assert (changed["description"], changed["rate_per_s"], changed["event_types"]) == (
        "two",
        5,
        ["deposit.final"],
    )
    opened = (await world.call("PATCH", path, {"event_types": None, "rate_per_s": None}, key=key)).json
    assert (opened["event_types"], opened["rate_per_s"]) == (None, None)
    assert (await world.call("PATCH", path, {"url": "nonsense"}, key=key)).status == 422
    assert (await world.call("PATCH", path, {"secret": "x"}, key=key)).status == 422


async def test_a_challenge_that_is_echoed_verifies_and_anything_else_says_what_came_back(
    world: World, key: str
) -> None:
    async with Receiver() as receiver:
        made = await create(world, key, url=receiver.url)
        assert (made["verification"], made["verification_failure"]) == ("verified", None)  # on this machine
        await world.pool.execute("update endpoints set verification = 'pending', challenge_at = now()")
        path = f"/v1/endpoints/{made['id']}"
        refused = (await world.call("POST", f"{path}/verify", key=key)).json
        assert (refused["verification"], refused["failure"]) == ("pending", "not_echoed")
        assert (refused["outcome"], refused["status_code"]) == ("delivered", 204)
        shown = (await world.call("GET", path, key=key)).json
        assert (shown["verification"], shown["verification_failure"]) == ("pending", "not_echoed")

        async def echo(received: Received) -> web.Response:
            return web.json_response({"challenge": received.event["data"]["challenge"]})

        receiver.answer = echo
        proven = (await world.call("POST", f"{path}/verify", key=key)).json
        assert (proven["verification"], proven["failure"]) == ("verified", None)
        receiver.answer = accept
        again = (await world.call("POST", f"{path}/verify", key=key)).json
        assert (again["verification"], again["failure"]) == ("verified", "not_echoed")  # what is proven stays
        assert (await world.call("GET", path, key=key)).json["verification_failure"] is None
        assert (await world.call("POST", "/v1/endpoints/end_unknown/verify", key=key)).status == 404


async def test_how_an_outage_is_drained_is_all_until_asked_otherwise(world: World, key: str) -> None:
    assert (await create(world, key))["drain"] == "all"
    made = await create(world, key, drain="latest_only", rate_per_s=5)
    path = f"/v1/endpoints/{made['id']}"
    assert (await world.call("GET", path, key=key)).json["drain"] == "latest_only"
    assert (await world.call("PATCH", path, {"rate_per_s": 6}, key=key)).json["drain"] == "latest_only"
    assert (await world.call("PATCH", path, {"drain": "all"}, key=key)).json["drain"] == "all"
    for wrong in ("", None, "none", ["all"]):
        reply = await world.call("PATCH", path, {"drain": wrong}, key=key)
        assert (reply.status, reply.pointers) == (422, ["/drain"]), reply.body
    listed = await world.call("GET", f"{path}/deliveries?state=covered", key=key)
    assert (listed.status, listed.json["items"]) == (200, [])


async def test_pause_resume_rotate_and_delete_do_what_they_say(world: World, key: str) -> None:
    made = await create(world, key)
    path = f"/v1/endpoints/{made['id']}"
    assert (await world.call("POST", f"{path}/pause", key=key)).json["state"] == "paused"
    assert (await world.call("POST", f"{path}/resume", {}, key=key)).json["state"] == "active"
    assert (await world.call("POST", f"{path}/resume", {"x": 1}, key=key)).status == 422
    rotated = await world.call("POST", f"{path}/rotate-secret", {"overlap_s": 60}, key=key)
    assert rotated.json["secret"] not in ("", made["secret"])
    assert (await world.call("POST", f"{path}/rotate-secret", {"overlap_s": -1}, key=key)).status == 422
    assert (await world.call("DELETE", path, key=key)).status == 204
    assert (await world.call("GET", path, key=key)).status == 404
    types = [event["type"] for event in (await world.call("GET", "/v1/events", key=key)).json["items"]]
    assert types == ["endpoint.paused", "endpoint.resumed"]


async def test_everybody_may_read_the_public_keys_of_a_merchant_with_the_time_each_holds(
    world: World, key: str
) -> None:
    made = await create(world, key)
    other = await create(world, key)
    await create(world, await world.create_merchant("Another"))
    started = await world.call("POST", f"/v1/endpoints/{made['id']}/pause", key=key)
    assert started.status == 200
    event = (await world.call("GET", "/v1/events", key=key)).json["items"][0]
    path = f"/.well-known/chainbell/{event['merchant_id']}/keys.json"
    rotated = await world.call("POST", f"/v1/endpoints/{made['id']}/rotate-key", {"overlap_s": 60}, key=key)
    assert rotated.status == 200
    reply = await world.call("GET", path)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "public, max-age=300")
    assert reply.json["merchant_id"] == event["merchant_id"]
    listed = [(one["endpoint_id"], one["public_key"], one["valid_until"]) for one in reply.json["keys"]]
    former = reply.json["keys"][1]["valid_until"]
    assert listed == [
        (made["id"], rotated.json["public_key"], None),
        (made["id"], made["public_key"], former),
        (other["id"], other["public_key"], None),
    ]
    gone_s = (
        datetime.fromisoformat(former) - datetime.fromisoformat(rotated.json["valid_from"])
    ).total_seconds()
    assert gone_s == 60
    shown = (await world.call("GET", f"/v1/endpoints/{made['id']}", key=key)).json
    assert shown["public_key"] == rotated.json["public_key"]


async def test_a_list_of_keys_tells_nothing_of_who_exists_and_not_too_often(world: World, key: str) -> None:
    await world.create_merchant("Without endpoints")
    merchants = (await world.admin("GET", "/v1/merchants")).json["items"]
    nobody = encode_id("mer", UUID(int=1))
    for merchant_id in (merchants[-1]["merchant_id"], nobody, "mer_x", "end_x"):
        reply = await world.call("GET", f"/.well-known/chainbell/{merchant_id}/keys.json")
        assert (reply.status, reply.json["detail"][:16]) == (404, "there is no such")
    path = f"/.well-known/chainbell/{nobody}/keys.json"
    reply = await world.call("GET", path)
    for _ in range(KEY_LISTS.requests * 2):
        if reply.status != 404:
            break
        reply = await world.call("GET", path)
    assert (reply.status, "Retry-After" in reply.headers) == (429, True)
    assert (await world.call("GET", "/v1/endpoints", key=key)).status == 200


async def test_a_test_event_is_sent_once_also_when_repeated(world: World, key: str) -> None:
    async with Receiver() as receiver:
        made = await create(world, key, url=receiver.url)
        for _ in range(2):
            reply = await world.call(
                "POST", f"/v1/endpoints/{made['id']}/test", key=key, headers={"Idempotency-Key": "t"}
            )
            assert (reply.status, reply.json["outcome"], reply.json["status_code"]) == (200, "delivered", 204)
        assert len(receiver.received) == 1
    again = await world.call("POST", f"/v1/endpoints/{made['id']}/test", key=key)
    assert (again.status, again.json["outcome"]) == (200, "unreachable")


async def test_deliveries_are_listed_and_replayed_by_sequence(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    made = await create(world, key, from_sequence=1)
    path = f"/v1/endpoints/{made['id']}"
    page = (await world.call("GET", f"{path}/deliveries?limit=1", key=key)).json
    assert [item["sequence"] for item in page["items"]] == [1]
    assert page["items"][0]["state"] == "pending"
    rest = (await world.call("GET", f"{path}/deliveries?limit=1&after={page['next']}", key=key)).json
    assert ([item["sequence"] for item in rest["items"]], rest["next"]) == ([2], None)
    one = await world.call("GET", f"/v1/deliveries/{page['items'][0]['id']}", key=key)
    assert one.json["attempts"] == []
    assert (await world.call("POST", f"/v1/deliveries/{one.json['id']}/retry", key=key)).status == 409
    assert (await world.call("GET", f"{path}/deliveries?state=lost", key=key)).status == 422
    assert (await world.call("POST", f"{path}/replay", {"from_sequence": 5}, key=key)).status == 422
    behind = await create(world, key)
    accepted = await world.call("POST", f"/v1/endpoints/{behind['id']}/replay", {"from_sequence": 1}, key=key)
    assert (accepted.status, accepted.json["to_sequence"]) == (202, 2)


async def test_one_deposit_and_what_was_exhausted_are_replayed_by_name(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    (deposit,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    made = await create(world, key)
    path = f"/v1/endpoints/{made['id']}/replay"
    accepted = await world.call("POST", path, {"deposit_id": deposit["id"].upper()}, key=key)
    assert (accepted.status, accepted.json) == (
        202,
        {"endpoint_id": made["id"], "from_sequence": 1, "to_sequence": 2, "deliveries": 2},
    )
    nothing = await world.call("POST", path, {"exhausted_since": "2026-11-20T08:00:00+01:00"}, key=key)
    assert (nothing.status, nothing.json["deliveries"], nothing.json["from_sequence"]) == (202, 0, None)
    unknown = await world.call("POST", path, {"deposit_id": "dep_" + "0" * 26}, key=key)
    assert unknown.status == 404


BAD_REPLAYS = [
    ({}, "/from_sequence"),
    ({"from_sequence": 0}, "/from_sequence"),
    ({"deposit_id": "end_" + "0" * 26}, "/deposit_id"),
    ({"deposit_id": "dep_" + "0" * 26, "from_sequence": 1}, "/from_sequence"),
    ({"exhausted_since": "yesterday"}, "/exhausted_since"),
    ({"exhausted_since": "2026-11-20T08:00:00"}, "/exhausted_since"),
    ({"exhausted_since": "0001-01-01T00:00:00+14:00"}, "/exhausted_since"),
    ({"exhausted_since": "2026-11-20T08:00:00Z", "deposit_id": "dep_" + "0" * 26}, "/deposit_id"),
    ([], ""),
]


async def test_what_a_replay_is_of_is_said_in_one_way(world: World, key: str) -> None:
    path = f"/v1/endpoints/{(await create(world, key))['id']}/replay"
    for body, pointer in BAD_REPLAYS:
        reply = await world.call("POST", path, body, key=key)
        assert (reply.status, reply.pointers) == (422, [pointer]), (body, reply.body)
