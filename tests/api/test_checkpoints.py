"""Checkpoints and proofs as a merchant asks for them and checks them; and the program printed in docs/proofs.md."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.http.shapes.proofs import CheckpointObject
from migrations.ids import decode_id, encode_id
from relay import verify_log
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from relay.proof import checkpoints
from relay.verify_log import ProofInvalid
from tests.api.world import World

CHECKPOINTS = "/v1/events/checkpoints"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "proofs.md"
UNKNOWN = "evt_00000000000000000000000001"
Json = Any


def read(checkpoint: Json, merchant_id: str, public_key: str | None = None) -> verify_log.Checkpoint:
    return verify_log.verify_checkpoint(
        checkpoint["note"], merchant_id=merchant_id, public_key=public_key or checkpoint["public_key"]
    )


async def merchant_of(world: World, key: str) -> str:
    events = (await world.call("GET", "/v1/events", key=key)).json["items"]
    merchant_id: str = events[0]["merchant_id"]
    return merchant_id


async def test_a_merchant_asks_for_a_checkpoint_and_checks_everything(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    made = await world.call("POST", CHECKPOINTS, key=key)
    assert made.status == 201, made.body
    merchant_id = await merchant_of(world, key)
    kept = read(made.json, merchant_id)
    assert (kept.size, kept.root_hash.hex()) == (2, made.json["root_hash"])
    assert (await world.call("GET", CHECKPOINTS + "/latest", key=key)).json == made.json
    again = await world.call("POST", CHECKPOINTS, key=key)
    assert (again.status, again.json) == (200, made.json)

    await world.pay(empty=12)
    later = (await world.call("POST", CHECKPOINTS, key=key)).json
    path = (await world.call("GET", f"/v1/events/consistency?from=2&to={later['size']}", key=key)).json
    assert (path["from"], path["to"], later["size"]) == (2, 4, 4)
    assert (await world.call("GET", "/v1/events/consistency?from=2", key=key)).json == path
    now = read(later, merchant_id, made.json["public_key"])
    verify_log.verify_consistency(kept, now, path["path"])

    for item in (await world.call("GET", "/v1/events", key=key)).json["items"]:
        body = (await world.call("GET", f"/v1/events/{item['id']}", key=key)).body
        proof = (await world.call("GET", f"/v1/events/{item['id']}/inclusion", key=key)).json
        assert proof["checkpoint"] == later
        file = (await world.call("GET", f"/v1/events/{item['id']}/tlog-proof", key=key)).body.decode()
        who = {"merchant_id": merchant_id, "public_key": made.json["public_key"]}
        assert verify_log.verify_proof(file, body, **who) == now
        assert proof["body_hash"] == hashlib.sha256(body).hexdigest()
        assert (proof["leaf_index"], proof["tree_size"]) == (item["sequence"] - 1, 4)
        verify_log.verify_inclusion(body, proof["path"], now)
        with pytest.raises(ProofInvalid):
            verify_log.verify_inclusion(body.replace(b"local", b"LOCAL"), proof["path"], now)
        if item["sequence"] <= 2:
            proof = (await world.call("GET", f"/v1/events/{item['id']}/inclusion?size=2", key=key)).json
            verify_log.verify_inclusion(body, proof["path"], kept)


async def test_checkpoints_are_listed_oldest_first_in_pages(world: World, key: str) -> None:
    await world.watch(key)
    for _ in range(3):
        await world.pay()
        await world.call("POST", CHECKPOINTS, key=key)
    first = (await world.call("GET", CHECKPOINTS + "?limit=2", key=key)).json
    rest = (await world.call("GET", f"{CHECKPOINTS}?limit=2&after={first['next']}", key=key)).json
    sizes = [one["size"] for one in [*first["items"], *rest["items"]]]
    assert (len(first["items"]), rest["next"]) == (2, None)
    assert sizes == sorted(set(sizes))
    assert len(sizes) == 3


async def test_what_can_not_be_proven_is_refused_with_a_reason(world: World, key: str) -> None:
    for path, status in (("/latest", 404), ("?limit=501", 422)):
        assert (await world.call("GET", CHECKPOINTS + path, key=key)).status == status
    assert (await world.call("POST", CHECKPOINTS, key=key)).status == 409
    assert (await world.call("GET", "/v1/events/consistency?from=1", key=key)).status == 404
    await world.watch(key)
    await world.pay()
    (event,) = (await world.call("GET", "/v1/events", key=key)).json["items"]
    inclusion = f"/v1/events/{event['id']}/inclusion"
    assert (await world.call("GET", inclusion, key=key)).status == 409
    await world.call("POST", CHECKPOINTS, key=key)
    stranger = await world.create_merchant("Another shop")
    for path, asks, status, pointers in (
        (inclusion, stranger, 404, []),
        (f"/v1/events/{UNKNOWN}/inclusion", key, 404, []),
        (inclusion + "?size=7", key, 404, []),
        (inclusion + "?size=0", key, 422, ["/query/size"]),
        ("/v1/events/consistency", key, 422, ["/query/from"]),
        ("/v1/events/consistency?from=0", key, 422, ["/query/from"]),
        ("/v1/events/consistency?from=2", key, 422, ["/query/from"]),
        ("/v1/events/consistency?from=1&to=2", key, 422, ["/query/to"]),
        ("/v1/events/consistency?from=1&to=9007199254740991", key, 422, ["/query/to"]),
        (f"/v1/events/consistency?from={10**30}", key, 422, ["/query/from"]),
    ):
        reply = await world.call("GET", path, key=asks)
        assert (reply.status, reply.pointers) == (status, pointers), (path, reply.body)


async def test_a_backlog_too_long_for_one_call_is_503_and_gets_shorter(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "GROUPS_PER_STEP", 1)
    await world.watch(key)
    await world.pay()
    merchant_id = decode_id("mer", await merchant_of(world, key))
    async with world.pool.acquire() as conn, conn.transaction():
        now = world.services.clock()
        facts = [RelayFact(merchant_id, f"dep_{n}", 1, "deposit.included", {}, now) for n in range(600)]
        await log.append(conn, facts, now=now)
    late = await world.call("POST", CHECKPOINTS, key=key)
    assert (late.status, late.headers["Retry-After"]) == (503, "5")
    assert (await world.call("POST", CHECKPOINTS, key=key)).status == 201


def test_the_api_and_the_webhook_show_a_checkpoint_with_the_same_members() -> None:
    shown = checkpoints.describe(
        checkpoints.Checkpoint(
            UUID(int=1),
            UUID(int=2),
            1,
            3,
            bytes(32),
            "note",
            "",
            False,
            datetime(2026, 1, 1, tzinfo=UTC),
            bytes(32),
        )
    )
    assert list(shown) == [one.name for one in msgspec.structs.fields(CheckpointObject)]
    assert shown["id"] == encode_id("chk", UUID(int=1))


async def test_an_endpoint_can_ask_for_checkpoints(world: World, key: str) -> None:
    made = await world.call(
        "POST",
        "/v1/endpoints",
        {"url": "http://127.0.0.1:9/", "event_types": ["log.checkpoint"]},
        key=key,
    )
    assert made.status == 201, made.body
    await world.watch(key)
    await world.pay()
    checkpoint = (await world.call("POST", CHECKPOINTS, key=key)).json
    told = (await world.call("GET", "/v1/events?types=log.checkpoint", key=key)).json["items"]
    assert [event["data"]["checkpoint"] for event in told] == [checkpoint]
    again = await world.call("POST", CHECKPOINTS, key=key)
    assert (again.status, again.json) == (200, checkpoint)


def printed_program() -> dict[str, Any]:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "printed"}
    exec(compile(program, str(PAGE), "exec"), names)
    return names


async def test_the_program_in_the_docs_accepts_growth_and_notices_a_rewriting(
    world: World, key: str, tmp_path: Path
) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    merchant_id = await merchant_of(world, key)
    watch = printed_program()["watch"]
    kept = tmp_path / "kept.json"

    async def run() -> str:
        said: str = await asyncio.to_thread(watch, world.base_url, key, merchant_id, kept)
        return said

    assert await run() == "2 events, from now on"
    assert await run() == "2 events, the first 2 unchanged"
    await world.pay(empty=12)
    assert await run() == "4 events, the first 2 unchanged"
    state = json.loads(kept.read_text())
    assert [note.split("\n")[1] for note in state["notes"]] == ["2", "2", "4"]
    await rewrite(world, "delete from log_checkpoints")
    with pytest.raises(ProofInvalid, match="two logs of one size"):  # though nothing was told since
        await run()
    await world.pay(empty=12)
    with pytest.raises(ProofInvalid, match="does not continue"):
        await run()
    assert json.loads(kept.read_text()) == state


async def rewrite(world: World, *more: str) -> None:
    async with world.pool.acquire() as conn, conn.transaction():
        for statement in (
            "alter table events disable trigger user",
            "update events set body = convert_to(replace(convert_from(body, 'utf8'), '000', '001'), 'utf8')",
            "alter table events enable trigger user",
            *more,
        ):
            await conn.execute(statement)


async def test_the_program_in_the_docs_is_told_when_nothing_more_is_signed_or_what_is_shown_is_old(
    world: World, key: str, tmp_path: Path
) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    merchant_id, names = await merchant_of(world, key), printed_program()
    kept = tmp_path / "kept.json"
    clock = names["time"].time
    names["time"] = SimpleNamespace(time=lambda: clock() + 601)
    with pytest.raises(ProofInvalid, match="not of now"):
        await asyncio.to_thread(names["watch"], world.base_url, key, merchant_id, kept)
    names["time"] = SimpleNamespace(time=clock)
    assert await asyncio.to_thread(names["watch"], world.base_url, key, merchant_id, kept)
    await rewrite(world)
    await world.pool.execute("update log_checkpoints set note = $1", long_ago(await note_of(world)))
    with pytest.raises(ProofInvalid, match="contradicts itself"):
        await asyncio.to_thread(names["watch"], world.base_url, key, merchant_id, kept)


async def note_of(world: World) -> str:
    note: str = await world.pool.fetchval("select note from log_checkpoints")
    return note


def long_ago(note: str) -> str:
    """The same note, as if signed before it may be signed again."""
    head, _, last = note.rstrip("\n").rpartition(" ")
    raw = bytearray(base64.b64decode(last))
    raw[4:12] = bytes(8)
    return f"{head} {base64.b64encode(raw).decode()}\n"


async def test_a_log_is_signed_again_with_the_time_while_nothing_is_told(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay()
    made = (await world.call("POST", CHECKPOINTS, key=key)).json
    await world.pool.execute("update log_checkpoints set note = $1", long_ago(made["note"]))
    again = await world.call("POST", CHECKPOINTS, key=key)
    merchant_id = await merchant_of(world, key)
    assert (again.status, again.json["id"]) == (200, made["id"])
    assert read(again.json, merchant_id).time_s >= read(made, merchant_id).time_s
    assert (await world.call("GET", CHECKPOINTS + "/latest", key=key)).json == again.json


async def test_whoever_knows_the_id_of_a_log_sees_its_newest_checkpoint(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay()
    made = (await world.call("POST", CHECKPOINTS, key=key)).json
    path = "/.well-known/chainbell/logs/{}/checkpoint"
    seen = await world.call("GET", path.format(made["log_id"]))
    assert (seen.status, seen.json) == (200, made)
    public = base64.b64decode(made["public_key"].removeprefix("whpk_"))
    assert made["log_id"] == encode_id("log", UUID(bytes=hashlib.sha256(public).digest()[:16]))
    assert (await world.call("GET", path.format("log_00000000000000000000000001"))).status == 404
    assert (await world.call("GET", path.format("log_x"))).status == 404


async def test_of_a_log_that_was_shortened_nothing_more_is_signed(world: World, key: str) -> None:
    await world.watch(key)
    await world.pay(empty=12)
    made = (await world.call("POST", CHECKPOINTS, key=key)).json
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("alter table events disable trigger user")
        await conn.execute("delete from events where sequence = 2")
        await conn.execute("update merchant_logs set sequence = 1 where sequence = 2")
    refused = await world.call("POST", CHECKPOINTS, key=key)
    assert refused.status == 409, refused.body
    assert "2 events were signed, the log has 1" in refused.json["detail"]
    assert (await world.call("GET", CHECKPOINTS + "/latest", key=key)).json == made
