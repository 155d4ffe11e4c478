"""The vectors of requests and of lists of keys: what is signed, by whom, and what must be refused although it is signed.

Lives here: the cases of `verify` and `public_keys_at`. The other groups, and writing the file: `vectors`. Does not live here: any
code of the kits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from relay.keys import signing

Json = dict[str, Any]
NOW_S = 1_800_000_000
ID = "evt_01jd0000000000000000000001"
BODY = '{"id":"evt_01jd0000000000000000000001","data":{"reference":"Größe 42 €"}}'
OLD, NEW, STRANGE = bytes(range(24)), bytes(range(32, 96)), bytes(32)
KEY_OLD, KEY_NEW, KEY_STRANGE = (signing.signing_key_from_seed(bytes([n]) * 32) for n in (1, 2, 3))
OLD_TEXT, NEW_TEXT, STRANGE_TEXT = (signing.encode_secret(one) for one in (OLD, NEW, STRANGE))
OLD_PUBLIC, NEW_PUBLIC, STRANGE_PUBLIC = (
    signing.encode_public_key(signing.public_bytes(one)) for one in (KEY_OLD, KEY_NEW, KEY_STRANGE)
)

# Published with the Standard Webhooks specification; the public key is the second half of its private one.
PUBLISHED: Json = {
    "body": '{"test": 2432232314}',
    "headers": {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    },
    "now_s": 1614265330,
    "accepted": {
        "webhook_id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "timestamp_s": 1614265330,
        "prev_sequence": None,
    },
}
ED25519_PRIME = 2**255 - 19
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER = (
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
)
PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


def verify_cases() -> list[Json]:
    """Requests, and what a receiver with these keys makes of them."""
    both = signing.sign(ID, NOW_S, BODY.encode(), secrets=[NEW, OLD], signing_keys=[KEY_NEW, KEY_OLD])
    asymmetric = " ".join(part for part in both.split(" ") if part.startswith("v1a,"))
    bad: dict[str, Json] = {
        "no id": {"webhook-id": None},
        "another id": {"webhook-id": "evt_other"},
        "an id with a dot": {"webhook-id": "evt.1"},
        "no timestamp": {"webhook-timestamp": None},
        "another timestamp": {"webhook-timestamp": str(NOW_S + 1)},
        "a timestamp in words": {"webhook-timestamp": "soon"},
        "a negative timestamp": {"webhook-timestamp": f"-{NOW_S}"},
        "a timestamp without end": {"webhook-timestamp": "9" * 40},
        "no signature": {"webhook-signature": None},
        "a signature that is no base64": {"webhook-signature": "v1,%%%"},
        "a signature without a version": {"webhook-signature": both.split(",")[1]},
        "an unknown version": {"webhook-signature": both.replace("v1,", "v2,").replace("v1a,", "v2a,")},
        "v1 given as v1a": {"webhook-signature": both.split(" ")[0].replace("v1,", "v1a,")},
        "a truncated signature": {"webhook-signature": "v1,AAAA v1a,AAAA"},
        "the right one behind 32 others": {"webhook-signature": "v1,AAAA " * 32 + both},
        "an id of two headers": {"webhook-id": f"{ID}, {ID}"},
        "an id with a blank": {"webhook-id": f"{ID[:9]} {ID[9:]}"},
        "an id twice": {"Webhook-Id": ID},
        "a signature twice": {"Webhook-Signature": both},
        "signatures of two headers": {"webhook-signature": f"{both}, {both}"},
        "base64 without its end": {"webhook-signature": both.replace("=", "")},
        "base64 in another spelling": {"webhook-signature": _respelled(both)},
        "headers signed as nothing": {"chainbell-signature": "v1"},
    }
    keys = ([OLD_TEXT, NEW_TEXT], [OLD_PUBLIC, NEW_PUBLIC])
    believed: Sequence[tuple[str, list[str], list[str]]] = (
        ("the old secret while rotating", [OLD_TEXT], []),
        ("the new secret while rotating", [NEW_TEXT], []),
        ("one of several secrets", [STRANGE_TEXT, NEW_TEXT], []),
        ("the old key while rotating", [], [OLD_PUBLIC]),
        ("the new key while rotating", [], [NEW_PUBLIC]),
        ("a strange secret beside our key", [STRANGE_TEXT], [NEW_PUBLIC]),
    )
    refused: Sequence[tuple[str, list[str], list[str]]] = (
        ("no key at all", [], []),
        ("strange keys", [STRANGE_TEXT], [STRANGE_PUBLIC]),
        ("a secret misspelt", ["whsec_%%"], []),
        ("a public key too short", [], ["whpk_AAAA"]),
        ("a secret given as a public key", [], [NEW_TEXT]),
    )
    return [
        {"name": "published v1", **PUBLISHED, "secrets": [PUBLISHED_SECRET], "public_keys": []},
        {"name": "published v1a", **PUBLISHED, "secrets": [], "public_keys": [PUBLISHED_PUBLIC]},
        *(_request(name, both, secrets, public, accepted=True) for name, secrets, public in believed),
        *(_request(name, both, secrets, public, accepted=False) for name, secrets, public in refused),
        *(
            _request(f"{off_s} s off", both, *keys, accepted=abs(off_s) <= 300, now_s=NOW_S + off_s)
            for off_s in (-301, -300, 300, 301)
        ),
        _request("v1a alone, and a secret", asymmetric, [NEW_TEXT], [], accepted=False),
        _request("a blank more", both, *keys, accepted=False, body=BODY + " "),
        *(_request(name, both, *keys, accepted=False, change=change) for name, change in bad.items()),
        *vouched_cases(both),
        *unsound_cases(),
    ]


def vouched_cases(both: str) -> list[Json]:
    """What is said beside the body, believed where it is signed, too."""
    beside = signing.sign_headers(ID, NOW_S, prev_sequence=6, covers="", secrets=[NEW, OLD])
    return [
        *(
            _request(name, both, [OLD_TEXT], [], accepted=True, change=change, prev_sequence=prev)
            for name, change, prev in (
                ("a signed sequence before", {"chainbell-signature": beside}, 6),
                ("an unsigned sequence before", {}, None),
                (
                    "another sequence before",
                    {"chainbell-signature": beside, "chainbell-prev-sequence": "5"},
                    None,
                ),
                ("a covering beside", {"chainbell-signature": beside, "chainbell-covers": "1-5"}, None),
                ("headers signed with another key", {"chainbell-signature": both}, None),
            )
        ),
    ]


def unsound_cases() -> list[Json]:
    """Keys under which anybody signs, and signatures that say so of any text: refused, though the equation holds."""
    content = f"{ID}.{NOW_S}.{BODY}".encode()
    scalar = int.from_bytes(hashlib.sha512(bytes([1]) * 32).digest()[:32], "little")
    scalar = (scalar & ~7 & ~(1 << 255)) | 1 << 254
    own = signing.public_bytes(KEY_OLD)
    identity = (1).to_bytes(32, "little")
    everybodys = own + (scalar % ED25519_ORDER).to_bytes(32, "little")
    challenge = int.from_bytes(hashlib.sha512(identity + own + content).digest(), "little")
    small = identity + (challenge * scalar % ED25519_ORDER).to_bytes(32, "little")
    beyond = everybodys[:32] + (int.from_bytes(everybodys[32:], "little") + ED25519_ORDER).to_bytes(
        32, "little"
    )
    cases = [
        ("a key of order one", everybodys, identity),
        ("a key of order one, written with a sign", everybodys, identity[:31] + b"\x80"),
        ("a key beyond the field", everybodys, (ED25519_PRIME + 1).to_bytes(32, "little")),
        ("a scalar beyond the order", beyond, identity),
        ("a point of order one in a signature", small, own),
        *(
            (f"a key of small order, {n}", everybodys, bytes.fromhex(one))
            for n, one in enumerate(SMALL_ORDER)
        ),
    ]
    empty = "v1," + base64.b64encode(hmac.digest(b"", content, "sha256")).decode()
    short = "v1," + base64.b64encode(hmac.digest(bytes(23), content, "sha256")).decode()
    return [
        *(
            _request(
                name,
                "v1a," + base64.b64encode(signature).decode(),
                [],
                [signing.encode_public_key(key)],
                accepted=False,
            )
            for name, signature, key in cases
        ),
        _request("an empty secret", empty, ["whsec_"], [], accepted=False),
        _request(
            "a short secret", short, ["whsec_" + base64.b64encode(bytes(23)).decode()], [], accepted=False
        ),
    ]


def _respelled(signatures: str) -> str:
    """The same bytes, with another last character: its lowest bits are of no byte."""
    return " ".join(
        one[:-2] + chr(ord(one[-2]) + 1) + one[-1]
        if one.endswith("=") and one[-2] != "="
        else one[:-3] + "R=="
        for one in signatures.split(" ")
    )


def key_cases() -> list[Json]:
    """Lists of public keys, and which of them may have signed when."""
    window: Json = {
        "merchant_id": "mer_a",
        "keys": [
            _key("end_a", NEW_PUBLIC, "2026-11-02T00:00:00.750000Z", None),
            _key("end_a", OLD_PUBLIC, "2026-11-01T00:00:00Z", "2026-11-03T00:00:00.000001Z"),
            _key("end_b", STRANGE_PUBLIC, "2026-11-01T00:00:00Z", None),
            {**_key("end_b", "whpk_later", "2026-11-01T00:00:00Z", None), "algorithm": "later"},
        ],
    }
    november_s = 1_793_491_200
    day_s = 86_400
    document = json.dumps(window)
    one = window["keys"][2]
    other = [OLD_PUBLIC, STRANGE_PUBLIC]
    cases: list[tuple[str, str, int, str | None, list[str] | None]] = [
        ("before any", document, november_s - 1, None, []),
        ("from its first second on", document, november_s, None, other),
        ("in the overlap", document, november_s + day_s, "end_a", [NEW_PUBLIC, OLD_PUBLIC]),
        ("until before its end", document, november_s + 2 * day_s, "end_a", [NEW_PUBLIC, OLD_PUBLIC]),
        ("at its end", document, november_s + 2 * day_s + 1, "end_a", [NEW_PUBLIC]),
        ("another endpoint", document, november_s + 2 * day_s, "end_c", []),
        ("not JSON", "<html>", november_s, None, None),
        ("no list", '{"keys": 5}', november_s, None, None),
        ("no list but an object", '{"keys": {}}', november_s, None, None),
        ("no object in it", '{"keys": [5]}', november_s, None, None),
        ("no times", '{"keys": [{"endpoint_id": "end_a", "algorithm": "ed25519"}]}', november_s, None, None),
        ("no object", "[]", november_s, None, None),
        ("behind a mark", "\ufeff" + document, november_s, None, None),
    ]
    bad: dict[str, Json] = {
        "a day that is not": {"valid_from": "2026-02-30T00:00:00Z"},
        "an hour that is not": {"valid_from": "2026-11-01T24:00:00Z"},
        "a time of another place": {"valid_from": "2026-11-01T00:00:00+01:00"},
        "a day without a time": {"valid_from": "2026-11-01"},
        "a time in words": {"valid_until": "1 Dec 2026"},
        "a key that is a number": {"public_key": 5},
        "a key of small order": {"public_key": signing.encode_public_key(bytes(32))},
    }
    for name, change in bad.items():
        cases.append((name, json.dumps({"keys": [{**one, **change}]}), november_s, None, None))
    names = ("name", "document", "timestamp_s", "endpoint_id", "found")
    return [dict(zip(names, case, strict=True)) for case in cases]


def _request(
    name: str,
    signature: str,
    secrets: list[str],
    public_keys: list[str],
    *,
    accepted: bool,
    body: str = BODY,
    now_s: int = NOW_S,
    change: Mapping[str, str | None] | None = None,
    prev_sequence: int | None = None,
) -> Json:
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": signature,
        "chainbell-prev-sequence": "6",
    }
    changed = {**headers, **(change or {})}
    return {
        "name": name,
        "body": body,
        "headers": {header: value for header, value in changed.items() if value is not None},
        "secrets": secrets,
        "public_keys": public_keys,
        "now_s": now_s,
        "accepted": {"webhook_id": ID, "timestamp_s": NOW_S, "prev_sequence": prev_sequence}
        if accepted
        else None,
    }


def _key(endpoint_id: str, public_key: str, valid_from: str, valid_until: str | None) -> Json:
    return {
        "endpoint_id": endpoint_id,
        "algorithm": "ed25519",
        "public_key": public_key,
        "valid_from": valid_from,
        "valid_until": valid_until,
    }
