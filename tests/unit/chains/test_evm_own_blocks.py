"""Our own recorded blocks, from rows to money: they verify and link, every transfer is found, and balances add up.

`tests.devnet.record` made them; each expectation here is reckoned from the rows again, by the slow and obvious way.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chains.evm.rows.consistency import STRICT, check_block
from chains.evm.value.decode import compute_asset_index, decode_transfers
from chains.evm.value.ledger import Completeness, open_ledger
from chains.evm.value.traces import decode_trace
from chains.evm.verify import PROFILES, verify_block
from chains.model import TransferKind, VerificationLevel
from tests.devnet.local import local_traits, token
from tests.devnet.record import BYTES_MAX
from tests.unit.chains.rows import TRANSFER
from tests.unit.chains.verify.recorded import OWN_FILE, build, own, read_json, read_own

NAMES = list(read_own()["blocks"])
TRACED = [name for name, kept in read_own()["blocks"].items() if "trace" in kept]
INDEX = compute_asset_index(local_traits([token(read_own()["token"])]))

Rows = dict[str, Any]


@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_ours_verifies_in_full(name: str) -> None:
    block, receipts = map(read_json, own(name))
    built, rows = build(block, receipts)
    check_block(STRICT, block["hash"], built, rows)
    assert verify_block(PROFILES["full"], built, rows) is VerificationLevel.FULL


def test_they_are_one_chain() -> None:
    blocks = [kept["block"] for kept in read_own()["blocks"].values()]
    assert [int(block["number"], 16) for block in blocks] == list(range(1, len(blocks) + 1))
    assert [block["parentHash"] for block in blocks[1:]] == [block["hash"] for block in blocks[:-1]]


def test_they_hold_what_a_chain_can_show() -> None:
    receipts = [row for kept in read_own()["blocks"].values() for row in kept["receipts"]]
    assert {row["type"] for row in receipts} == {"0x0", "0x1", "0x2", "0x4"}
    assert {row["status"] for row in receipts} == {"0x0", "0x1"}
    assert any(row["contractAddress"] for row in receipts)
    assert any(not kept["receipts"] for kept in read_own()["blocks"].values())
    kinds = {
        log["topics"][1] == "0x" + "00" * 32
        for row in receipts
        for log in row["logs"]
        if len(log["topics"]) == 3
    }
    assert kinds == {True, False}  # mints, and transfers between people
    assert OWN_FILE.stat().st_size < BYTES_MAX


@pytest.mark.parametrize("name", NAMES)
def test_every_transfer_is_found_and_none_of_a_failed_transaction(name: str) -> None:
    block, receipts = map(read_json, own(name))
    table = decode_transfers(INDEX, *build(block, receipts)).transfers
    found = [table.at(index) for index in range(len(table.recipients))]
    tokens = [
        (log["transactionHash"], log["topics"][2][-40:], int(log["data"], 16))
        for row in receipts
        for log in row["logs"]
        if log["topics"][0] == TRANSFER
    ]
    failed = {row["transactionHash"] for row in receipts if row["status"] == "0x0"}
    created = {row["transactionHash"]: row["contractAddress"] for row in receipts}
    coins = [
        (item["hash"], (item["to"] or created[item["hash"]])[2:], int(item["value"], 16))
        for item in block["transactions"]
        if int(item["value"], 16) and item["hash"] not in failed
    ]
    for kind, expected in ((TransferKind.TOKEN, tokens), (TransferKind.NATIVE, coins)):
        assert sorted(
            ("0x" + one.tx_hash.hex(), one.recipient.hex(), one.amount_base_units)
            for one in found
            if one.kind is kind
        ) == sorted(expected)


@pytest.mark.parametrize("name", TRACED)
def test_nothing_is_made_or_lost_but_what_the_base_fee_burns(name: str) -> None:
    block, receipts = map(read_json, own(name))
    built, rows = build(block, receipts)
    trace = decode_trace(msgspec.Raw(msgspec.json.encode(read_json(f"own/{name}/trace"))), built, rows)
    decoded = decode_transfers(INDEX, built, rows, trace.moves)
    changes = open_ledger(Completeness.ALL, built, rows, decoded.native_moves, trace).changes()
    burnt = int(block["baseFeePerGas"], 16) * int(block["gasUsed"], 16)
    assert sum(change.amount_base_units for change in changes.values()) == -burnt
