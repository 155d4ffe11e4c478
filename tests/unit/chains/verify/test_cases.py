"""The numbered failure cases that verification answers (the catalogue's numbers are in the names)."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from chains.errors import Inconsistent
from chains.evm.rows.consistency import check_block, rules_of_profile
from chains.evm.verify import PROFILES, Check, Examination, Unavailable, examine_block, verify_block
from chains.evm.verify.header import ETHEREUM_HEADER, HeaderLayout, compute_header_hash
from chains.evm.verify.rlp import encode_scalar
from chains.model import Hold, VerificationLevel
from tests.unit.chains.verify.recorded import build, hex_data, keccak, own, public, read_json
from tests.unit.chains.verify.test_corruptions import (
    add_a_forged_transfer,
    change_an_amount,
    compute_receipts_root,
    drop_a_log,
    drop_every_log,
    flip,
    leave_out_everything,
    number_logs,
    number_transactions,
    verify_rows,
)

Rows = dict[str, Any]
FULL = PROFILES["full"]
POLYGON = PROFILES["polygon"]
ZERO_ADDRESS = "0x" + "00" * 20


POLYGON_BLOCK = ("polygon/50000000.block.json", "polygon/50000000.receipts.json")
MAINNET = ("ethereum/18000000.block.json", "ethereum/18000000.receipts.json")
_chosen = [own("types"), own("logs")[1]]


@pytest.fixture(
    params=[(own("types"), own("logs")[1]), *public((MAINNET, "ethereum/trin/receipts-19433902.json"))],
    ids=lambda param: param[0][0],
    autouse=True,
)
def _choose_blocks(request: pytest.FixtureRequest) -> None:
    _chosen[:] = request.param


def read_ethereum() -> tuple[Rows, list[Rows]]:
    """A block of Ethereum's rules, with logs."""
    block_path, receipts_path = _chosen[0]
    return read_json(block_path), read_json(receipts_path)


def read_polygon() -> tuple[Rows, list[Rows]]:
    """A block under Polygon's rules; before a state sync is added, these and Ethereum's agree about ours."""
    block_path, receipts_path = POLYGON_BLOCK if _chosen[0] == MAINNET else own("legacy")
    return read_json(block_path), read_json(receipts_path)


def examine(profile: str, block: Rows, receipts: list[Rows]) -> Examination:
    built, rows = build(block, receipts)
    check_block(rules_of_profile(profile), None, built, rows)
    return examine_block(PROFILES[profile], built, rows)


@pytest.mark.parametrize("falsify", [drop_a_log, drop_every_log, leave_out_everything])
def test_case_105_success_with_empty_logs_or_an_empty_block_is_refused(falsify: Any) -> None:
    block, receipts = read_ethereum()
    falsify(block, receipts)
    with pytest.raises(Inconsistent):
        verify_rows("full", block, receipts)


def test_case_105_receipts_without_a_block_are_refused() -> None:
    block, receipts = read_ethereum()
    block["transactions"] = []
    with pytest.raises(Inconsistent):
        verify_rows("full", block, receipts)
    with pytest.raises(Inconsistent, match="transactions-root"):
        verify_block(FULL, *build(block, receipts))


def test_case_106_an_invented_deposit_is_refused() -> None:
    block, receipts = read_ethereum()
    add_a_forged_transfer(block, receipts)
    with pytest.raises(Inconsistent, match="receipts-root"):
        verify_rows("full", block, receipts)


def test_case_106_an_invented_deposit_contradicts_the_bloom_where_receipts_cannot_be_rebuilt() -> None:
    block, receipts = read_ethereum()
    add_a_forged_transfer(block, receipts)
    receipts[0]["type"] = "0x55"
    with pytest.raises(Inconsistent, match="logs-bloom"):
        verify_rows("full", block, receipts)


def test_case_116_a_header_field_of_a_new_fork_is_no_lie_and_not_fully_verified() -> None:
    block, receipts = read_ethereum()
    block["hash"] = "0x" + "5a" * 32
    for row in [*block["transactions"], *receipts, *(log for item in receipts for log in item["logs"])]:
        row["blockHash"] = block["hash"]
    examination = examine("full", {**block, "newForkHash": "0x" + "11" * 32}, receipts)
    assert examination.level is VerificationLevel.PARTIAL
    assert examination.unavailable == (Unavailable(Check.HEADER_HASH, "field-unknown:newForkHash"),)
    with pytest.raises(Inconsistent, match="header-hash"):
        examine("full", {**block, "newForkHash": None}, receipts)


def test_case_116_new_fields_that_change_no_hash_do_not_matter() -> None:
    block, receipts = read_ethereum()
    for transaction in block["transactions"]:
        transaction["newField"] = {"nested": [1]}
    for receipt in receipts:
        receipt["newField"] = 7
    assert examine("full", {**block, "newField": []}, receipts).level is VerificationLevel.FULL


def test_case_116_a_receipt_field_of_a_new_fork_is_no_lie_and_not_fully_verified() -> None:
    block, receipts = read_ethereum()
    receipts[3]["cumulativeGasUsed"] = flip(receipts[3]["cumulativeGasUsed"])
    with pytest.raises(Inconsistent, match="receipts-root"):
        examine("full", block, receipts)
    receipts[3]["newForkField"] = "0x1"
    examination = examine("full", block, receipts)
    assert examination.level is VerificationLevel.PARTIAL
    assert examination.unavailable == (Unavailable(Check.RECEIPTS_ROOT, "field-unknown:newForkField"),)


def test_case_116_a_known_field_for_information_excuses_nothing() -> None:
    block, receipts = read_ethereum()
    change_an_amount(block, receipts)
    receipts[0]["l1Fee"] = "0x1"
    with pytest.raises(Inconsistent, match="receipts-root"):
        examine("full", {**block, "size": "0x1", "totalDifficulty": "0x1"}, receipts)


def test_case_116_gas_that_no_longer_adds_up_under_proven_roots_is_a_new_rule() -> None:
    """EIP-7778 counts refunds in the header and not in receipts: emulated by hashing such a header."""
    block, receipts = read_ethereum()
    block["gasUsed"] = hex(int(block["gasUsed"], 16) + 5000)
    reseal(block, receipts)
    examination = examine("full", block, receipts)
    assert examination.level is VerificationLevel.FULL
    assert examination.unavailable == (Unavailable(Check.GAS_USED, "rule-changed"),)


SETTLING_HEADER = replace(ETHEREUM_HEADER, tail=(*ETHEREUM_HEADER.tail, ("settled_height", encode_scalar)))


def test_case_116_a_block_that_settles_later_does_not_commit_to_its_receipts() -> None:
    """Avalanche's asynchronous execution, emulated on another chain's block."""
    profile = replace(FULL, header=SETTLING_HEADER, settled_field=PROFILES["avalanche"].settled_field)
    block, receipts = read_ethereum()
    block["settledHeight"] = "0x112a87b"
    reseal(block, receipts, SETTLING_HEADER)
    drop_a_log(block, receipts)
    examination = examine_block(profile, *build(block, receipts))
    assert examination.level is VerificationLevel.PARTIAL
    assert examination.hold is Hold.HITS
    assert {item.reason for item in examination.unavailable} == {"settled-later"}
    assert {item.check for item in examination.unavailable} == {
        Check.RECEIPTS_ROOT,
        Check.LOGS_BLOOM,
        Check.GAS_USED,
    }


def test_case_116_a_settled_height_that_the_hash_does_not_cover_excuses_nothing() -> None:
    profile = replace(FULL, header=SETTLING_HEADER, settled_field=PROFILES["avalanche"].settled_field)
    block, receipts = read_ethereum()
    drop_a_log(block, receipts)
    for shown in ({}, {"settledHeight": "0x112a87b"}):
        with pytest.raises(Inconsistent, match="receipts-root"):
            examine_block(profile, *build({**block, **shown}, receipts))


def test_case_040_an_unknown_transaction_type_leaves_its_root_open_and_the_rest_proven() -> None:
    block, receipts = read_ethereum()
    block["transactions"][5]["type"] = "0x7f"
    with pytest.raises(Inconsistent, match="another type than its receipt"):
        examine("full", block, receipts)
    commit_to_type(block, receipts, 5, "0x7f")
    examination = examine("full", block, receipts)
    assert examination.level is VerificationLevel.PARTIAL
    assert set(examination.unavailable) == {
        Unavailable(Check.TRANSACTION_HASHES, "type-unknown:0x7f"),
        Unavailable(Check.TRANSACTIONS_ROOT, "type-unknown:0x7f"),
    }
    assert examination.proven >= {Check.HEADER_HASH, Check.RECEIPTS_ROOT, Check.LOGS_BLOOM}


def test_case_040_beside_an_unknown_type_the_known_ones_still_give_their_hashes() -> None:
    block, receipts = read_ethereum()
    block["transactions"][5]["type"] = "0x7f"
    transaction = block["transactions"][6]
    transaction["value"] = flip(transaction["value"])
    with pytest.raises(Inconsistent, match="transaction-hashes"):
        examine("full", block, receipts)


def test_case_040_a_receipt_of_an_unknown_type_without_a_status_is_no_lie() -> None:
    block, receipts = read_ethereum()
    receipts[5] |= {"type": "0x55", "status": None}
    examination = examine("full", block, receipts)
    assert Unavailable(Check.RECEIPTS_ROOT, "type-unknown:0x55") in examination.unavailable
    receipts[5]["type"] = "0x2"
    with pytest.raises(Inconsistent, match="receipts-root"):
        examine("full", block, receipts)


@pytest.mark.parametrize("kind", ["0x7f", "0x3e", "0x64"])
def test_case_040_an_unknown_receipt_type_is_no_lie(kind: str) -> None:
    """All typed receipts so far share one form, so the root is tried; here it can not hold."""
    block, receipts = read_ethereum()
    receipts[5]["type"] = kind
    examination = examine("full", block, receipts)
    assert Unavailable(Check.RECEIPTS_ROOT, f"type-unknown:{kind}") in examination.unavailable
    assert examination.level is VerificationLevel.PARTIAL


def test_case_033_a_state_sync_transaction_that_no_root_covers_is_set_aside() -> None:
    block, receipts = read_polygon()
    add_state_sync(block, receipts)
    examination = examine("polygon", block, receipts)
    assert examination.level is VerificationLevel.PARTIAL
    assert examination.unavailable == (Unavailable(Check.RECEIPTS_ROOT, "state-sync-receipt-uncovered"),)
    assert examination.proven >= {Check.TRANSACTIONS_ROOT, Check.HEADER_HASH}


def test_case_033_a_state_sync_receipt_may_stand_alone() -> None:
    block, receipts = read_polygon()
    add_state_sync(block, receipts)
    block["transactions"].pop()
    assert examine("polygon", block, receipts).level is VerificationLevel.PARTIAL


def test_case_033_only_the_hash_that_bor_derives_is_a_state_sync_transaction() -> None:
    block, receipts = read_polygon()
    add_state_sync(block, receipts)
    name = flip(receipts[-1]["transactionHash"])
    block["transactions"][-1]["hash"] = name
    receipts[-1]["transactionHash"] = name
    for log in receipts[-1]["logs"]:
        log["transactionHash"] = name
    with pytest.raises(Inconsistent):
        examine("polygon", block, receipts)


def test_case_033_a_state_sync_transaction_in_the_body_leaves_the_transactions_root_open() -> None:
    block, receipts = read_polygon()
    block["transactions"][-1]["type"] = "0x7f"
    receipts[-1]["type"] = "0x7f"
    examination = examine("polygon-amoy", block, receipts)
    assert examination.level is VerificationLevel.PARTIAL
    assert examination.hold is Hold.CHAIN, "its receipts' root is open here, too"
    assert Unavailable(Check.TRANSACTIONS_ROOT, "type-unknown:0x7f") in examination.unavailable
    with pytest.raises(Inconsistent, match="came later"):
        examine("polygon", block, receipts)


def test_case_048_receipts_of_another_fork_are_refused_even_under_this_blocks_names() -> None:
    """A proxy that answers from two forks could rename every row; it can not rename what the root holds."""
    block, receipts = read_ethereum()
    others = read_json(str(_chosen[1]))[: len(receipts)]
    for position, (transaction, receipt) in enumerate(zip(block["transactions"], others, strict=True)):
        receipt |= {
            "blockHash": block["hash"],
            "blockNumber": block["number"],
            "transactionHash": transaction["hash"],
            "transactionIndex": hex(position),
        }
        for log in receipt["logs"]:
            log |= {name: receipt[name] for name in ("blockHash", "blockNumber", "transactionHash")}
            log["transactionIndex"] = hex(position)
    number_logs(others)
    with pytest.raises(Inconsistent, match="receipts-root"):
        verify_rows("full", block, others)


def add_state_sync(block: Rows, receipts: list[Rows]) -> None:
    """The transaction and receipt that Bor shows behind a block's own, before PIP-74."""
    height = int(block["number"], 16).to_bytes(8, "big")
    name = hex_data(keccak(b"matic-bor-receipt-" + height + bytes.fromhex(block["hash"][2:])))
    place = {"blockHash": block["hash"], "blockNumber": block["number"], "transactionHash": name}
    log = {**copy.deepcopy(receipts[0]["logs"][0]), **place}
    transaction = {**copy.deepcopy(block["transactions"][-1]), "hash": name, "type": "0x0", "value": "0x0"}
    transaction |= {"from": ZERO_ADDRESS, "to": ZERO_ADDRESS, "gas": "0x0", "gasPrice": "0x0", "nonce": "0x0"}
    transaction |= {"input": "0x", "v": "0x0", "r": "0x0", "s": "0x0"}
    block["transactions"].append(transaction)
    receipts.append({**copy.deepcopy(receipts[-1]), **place, "type": "0x0", "logs": [log]})
    number_transactions(block, receipts)
    number_logs(receipts)


def commit_to_type(block: Rows, receipts: list[Rows], at: int, kind: str) -> None:
    """A receipt under another type, in the root that the header has for it."""
    receipts[at]["type"] = kind
    block["receiptsRoot"] = hex_data(compute_receipts_root(receipts))
    reseal(block, receipts)


def reseal(block: Rows, receipts: list[Rows], layout: HeaderLayout = ETHEREUM_HEADER) -> None:
    """Give a changed header the hash it has, in every row."""
    hashed, _ = build(block, [])
    block["hash"] = hex_data(compute_header_hash(layout, hashed))
    for row in [*block["transactions"], *receipts, *(log for item in receipts for log in item["logs"])]:
        row["blockHash"] = block["hash"]
