"""A verifier in Go, written from the docs alone, believes what the real program gives, and nothing that was touched.

Here: a log, proofs, lists and requests as a merchant gets them, whole and changed in one place each. Not here: the verifier itself
(tests/unit/relay/third/verify.go).
"""

from __future__ import annotations

import base64
import copy
import json
import os
import random
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from migrations.ids import decode_id
from relay import signing
from relay.store import load_endpoint_records
from relay.targets import open_target
from tests.api.world import World

VERIFIER = Path(__file__).resolve().parents[1] / "unit" / "relay" / "third" / "verify.go"
GO_TIMEOUT_S = 240
Json = Any


def run_go(cases: list[Json], folder: Path) -> list[str]:
    """What the verifier says of each; skips by name where there is no Go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go compiler: the verifier in a third language was not built")
    offline = {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GOTELEMETRY": "off", "GO111MODULE": "off"}
    done = subprocess.run(
        [go, "run", str(VERIFIER)],
        input=json.dumps(cases).encode(),
        capture_output=True,
        timeout=GO_TIMEOUT_S,
        cwd=folder,
        env={**os.environ, **offline},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    said: list[str] = json.loads(done.stdout)
    return said


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def requests_of(world: World, made: Json, body: bytes, event_id: str) -> list[Json]:
    """The same event as it is posted to an endpoint, checked with the secret alone and with the key alone."""
    async with world.pool.acquire() as conn:
        (record,) = await load_endpoint_records(conn, endpoints=[decode_id("end", made["id"])])
    target = open_target(record, world.services.box)
    event = decode_id("evt", event_id)
    headers = target.headers_for(UUID(int=event.int), body, prev_sequence=3, now=datetime.now(UTC))
    sent = {"call": "webhook", "body": b64(body), "headers": headers}
    return [{**sent, "secret": made["secret"]}, {**sent, "public_key": made["public_key"]}]


async def gather(world: World) -> list[Json]:
    """All a merchant can be shown."""
    key = await world.create_merchant()
    made = (await world.call("POST", "/v1/endpoints", {"url": "https://shop.example/hook"}, key=key)).json
    await world.call("POST", f"/v1/endpoints/{made['id']}/rotate-key", {"overlap_s": 60}, key=key)
    made["public_key"] = (await world.call("GET", f"/v1/endpoints/{made['id']}", key=key)).json["public_key"]
    await world.watch(key)
    await world.pay(empty=12)
    first = (await world.call("POST", "/v1/events/checkpoints", key=key)).json
    for _ in range(3):
        await world.pay(empty=12)
    last = (await world.call("POST", "/v1/events/checkpoints", key=key)).json
    items = (await world.call("GET", "/v1/events?limit=500", key=key)).json["items"]
    ids = [item["id"] for item in items]
    bodies = [(await world.call("GET", f"/v1/events/{one}", key=key)).body for one in ids]
    who = {"merchant_id": items[0]["merchant_id"], "public_key": first["public_key"]}
    sizes = f"from={first['size']}&to={last['size']}"
    path = (await world.call("GET", f"/v1/events/consistency?{sizes}", key=key)).json["path"]
    keys = (await world.call("GET", f"/.well-known/chainbell/{who['merchant_id']}/keys.json")).body
    cases: list[Json] = [
        {"call": "log", "bodies": [b64(body) for body in bodies], "note": last["note"], **who},
        {"call": "consistency", "note": first["note"], "later": last["note"], "path": path, **who},
        {"call": "keys", "body": b64(keys), **who},
        *await requests_of(world, made, bodies[0], ids[0]),
    ]
    for one, body in zip(ids, bodies, strict=True):
        proof = (await world.call("GET", f"/v1/events/{one}/inclusion", key=key)).json
        note, path = proof["checkpoint"]["note"], proof["path"]
        cases.append({"call": "inclusion", "body": b64(body), "note": note, "path": path, **who})
        file = (await world.call("GET", f"/v1/events/{one}/tlog-proof", key=key)).body.decode()
        cases.append({"call": "tlog-proof", "body": b64(body), "proof": file, **who})
    return cases


def touch(rng: random.Random, case: Json) -> Json:
    """The same case, with something in it that is not what was given."""
    changed = copy.deepcopy(case)
    name = rng.choice([name for name in changed if name != "call" and changed[name]])
    value = changed[name]
    match name:
        case "bodies":
            one = rng.randrange(len(value))
            changed[name] = [*value[:one], *value[one + 1 :]]
        case "body" if (
            changed["call"] == "keys"
        ):  # what the note signs; the names of members are no part of it
            listed = json.loads(base64.b64decode(value))
            key = rng.choice(listed["keys"])
            member = rng.choice(["endpoint_id", "public_key", "valid_from", "valid_until"])
            key[member] = (key[member] or "2027-01-01T00:00:00Z")[::-1]
            changed[name] = b64(json.dumps(listed).encode())
        case "body":
            raw = bytearray(base64.b64decode(value))
            raw[rng.randrange(len(raw))] ^= 1
            changed[name] = b64(bytes(raw))
        case "headers":
            covered = ["webhook-id", "webhook-timestamp"]
            covered += ["chainbell-prev-sequence"] if "secret" in changed else []
            header = rng.choice(covered)
            value[header] = "1" + value[header]
        case "path":
            changed[name] = value[1:]
        case "secret":
            changed[name] = signing.encode_secret(bytes(24))
        case "public_key":
            changed[name] = signing.encode_public_key(bytes([9]) * 32)
        case "merchant_id":
            changed[name] = "mer_" + "0" * 26
        case _:  # a text of lines: one of the signed ones, or every signature
            text, gap, rest = value.partition("\n\n")
            changed[name] = text.replace("\n", "\n1", 1) + gap + rest
    return changed


async def test_a_verifier_made_from_the_docs_alone_believes_all_of_it_and_nothing_touched(
    world: World, tmp_path: Path, rng: random.Random
) -> None:
    cases = await gather(world)
    assert {case["call"] for case in cases} == {
        "log",
        "consistency",
        "keys",
        "webhook",
        "inclusion",
        "tlog-proof",
    }
    touched = [touch(rng, case) for case in cases for _ in range(8)]
    said = run_go(cases + touched, tmp_path)
    for case, answer in zip(cases, said, strict=False):
        assert answer == "", case
    for case, answer in zip(touched, said[len(cases) :], strict=True):
        assert answer != "", case
