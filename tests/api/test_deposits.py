"""Deposits as merchants read them: live confirmations, filters, pages, and the history they were told."""

from __future__ import annotations

import json

import msgspec

from gateway.http.shapes.deposits import DepositObject
from tests.api.world import ANOTHER, WATCHED, World


async def test_a_deposit_is_shown_as_the_contract_says(world: World, key: str) -> None:
    made = await world.watch(key, reference="order-17")
    await world.pay(amount=15 * 10**17)
    (item,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    assert msgspec.convert(item, DepositObject, strict=True).amount_base_units == "1500000000000000000"
    assert set(item) == {field.encode_name for field in msgspec.structs.fields(DepositObject)}
    assert (item["amount"], item["symbol"], item["state"]) == ("1.5", "ETH", "included")
    assert (item["reference"], item["address_id"], item["to"]) == ("order-17", made["id"], WATCHED)
    assert item["credited_base_units"] == "0"
    assert (await world.call("GET", f"/v1/deposits/{item['id']}", key=key)).json == item


async def test_confirmations_are_counted_live_and_credit_follows_the_policy(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=1)
    (item,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    assert (item["confirmations"], item["state"], item["version"]) == (2, "included", 1)
    await world.lines["local"].mine(empty=1)
    (item,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    assert (item["confirmations"], item["state"], item["version"]) == (4, "confirmed", 2)
    assert item["credited_base_units"] == item["amount_base_units"]


async def test_the_history_holds_the_bytes_of_every_event(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    (item,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    history = (await world.call("GET", f"/v1/deposits/{item['id']}/history", key=key)).json
    assert [event["type"] for event in history["items"]] == [
        "deposit.confirmed",
        "deposit.final",
    ]
    assert history["next"] is None
    first = history["items"][0]
    exact = await world.call("GET", f"/v1/events/{first['id']}", key=key)
    whole = await world.call("GET", f"/v1/deposits/{item['id']}/history?limit=1", key=key)
    assert exact.body in whole.body
    second = await world.call(
        "GET", f"/v1/deposits/{item['id']}/history?limit=1&after={whole.json['next']}", key=key
    )
    assert [event["type"] for event in second.json["items"]] == ["deposit.final"]


async def test_filters_find_what_they_name_and_nothing_else(world: World, key: str) -> None:
    await world.watch(key, reference="a")
    await world.watch(key, ANOTHER, reference="b")
    await world.pay(WATCHED, 5)
    await world.pay(ANOTHER, 7)
    every = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    assert [item["amount_base_units"] for item in every] == ["5", "7"]
    first, second = every
    for query in (
        f"address={ANOTHER}",
        "reference=b",
        f"tx_hash={second['tx_hash'].upper().replace('0X', '0x')}",
        f"since={second['first_seen_at']}",
        "chain=local&state=included&reference=b",
        f"asset={second['asset'].upper().replace('EIP155', 'eip155')}&reference=b",
    ):
        found = (await world.call("GET", f"/v1/deposits?{query}", key=key)).json["items"]
        assert [item["id"] for item in found] == [second["id"]], query
    until = (await world.call("GET", f"/v1/deposits?until={second['first_seen_at']}", key=key)).json["items"]
    assert [item["id"] for item in until] == [first["id"]]
    assert (await world.call("GET", "/v1/deposits?state=final", key=key)).json["items"] == []
    for query in (
        "state=paid",
        "tx_hash=0x12",
        "since=yesterday",
        "since=2026-01-01T00:00:00",
        "address=0x12",
    ):
        reply = await world.call("GET", f"/v1/deposits?{query}", key=key)
        assert (reply.status, reply.pointers) == (422, [f"/query/{query.split('=')[0]}"]), query


async def test_pages_are_oldest_first_and_stand_still_while_deposits_arrive(world: World, key: str) -> None:
    await world.watch(key)
    for amount in range(1, 6):
        await world.pay(amount=amount)
    page = (await world.call("GET", "/v1/deposits?limit=2", key=key)).json
    await world.pay(amount=6)
    seen = [item["amount_base_units"] for item in page["items"]]
    while page["next"]:
        page = (await world.call("GET", f"/v1/deposits?limit=2&after={page['next']}", key=key)).json
        seen += [item["amount_base_units"] for item in page["items"]]
    assert seen == ["1", "2", "3", "4", "5", "6"]


async def test_a_token_that_is_configured_no_more_can_still_be_shown(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay()
    await world.pool.execute("update chains set alias = 'former' where chain = 'eip155:31337'")
    world.services.faces._follow.clear()
    await world.services.faces.refresh()
    (item,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    assert (item["chain_alias"], item["symbol"]) == ("former", "ETH")
    assert json.dumps(item)
