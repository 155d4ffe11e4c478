"""What is sealed opens in its own place only: a database's writer moves every value to everywhere and reads nothing.

Here: every sealed column, each value against each place; the same at the API's edge; values of the form before. Not here: the
encryption alone (tests/unit/relay/test_secretbox.py).
"""

from __future__ import annotations

import os
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.http.edge.idempotency import KeyedCall
from migrations.ids import decode_id
from relay.errors import SecretUnreadable
from relay.keys.reseal import Resealed, reseal_all
from relay.keys.secretbox import Column, Place, SecretBox, _key_id
from relay.out.targets import open_target
from relay.workers.store import load_endpoint_records
from tests.api.world import ADMIN_TOKEN, World

KEY = bytes(32)
PLACES = {
    Column.ENDPOINT_HEADERS: "select endpoint_id, ''::bytea, headers_sealed from endpoints where headers_sealed is not null",
    Column.ENDPOINT_SECRET: "select endpoint_id, uuid_send(secret_id), secret_sealed from endpoint_secrets",
    Column.ENDPOINT_SEED: "select endpoint_id, public_key, seed_sealed from endpoint_keys where seed_sealed is not null",
    Column.LOG_SEED: "select merchant_id, verify_key, signing_key_sealed from log_keys",
    Column.REMEMBERED_ANSWER: "select caller, request_hash || convert_to(path || e'\n' || key, 'utf8'), body from idempotency_keys",
}


async def fill(world: World) -> None:
    """Two merchants with two endpoints each, two secrets and keys each, a signed log, remembered answers."""
    for name in ("A", "B"):
        key = await world.create_merchant()
        for n in range(2):
            body = {"url": f"https://{name}{n}.example/hook", "headers": {"x-token": f"{name}{n}"}}
            keyed = {"Idempotency-Key": f"make-{n}"}
            made = await world.call("POST", "/v1/endpoints", body, key=key, headers=keyed)
            for what in ("rotate-secret", "rotate-key"):
                path = f"/v1/endpoints/{made.json['id']}/{what}"
                reply = await world.call("POST", path, {"overlap_s": 600}, key=key)
                assert reply.status == 200
            await world.call("POST", f"/v1/endpoints/{made.json['id']}/pause", key=key)
        assert (await world.call("POST", "/v1/events/checkpoints", key=key)).status == 201


async def load_sealed(world: World) -> dict[Place, bytes]:
    return {
        Place(column, row[0], row[1]): row[2]
        for column, query in PLACES.items()
        for row in await world.pool.fetch(query)
    }


async def test_no_sealed_value_opens_in_any_other_place(world: World) -> None:
    await fill(world)
    sealed, box = await load_sealed(world), world.services.box
    assert {column: sum(place.column is column for place in sealed) for column in Column} == {
        Column.ENDPOINT_HEADERS: 4,
        Column.ENDPOINT_SECRET: 8,
        Column.ENDPOINT_SEED: 8,
        Column.LOG_SEED: 2,
        Column.REMEMBERED_ANSWER: 4,
    }
    for place, value in sealed.items():
        opened = [other for other in sealed if opens(box, value, other)]
        assert opened == [place]


def opens(box: SecretBox, value: bytes, place: Place) -> bool:
    try:
        return bool(box.open(value, place))
    except SecretUnreadable:
        return False


async def test_every_column_that_holds_sealed_values_is_known(world: World) -> None:
    await fill(world)
    columns = await world.pool.fetch(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = 'public' and data_type = 'bytea'"
    )
    holding = set()
    for table, column in columns:
        found = f'select exists (select from "{table}" where substring("{column}" for 9) = $1)'  # names of columns
        if column.endswith("_sealed") or await world.pool.fetchval(found, world.services.box.head):
            holding.add(f"{table}.{column}")
    assert holding == set(Column)


async def test_a_signing_key_is_not_read_through_a_remembered_answer(world: World, key: str) -> None:
    await fill(world)
    for column in Column:
        place, value = next(
            (place, value) for place, value in (await load_sealed(world)).items() if place.column is column
        )
        keyed = {"Idempotency-Key": f"stolen-{column}"}
        asked = await world.call("POST", "/v1/merchants", {"name": "A"}, key=ADMIN_TOKEN, headers=keyed)
        assert asked.status == 201
        # Whoever writes the database chooses the caller, too; the API then asks as that one.
        await world.pool.execute(
            "update idempotency_keys set body = $1 where key = $2", value, keyed["Idempotency-Key"]
        )
        stolen = await world.call("POST", "/v1/merchants", {"name": "A"}, key=ADMIN_TOKEN, headers=keyed)
        assert stolen.status == 409
        call = KeyedCall(place.owner, "/v1/merchants", keyed["Idempotency-Key"], bytes(32))
        assert not opens(world.services.box, value, call.place)


# --- the form before ---------------------------------------------------------------------------------------------------


def seal_as_before(plain: bytes, owner: UUID) -> bytes:
    """Version 1: only the owner is associated data."""
    nonce = os.urandom(12)
    head = b"\x01" + _key_id(KEY) + nonce
    return head + AESGCM(KEY).encrypt(nonce, plain, head + owner.bytes)


async def make_old(world: World) -> None:
    """Every value as the release before left it."""
    stores = {
        Column.ENDPOINT_HEADERS: "update endpoints set headers_sealed = $2 where headers_sealed = $1",
        Column.ENDPOINT_SECRET: "update endpoint_secrets set secret_sealed = $2 where secret_sealed = $1",
        Column.ENDPOINT_SEED: "update endpoint_keys set seed_sealed = $2 where seed_sealed = $1",
        Column.LOG_SEED: "update log_keys set signing_key_sealed = $2 where signing_key_sealed = $1",
        Column.REMEMBERED_ANSWER: "update idempotency_keys set body = $2 where body = $1",
    }
    for place, value in (await load_sealed(world)).items():
        old = seal_as_before(world.services.box.open(value, place), place.owner)
        await world.pool.execute(stores[place.column], value, old)


async def test_the_form_before_is_moved_once_and_read_by_nothing_else(world: World) -> None:
    await fill(world)
    box = world.services.box
    before = {place: box.open(value, place) for place, value in (await load_sealed(world)).items()}
    await make_old(world)
    assert not any(opens(box, value, place) for place, value in (await load_sealed(world)).items())
    async with world.pool.acquire() as conn:
        assert await reseal_all(conn, box) == Resealed(22, 0)
        assert await reseal_all(conn, box) == Resealed(0, 0)
    for place, value in (await load_sealed(world)).items():
        if place.column is not Column.REMEMBERED_ANSWER:
            assert box.open(value, place) == before[place]


async def test_an_answer_of_the_form_before_is_refused_and_nothing_is_done_again(
    world: World, key: str
) -> None:
    keyed, body = {"Idempotency-Key": "k"}, {"url": "https://shop.example/hook"}
    await world.call("POST", "/v1/endpoints", body, key=key, headers=keyed)
    await make_old(world)
    async with world.pool.acquire() as conn:
        await reseal_all(conn, world.services.box)
    again = await world.call("POST", "/v1/endpoints", body, key=key, headers=keyed)
    assert again.status == 409
    assert "the call was done" in again.json["detail"]
    assert await world.pool.fetchval("select count(*) from endpoints") == 1


async def test_what_can_not_be_read_or_is_of_another_kind_stays_and_stops_nothing(
    world: World, key: str
) -> None:
    made = [
        (await world.call("POST", "/v1/endpoints", {"url": f"https://{n}.example/h"}, key=key)).json["id"]
        for n in range(3)
    ]
    await make_old(world)
    first = decode_id("end", made[0])
    # A key of the owner before, moved to where headers stand, and one cut off.
    await world.pool.execute(
        "update endpoints set headers_sealed = (select seed_sealed from endpoint_keys where endpoint_id = $1)"
        " where endpoint_id = $1",
        first,
    )
    await world.pool.execute(
        "update endpoint_secrets set secret_sealed = '\\x01' where endpoint_id = $1", first
    )
    async with world.pool.acquire() as conn:
        assert await reseal_all(conn, world.services.box) == Resealed(5, 2)
        records = await load_endpoint_records(conn, endpoints=[decode_id("end", one) for one in made[1:]])
    assert len([open_target(record, world.services.box) for record in records]) == 2


async def test_an_old_answer_does_not_become_the_headers_of_an_endpoint_made_up_for_it(
    world: World, key: str
) -> None:
    """An answer may be a JSON object of texts, as headers are; sent to a URL of the thief, it would be read there."""
    made = await world.call("POST", "/v1/endpoints", {"url": "https://shop.example/h"}, key=key)
    path, keyed = f"/v1/endpoints/{made.json['id']}/rotate-secret", {"Idempotency-Key": "k"}
    answer = await world.call("POST", path, {"overlap_s": 60}, key=key, headers=keyed)
    assert all(isinstance(value, str) for value in answer.json.values())
    await make_old(world)
    async with world.pool.acquire() as conn:
        await conn.execute(
            "insert into endpoints (endpoint_id, merchant_id, shard, url, headers_sealed, max_in_flight, state_since,"
            " start_sequence, created_at, updated_at)"
            " select i.caller, e.merchant_id, 0, 'https://thief.example/', i.body, 1, now(), 0, now(), now()"
            " from idempotency_keys i, endpoints e"
        )
        assert await reseal_all(conn, world.services.box) == Resealed(3, 1)
    stolen = await world.pool.fetchval(
        "select headers_sealed from endpoints where headers_sealed is not null"
    )
    assert not stolen.startswith(world.services.box.head)
