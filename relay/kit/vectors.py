"""The vectors that every receiver's kit must pass, ours and yours: `vectors.json` beside this file.

Lives here: the cases, each with the answer stated by hand, and writing the file (`python -m relay.kit.vectors --write`; a test
compares). Signatures are made by `signing`. Does not live here: any code of the kits (`verify`, `kit/verify.mjs`), so that
what they answer is never what is expected of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relay import signing

GOLDEN_FILE = Path(__file__).with_name("vectors.json")
ABOUT = (
    "Vectors for receivers of chainbell's webhooks (docs/webhooks.md). verify: accepted is null where the request must be "
    "refused. public_keys_at: found is null where the document is no list. events: read is null where the body is no event. "
    "judge: bodies as they arrive; a receiver keeps ids, and [log_epoch, version] by object, as it applies them. gaps: what a "
    "tracker says after each step, saw [sequence, prev_sequence, log_epoch] or repaired up_to. repair: a tracker that saw, a "
    "log, so many events a page, and what is applied; applied is null where the gap remains. chain: [body, prev_hash] pairs."
)
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
PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


def build_vectors() -> Json:
    """All of them, by what they ask of a kit."""
    return {
        "about": ABOUT,
        "verify": verify_cases(),
        "public_keys_at": key_cases(),
        "events": event_cases(),
        "judge": judge_cases(),
        "gaps": gap_cases(),
        "repair": repair_cases(),
        "chain": chain_cases(),
    }


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
    ]


def key_cases() -> list[Json]:
    """Lists of public keys, and which of them may have signed when."""
    window = {
        "merchant_id": "mer_a",
        "keys": [
            _key("end_a", "whpk_new", "2026-11-02T00:00:00.750000Z", None),
            _key("end_a", "whpk_old", "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z"),
            _key("end_b", "whpk_other", "2026-11-01T00:00:00Z", None),
            {**_key("end_b", "whpk_later", "2026-11-01T00:00:00Z", None), "algorithm": "later"},
        ],
    }
    november_s = 1_793_491_200
    day_s = 86_400
    document = json.dumps(window)
    cases: Sequence[tuple[str, str, int, str | None, list[str] | None]] = (
        ("before any", document, november_s - 1, None, []),
        ("from its first second on", document, november_s, None, ["whpk_old", "whpk_other"]),
        ("in the overlap", document, november_s + day_s, "end_a", ["whpk_new", "whpk_old"]),
        ("until before its end", document, november_s + 2 * day_s - 1, "end_a", ["whpk_new", "whpk_old"]),
        ("at its end", document, november_s + 2 * day_s, "end_a", ["whpk_new"]),
        ("another endpoint", document, november_s + 2 * day_s, "end_c", []),
        ("not JSON", "<html>", november_s, None, None),
        ("no list", '{"keys": 5}', november_s, None, None),
        ("no times", '{"keys": [{"endpoint_id": "end_a", "algorithm": "ed25519"}]}', november_s, None, None),
        ("no object", "[]", november_s, None, None),
    )
    names = ("name", "document", "timestamp_s", "endpoint_id", "found")
    return [dict(zip(names, case, strict=True)) for case in cases]


def event_cases() -> list[Json]:
    """Bodies, and what a kit reads in them."""
    whole = _event(7, "dep_a", 3, log_epoch=2)
    chain = {**whole, "type": "chain.halted", "data": {"chain": "eip155:1"}}
    ping = {
        **whole,
        "type": "test.ping",
        "sequence": None,
        "prev_hash": None,
        "data": {"endpoint": {"id": "end_a"}},
    }
    good: list[tuple[str, Json, Json]] = [
        ("a deposit", whole, {"sequence": 7, "object_id": "dep_a", "version": 3, "log_epoch": 2}),
        ("a chain", chain, {"sequence": 7, "object_id": None, "version": None, "log_epoch": 2}),
        ("a test", ping, {"sequence": None, "object_id": None, "version": None, "log_epoch": 2}),
    ]
    bad: list[tuple[str, object]] = [
        ("a list", []),
        ("null", None),
        ("no sequence", {name: value for name, value in whole.items() if name != "sequence"}),
        ("a sequence in words", {**whole, "sequence": "7"}),
        ("half a sequence", {**whole, "sequence": 7.5}),
        ("an epoch that is no number", {**whole, "log_epoch": None}),
        ("an id that is a number", {**whole, "id": 5}),
        ("data that is a list", {**whole, "data": []}),
        ("a version that is no number", {**whole, "data": {"deposit": {"id": "dep_a", "version": None}}}),
        ("a version that is true", {**whole, "data": {"deposit": {"id": "dep_a", "version": True}}}),
        ("an object without an id", {**whole, "data": {"deposit": {"id": None, "version": 1}}}),
    ]
    return [
        *({"name": name, "body": json.dumps(body), "read": read} for name, body, read in good),
        *({"name": name, "body": json.dumps(body), "read": None} for name, body in bad),
        {"name": "not JSON", "body": "{", "read": None},
        {"name": "nothing", "body": "", "read": None},
    ]


def judge_cases() -> list[Json]:
    """Events as they arrive, and what to do with each."""
    chain = {**_event(9, "dep_a", 1), "type": "chain.stalled", "data": {"chain": "eip155:1"}}
    stories: dict[str, list[tuple[Json, str]]] = {
        "a repeat does nothing": [(_event(1, "dep_a", 1), "apply"), (_event(1, "dep_a", 1), "repeat")],
        "a late version does nothing, and its repeat neither": [
            (_event(1, "dep_a", 1), "apply"),
            (_event(3, "dep_a", 3), "apply"),
            (_event(2, "dep_a", 2), "stale"),
            (_event(3, "dep_a", 3), "repeat"),
        ],
        "objects do not wait for one another": [
            (_event(5, "dep_b", 2), "apply"),
            (_event(1, "dep_a", 1), "apply"),
        ],
        "another fact under the same version is not newer": [
            (_event(1, "dep_a", 1), "apply"),
            (_event(2, "dep_a", 1), "stale"),
        ],
        "after a restored backup the new epoch is newer, whatever the version": [
            (_event(4, "dep_a", 4), "apply"),
            (_event(2, "dep_a", 2, log_epoch=9), "apply"),
            (_event(5, "dep_a", 5), "stale"),
            (_event(3, "dep_a", 3, log_epoch=9), "apply"),
        ],
        "what has no version is told once": [(chain, "apply"), (chain, "repeat")],
    }
    return [
        {"name": name, "events": [{"body": json.dumps(body), "verdict": verdict} for body, verdict in story]}
        for name, story in stories.items()
    ]


def gap_cases() -> list[Json]:
    """Trackers, step by step."""
    closed = {"gap": None}
    return [
        _tracked(
            "out of order, repeated, with a filter between",
            {"complete_to": 10, "start": 10},
            ({"saw": [12, 10, 1]}, {"complete_to": 12, **closed}),
            ({"saw": [17, 15, 1]}, {"complete_to": 12, "gap": [12, 15]}),
            ({"saw": [17, 15, 1]}, {"complete_to": 12, "gap": [12, 15]}),
            ({"saw": [20, 17, 1]}, {"complete_to": 12, "gap": [12, 15]}),
            ({"saw": [15, 12, 1]}, {"complete_to": 20, **closed}),
            ({"saw": [12, 10, 1]}, {"complete_to": 20, **closed}),
        ),
        _tracked(
            "without the header the event just before counts as missing",
            {"complete_to": 0, "start": 0},
            ({"saw": [3, None, 1]}, {"complete_to": 0, "gap": [0, 2]}),
            ({"repaired": 2}, {"complete_to": 3, **closed}),
        ),
        _tracked(
            "a header that can not be is no reason to believe that nothing is missing",
            {"complete_to": 5, "start": 0},
            ({"saw": [9, 50, 1]}, {"complete_to": 5, "gap": [5, 8]}),
        ),
        _tracked(
            "a repair beyond what was seen",
            {"complete_to": 1, "start": 0},
            ({"saw": [5, 4, 1]}, {"complete_to": 1, "gap": [1, 4]}),
            ({"repaired": 3}, {"complete_to": 3, "gap": [3, 4]}),
            ({"repaired": 9}, {"complete_to": 9, **closed}),
        ),
        _tracked(
            "a new epoch counts on below what we had",
            {"complete_to": 30, "start": 4},
            ({"saw": [21, 20, 7]}, {"complete_to": 4, "gap": [4, 20], "log_epoch": 7}),
            ({"saw": [31, 30, 1]}, {"complete_to": 4, "gap": [4, 20], "log_epoch": 7}),
            ({"repaired": 20}, {"complete_to": 21, "gap": None, "log_epoch": 7}),
        ),
    ]


def repair_cases() -> list[Json]:
    """Gaps, the log behind them, and what is applied."""
    log = [_event(n, f"dep_{n}", 1) for n in (11, 12, 14, 15, 16)]
    disordered = [log[1], log[0], log[3]]
    cases: Sequence[tuple[str, list[Json], int, int, list[int] | None, int]] = (
        ("in one page", log, 500, 16, [11, 12, 14, 15], 16),
        ("page by page", log, 2, 16, [11, 12, 14, 15], 16),
        ("one by one", log, 1, 16, [11, 12, 14, 15], 16),
        ("nothing there that the filter matches", [], 500, 16, [], 16),
        ("the log does not reach so far", log[:2], 500, 12, None, 12),
        ("an answer out of order", disordered, 500, 16, None, 10),
    )
    return [
        {
            "name": name,
            "start": 10,
            "saw": [16, 15, 1],
            "log": events,
            "page_events": page_events,
            "head_sequence": head,
            "applied": applied,
            "complete_to": complete_to,
        }
        for name, events, page_events, head, applied, complete_to in cases
    ]


def chain_cases() -> list[Json]:
    """Bodies in a row, and whether each follows the one before."""
    first, second = '{"n":1}', '{"n":"zwölf"}'
    link = hashlib.sha256(first.encode()).hexdigest()
    start = "0" * 64
    return [
        {
            "name": "two in a row",
            "previous": None,
            "bodies": [[first, start], [second, link]],
            "accepted": True,
        },
        {"name": "behind one we have", "previous": first, "bodies": [[second, link]], "accepted": True},
        {"name": "one left out", "previous": first, "bodies": [[second, start]], "accepted": False},
        {
            "name": "one changed",
            "previous": None,
            "bodies": [[first + " ", start], [second, link]],
            "accepted": False,
        },
    ]


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
        "accepted": {"webhook_id": ID, "timestamp_s": NOW_S, "prev_sequence": 6} if accepted else None,
    }


def _key(endpoint_id: str, public_key: str, valid_from: str, valid_until: str | None) -> Json:
    return {
        "endpoint_id": endpoint_id,
        "algorithm": "ed25519",
        "public_key": public_key,
        "valid_from": valid_from,
        "valid_until": valid_until,
    }


def _event(sequence: int, object_id: str, version: int, *, log_epoch: int = 1) -> Json:
    return {
        "id": f"evt_{log_epoch}_{sequence}",
        "type": "deposit.included",
        "sequence": sequence,
        "prev_hash": "0" * 64,
        "log_epoch": log_epoch,
        "data": {"deposit": {"id": object_id, "version": version}, "reverses": None},
    }


def _tracked(name: str, tracker: Json, *steps: tuple[Json, Json]) -> Json:
    return {
        "name": name,
        "tracker": tracker,
        "steps": [{**step, "log_epoch": 1, **after} for step, after in steps],
    }


def encode_vectors() -> bytes:
    """The file's bytes."""
    return json.dumps(build_vectors(), ensure_ascii=False, indent=1).encode() + b"\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the file, or write it; 1 where it is old."""
    parser = argparse.ArgumentParser(prog="python -m relay.kit.vectors", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew vectors.json")
    if parser.parse_args(arguments).write:
        GOLDEN_FILE.write_bytes(encode_vectors())
        return 0
    return 0 if GOLDEN_FILE.exists() and GOLDEN_FILE.read_bytes() == encode_vectors() else 1


if __name__ == "__main__":
    sys.exit(main())
