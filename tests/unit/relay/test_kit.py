"""The receiver's kit in Python and in JavaScript gives the answers that the vectors state."""

from __future__ import annotations

import ast
import copy
import json
import random
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay import verify
from relay.kit import vectors, vectors_signed
from tests.node_program import run_node

Json = Any
RUNNER = Path(__file__).with_name("run_vectors.mjs")
KIT = Path(vectors.__file__).with_name("verify.mjs")


def or_none(run: Callable[[], Json]) -> Json:
    """What it returns; None where that may not be believed."""
    try:
        return run()
    except verify.WebhookInvalid:
        return None


def run_verify(one: Json) -> tuple[Json, Json]:
    found = or_none(
        lambda: verify.verify(
            one["body"].encode(),
            one["headers"],
            secrets=one["secrets"],
            public_keys=one["public_keys"],
            now_s=one["now_s"],
        )
    )
    fields = ("webhook_id", "timestamp_s", "prev_sequence")
    return found and {name: getattr(found, name) for name in fields}, one["accepted"]


def run_public_keys_at(one: Json) -> tuple[Json, Json]:
    document, endpoint_id = one["document"].encode(), one["endpoint_id"]
    return or_none(lambda: verify.public_keys_at(document, one["timestamp_s"], endpoint_id=endpoint_id)), one[
        "found"
    ]


def run_events(one: Json) -> tuple[Json, Json]:
    found = or_none(lambda: verify.read_event(one["body"].encode()))
    fields = ("sequence", "object_id", "version", "log_epoch")
    return found and {name: getattr(found, name) for name in fields}, one["read"]


def run_judge(one: Json) -> tuple[Json, Json]:
    seen: dict[str, str | None] = {}
    held: dict[str | None, tuple[int, int] | None] = {}
    verdicts = []
    for arriving in one["events"]:
        event = verify.read_event(arriving["body"].encode())
        verdict = verify.judge(event, seen=seen.get(event.id), held=held.get(event.object_id))
        seen.setdefault(event.id, event.body_hash)
        if verdict is verify.Verdict.APPLY:
            held[event.object_id] = event.place
        verdicts.append(verdict.value)
    return verdicts, [arriving["verdict"] for arriving in one["events"]]


def run_gaps(one: Json) -> tuple[Json, Json]:
    tracker = verify.GapTracker(**one["tracker"])
    said = []
    for step in one["steps"]:
        if "saw" in step:
            tracker.saw(*step["saw"])
        else:
            tracker.repaired(step["repaired"])
        said.append((tracker.complete_to, tracker.gap and list(tracker.gap), tracker.log_epoch))
    return said, [(step["complete_to"], step["gap"], step["log_epoch"]) for step in one["steps"]]


def run_repair(one: Json) -> tuple[Json, Json]:
    tracker = verify.GapTracker(one["start"], start=one["start"])
    tracker.saw(*one["saw"])

    def fetch_page(after: int) -> Json:
        items = [event for event in one["log"] if event["sequence"] > after][: one["page_events"]]
        return {"items": items, "head_sequence": one["head_sequence"]}

    applied: list[int | None] = []
    try:
        verify.repair(tracker, fetch_page, lambda event: applied.append(event.sequence))
    except verify.GapRemains:
        return (None, tracker.complete_to), (one["applied"], one["complete_to"])
    return (applied, tracker.complete_to), (one["applied"], one["complete_to"])


def run_chain(one: Json) -> tuple[Json, Json]:
    bodies = [(body.encode(), prev_hash) for body, prev_hash in one["bodies"]]
    previous = None if one["previous"] is None else one["previous"].encode()
    try:
        verify.verify_chain(bodies, previous)
    except verify.WebhookInvalid:
        return False, one["accepted"]
    return True, one["accepted"]


RUNNERS = {
    "verify": run_verify,
    "public_keys_at": run_public_keys_at,
    "events": run_events,
    "judge": run_judge,
    "gaps": run_gaps,
    "repair": run_repair,
    "chain": run_chain,
}


def load() -> Json:
    """The vectors as they are kept."""
    return json.loads(vectors.GOLDEN_FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("group", RUNNERS)
def test_the_python_kit_gives_every_answer_that_the_vectors_state(group: str) -> None:
    for one in load()[group]:
        found, wanted = RUNNERS[group](one)
        assert found == wanted, one["name"]


def test_the_javascript_kit_gives_every_answer_that_the_vectors_state() -> None:
    kept = load()
    said = run_node(RUNNER, kept)
    assert said["failures"] == []
    assert said["count"] == sum(len(kept[group]) for group in RUNNERS) > 60


def test_a_wrong_answer_is_noticed_in_every_group_by_both() -> None:
    wrong = copy.deepcopy(load())
    for one in wrong["verify"]:
        one["accepted"] = None if one["accepted"] else {}
    for one in wrong["public_keys_at"]:
        one["found"] = ["whpk_none"]
    for one in wrong["events"]:
        one["read"] = None if one["read"] else {}
    for one in wrong["judge"]:
        one["events"][0]["verdict"] = "stale"
    for one in wrong["gaps"]:
        one["steps"][-1]["complete_to"] += 1
    for one in wrong["repair"]:
        one["complete_to"] += 1
    for one in wrong["chain"]:
        one["accepted"] = not one["accepted"]
    said = run_node(RUNNER, wrong)
    assert len(said["failures"]) == said["count"]
    for group, run in RUNNERS.items():
        for one in wrong[group]:
            found, wanted = run(one)
            assert found != wanted, (group, one["name"])


STRANGE_VALUES: tuple[Json, ...] = (None, True, "x", 5, 5.5, -1, [], {}, {"id": "dep_a", "version": 1})
TYPEABLE = string.ascii_letters + string.digits + string.punctuation


def mangle_text(rng: random.Random, text: str) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(("", rng.choice(TYPEABLE))) + text[place + rng.randrange(2) :]


def mangle_event(rng: random.Random) -> str:
    event = {
        "id": "evt_1",
        "type": "deposit.final",
        "sequence": 3,
        "prev_hash": "0",
        "log_epoch": 1,
        "data": {"reverses": None, "deposit": {"id": "dep_a", "version": 3}},
    }
    inner: Json = rng.choice((event, event, event["data"], event["data"]["deposit"]))  # type: ignore[index]  # as built
    name = rng.choice(list(inner))
    if rng.random() < 0.2:
        del inner[name]
    else:
        inner[name] = rng.choice(STRANGE_VALUES)
    return json.dumps(event)


def test_both_kits_say_the_same_of_a_thousand_mangled_requests(rng: random.Random) -> None:
    kept = load()
    made: dict[str, list[Json]] = {group: [] for group in RUNNERS}
    whole = [one for one in kept["verify"] if one["accepted"]]
    for _ in range(500):
        one = copy.deepcopy(rng.choice(whole))
        name = rng.choice(list(one["headers"]))
        one["headers"][name] = mangle_text(rng, one["headers"][name])
        for keys in ("secrets", "public_keys"):
            if one[keys] and rng.random() < 0.1:
                one[keys][0] = mangle_text(rng, one[keys][0])
        one["accepted"], _ = run_verify(one)
        made["verify"].append(one)
    for _ in range(500):
        one = {"name": "mangled", "body": mangle_event(rng)}
        one["read"], _ = run_events({**one, "read": None})
        made["events"].append(one)
    said = run_node(RUNNER, made)
    assert (said["count"], said["failures"]) == (1000, [])
    assert {one["accepted"] is None for one in made["verify"]} == {True, False}
    assert {one["read"] is None for one in made["events"]} == {True, False}


def test_the_vectors_are_what_the_program_writes() -> None:
    assert vectors.GOLDEN_FILE.read_bytes() == vectors.encode_vectors(), "python -m relay.kit.vectors --write"


def test_the_vectors_are_made_without_the_code_they_judge() -> None:
    for module in (vectors, vectors_signed):
        source = Path(module.__file__ or "").read_text(encoding="utf-8")
        found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        ours = {
            f"{node.module}.{name.name}"
            for node in found
            for name in node.names
            if node.module and "relay" in node.module
        }
        assert not [name for name in ours if "verify" in name and "cases" not in name]
        assert not [name for name in ours if "strict" in name]


@pytest.mark.parametrize("name", ["verify.mjs", "strict.mjs"])
def test_the_javascript_kit_imports_nothing_that_must_be_installed(name: str) -> None:
    source = KIT.with_name(name).read_text(encoding="utf-8")
    imported = re.findall(r"\bfrom \"([^\"]+)\"|\bimport\(|\brequire\(", source)
    assert set(imported) <= {"node:crypto", "./strict.mjs"}
