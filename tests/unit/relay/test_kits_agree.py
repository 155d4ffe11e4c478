"""The kits for Python and for Node say the same of thousands of mangled requests, lists, notes and proofs.

Here: making whole ones, mangling their bytes, text and JSON, and comparing (`run_kits.mjs` is the other side). Not here: what is right
of them (`test_kit.py`, `test_checkpoint_notes.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from migrations.ids import encode_id
from relay import verify, verify_log
from relay.keys import signing
from relay.kit import vectors
from relay.kit.vectors_signed import BODY, ID, KEY_NEW, NEW, NOW_S
from relay.proof import merkle, notes
from tests.node_program import run_node

Json = Any
RUNNER = Path(__file__).with_name("run_kits.mjs")
MERCHANT_ID = encode_id("mer", UUID(int=7))
SECRET, PUBLIC = signing.encode_secret(NEW), signing.encode_public_key(signing.public_bytes(KEY_NEW))
WITNESS = notes.encode_verifier_key("w.example/1", signing.public_bytes(KEY_NEW), notes.COSIGNATURE)
WHO = {"merchant_id": MERCHANT_ID, "public_key": PUBLIC, "witnesses": [WITNESS]}
CASES = 3_000


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# --- what is whole ---------------------------------------------------------------------------------------------------


def body_of(n: int) -> bytes:
    event = {
        "id": f"evt_{n}",
        "type": "deposit.final",
        "sequence": n,
        "prev_hash": "00",
        "log_epoch": 1,
        "merchant_id": MERCHANT_ID,
        "data": {"reverses": None, "deposit": {"id": "dep_a", "version": 3, "memo": "é\u2028\U0001f600"}},
    }
    return json.dumps(event, ensure_ascii=n % 2 == 0).encode()


LOG = [body_of(n) for n in range(1, 12)]


def roots(spans: Sequence[merkle.Span]) -> list[str]:
    leaves = [merkle.hash_leaf(hashlib.sha256(body).digest()) for body in LOG]
    return [merkle.compute_root(leaves[start:end]).hex() for start, end in spans]


def note_of(size: int, *, epoch: int = 1, after: int = 0, at_s: int = NOW_S) -> str:
    at = datetime.fromtimestamp(at_s, tz=UTC)
    name = f"chainbell/log/{MERCHANT_ID}/{epoch}/{after}"
    text = notes.compose_checkpoint(name, size=size, root_hash=bytes.fromhex(roots([(0, size)])[0]))
    return notes.sign_note(text, name, KEY_NEW, at=at) + notes.cosign(text, "w.example/1", KEY_NEW, at=at)


def headers_of(body: bytes) -> dict[str, str]:
    signs: Json = {"secrets": [NEW], "signing_keys": [KEY_NEW]}
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": signing.sign(ID, NOW_S, body, **signs),
        "chainbell-prev-sequence": "6",
        "chainbell-signature": signing.sign_headers(ID, NOW_S, prev_sequence=6, covers="", secrets=[NEW]),
    }


def list_of(windows: Sequence[tuple[str, str | None]], at_s: int) -> bytes:
    end, name = encode_id("end", UUID(int=1)), f"chainbell/keys/{MERCHANT_ID}"
    keys = [
        {
            "endpoint_id": end,
            "algorithm": "ed25519",
            "public_key": signing.encode_public_key(
                signing.public_bytes(signing.signing_key_from_seed(bytes([n]) * 32))
            ),
            "valid_from": begun,
            "valid_until": until,
        }
        for n, (begun, until) in enumerate(windows)
    ]
    lines = [f"{end} {one['public_key']} {one['valid_from']} {one['valid_until'] or '-'}" for one in keys]
    text = "".join(f"{line}\n" for line in (name, f"time {at_s}", *lines))
    return json.dumps({"keys": keys, "note": notes.sign_note(text, name, KEY_NEW)}).encode()


# --- what is done to it ----------------------------------------------------------------------------------------------

PIECES = (
    b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\x00", b"\n", b"\r\n", b" ", b"\t", b"\x0c", b"\xc2\xa0",
    b"7.0", b"-0", b"1e1", b"1e400", b"9007199254740992", b"9007199254740991.0", b"01", b".5", b"NaN", b"Infinity",
    b'"id":"evt_x",', b'"sequence":5,', b'"data":{},', b'"__proto__":{"id":1},', b'"1":{"id":"a","version":1},', b"\\ud800",
    b'"', b"\\", b"{", b"}", b"[" * 101, b",", b"=", b"A", b"+", b"/", b"-", b"\xe2\x80\x94", b"0", b"9" * 5_000,
)  # fmt: skip
VALUES: tuple[Json, ...] = (
    None,
    True,
    False,
    "x",
    "",
    5,
    5.0,
    5.5,
    -1,
    -0.0,
    2**53,
    2**53 - 1,
    1e300,
    [],
    {},
    [1],
    "\ud800",
)


def mangle_bytes(rng: random.Random, raw: bytes) -> bytes:
    kind, place = rng.random(), rng.randrange(len(raw) + 1)
    if kind < 0.05:
        return raw.decode("utf-8", "replace").encode(
            rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1")), "replace"
        )
    if kind < 0.5:
        return raw[:place] + rng.choice(PIECES) + raw[place:]
    return raw[:place] + rng.choice((b"", rng.choice(PIECES))) + raw[place + rng.randrange(3) :]


def mangle_text(rng: random.Random, text: str) -> str:
    return mangle_bytes(rng, text.encode()).decode("utf-8", "replace")


def mangle_json(rng: random.Random, raw: bytes) -> bytes:
    parsed = json.loads(raw)
    inner: Json = parsed
    while rng.random() < 0.7 and (
        below := [one for one in _values(inner) if isinstance(one, dict | list) and one]
    ):
        inner = rng.choice(below)
    name: Json = rng.choice(list(inner)) if isinstance(inner, dict) else rng.randrange(len(inner))
    kind = rng.random()
    if kind < 0.2:
        del inner[name]
    elif kind < 0.4 and isinstance(inner, dict):  # another order of members
        inner[name] = inner.pop(name)
    else:
        inner[name] = rng.choice(VALUES)
    return json.dumps(parsed).encode()


def _values(inner: Json) -> list[Json]:
    return list(inner.values() if isinstance(inner, dict) else inner)


def mangle(rng: random.Random, raw: bytes) -> bytes:
    return rng.choice((mangle_bytes, mangle_json))(rng, raw) if rng.random() < 0.9 else raw


def mangle_headers(rng: random.Random, headers: dict[str, str]) -> dict[str, str]:
    found, name = dict(headers), rng.choice(list(headers))
    kind = rng.random()
    if kind < 0.2:
        found[name.upper()] = found[rng.choice(list(found))]
    elif kind < 0.3:
        found[name] = f"{found[name]}, {found[name]}"
    elif kind < 0.4:
        found[name] = " ".join(reversed(found[name].split(" ")))
    else:
        found[name] = mangle_text(rng, found[name])
    return found


def make_case(rng: random.Random) -> tuple[str, list[Json]]:
    size = rng.randrange(1, len(LOG) + 1)
    first = rng.randrange(1, size + 1)
    windows = [
        (f"2027-01-1{n}T08:00:00Z", rng.choice((None, "2027-01-20T08:00:00.5Z")))
        for n in range(rng.randrange(4))
    ]
    document = list_of(windows, NOW_S)
    path = rng.choice((list, lambda one: [*one, "00" * 32], lambda one: one[1:], "".join))
    odd = {**WHO, "public_key": mangle_text(rng, PUBLIC)} if rng.random() < 0.1 else WHO
    note = note_of(size, at_s=NOW_S + rng.choice((-1, 0, 1)))
    name = rng.choice(list(CALLS))
    match name:
        case "verify":
            body = rng.choice((BODY.encode(), LOG[0]))
            keys = (
                [[SECRET], [PUBLIC]]
                if rng.random() < 0.8
                else [[mangle_text(rng, SECRET)], [mangle_text(rng, PUBLIC)]]
            )
            return name, [b64(body), mangle_headers(rng, headers_of(body)), *keys, NOW_S]
        case "read_event":
            return name, [b64(mangle(rng, rng.choice(LOG)))]
        case "public_keys_at":
            return name, [b64(mangle(rng, document)), NOW_S]
        case "checkpoint":
            return name, [mangle_text(rng, note), odd]
        case "inclusion":
            hashes = path(roots(merkle.compute_inclusion(first - 1, size)))
            return name, [b64(mangle(rng, LOG[first - 1])), hashes, note, odd]
        case "consistency":
            epoch, after = rng.choice(((1, 0), (1, 0), (2, 1), (2, first), (3, size)))
            earlier = note_of(first, at_s=NOW_S + rng.choice((-9, 0)))
            later = note_of(size, epoch=epoch, after=after)
            return name, [earlier, later, path(roots(merkle.compute_consistency(first, size))), odd]
        case "proof":
            lines = "".join(
                f"{b64(bytes.fromhex(one))}\n" for one in roots(merkle.compute_inclusion(first - 1, size))
            )
            proof = f"c2sp.org/tlog-proof@v1\nindex {first - 1}\n{lines}\n{note}"
            return name, [rng.choice((proof, mangle_text(rng, proof))), b64(LOG[first - 1]), odd]
        case "bodies":
            return name, [[b64(one) for one in LOG[: rng.choice((size, first))]], note, odd]
        case "key_list":
            return name, [b64(mangle(rng, document)), odd]
        case "anchor":
            anchored = "0x6a2463626c31" + hashlib.sha256(note.encode()).hexdigest()
            anchored = rng.choice((anchored, anchored[6:], anchored.upper(), mangle_text(rng, anchored)))
            return name, [rng.choice((note, note, mangle_text(rng, note))), anchored]
        case _:
            return name, [b64(list_of(windows[:2], NOW_S - rng.choice((-9, 0, 10**6)))), b64(document), odd]


# --- both sides ------------------------------------------------------------------------------------------------------


def _verify(body: str, headers: Json, secrets: Json, public_keys: Json, now_s: int) -> Json:
    found = verify.verify(raw(body), headers, secrets=secrets, public_keys=public_keys, now_s=now_s)
    return [found.webhook_id, found.timestamp_s, found.prev_sequence]


def raw(text: str) -> bytes:
    return base64.b64decode(text)


def _read_event(body: str) -> Json:
    one = verify.read_event(raw(body))
    return [
        one.id,
        one.type,
        one.sequence,
        one.prev_hash,
        one.log_epoch,
        one.object_id,
        one.version,
        one.body_hash,
    ]


def _checkpoint(note: str, who: Json) -> Json:
    one = verify_log.verify_checkpoint(note, **who)
    root = one.root_hash.hex()
    return [one.merchant_id, one.size, root, one.log_epoch, one.epoch_after, one.time_s, list(one.witnesses)]


def _done(run: Callable[[], None]) -> bool:
    run()
    return True


def _key(who: Json) -> Json:
    return {name: who[name] for name in ("merchant_id", "public_key")}


CALLS: dict[str, Callable[..., Json]] = {
    "verify": _verify,
    "read_event": _read_event,
    "public_keys_at": lambda document, at_s: verify.public_keys_at(raw(document), at_s),
    "checkpoint": _checkpoint,
    "inclusion": lambda body, path, note, who: _done(
        lambda: verify_log.verify_inclusion(raw(body), path, verify_log.verify_checkpoint(note, **who))
    ),
    "consistency": lambda first, second, path, who: _done(
        lambda: verify_log.verify_consistency(
            verify_log.verify_checkpoint(first, **who), verify_log.verify_checkpoint(second, **who), path
        )
    ),
    "proof": lambda proof, body, who: verify_log.verify_proof(proof, raw(body), **who).size,
    "bodies": lambda bodies, note, who: _done(
        lambda: verify_log.verify_bodies(map(raw, bodies), verify_log.verify_checkpoint(note, **who))
    ),
    "anchor": lambda note, anchored: _done(lambda: verify_log.verify_anchor(note, anchored)),
    "key_list": lambda document, who: verify_log.verify_key_list(raw(document), **_key(who)),
    "key_growth": lambda first, second, who: _done(
        lambda: verify_log.verify_key_growth(raw(first), raw(second), **_key(who))
    ),
}


def say(name: str, given: list[Json]) -> Json:
    try:
        return CALLS[name](*given)
    except (verify.WebhookInvalid, verify_log.ProofInvalid) as error:
        return type(error).__name__


def for_node(given: list[Json]) -> list[Json]:
    return [
        {"merchantId": one["merchant_id"], "publicKey": one["public_key"], "witnesses": one["witnesses"]}
        if isinstance(one, dict) and "merchant_id" in one
        else one
        for one in given
    ]


def test_both_kits_say_the_same_of_whatever_they_are_given(rng: random.Random) -> None:
    cases = [make_case(rng) for _ in range(CASES)]
    theirs = run_node(RUNNER, [(name, for_node(given)) for name, given in cases])
    ours = json.loads(json.dumps([say(name, given) for name, given in cases]))
    for case, one, other in zip(cases, ours, theirs, strict=True):
        assert one == other, case
    for name in CALLS:
        said = [isinstance(one, str) for (called, _), one in zip(cases, ours, strict=True) if called == name]
        assert {True, False} == set(said), name  # some were believed, and some were not


def test_the_vectors_of_requests_say_the_same_in_both() -> None:
    kept = json.loads(vectors.GOLDEN_FILE.read_text(encoding="utf-8"))
    cases: list[tuple[str, list[Json]]] = [
        ("read_event", [b64(one["body"].encode())]) for one in kept["events"]
    ]
    cases += [
        ("public_keys_at", [b64(one["document"].encode()), one["timestamp_s"]])
        for one in kept["public_keys_at"]
    ]
    assert run_node(RUNNER, cases) == json.loads(json.dumps([say(name, given) for name, given in cases]))
