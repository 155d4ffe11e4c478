"""Watching addresses: one, many, on every chain; repetitions, conflicts and what is wrong with a request."""

from __future__ import annotations

from typing import Any

from tests.api.world import ANOTHER, WATCHED, World


async def test_a_new_address_is_watched_from_the_tip(world: World, key: str) -> None:
    reply = await world.call(
        "POST",
        "/v1/addresses",
        {"chain": "local", "address": WATCHED.lower(), "reference": "order-17", "metadata": {"a": [1, None]}},
        key=key,
    )
    assert reply.status == 201
    made = reply.json
    tip = world.lines["local"].chain.head
    assert made["address"] == WATCHED
    assert (made["chain"], made["chain_alias"]) == ("eip155:31337", "local")
    assert made["watching_from"] == {"height": tip.height, "hash": "0x" + tip.hash.hex()}
    assert made["metadata"] == {"a": [1, None]}
    assert (await world.call("GET", f"/v1/addresses/{made['id']}", key=key)).json == made


async def test_the_same_again_is_200_and_the_same_object(world: World, key: str) -> None:
    first = await world.watch(key, reference="a")
    again = await world.call(
        "POST", "/v1/addresses", {"chain": "eip155:31337", "address": WATCHED, "reference": "a"}, key=key
    )
    assert (again.status, again.json) == (200, first)


async def test_the_same_address_with_other_particulars_is_409(world: World, key: str) -> None:
    await world.watch(key, reference="a")
    changes: list[dict[str, Any]] = [{"reference": "b"}, {"reference": None}, {"metadata": {"x": 1}}]
    for change in changes:
        body = {"chain": "local", "address": WATCHED, "reference": "a"} | change
        assert (await world.call("POST", "/v1/addresses", body, key=key)).status == 409


async def test_case_112_a_star_watches_every_configured_evm_chain(world: World, key: str) -> None:
    reply = await world.call("POST", "/v1/addresses", {"chain": "*", "address": WATCHED}, key=key)
    assert reply.status == 201
    assert [item["chain_alias"] for item in reply.json["items"]] == ["local", "other"]


async def test_many_are_all_or_nothing_and_errors_point_at_the_item(world: World, key: str) -> None:
    items = [{"chain": "local", "address": f"0x{n:040x}"} for n in range(1, 4)]
    bad = [*items, {"chain": "local", "address": "0x" + "zz" * 20}]
    refused = await world.call("POST", "/v1/addresses", {"items": bad}, key=key)
    assert (refused.status, refused.pointers) == (422, ["/items/3/address"])
    assert (await world.call("GET", "/v1/addresses", key=key)).json["items"] == []
    accepted = await world.call("POST", "/v1/addresses", {"items": items}, key=key)
    assert accepted.status == 201
    assert [item["address"].lower() for item in accepted.json["items"]] == [item["address"] for item in items]


async def test_a_conflict_among_many_points_at_the_item_and_adds_nothing(world: World, key: str) -> None:
    await world.watch(key, reference="a")
    items = [{"chain": "local", "address": ANOTHER}, {"chain": "local", "address": WATCHED, "reference": "b"}]
    reply = await world.call("POST", "/v1/addresses", {"items": items}, key=key)
    assert (reply.status, reply.pointers) == (409, ["/items/1"])
    assert len((await world.call("GET", "/v1/addresses", key=key)).json["items"]) == 1


BAD = [
    ({"chain": "local", "address": WATCHED[:-1] + "9"}, "/address"),
    ({"chain": "local", "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, "/address"),
    ({"chain": "local", "address": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"}, "/address"),
    ({"chain": "local", "address": "0x1234"}, "/address"),
    ({"chain": "nowhere", "address": WATCHED}, "/chain"),
    ({"chain": "local", "address": 7}, "/address"),
    ({"chain": "local"}, "/address"),
    ({"chain": "local", "address": WATCHED, "adress": 1}, "/adress"),
    ({"chain": "local", "address": WATCHED, "reference": "x" * 300}, "/reference"),
    ({"chain": "local", "address": WATCHED, "reference": "a\0b"}, "/reference"),
    ({"chain": "local", "address": WATCHED, "metadata": {"a": "\0"}}, "/metadata/a"),
    ({"chain": "local", "address": WATCHED, "metadata": {"a": "x" * 9000}}, "/metadata"),
    ({"chain": "local", "address": WATCHED, "metadata": {"a": [1e308] * 40}}, "/metadata"),
    ({"chain": "local", "address": WATCHED, "metadata": {"a": {"b": [-1e308] * 40}}}, "/metadata"),
    ({"chain": "local", "address": WATCHED, "memo": "7"}, "/memo"),
    ({"chain": "local", "address": WATCHED, "memo": ""}, "/memo"),
    ({"chain": "*", "address": WATCHED, "memo": "7"}, "/memo"),
    ({"items": [{"chain": "local", "address": WATCHED, "memo": "7"}]}, "/items/0/memo"),
    ({"chain": "local", "address": WATCHED, "from_height": -1}, "/from_height"),
    ({"chain": "local", "address": WATCHED, "from_height": "7"}, "/from_height"),
    ({"items": []}, "/items"),
    ({"items": [{"chain": "*", "address": WATCHED}]}, "/items/0/chain"),
    ({"items": [{"chain": "local", "address": WATCHED}] * 1001}, "/items"),
]


async def test_what_is_wrong_is_422_with_a_pointer(world: World, key: str) -> None:
    for body, pointer in BAD:
        reply = await world.call("POST", "/v1/addresses", body, key=key)
        assert (reply.status, reply.pointers) == (422, [pointer]), reply.body


async def test_numbers_of_metadata_are_the_same_when_they_come_again(world: World, key: str) -> None:
    numbers = [1e16, 1e20, 1e23, -1e23, 1e300, 1e-5, 1e-300, 0.1, 1.0, -0.0, 2**64 + 1, 10**400]
    body = {"chain": "local", "address": WATCHED, "metadata": {"a": numbers}}
    first, again = [await world.call("POST", "/v1/addresses", body, key=key) for _ in range(2)]
    assert (first.status, again.status, again.body) == (201, 200, first.body), again.body
    listed = await world.call("GET", "/v1/addresses", key=key)
    assert listed.json["items"] == [first.json]


async def test_a_lower_from_height_asks_for_history(world: World, key: str) -> None:
    made = await world.watch(key)
    assert made["pending_start"] is None
    again = await world.call(
        "POST", "/v1/addresses", {"chain": "local", "address": WATCHED, "from_height": 0}, key=key
    )
    assert (again.status, again.json["pending_start"]) == (200, 0)


async def test_lists_page_through_everything_once(world: World, key: str) -> None:
    items = [{"chain": "local", "address": f"0x{n:040x}"} for n in range(1, 8)]
    await world.call("POST", "/v1/addresses", {"items": items}, key=key)
    seen: list[str] = []
    path = "/v1/addresses?limit=3"
    while path:
        page = (await world.call("GET", path, key=key)).json
        seen += [item["address"].lower() for item in page["items"]]
        path = f"/v1/addresses?limit=3&after={page['next']}" if page["next"] else ""
    assert sorted(seen) == [item["address"] for item in items]


async def test_a_cursor_of_another_list_is_refused(world: World, key: str) -> None:
    for address in (WATCHED, ANOTHER):
        await world.watch(key, address=address)
        await world.call("POST", "/v1/endpoints", {"url": "https://shop.example/"}, key=key)
    cursors = {}
    for path in ("/v1/addresses", "/v1/endpoints"):
        cursors[path] = (await world.call("GET", f"{path}?limit=1", key=key)).json["next"]
    for path in (*cursors, "/v1/deposits", "/v1/events/checkpoints"):
        for of, cursor in cursors.items():
            reply = await world.call("GET", f"{path}?after={cursor}", key=key)
            assert reply.status == (200 if of == path else 422), (of, path)


async def test_filters_find_what_they_name(world: World, key: str) -> None:
    await world.watch(key, reference="a")
    await world.watch(key, ANOTHER, reference="b")
    found = (await world.call("GET", f"/v1/addresses?address={ANOTHER}&chain=local", key=key)).json["items"]
    assert [item["reference"] for item in found] == ["b"]
    assert (await world.call("GET", "/v1/addresses?reference=c", key=key)).json["items"] == []
    assert (await world.call("GET", "/v1/addresses?chain=nowhere", key=key)).status == 422


async def test_a_deleted_address_is_gone_and_may_come_again(world: World, key: str) -> None:
    made = await world.watch(key)
    assert (await world.call("DELETE", f"/v1/addresses/{made['id']}", key=key)).status == 204
    assert (await world.call("GET", f"/v1/addresses/{made['id']}", key=key)).status == 404
    assert (await world.call("DELETE", f"/v1/addresses/{made['id']}", key=key)).status == 404
    assert (await world.watch(key))["id"] != made["id"]
