"""Headers of networks that have no recorded blocks give their own hashes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chains.evm.verify import PROFILES
from chains.evm.verify.header import (
    compute_header_hash,
    find_committed_tail,
    list_missing_fields,
)

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "evm_headers.json").read_text())["headers"]

Rows = dict[str, Any]


def decode(profile: str, header: Rows) -> Any:
    return PROFILES[profile].decoder.decode(json.dumps({**header, "transactions": []}).encode())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["about"])
def test_a_header_gives_its_hash(vector: Rows) -> None:
    layout = PROFILES[vector["profile"]].header
    block = decode(vector["profile"], vector["header"])
    assert "0x" + compute_header_hash(layout, block).hex() == vector["header"]["hash"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["about"])
def test_every_field_of_the_layout_counts(vector: Rows) -> None:
    layout = PROFILES[vector["profile"]].header
    honest = bytes.fromhex(vector["header"]["hash"][2:])
    block = decode(vector["profile"], vector["header"])
    for name, _ in (*layout.fixed, *layout.tail):
        value = getattr(block, name)
        if value is None:
            continue
        setattr(block, name, value[:-1] + ("1" if value[-1] != "1" else "2") if len(value) > 2 else "0x01")
        assert compute_header_hash(layout, block) != honest, name
        setattr(block, name, value)


def test_a_field_that_the_chain_does_not_hash_is_found_out() -> None:
    vector = next(item for item in VECTORS if item["chain"] == "eip155:42161")
    layout = PROFILES["arbitrum"].header
    block = decode(
        "arbitrum", {**vector["header"], "withdrawalsRoot": "0x" + "00" * 32, "blobGasUsed": "0x0"}
    )
    block_hash = bytes.fromhex(vector["header"]["hash"][2:])
    assert compute_header_hash(layout, block) != block_hash
    assert find_committed_tail(layout, block, block_hash) == 1
    block.state_root = "0x" + "00" * 32
    assert find_committed_tail(layout, block, block_hash) is None


def test_a_header_without_a_fixed_field_says_which() -> None:
    vector = VECTORS[0]
    header = {name: value for name, value in vector["header"].items() if name not in {"mixHash", "nonce"}}
    layout = PROFILES[vector["profile"]].header
    assert list_missing_fields(layout, decode(vector["profile"], header)) == ["mix_hash", "nonce"]
