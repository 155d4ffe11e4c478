"""Headers, transactions and small blocks of networks that have no recorded blocks prove themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chains.errors import Inconsistent
from chains.evm.verify import PROFILES, Check, Mode, examine_block, verify_block
from chains.evm.verify.fields import HashedBlock
from chains.evm.verify.header import (
    compute_header_hash,
    find_committed_tail,
    list_missing_fields,
)
from chains.evm.verify.transactions import encode_transaction
from chains.model import VerificationLevel
from tests.unit.chains.verify.recorded import build, hex_data, keccak

VECTORS_FOLDER = Path(__file__).parents[3] / "vectors"
VECTORS = json.loads((VECTORS_FOLDER / "evm_headers.json").read_text())["headers"]
TRANSACTIONS = json.loads((VECTORS_FOLDER / "evm_transactions.json").read_text())["transactions"]
OP_BLOCKS = json.loads((VECTORS_FOLDER / "evm_op_deposits.json").read_text())["blocks"]
ARBITRUM_BLOCK = json.loads((VECTORS_FOLDER / "evm_arbitrum_block.json").read_text())["block"]
BODY_ONLY = replace(
    PROFILES["arbitrum"],
    modes={
        **PROFILES["arbitrum"].modes,
        **dict.fromkeys(
            (Check.RECEIPTS_ROOT, Check.LOGS_BLOOM, Check.GAS_USED, Check.CREATED_ADDRESSES), Mode.ABSENT
        ),
    },
)

Rows = dict[str, Any]


def decode(profile: str, header: Rows) -> Any:
    return msgspec.json.decode(json.dumps({**header, "transactions": []}), type=HashedBlock)


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


@pytest.mark.parametrize("vector", TRANSACTIONS, ids=lambda vector: vector["about"])
def test_a_transaction_of_a_chains_own_type_gives_its_hash(vector: Rows) -> None:
    profile = PROFILES[vector["profile"]]
    place = {"blockHash": "0x", "transactionIndex": "0x0"}
    header = {**VECTORS[0]["header"], "transactions": [place | vector["transaction"]]}
    (transaction,) = msgspec.json.decode(json.dumps(header), type=HashedBlock).transactions
    codec = profile.transaction_codecs[vector["transaction"]["type"]]
    assert hex_data(keccak(encode_transaction(codec, transaction))) == transaction.hash


@pytest.mark.parametrize("vector", OP_BLOCKS, ids=lambda vector: vector["about"])
def test_an_op_stack_block_with_its_deposit_receipt_verifies_in_full(vector: Rows) -> None:
    profile = PROFILES["op-stack"]
    assert verify_block(profile, *build(vector["block"], vector["receipts"])) is VerificationLevel.FULL
    (receipt,) = vector["receipts"]
    for name, value in (("status", "0x0"), ("cumulativeGasUsed", "0x1")):
        with pytest.raises(Inconsistent, match="receipts-root"):
            verify_block(profile, *build(vector["block"], [{**receipt, name: value}]))


def test_the_nonce_of_a_deposit_counts_where_the_receipt_commits_to_it() -> None:
    vector = next(item for item in OP_BLOCKS if "depositReceiptVersion" in item["receipts"][0])
    (receipt,) = vector["receipts"]
    with pytest.raises(Inconsistent, match="receipts-root"):
        verify_block(PROFILES["op-stack"], *build(vector["block"], [{**receipt, "depositNonce": "0x5"}]))


def test_an_arbitrum_block_gives_its_hash_and_transactions_root() -> None:
    built = build(ARBITRUM_BLOCK, [])
    examination = examine_block(BODY_ONLY, *built)
    assert examination.proven == {Check.HEADER_HASH, Check.TRANSACTION_HASHES, Check.TRANSACTIONS_ROOT}
    assert examination.types_proven == {"0x2", "0x6a"}


def test_a_block_before_a_chains_present_rules_is_not_recomputed() -> None:
    old = {**ARBITRUM_BLOCK, "number": "0x1000000", "stateRoot": "0x" + "00" * 32}
    examination = examine_block(PROFILES["arbitrum-one"], *build(old, []))
    assert examination.level is VerificationLevel.CONSISTENT
    assert {item.reason for item in examination.unavailable} == {"older-rules"}
    with pytest.raises(Inconsistent, match="header-hash"):
        examine_block(PROFILES["arbitrum"], *build(old, []))
