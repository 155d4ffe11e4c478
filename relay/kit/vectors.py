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
from collections.abc import Sequence
from pathlib import Path

from relay.kit.vectors_signed import Json, key_cases, verify_cases

GOLDEN_FILE = Path(__file__).with_name("vectors.json")
ABOUT = (
    "Vectors for receivers of chainbell's webhooks (docs/webhooks.md). verify: accepted is null where the request must be "
    "refused. public_keys_at: found is null where the document is no list. events: read is null where the body is no event. "
    "judge: bodies as they arrive; a receiver keeps the hash of each body by id, and [log_epoch, version] by object, "
    "as it applies them. gaps: what a tracker says "
    "after each step, saw [sequence, prev_sequence, log_epoch] or repaired up_to. repair: a tracker that saw, a "
    "log, so many events a page, and what is applied; applied is null where the gap remains. chain: [body, prev_hash] pairs."
)


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
    read = {"sequence": 7, "object_id": "dep_a", "version": 3, "log_epoch": 2}
    other = {"id": "inv_a", "version": 9}
    good: list[tuple[str, Json, Json]] = [
        ("a deposit", whole, read),
        ("a chain", chain, {"sequence": 7, "object_id": None, "version": None, "log_epoch": 2}),
        ("a test", ping, {"sequence": None, "object_id": None, "version": None, "log_epoch": 2}),
        ("whole numbers with a point", {**whole, "sequence": 7.0}, read),
        ("the greatest number", {**whole, "sequence": 2**53 - 1}, {**read, "sequence": 2**53 - 1}),
        ("something else with versions before it", {**whole, "data": {"1": other, **whole["data"]}}, read),
        ("something else with versions after it", {**whole, "data": {**whole["data"], "a": other}}, read),
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
        ("a sequence below zero", {**whole, "sequence": -1}),
        ("a sequence beyond what all can count", {**whole, "sequence": 2**53}),
        ("a version that is text", {**whole, "data": {"deposit": {"id": "dep_a", "version": "3"}}}),
        ("nested without end", {**whole, "data": {"deposit": json.loads("[" * 120 + "]" * 120)}}),
    ]
    return [
        *({"name": name, "body": json.dumps(body), "read": read} for name, body, read in good),
        *({"name": name, "body": json.dumps(body), "read": None} for name, body in bad),
        {"name": "not JSON", "body": "{", "read": None},
        {"name": "behind a mark", "body": "\ufeff" + json.dumps(whole), "read": None},
        {"name": "NaN", "body": json.dumps({**whole, "data": {"n": float("nan")}}), "read": None},
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
        "the same id with another body is evidence": [
            (_event(1, "dep_a", 1), "apply"),
            ({**_event(1, "dep_a", 1), "data": {"deposit": {"id": "dep_a", "version": 2}}}, "contradicts"),
            (_event(1, "dep_a", 1), "repeat"),
        ],
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
