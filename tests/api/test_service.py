"""What operators and machines ask: chains, health, readiness, metrics, the description and its page."""

from __future__ import annotations

import msgspec
import pytest

from gateway.http import openapi
from gateway.http.edge.calls import OpenAccess
from gateway.http.operations import OPERATIONS
from gateway.http.shapes import chains as shapes_chains
from indexer.rows.work_store import ChainStatus, write_checks, write_status
from tests.api.world import World, read_clock


async def test_a_chain_is_shown_by_alias_and_by_id_without_urls(world: World, key: str) -> None:
    listed = await world.call("GET", "/v1/chains", key=key)
    assert [item["alias"] for item in listed.json["items"]] == ["local", "other"]
    one = await world.call("GET", "/v1/chains/local", key=key)
    assert one.json == (await world.call("GET", "/v1/chains/eip155:31337", key=key)).json
    shown = msgspec.convert(one.json, shapes_chains.ChainObject, strict=True)
    assert (shown.state, shown.trust, shown.lag_blocks) == ("following", "single", 0)
    assert {"header-hash", "receipts-root"} <= {one.check for one in shown.checks}
    assert {(one.state, one.reason) for one in shown.checks} == {("enforced", None)}
    assert (shown.doubts, shown.held_height) == ([], None)
    assert shown.tip is not None
    assert shown.tip.height == world.lines["local"].chain.head.height
    assert b"http://" not in listed.body
    assert (await world.call("GET", "/v1/chains/nowhere", key=key)).status == 404


@pytest.mark.parametrize(
    ("operators", "level", "unverified"),
    [("a", "consistent", True), ("a", "partial", True), ("a", "full", False), ("ab", "consistent", False)],
)
async def test_a_chain_is_unverified_where_one_operators_word_is_all_there_is(
    world: World, key: str, operators: str, level: str, *, unverified: bool
) -> None:
    await world.pool.execute("update blocks set level = 'full'")
    await world.pool.execute(
        "update blocks set level = $1 where height = (select max(height) from blocks)", level
    )
    traits = world.lines["local"].chain.traits
    providers = [{"host": f"{one}.test", "operator": one} for one in operators]
    await write_status(
        world.pool, ChainStatus(traits.chain, "local", None, {"providers": providers}, read_clock())
    )
    assert (await world.call("GET", "/v1/chains/local", key=key)).json["unverified"] is unverified


async def test_what_lies_far_behind_says_nothing_of_how_a_chain_is_followed_now(
    world: World, key: str
) -> None:
    await world.lines["local"].mine(empty=64)
    await world.pool.execute("update blocks set level = 'full' where height > 2")
    assert (await world.call("GET", "/v1/chains/local", key=key)).json["unverified"] is False


async def test_checks_are_shown_as_their_follower_learnt_them(world: World, key: str) -> None:
    chain = world.lines["local"].chain.traits.chain
    learnt: list[dict[str, object]] = [
        {"check": "receipts-root", "state": "on-trial", "enforced_since_height": None},
        {"check": "gas-used", "state": "enforced", "enforced_since_height": 7},
        {"check": "of-another-version", "state": "enforced", "enforced_since_height": 8},
    ]
    await write_checks(world.pool, chain, learnt)
    await world.report_heads()  # a status without news of checks leaves them
    shown = (await world.call("GET", "/v1/chains/local", key=key)).json["checks"]
    found = {one["check"]: (one["state"], one["enforced_since_height"]) for one in shown}
    assert found["receipts-root"] == ("on-trial", None)
    assert found["gas-used"] == ("enforced", 7)
    assert found["header-hash"] == ("enforced", None)
    assert len(found) == len(shown) == 8


async def test_ready_means_close_to_every_head(world: World) -> None:
    ready = await world.call("GET", "/readyz")
    assert (ready.status, ready.json["status"]) == (200, "ready")
    await world.pool.execute("update chain_status set head_height = head_height + 100 where alias = 'local'")
    late = await world.call("GET", "/readyz")
    assert late.status == 503
    reasons = {chain["alias"]: chain["reason"] for chain in late.json["chains"]}
    assert (reasons["other"], reasons["local"]) == (None, "100 blocks behind its head")
    assert (await world.call("GET", "/healthz")).status == 200


async def test_a_silent_follower_makes_a_chain_not_ready(world: World) -> None:
    await world.pool.execute("update chain_status set reported_at = now() - interval '5 minutes'")
    late = await world.call("GET", "/readyz")
    assert late.status == 503
    assert {chain["state"] for chain in late.json["chains"]} == {"not_followed"}


async def test_a_halted_chain_is_named_and_not_ready(world: World, key: str) -> None:
    await world.pool.execute(
        "update chains set state = 'halted', halt_reason = 'two histories', halted_fork_height = 1, halted_at = now()"
    )
    chain = (await world.call("GET", "/v1/chains/local", key=key)).json
    assert (chain["state"], chain["halt_reason"], chain["halted_fork_height"]) == (
        "halted",
        "two histories",
        1,
    )
    assert (await world.call("GET", "/readyz")).status == 503


async def test_metrics_are_prometheus_text(world: World) -> None:
    reply = await world.call("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert b"python_info" in reply.body


async def test_the_page_needs_nobody_else(world: World) -> None:
    page = await world.call("GET", "/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    text = page.body.decode()
    assert "<script" not in text
    assert "{{" not in text
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in text


async def test_the_description_is_served_as_it_is_kept(world: World) -> None:
    assert (await world.call("GET", "/openapi.json")).body == openapi.encode_document()


def test_the_golden_description_is_fresh() -> None:
    assert openapi.GOLDEN_FILE.read_bytes() == openapi.encode_document(), (
        "python -m gateway.http.openapi --write"
    )


def test_every_operation_says_who_may_and_what_may_come_back() -> None:
    document = openapi.build_document()
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    for operation in OPERATIONS:
        described = document["paths"][operation.path][operation.method.lower()]
        assert described["operationId"] == operation.name
        assert ("401" in described["responses"]) != isinstance(operation.access, OpenAccess)
