"""Verified means unchanged: random damage to a proven answer is refused, or touches nothing that is read."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import Inconsistent
from chains.evm.rows.consistency import STRICT, check_block
from chains.evm.verify import PROFILES, examine_block, verify_block
from chains.model import VerificationLevel
from tests.unit.chains.verify.recorded import build, own, public, read_json

Rows = dict[str, Any]

HEX = "0123456789abcdef"
READ_OF_TRANSACTION = ("hash", "nonce", "to", "value")
NO_VALUE = "0x0"
"""What a transaction moves whose row leaves its value out: its hash says so, too."""

READ_OF_RECEIPT = ("status", "root", "cumulativeGasUsed", "transactionHash")
READ_OF_LOG = ("address", "topics", "data", "logIndex", "transactionHash")
READ_OF_BLOCK = ("hash", "number", "parentHash", "timestamp")


SMALL = pytest.mark.parametrize(
    "paths",
    [own("legacy"), *public(("ethereum/4369999.block.json", "ethereum/4369999.receipts.json"))],
    ids=lambda paths: paths[0],
)
"""Few transactions with logs, so that damage lands everywhere; the era of the block does not matter."""


def read_small_answer(paths: tuple[str, str]) -> tuple[Rows, list[Rows]]:
    return read_json(paths[0]), read_json(paths[1])


def list_places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON document, containers included."""
    places = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        places += list_places(item, (*path, key))
    return places


def normalize(value: Any) -> Any:
    """One spelling of what the rest of the product would read."""
    if isinstance(value, str):
        return "0x" + (value.lower()[2:].lstrip("0") or "0") if value[:2].lower() == "0x" else value
    if isinstance(value, list):
        return [normalize(item) for item in value]
    return value


def project(block: Rows, receipts: list[Rows]) -> list[Any]:
    """What decoding reads of an answer."""
    return [
        [normalize(block.get(name)) for name in READ_OF_BLOCK],
        [
            [normalize(item.get(name, NO_VALUE if name == "value" else None)) for name in READ_OF_TRANSACTION]
            for item in block["transactions"]
        ],
        [
            [
                [normalize(item.get(name)) for name in READ_OF_RECEIPT],
                [[normalize(log.get(name)) for name in READ_OF_LOG] for log in item["logs"]],
            ]
            for item in receipts
        ],
    ]


Damage = tuple[str, int, int, int]
"""How, where (an index into the places), and two numbers that choose further."""

REPLACEMENTS: tuple[Any, ...] = ("0x0", "0x1", "0x", "", None, "0x" + "ab" * 32, [], "x")
DAMAGES = st.lists(
    st.tuples(
        st.sampled_from(("digit", "replace", "remove", "copy", "exchange", "transplant")),
        st.integers(0, 1 << 20),
        st.integers(0, 1 << 10),
        st.integers(0, 1 << 20),
    ),
    min_size=1,
    max_size=3,
)


def reach(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def apply_damage(document: Any, damage: Damage) -> None:
    """Change, empty, remove, copy, exchange or transplant one place."""
    kind, where, first, second = damage
    places = [path for path in list_places(document) if len(path) > 1]
    path = places[where % len(places)]
    parent, key = reach(document, path[:-1]), path[-1]
    value = parent[key]
    match kind:
        case "digit" if isinstance(value, str) and len(value) > 2:
            at = 2 + first % (len(value) - 2)
            parent[key] = value[:at] + HEX[second % 16] + value[at + 1 :]
        case "remove":
            del parent[key]
        case "copy" if isinstance(parent, list):
            parent.insert(int(key), copy.deepcopy(value))
        case "exchange" if isinstance(parent, list):
            other = first % len(parent)
            parent[int(key)], parent[other] = parent[other], parent[int(key)]
        case "transplant":
            parent[key] = copy.deepcopy(reach(document, places[second % len(places)]))
        case _:
            parent[key] = REPLACEMENTS[first % len(REPLACEMENTS)]


@SMALL
@given(damages=DAMAGES)
def test_an_answer_that_verifies_in_full_says_what_the_proven_one_said(
    damages: list[Damage], paths: tuple[str, str]
) -> None:
    block, receipts = read_small_answer(paths)
    document: dict[str, Any] = {"block": block, "receipts": receipts}
    for damage in damages:
        apply_damage(document, damage)
    try:
        built, rows = build(document["block"], document["receipts"])
        check_block(STRICT, None, built, rows)
        level = verify_block(PROFILES["full"], built, rows)
    except Inconsistent:
        return
    if level is VerificationLevel.FULL:
        assert project(document["block"], document["receipts"]) == project(*read_small_answer(paths))


@SMALL
@given(damages=DAMAGES)
def test_rules_on_trial_accuse_nobody(damages: list[Damage], paths: tuple[str, str]) -> None:
    block, receipts = read_small_answer(paths)
    document: dict[str, Any] = {"block": block, "receipts": receipts}
    for damage in damages:
        apply_damage(document, damage)
    try:
        built, rows = build(document["block"], document["receipts"])
        check_block(STRICT, None, built, rows)
    except Inconsistent:
        return
    examine_block(PROFILES["auto"], built, rows)
