"""A verifier in Java, written from the docs alone, believes what the real program gives, and nothing that was touched.

Here: a log, proofs, lists and requests as a merchant gets them, whole and changed in one place each. Not here: the verifier itself
(tests/unit/relay/third), the vectors (tests/unit/relay/test_third_language.py), deposits (tests/live/test_deposit_proofs.py).
"""

from __future__ import annotations

import base64
import copy
import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from migrations.ids import decode_id
from relay.keys import signing
from relay.out.targets import open_target
from relay.workers.store import load_endpoint_records
from tests.api.world import World
from tests.java_program import ask_java, b64

Json = Any


async def requests_of(world: World, made: Json, body: bytes, event_id: str) -> list[Json]:
    """The same event as it is posted to an endpoint, checked with the secret alone and with the key alone."""
    async with world.pool.acquire() as conn:
        (record,) = await load_endpoint_records(conn, endpoints=[decode_id("end", made["id"])])
    target = open_target(record, world.services.box)
    event = decode_id("evt", event_id)
    headers = target.headers_for(UUID(int=event.int), body, prev_sequence=3, now=datetime.now(UTC))
    sent = {
        "check": "webhook",
        "body": b64(body),
        "headers": headers,
        "now_s": int(headers["webhook-timestamp"]),
    }
    return [{**sent, "secrets": [made["secret"]]}, {**sent, "public_keys": [made["public_key"]]}]


async def gather(world: World) -> list[Json]:
    """All a merchant can be shown."""
    key = await world.create_merchant()
    made = (await world.call("POST", "/v1/endpoints", {"url": "https://shop.example/hook"}, key=key)).json
    made["public_key"] = (await world.call("GET", f"/v1/endpoints/{made['id']}", key=key)).json["public_key"]
    await world.watch(key)
    await world.pay(empty=12)
    first = (await world.call("POST", "/v1/events/checkpoints", key=key)).json
    merchant = first["note"].split("/")[2]
    listed = f"/.well-known/chainbell/{merchant}/keys.json"
    early = (await world.call("GET", listed)).json
    await world.call("POST", f"/v1/endpoints/{made['id']}/rotate-key", {"overlap_s": 60}, key=key)
    for _ in range(3):
        await world.pay(empty=12)
    last = (await world.call("POST", "/v1/events/checkpoints", key=key)).json
    items = (await world.call("GET", "/v1/events?limit=500", key=key)).json["items"]
    ids = [item["id"] for item in items]
    bodies = [(await world.call("GET", f"/v1/events/{one}", key=key)).body for one in ids]
    who = {"merchant_id": merchant, "public_key": first["public_key"]}
    sizes = f"from={first['size']}&to={last['size']}"
    path = (await world.call("GET", f"/v1/events/consistency?{sizes}", key=key)).json["path"]
    keys = (await world.call("GET", listed)).json
    cases: list[Json] = [
        {"check": "bodies", "bodies": [b64(body) for body in bodies], "note": last["note"], **who},
        {"check": "consistency", "before": first["note"], "note": last["note"], "path": path, **who},
        {"check": "key_list", "list": keys, **who},
        {"check": "key_growth", "before": early, "list": keys, **who},
        {"check": "log_id", "log_id": first["log_id"], "public_key": first["public_key"]},
        *await requests_of(world, made, bodies[0], ids[0]),
    ]
    for one, body in zip(ids, bodies, strict=True):
        cases.append({"check": "event_id", "body": b64(body)})
        proof = (await world.call("GET", f"/v1/events/{one}/inclusion", key=key)).json
        note = proof["checkpoint"]["note"]
        cases.append({"check": "inclusion", "body": b64(body), "note": note, "inclusion": proof, **who})
        file = (await world.call("GET", f"/v1/events/{one}/tlog-proof", key=key)).body.decode()
        cases.append({"check": "tlog_proof", "body": b64(body), "proof": file, **who})
    return cases


def touch(rng: random.Random, case: Json) -> Json:
    """The same case, with something in it that is not what was given."""
    changed = copy.deepcopy(case)
    name = rng.choice([name for name in changed if name != "check" and changed[name]])
    value = changed[name]
    match name:
        case "bodies":
            del value[rng.randrange(len(value))]
        case "body":
            raw = bytearray(base64.b64decode(value))
            raw[rng.randrange(len(raw))] ^= 1
            changed[name] = b64(bytes(raw))
        case "list" | "before" if isinstance(value, dict):
            key = rng.choice(value["keys"])
            member = rng.choice(["endpoint_id", "public_key", "valid_from", "valid_until"])
            key[member] = (key[member] or "2027-01-01T00:00:00Z")[::-1]
        case "inclusion":
            member = rng.choice(["sequence", "leaf_index", "tree_size", "body_hash", "event_id", "path"])
            now = value[member]
            value[member] = now + 1 if isinstance(now, int) else now[1:]
        case "headers":
            covered = ["webhook-id", "webhook-timestamp"]
            covered += ["chainbell-prev-sequence"] if "secrets" in changed else []
            header = rng.choice(covered)
            value[header] = "1" + value[header]
        case "now_s":
            changed[name] = value + rng.choice([-301, 301])
        case "path":
            changed[name] = value[1:]
        case "secrets":
            changed[name] = [signing.encode_secret(bytes(24))]
        case "public_keys":
            changed[name] = [signing.encode_public_key(bytes([9]) * 32)]
        case "public_key":
            changed[name] = signing.encode_public_key(bytes([9]) * 32)
        case "merchant_id" | "log_id":
            changed[name] = value[:4] + "0" * 26
        case _:  # a text of lines: one of the signed ones, or every signature
            text, gap, rest = value.partition("\n\n")
            changed[name] = text.replace("\n", "\n1", 1) + gap + rest
    return changed


async def test_a_verifier_made_from_the_docs_alone_believes_all_of_it_and_nothing_touched(
    world: World, rng: random.Random
) -> None:
    cases = await gather(world)
    assert {case["check"] for case in cases} == {
        "bodies",
        "consistency",
        "key_list",
        "key_growth",
        "log_id",
        "webhook",
        "event_id",
        "inclusion",
        "tlog_proof",
    }
    touched = [touch(rng, case) for case in cases if case["check"] != "event_id" for _ in range(10)]
    said = ask_java(cases + touched)
    for case, answer in zip(cases, said, strict=False):
        assert answer["holds"], (answer, case)
        if case["check"] == "webhook":
            assert answer["prev_sequence"] == (3 if "secrets" in case else -1)
    for case, answer in zip(touched, said[len(cases) :], strict=True):
        # Of headers beside a signed request it is not said that they lie, but that they say nothing.
        is_unsaid = "secrets" in case and answer.get("prev_sequence") == -1
        assert not answer["holds"] or is_unsaid, (answer, case)
