"""`/v1/explain` and `/v1/coverage` answer merchants about their own payments and nobody else's."""

from __future__ import annotations

from tests.api.world import ANOTHER, WATCHED, World


async def test_a_payment_is_explained_by_its_transaction_and_by_its_address(world: World, key: str) -> None:
    world.services.sources[world.lines["local"].chain.traits.chain] = world.lines["local"].follower.source
    await world.watch(key)
    await world.pay()
    (deposit,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    by_tx = await world.call("GET", f"/v1/explain?chain=local&tx_hash={deposit['tx_hash']}", key=key)
    assert by_tx.status == 200, by_tx.body
    (finding,) = by_tx.json["findings"]
    assert finding["reason"] == "waiting"
    assert finding["deposit_id"] == deposit["id"]
    by_address = await world.call("GET", f"/v1/explain?chain=local&address={WATCHED}", key=key)
    assert by_address.json["findings"] == by_tx.json["findings"]


async def test_an_unknown_transaction_is_explained_without_any_provider(world: World, key: str) -> None:
    reply = await world.call("GET", f"/v1/explain?chain=local&tx_hash=0x{'ab' * 32}", key=key)
    assert reply.status == 200
    assert [finding["reason"] for finding in reply.json["findings"]] == ["not_seen"]


async def test_a_question_that_is_not_one_is_refused(world: World, key: str) -> None:
    assert (await world.call("GET", "/v1/explain?chain=local", key=key)).status == 422
    assert (await world.call("GET", "/v1/explain?chain=local&tx_hash=0x12", key=key)).status == 422
    assert (await world.call("GET", f"/v1/explain?chain=local&address={ANOTHER}", key=key)).status == 404
    assert (await world.call("GET", "/v1/coverage?chain=local&from=9&to=3", key=key)).status == 422


async def test_coverage_has_no_hole_and_says_what_lies_outside(world: World, key: str) -> None:
    watched = await world.watch(key)
    await world.pay(empty=4)
    tip = world.lines["local"].chain.head.height
    path = f"/v1/coverage?chain=local&address={WATCHED}&from=0&to={tip + 5}"
    coverage = (await world.call("GET", path, key=key)).json
    start = watched["watching_from"]["height"] + 1
    assert coverage["effective_start"] == start
    assert coverage["holes"] == []
    assert sum(part["blocks"] for part in coverage["ranges"]) == tip - start + 1
    assert {"first": tip + 1, "last": tip + 5} in coverage["not_covered"]


async def test_another_merchants_payment_is_not_explained(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay()
    (deposit,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    stranger = await world.create_merchant("Stranger")
    reply = await world.call("GET", f"/v1/explain?chain=local&tx_hash={deposit['tx_hash']}", key=stranger)
    assert all(finding["deposit_id"] is None for finding in reply.json["findings"])
    assert (await world.call("GET", f"/v1/explain?chain=local&address={WATCHED}", key=stranger)).status == 404
