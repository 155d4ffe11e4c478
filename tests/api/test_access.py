"""Who may call what: keys, the admin token, scopes, other merchants' objects."""

from __future__ import annotations

import itertools

from gateway.event_types import EVENT_TYPES
from gateway.http.edge.calls import ID_PREFIXES, AdminAccess, AnyKey, OpenAccess, Operation
from gateway.http.operations import OPERATIONS
from tests.api.world import ADMIN_TOKEN, WATCHED, World

UNKNOWN_ID = "7zzzzzzzzzzzzzzzzzzzzzzzzz"


def path_of(operation: Operation) -> str:
    """A path whose ids belong to nobody."""
    path = operation.path.replace("{alias}", "local")
    for name, prefix in ID_PREFIXES.items():
        path = path.replace("{" + name + "}", f"{prefix}_{UNKNOWN_ID}")
    return path


GUARDED = [operation for operation in OPERATIONS if not isinstance(operation.access, OpenAccess)]


async def test_every_guarded_call_without_a_usable_key_is_401(world: World) -> None:
    shown = [None, "Bearer", "Basic abc", "Bearer cb_nonsense", f"Bearer cb_{UNKNOWN_ID * 3}"]
    for operation, header in itertools.product(GUARDED, shown):
        headers = {} if header is None else {"Authorization": header}
        reply = await world.call(operation.method, path_of(operation), headers=headers)
        assert (reply.status, reply.headers["Content-Type"]) == (401, "application/problem+json"), (
            operation.name
        )
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_admin_call_with_a_merchants_key_is_403(world: World, key: str) -> None:
    for operation in OPERATIONS:
        if isinstance(operation.access, AdminAccess):
            assert (await world.call(operation.method, path_of(operation), key=key)).status == 403, (
                operation.name
            )


async def test_a_merchants_call_with_the_admin_token_is_403(world: World) -> None:
    for operation in GUARDED:
        if not isinstance(operation.access, AdminAccess):
            assert (await world.admin(operation.method, path_of(operation))).status == 403, operation.name


async def test_a_key_without_the_scope_is_403(world: World, key: str) -> None:
    merchant = (await world.admin("GET", "/v1/merchants")).json["items"][0]["merchant_id"]
    made = await world.admin("POST", f"/v1/merchants/{merchant}/keys", {"scopes": ["deposits"]})
    narrow = made.json["api_key"]
    for operation in GUARDED:
        if isinstance(operation.access, AdminAccess | AnyKey | OpenAccess):
            continue
        expected = operation.access.value == "deposits"
        reply = await world.call(operation.method, path_of(operation), key=narrow)
        assert (reply.status != 403) == expected, operation.name
    assert (await world.call("GET", "/v1/chains", key=narrow)).status == 200


async def test_a_revoked_key_is_refused_from_then_on(world: World, key: str) -> None:
    merchant = (await world.admin("GET", "/v1/merchants")).json["items"][0]["merchant_id"]
    (listed,) = (await world.admin("GET", f"/v1/merchants/{merchant}/keys")).json["items"]
    assert (await world.call("GET", "/v1/deposits", key=key)).status == 200
    assert (await world.admin("DELETE", f"/v1/keys/{listed['key_id']}")).status == 204
    assert (await world.call("GET", "/v1/deposits", key=key)).status == 401


async def test_another_merchants_objects_are_not_found(world: World, key: str) -> None:
    address = await world.watch(key)
    await world.pay()
    deposit = (await world.call("GET", "/v1/deposits", key=key)).json["items"][0]
    event = (await world.call("GET", "/v1/events", key=key)).json["items"][0]
    endpoint = (
        await world.call(
            "POST", "/v1/endpoints", {"url": "https://shop.example/hook", "from_sequence": 1}, key=key
        )
    ).json
    delivery = (await world.call("GET", f"/v1/endpoints/{endpoint['id']}/deliveries", key=key)).json["items"][
        0
    ]
    stranger = await world.create_merchant("Stranger")
    paths = [
        ("GET", f"/v1/addresses/{address['id']}"),
        ("DELETE", f"/v1/addresses/{address['id']}"),
        ("GET", f"/v1/deposits/{deposit['id']}"),
        ("GET", f"/v1/deposits/{deposit['id']}/history"),
        ("GET", f"/v1/events/{event['id']}"),
        ("GET", f"/v1/endpoints/{endpoint['id']}"),
        ("DELETE", f"/v1/endpoints/{endpoint['id']}"),
        ("GET", f"/v1/endpoints/{endpoint['id']}/deliveries"),
        ("POST", f"/v1/endpoints/{endpoint['id']}/pause"),
        ("POST", f"/v1/endpoints/{endpoint['id']}/test"),
        ("GET", f"/v1/deliveries/{delivery['id']}"),
        ("POST", f"/v1/deliveries/{delivery['id']}/retry"),
    ]
    for method, path in paths:
        assert (await world.call(method, path, key=stranger)).status == 404, path
        assert (
            await world.call("GET", path.removesuffix("/pause").removesuffix("/test"), key=stranger)
        ).status in (404, 405)
    for path in ("/v1/addresses", "/v1/deposits", "/v1/events", "/v1/endpoints"):
        assert (await world.call("GET", path, key=stranger)).json["items"] == []
    assert (await world.call("GET", f"/v1/addresses/{address['id']}", key=key)).status == 200


async def test_keys_are_kept_as_hashes_only(world: World, key: str) -> None:
    rows = await world.pool.fetch("select row_to_json(k)::text as row from api_keys k")
    assert rows
    assert all(key not in row["row"] and key[-52:] not in row["row"] for row in rows)


async def test_the_admin_token_is_compared_whole(world: World) -> None:
    assert (await world.call("GET", "/v1/merchants", key=ADMIN_TOKEN[:-1])).status == 401
    assert (await world.call("GET", "/v1/merchants", key=ADMIN_TOKEN + "x")).status == 401


async def test_every_operation_with_unknown_ids_is_404_and_a_malformed_id_too(world: World, key: str) -> None:
    bodies = {
        "watch_addresses": {"chain": "local", "address": WATCHED},
        "create_endpoint": {"url": "https://x.example"},
        "replay_events": {"from_sequence": 1},
        "create_key": {},
        "rotate_secret": {},
    }
    for operation in GUARDED:
        if "_id}" not in operation.path:
            continue
        token = ADMIN_TOKEN if isinstance(operation.access, AdminAccess) else key
        body = bodies.get(operation.name)
        for path in (path_of(operation), path_of(operation).replace(UNKNOWN_ID, "nonsense")):
            reply = await world.call(operation.method, path, body, key=token)
            assert (reply.status, reply.json["status"]) == (404, 404), (operation.name, path, reply.body)


def test_every_event_type_has_a_known_object() -> None:
    assert {name.split(".")[0] for name in EVENT_TYPES} == {"deposit", "chain", "endpoint", "log"}
