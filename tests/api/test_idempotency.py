"""Idempotency-Key: the first answer again, byte by byte; and what was done, done once."""

from __future__ import annotations

import asyncio

from tests.api.sockets import connected, request
from tests.api.world import ADMIN_TOKEN, ANOTHER, WATCHED, World

CALL_IS_LOCKED = (
    "select exists (select from pg_locks where locktype = 'advisory' and classid = 25444 and granted)"
)


def keyed(name: str = "k-1") -> dict[str, str]:
    """The header."""
    return {"Idempotency-Key": name}


async def test_the_same_call_again_gives_the_same_bytes_and_does_nothing(world: World, key: str) -> None:
    body = {"url": "https://shop.example/hook"}
    first = await world.call("POST", "/v1/endpoints", body, key=key, headers=keyed())
    again = await world.call("POST", "/v1/endpoints", body, key=key, headers=keyed())
    assert first.status == 201
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len((await world.call("GET", "/v1/endpoints", key=key)).json["items"]) == 1


async def test_the_same_key_with_another_body_is_409(world: World, key: str) -> None:
    await world.call(
        "POST", "/v1/addresses", {"chain": "local", "address": WATCHED}, key=key, headers=keyed()
    )
    reply = await world.call(
        "POST", "/v1/addresses", {"chain": "local", "address": ANOTHER}, key=key, headers=keyed()
    )
    assert reply.status == 409
    assert len((await world.call("GET", "/v1/addresses", key=key)).json["items"]) == 1


async def test_a_key_counts_for_one_path_and_one_caller(world: World, key: str) -> None:
    body = {"chain": "local", "address": WATCHED}
    stranger = await world.create_merchant("Stranger")
    assert (await world.call("POST", "/v1/addresses", body, key=key, headers=keyed())).status == 201
    assert (await world.call("POST", "/v1/addresses", body, key=stranger, headers=keyed())).status == 201
    endpoint = {"url": "https://shop.example/hook"}
    assert (await world.call("POST", "/v1/endpoints", endpoint, key=key, headers=keyed())).status == 201


async def test_a_refusal_is_remembered_and_leaves_nothing_behind(world: World, key: str) -> None:
    await world.watch(key, reference="a")
    items = {
        "items": [
            {"chain": "local", "address": ANOTHER},
            {"chain": "local", "address": WATCHED, "reference": "b"},
        ]
    }
    first = await world.call("POST", "/v1/addresses", items, key=key, headers=keyed())
    again = await world.call("POST", "/v1/addresses", items, key=key, headers=keyed())
    assert first.status == 409
    assert (again.status, again.body) == (409, first.body)
    assert len((await world.call("GET", "/v1/addresses", key=key)).json["items"]) == 1


async def test_a_5xx_is_not_remembered(world: World, key: str) -> None:
    body = {"chain": "local", "address": WATCHED}
    await world.pool.execute("alter table addresses rename to elsewhere")
    assert (await world.call("POST", "/v1/addresses", body, key=key, headers=keyed())).status == 500
    await world.pool.execute("alter table elsewhere rename to addresses")
    assert (await world.call("POST", "/v1/addresses", body, key=key, headers=keyed())).status == 201


async def test_of_many_at_once_one_does_it_and_the_others_wait_or_get_its_answer(
    world: World, key: str
) -> None:
    body = {"url": "https://shop.example/hook"}
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(world.call("POST", "/v1/endpoints", body, key=key, headers=keyed()))
            for _ in range(8)
        ]
    replies = [call.result() for call in calls]
    assert {reply.status for reply in replies} <= {201, 409}
    assert len({reply.body for reply in replies if reply.status == 201}) == 1
    assert len((await world.call("GET", "/v1/endpoints", key=key)).json["items"]) == 1


async def test_while_a_call_is_in_progress_its_repetition_is_409(world: World, key: str) -> None:
    body = {"chain": "local", "address": WATCHED}
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("lock table addresses in access exclusive mode")
        async with asyncio.TaskGroup() as group:
            first = group.create_task(world.call("POST", "/v1/addresses", body, key=key, headers=keyed()))
            while not await conn.fetchval(CALL_IS_LOCKED):  # noqa: ASYNC110  (a lock sends no event)
                await asyncio.sleep(0.01)
            second = await world.call("POST", "/v1/addresses", body, key=key, headers=keyed())
            assert second.status == 409
            assert "in progress" in second.json["detail"]
            await conn.execute("rollback")
            await conn.execute("begin")
    assert first.result().status == 201


async def test_a_key_that_can_not_be_kept_is_400(world: World, key: str) -> None:
    for name in ("", "x" * 256, "smile ☺"):
        reply = await world.call(
            "POST", "/v1/addresses", {"chain": "local", "address": WATCHED}, key=key, headers=keyed(name)
        )
        assert reply.status == 400


async def test_of_two_keys_neither_is_chosen(world: World, key: str) -> None:
    """A proxy between may have read the other one; nothing is done under a key that the client may not mean."""
    for name, twice in (
        ("Idempotency-Key", ("a", "b")),
        ("Authorization", (f"Bearer {key}", f"Bearer {key}")),
    ):
        async with connected(world.base_url) as [client]:
            shown = None if name == "Authorization" else key
            head = request("POST", "/v1/endpoints", shown, Content_Type="application/json")[:-2]
            lines = "".join(f"{name}: {value}\r\n" for value in twice)
            await client.send(
                head + f"{lines}Content-Length: 31\r\n\r\n".encode() + b'{"url":"https://shop.example/"}'
            )
            assert await client.status() == 400, name
    assert (await world.call("GET", "/v1/endpoints", key=key)).json["items"] == []


async def test_secrets_in_remembered_answers_are_sealed(world: World) -> None:
    made = await world.admin("POST", "/v1/merchants", {"name": "A"}, headers=keyed())
    again = await world.call("POST", "/v1/merchants", {"name": "A"}, key=ADMIN_TOKEN, headers=keyed())
    assert again.body == made.body
    kept = await world.pool.fetchval("select body from idempotency_keys")
    assert made.json["api_key"].encode() not in kept


async def test_a_repetition_after_a_day_is_a_new_call(world: World, key: str) -> None:
    body = {"url": "https://shop.example/hook"}
    first = await world.call("POST", "/v1/endpoints", body, key=key, headers=keyed())
    await world.pool.execute("update idempotency_keys set expires_at = now() - interval '1 second'")
    again = await world.call("POST", "/v1/endpoints", body, key=key, headers=keyed())
    assert again.json["id"] != first.json["id"]
