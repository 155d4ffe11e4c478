"""What a receiver runs: accepts what is ours, refuses everything else with one error, finds gaps."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import strict, verify
from relay.keys import signing

NOW_S = 1_800_000_000.0
BODY = b'{"id":"evt_1","sequence":7}'
SECRET = b"k" * 32
KEY = signing.signing_key_from_seed(bytes(range(32)))
SECRET_TEXT = signing.encode_secret(SECRET)
PUBLIC_TEXT = signing.encode_public_key(signing.public_bytes(KEY))


def signed(body: bytes = BODY, at_s: float = NOW_S) -> dict[str, str]:
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at_s)),
        "Webhook-Signature": signing.sign("evt_1", int(at_s), body, secrets=[SECRET], signing_keys=[KEY]),
        "Chainbell-Prev-Sequence": "6",
    }


def test_either_kind_of_key_is_enough() -> None:
    for secrets, public_keys in (([SECRET_TEXT], []), ([], [PUBLIC_TEXT])):
        found = verify.verify(BODY, signed(), secrets=secrets, public_keys=public_keys, now_s=NOW_S)
        assert found == verify.Verified("evt_1", int(NOW_S), None)


def test_an_old_and_a_new_secret_are_both_accepted_while_rotating() -> None:
    other = signing.encode_secret(b"o" * 32)
    verify.verify(BODY, signed(), secrets=[other, SECRET_TEXT], now_s=NOW_S)


@pytest.mark.parametrize(
    "change",
    [
        {"Webhook-Id": "evt_2"},
        {"Webhook-Id": ""},
        {"Webhook-Id": "evt.1"},
        {"Webhook-Id": "evt_é"},
        {"Webhook-Timestamp": str(int(NOW_S) + 1)},
        {"Webhook-Timestamp": "soon"},
        {"Webhook-Timestamp": "9" * 40},
        {"Webhook-Timestamp": "١٢٣"},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1"},
        {"Webhook-Signature": "v1,%%%"},
        {"Webhook-Signature": "v1,é"},
        {"Webhook-Signature": "v2,AAAA"},
        {"Webhook-Signature": "v1,AAAA v1a,AAAA"},
    ],
)
def test_a_changed_header_is_refused_with_the_one_error(change: dict[str, str]) -> None:
    for secrets, public_keys in (([SECRET_TEXT], []), ([], [PUBLIC_TEXT])):
        with pytest.raises(verify.WebhookInvalid):
            verify.verify(BODY, signed() | change, secrets=secrets, public_keys=public_keys, now_s=NOW_S)


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_a_missing_header_is_refused_with_the_one_error(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(verify.WebhookInvalid):
        verify.verify(BODY, headers, secrets=[SECRET_TEXT], now_s=NOW_S)


def test_a_changed_body_or_a_strange_key_is_refused() -> None:
    with pytest.raises(verify.WebhookInvalid):
        verify.verify(BODY + b" ", signed(), secrets=[SECRET_TEXT], public_keys=[PUBLIC_TEXT], now_s=NOW_S)
    with pytest.raises(verify.WebhookInvalid):
        verify.verify(BODY, signed(), now_s=NOW_S)
    stranger = signing.signing_key_from_seed(bytes(32))
    with pytest.raises(verify.WebhookInvalid):
        verify.verify(
            BODY,
            signed(),
            public_keys=[signing.encode_public_key(signing.public_bytes(stranger))],
            now_s=NOW_S,
        )


@pytest.mark.parametrize(
    "keys",
    [
        {"secrets": ["oops"]},
        {"secrets": ["whsec_%%"]},
        {"public_keys": ["whsec_AAAA"]},
        {"public_keys": ["whpk_AAAA"]},
    ],
)
def test_a_misconfigured_key_is_the_one_error_too(keys: dict[str, list[str]]) -> None:
    with pytest.raises(verify.WebhookInvalid):
        verify.verify(
            BODY,
            signed(),
            secrets=keys.get("secrets", ()),
            public_keys=keys.get("public_keys", ()),
            now_s=NOW_S,
        )


@pytest.mark.parametrize("off_s, accepted", [(299, True), (-299, True), (301, False), (-301, False)])
def test_a_request_is_fresh_for_five_minutes_either_way(off_s: int, accepted: bool) -> None:
    headers = signed(at_s=NOW_S + off_s)
    if accepted:
        verify.verify(BODY, headers, secrets=[SECRET_TEXT], now_s=NOW_S)
    else:
        with pytest.raises(verify.WebhookInvalid):
            verify.verify(BODY, headers, secrets=[SECRET_TEXT], now_s=NOW_S)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "chainbell-prev-sequence"]),
        st.text(max_size=80)
        | st.just(str(int(NOW_S)))
        | st.binary(max_size=40).map(lambda raw: f"v1,{raw!r}"),
    ),
    st.binary(max_size=100),
)
def test_no_request_whatever_raises_anything_else(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(verify.WebhookInvalid):
        verify.verify(body, headers, secrets=[SECRET_TEXT], public_keys=[PUBLIC_TEXT], now_s=NOW_S)


def test_a_gap_is_found_and_closed_in_any_order() -> None:
    tracker = verify.GapTracker(complete_to=10)
    tracker.saw(12, 10)
    assert tracker == verify.GapTracker(12)
    tracker.saw(17, 15)
    assert tracker.gap == (12, 15)
    tracker.saw(17, 15)
    tracker.saw(20, 17)
    assert tracker.gap == (12, 15)
    tracker.saw(15, 12)
    assert tracker == verify.GapTracker(20)
    tracker.saw(12, 10)
    assert tracker == verify.GapTracker(20)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_a_gap_remains_exactly_while_something_is_missing(steps: list[int], rng: object) -> None:
    events, last = [], 0
    for step in steps:
        events.append((last + step, last))
        last += step
    shuffled = list(events)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random
    tracker = verify.GapTracker(complete_to=0)
    for position, (sequence, prev) in enumerate(shuffled, start=1):
        tracker.saw(sequence, prev)
        seen = {one for one, _ in shuffled[:position]}
        complete = 0
        for known, _ in events:
            if known not in seen:
                break
            complete = known
        assert tracker.complete_to == complete
        assert (tracker.gap is None) == (max(seen) <= complete)


def test_a_tracker_that_is_full_still_takes_what_closes_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "AHEAD_MAX", 2)
    tracker = verify.GapTracker(complete_to=0)
    for sequence in (3, 4, 5):
        tracker.saw(sequence, sequence - 1)
    assert tracker.gap == (0, 2)
    tracker.saw(2, 0)
    assert tracker == verify.GapTracker(4)
    tracker.saw(6, 5)
    assert tracker.gap == (4, 5)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_body_and_no_list_of_keys_whatever_raises_anything_else(hostile: bytes) -> None:
    for read in (verify.read_event, lambda document: verify.public_keys_at(document, 0)):
        with pytest.raises(verify.WebhookInvalid):
            read(hostile)


@pytest.mark.parametrize(
    "hostile", [b"[" * 100_000, b'{"keys":' * 50_000, b"9" * 5_000, b'"\\ud800"', b"\xff"]
)
def test_a_body_made_to_break_parsers_is_refused_with_the_one_error(hostile: bytes) -> None:
    for read in (verify.read_event, lambda document: verify.public_keys_at(document, 0)):
        with pytest.raises(verify.WebhookInvalid):
            read(hostile)


def test_a_broken_chain_of_bodies_is_refused() -> None:
    verify.verify_chain(
        [(b"a", "0" * 64), (b"b", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")]
    )
    with pytest.raises(verify.WebhookInvalid):
        verify.verify_chain([(b"b", "0" * 64)], previous_body=b"a")


@pytest.mark.parametrize(("module", "own"), [(verify, {"__future__", "relay"}), (strict, {"__future__"})])
def test_the_verifier_imports_nothing_but_strict_and_nothing_that_must_be_installed(
    module: ModuleType, own: set[str]
) -> None:
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    imported = {
        (node.module or "").split(".")[0]
        if isinstance(node, ast.ImportFrom)
        else node.names[0].name.split(".")[0]
        for node in ast.parse(source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= set(sys.stdlib_module_names) | own
