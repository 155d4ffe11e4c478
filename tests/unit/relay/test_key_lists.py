"""The signed list of webhook keys: what it says is held against what was signed, and a key that is dated back shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from migrations.ids import encode_id
from relay import verify_log
from relay.keys import signing
from relay.proof import notes
from relay.verify_log import ProofInvalid
from tests.node_program import run_node

KEY = signing.signing_key_from_seed(b"l" * 32)
MERCHANT_ID, END = encode_id("mer", UUID(int=1)), encode_id("end", UUID(int=2))
WHO = {"merchant_id": MERCHANT_ID, "public_key": signing.encode_public_key(signing.public_bytes(KEY))}
FOR_NODE = {"merchantId": MERCHANT_ID, "publicKey": WHO["public_key"]}
RUN_KITS = Path(__file__).with_name("run_kits.mjs")
NOON_S = 1_795_953_600  # 2026-11-29T12:00:00Z
Windows = Mapping[int, tuple[str, str | None]]


def key_of(n: int) -> str:
    return signing.encode_public_key(signing.public_bytes(signing.signing_key_from_seed(bytes([n]) * 32)))


def listed(windows: Windows, at_s: int, *, name: str = f"chainbell/keys/{MERCHANT_ID}", **more: Any) -> bytes:
    keys = [
        {"endpoint_id": END, "public_key": key_of(n), "valid_from": begun, "valid_until": until}
        for n, (begun, until) in windows.items()
    ]
    lines = [f"{END} {one['public_key']} {one['valid_from']} {one['valid_until'] or '-'}" for one in keys]
    text = "".join(f"{line}\n" for line in (name, f"time {at_s}", *lines))
    return json.dumps({"keys": keys, "note": notes.sign_note(text, name, KEY), **more}).encode()


OLD: Windows = {1: ("2026-11-01T00:00:00Z", None)}


def test_what_was_signed_is_believed_and_anything_else_is_not() -> None:
    whole = listed(OLD, NOON_S)
    assert verify_log.verify_key_list(whole, **WHO) == NOON_S
    parsed = json.loads(whole)
    for wrong in (
        b"",
        b"[]",
        whole.replace(b"2026-11-01", b"2026-10-01", 1),
        listed(OLD, NOON_S, keys=[]),
        listed(OLD, NOON_S, keys=parsed["keys"] * 2),
        listed(OLD, NOON_S, note=5),
        listed(OLD, NOON_S, name="chainbell/keys/mer_" + "0" * 26),
    ):
        with pytest.raises(ProofInvalid):
            verify_log.verify_key_list(wrong, **WHO)
    with pytest.raises(ProofInvalid):
        verify_log.verify_key_list(whole, merchant_id=MERCHANT_ID, public_key=key_of(9))


def test_the_longest_list_there_is_can_be_checked() -> None:
    hour = [f"2026-11-{day:02}T{hour:02}:00:00.000001Z" for day in range(1, 29) for hour in range(24)]
    windows: Windows = {n: (hour[n], hour[n + 1]) for n in range(250)}
    parsed = json.loads(listed(windows, NOON_S))
    keys = [{**one, "endpoint_id": encode_id("end", UUID(int=n))} for n in range(4) for one in parsed["keys"]]
    name = f"chainbell/keys/{MERCHANT_ID}"
    lines = [
        f"{one['endpoint_id']} {one['public_key']} {one['valid_from']} {one['valid_until']}" for one in keys
    ]
    text = "".join(f"{line}\n" for line in (name, f"time {NOON_S}", *lines))
    whole = json.dumps({"keys": keys, "note": notes.sign_note(text, name, KEY)}).encode()
    assert verify_log.verify_key_list(whole, **WHO) == NOON_S
    assert run_node(RUN_KITS, [["key_list", [base64.b64encode(whole).decode(), FOR_NODE]]]) == [NOON_S]


@pytest.mark.parametrize(
    ("later", "words"),
    [
        ({1: OLD[1], 2: ("2026-11-29T12:30:00Z", None)}, None),
        ({1: ("2026-11-01T00:00:00Z", "2026-11-29T13:00:00Z"), 2: ("2026-11-29T11:58:00Z", None)}, None),
        ({2: ("2026-11-29T12:30:00Z", None)}, None),  # another endpoint's: keys go with theirs
        ({1: OLD[1], 2: ("2026-11-29T11:50:00Z", None)}, "was dated back"),
        ({1: ("2026-10-01T00:00:00Z", None)}, "another beginning"),
        ({1: ("2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z")}, "another end"),
    ],
)
def test_a_key_that_is_dated_back_shows_in_two_lists(later: Windows, words: str | None) -> None:
    first, second = listed(OLD, NOON_S), listed(later, NOON_S + 3_600)
    if words is None:
        verify_log.verify_key_growth(first, second, **WHO)
    else:
        with pytest.raises(ProofInvalid, match=words):
            verify_log.verify_key_growth(first, second, **WHO)


def test_an_end_once_told_does_not_move_and_time_does_not_go_back() -> None:
    ended = {1: ("2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z")}
    for other in ({1: ("2026-11-01T00:00:00Z", None)}, {1: ("2026-11-01T00:00:00Z", "2026-12-30T00:00:00Z")}):
        with pytest.raises(ProofInvalid, match="another end"):
            verify_log.verify_key_growth(listed(ended, NOON_S), listed(other, NOON_S + 1), **WHO)
    with pytest.raises(ProofInvalid, match="signed before the first"):
        verify_log.verify_key_growth(listed(OLD, NOON_S), listed(OLD, NOON_S - 1), **WHO)
