"""Each way to falsify a proven block is refused, and the refusal names the check that caught it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from chains.errors import Inconsistent
from chains.evm.rows.consistency import check_block, rules_of_profile
from chains.evm.verify import PROFILES, verify_block
from chains.evm.verify.receipts import encode_receipt
from chains.evm.verify.trie import compute_ordered_root
from tests.unit.chains.verify.recorded import (
    build,
    build_receipts,
    own,
    public,
    read_json,
)

Rows = dict[str, Any]
Answer = tuple[Rows, list[Rows]]
Falsify = Callable[[Rows, list[Rows]], None]

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TYPES = own("types")
ETHEREUM = ("ethereum/18000000.block.json", "ethereum/18000000.receipts.json")
CANCUN = ("ethereum/trin/block-19433903.json", "ethereum/trin/receipts-19433903.json")
SOURCES = [
    ("full", *TYPES),
    ("full", *own("legacy")),
    *public(
        ("full", *ETHEREUM),
        ("full", "ethereum/4369999.block.json", "ethereum/4369999.receipts.json"),
        ("full", *CANCUN),
        ("polygon", "polygon/50000000.block.json", "polygon/50000000.receipts.json"),
    ),
]
LATER = pytest.mark.parametrize("paths", [TYPES, *public(CANCUN)], ids=lambda paths: paths[0])
RECENT = pytest.mark.parametrize("paths", [TYPES, *public(ETHEREUM)], ids=lambda paths: paths[0])
Paths = tuple[str, str]


def verify_rows(profile: str, block: Rows, receipts: list[Rows], asked_hash: str | None = None) -> None:
    """What a provider's answer goes through: rows first, then hashes."""
    built, rows = build(block, receipts)
    check_block(rules_of_profile(profile), asked_hash, built, rows)
    verify_block(PROFILES[profile], built, rows)


def flip(text: str, at: int = -1) -> str:
    """The same text with one hex digit changed."""
    digits = list(text)
    digits[at] = "1" if digits[at] != "1" else "2"
    return "".join(digits)


def first_transfer(receipts: list[Rows]) -> Rows:
    logs = [log for receipt in receipts for log in receipt["logs"]]
    return next(log for log in logs if log["topics"][:1] == [TRANSFER] and len(log["topics"]) == 3)


def number_logs(receipts: list[Rows]) -> None:
    """Give the rows the indexes that an honest answer with these logs would have."""
    for index, log in enumerate(log for receipt in receipts for log in receipt["logs"]):
        log["logIndex"] = hex(index)


def number_transactions(block: Rows, receipts: list[Rows]) -> None:
    for position, transaction in enumerate(block["transactions"]):
        transaction["transactionIndex"] = hex(position)
    for position, receipt in enumerate(receipts):
        receipt["transactionIndex"] = hex(position)
        for log in receipt["logs"]:
            log["transactionIndex"] = hex(position)
    number_logs(receipts)


def drop_a_log(_block: Rows, receipts: list[Rows]) -> None:
    next(receipt for receipt in receipts if receipt["logs"])["logs"].pop(0)
    number_logs(receipts)


def drop_every_log(_block: Rows, receipts: list[Rows]) -> None:
    for receipt in receipts:
        receipt["logs"] = []


def add_a_forged_transfer(_block: Rows, receipts: list[Rows]) -> None:
    receipt = next(receipt for receipt in receipts if receipt["logs"])
    forged = copy.deepcopy(first_transfer(receipts))
    forged["topics"][2] = "0x" + "00" * 12 + "d0" * 20
    forged["transactionHash"] = receipt["transactionHash"]
    forged["transactionIndex"] = receipt["transactionIndex"]
    receipt["logs"].append(forged)
    number_logs(receipts)


def change_an_amount(_block: Rows, receipts: list[Rows]) -> None:
    log = first_transfer(receipts)
    log["data"] = flip(log["data"])


def change_a_recipient(_block: Rows, receipts: list[Rows]) -> None:
    log = first_transfer(receipts)
    log["topics"][2] = flip(log["topics"][2])


def change_an_emitter(_block: Rows, receipts: list[Rows]) -> None:
    log = first_transfer(receipts)
    log["address"] = flip(log["address"])


def drop_a_topic(_block: Rows, receipts: list[Rows]) -> None:
    first_transfer(receipts)["topics"].pop()


def change_an_outcome(_block: Rows, receipts: list[Rows]) -> None:
    receipt = receipts[0]
    if "status" in receipt and receipt["status"] is not None:
        receipt["status"] = "0x0" if receipt["status"] == "0x1" else "0x1"
    if receipt.get("root"):
        receipt["root"] = flip(receipt["root"])


def change_a_receipts_bloom(_block: Rows, receipts: list[Rows]) -> None:
    receipts[0]["logsBloom"] = flip(receipts[0]["logsBloom"])


def change_the_gas_of_a_receipt(_block: Rows, receipts: list[Rows]) -> None:
    receipts[0]["cumulativeGasUsed"] = flip(receipts[0]["cumulativeGasUsed"])


def swap_two_receipts(_block: Rows, receipts: list[Rows]) -> None:
    """The outcomes of two transactions change places; every row still names its own."""
    for name in ("logs", "logsBloom", "status", "root", "cumulativeGasUsed"):
        first, second = receipts[0], receipts[-1]
        first[name], second[name] = second.get(name), first.get(name)
    for receipt in receipts:
        for log in receipt["logs"]:
            log["transactionHash"] = receipt["transactionHash"]
            log["transactionIndex"] = receipt["transactionIndex"]
    number_logs(receipts)


def leave_out_the_last_transaction(block: Rows, receipts: list[Rows]) -> None:
    block["transactions"].pop()
    receipts.pop()


def leave_out_everything(block: Rows, receipts: list[Rows]) -> None:
    block["transactions"].clear()
    receipts.clear()


def swap_two_transactions(block: Rows, receipts: list[Rows]) -> None:
    for rows in (block["transactions"], receipts):
        rows[0], rows[1] = rows[1], rows[0]
    number_transactions(block, receipts)


def repeat_a_transaction(block: Rows, receipts: list[Rows]) -> None:
    block["transactions"].append(copy.deepcopy(block["transactions"][-1]))
    receipts.append({**copy.deepcopy(receipts[-1]), "logs": []})
    number_transactions(block, receipts)


def rename_a_transaction(block: Rows, receipts: list[Rows]) -> None:
    """Another hash, in every row, so that the rows agree."""
    name = flip(block["transactions"][0]["hash"])
    block["transactions"][0]["hash"] = name
    receipts[0]["transactionHash"] = name
    for log in receipts[0]["logs"]:
        log["transactionHash"] = name


def change_in_transaction(name: str) -> Falsify:
    def falsify(block: Rows, _receipts: list[Rows]) -> None:
        transaction = next(item for item in block["transactions"] if item.get(name) and item[name] != "0x")
        transaction[name] = flip(transaction[name])

    return falsify


def change_in_header(name: str) -> Falsify:
    def falsify(block: Rows, receipts: list[Rows]) -> None:
        value = block[name]
        block[name] = flip(value) if len(value) > 2 else "0x01"
        if name == "number":
            for row in [*block["transactions"], *receipts, *(log for r in receipts for log in r["logs"])]:
                row["blockNumber"] = block["number"]

    return falsify


ON_RECEIPTS = [
    drop_a_log,
    drop_every_log,
    add_a_forged_transfer,
    change_an_amount,
    change_a_recipient,
    change_an_emitter,
    drop_a_topic,
    change_an_outcome,
    change_a_receipts_bloom,
    change_the_gas_of_a_receipt,
    swap_two_receipts,
]
ON_BODY = [
    leave_out_the_last_transaction,
    leave_out_everything,
    swap_two_transactions,
    repeat_a_transaction,
    rename_a_transaction,
]
TRANSACTION_FIELDS = ["value", "to", "input", "nonce", "gas", "gasPrice", "r", "s", "v"]
HEADER_FIELDS = [
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
]


@pytest.mark.parametrize("falsify", ON_RECEIPTS, ids=lambda item: item.__name__)
@pytest.mark.parametrize(("profile", "block_path", "receipts_path"), SOURCES)
def test_no_log_or_outcome_can_be_changed(
    profile: str, block_path: str, receipts_path: str, falsify: Falsify
) -> None:
    block, receipts = read_json(block_path), read_json(receipts_path)
    verify_rows(profile, block, receipts)
    falsify(block, receipts)
    with pytest.raises(Inconsistent, match=r"receipts-root|bloom"):
        verify_rows(profile, block, receipts)


@pytest.mark.parametrize("falsify", ON_BODY, ids=lambda item: item.__name__)
@pytest.mark.parametrize(("profile", "block_path", "receipts_path"), SOURCES)
def test_no_transaction_can_be_added_moved_or_left_out(
    profile: str, block_path: str, receipts_path: str, falsify: Falsify
) -> None:
    block, receipts = read_json(block_path), read_json(receipts_path)
    falsify(block, receipts)
    with pytest.raises(Inconsistent):
        verify_rows(profile, block, receipts)


@pytest.mark.parametrize("name", TRANSACTION_FIELDS)
@pytest.mark.parametrize(("profile", "block_path", "receipts_path"), SOURCES)
def test_no_field_of_a_transaction_can_be_changed(
    profile: str, block_path: str, receipts_path: str, name: str
) -> None:
    block, receipts = read_json(block_path), read_json(receipts_path)
    transaction = next(item for item in block["transactions"] if item.get("type") in {None, "0x0"})
    if transaction[name] in {None, "0x"}:
        transaction[name] = "0x01"
    else:
        transaction[name] = flip(transaction[name])
    with pytest.raises(Inconsistent, match="transaction-hashes"):
        verify_rows(profile, block, receipts)


@pytest.mark.parametrize("name", HEADER_FIELDS)
@pytest.mark.parametrize(("profile", "block_path", "receipts_path"), SOURCES)
def test_no_field_of_a_header_can_be_changed(
    profile: str, block_path: str, receipts_path: str, name: str
) -> None:
    block, receipts = read_json(block_path), read_json(receipts_path)
    change_in_header(name)(block, receipts)
    with pytest.raises(Inconsistent, match="header-hash"):
        verify_rows(profile, block, receipts)


@pytest.mark.parametrize("name", ["baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "parentBeaconBlockRoot"])
@LATER
def test_no_field_of_a_later_fork_can_be_changed_or_left_out(name: str, paths: Paths) -> None:
    block, receipts = map(read_json, paths)
    changed = {**block, name: flip(block[name])}
    missing = {key: value for key, value in block.items() if key != name}
    # One that is zero hashes as if it were left out, and is zero then.
    for falsified in (changed, missing) if int(block[name], 16) else (changed,):
        with pytest.raises(Inconsistent, match="header-hash"):
            verify_rows("full", falsified, receipts)


@pytest.mark.parametrize("name", ["maxFeePerGas", "maxPriorityFeePerGas", "accessList"])
@LATER
def test_no_field_of_a_typed_transaction_can_be_changed(name: str, paths: Paths) -> None:
    check_typed_field(name, *map(read_json, paths))


def check_typed_field(name: str, block: Rows, receipts: list[Rows]) -> None:
    transaction = next(item for item in block["transactions"] if item.get(name))
    if name == "blobVersionedHashes":
        transaction[name][0] = flip(transaction[name][0])
    elif name == "accessList":
        transaction[name][0]["storageKeys"] = [flip(key) for key in transaction[name][0]["storageKeys"]][:1]
        transaction[name][0]["address"] = flip(transaction[name][0]["address"])
    else:
        transaction[name] = flip(transaction[name])
    with pytest.raises(Inconsistent, match="transaction-hashes"):
        verify_rows("full", block, receipts)


@pytest.mark.parametrize(
    "path", [TYPES[0], *public("ethereum/run-22431080/22431086.block.json")], ids=lambda path: path
)
def test_no_delegation_can_be_changed(path: str) -> None:
    block = read_json(path)
    transaction = next(item for item in block["transactions"] if item.get("authorizationList"))
    transaction["authorizationList"][0]["address"] = flip(transaction["authorizationList"][0]["address"])
    with pytest.raises(Inconsistent, match="transaction-hashes"):
        verify_block(PROFILES["full"], *build(block, []))


@pytest.mark.parametrize("name", ["legacy", "types", "token"])
def test_the_address_of_a_created_contract_can_not_be_changed(name: str) -> None:
    check_created_address(*map(read_json, own(name)), with_status=True)


def check_created_address(block: Rows, receipts: list[Rows], *, with_status: bool) -> None:
    verify_rows("full", block, receipts)
    created = next(item for item in receipts if item["contractAddress"])
    created["contractAddress"] = flip(created["contractAddress"])
    with pytest.raises(Inconsistent, match="created-addresses"):
        verify_rows("full", block, receipts)
    if with_status:
        created["contractAddress"] = None
        with pytest.raises(Inconsistent, match="created-addresses"):
            verify_rows("full", block, receipts)


@RECENT
def test_a_forged_log_with_its_own_receipts_root_is_caught_by_the_header(paths: Paths) -> None:
    block, receipts = map(read_json, paths)
    add_a_forged_transfer(block, receipts)
    block["receiptsRoot"] = "0x" + compute_receipts_root(receipts).hex()
    with pytest.raises(Inconsistent, match="header-hash"):
        verify_rows("full", block, receipts)


@RECENT
def test_a_forged_block_with_its_own_hash_is_not_the_block_that_was_asked_for(paths: Paths) -> None:
    block, receipts = map(read_json, paths)
    asked = block["hash"]
    forged = "0x" + "5a" * 32
    for row in [*block["transactions"], *receipts, *(log for item in receipts for log in item["logs"])]:
        row["blockHash"] = forged
    block["hash"] = forged
    with pytest.raises(Inconsistent, match="asked for block"):
        verify_rows("full", block, receipts, asked)
    with pytest.raises(Inconsistent, match="header-hash"):
        verify_rows("full", block, receipts)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text[2:],
        lambda text: " " + text,
        lambda text: text[:10] + "  " + text[12:],
        lambda text: text + "0",
        lambda text: "0x",
        lambda text: "0xzz" + text[4:],
        lambda text: "12" + text[2:],
        lambda text: text[:-2],
    ],
)
@pytest.mark.parametrize("where", ["address", "topic", "data", "value", "hash"])
@RECENT
def test_text_that_is_not_clean_hex_is_refused_wherever_it_stands(
    where: str, spelling: Callable[[str], str], paths: Paths
) -> None:
    block, receipts = map(read_json, paths)
    log = first_transfer(receipts)
    match where:
        case "address":
            log["address"] = spelling(log["address"])
        case "topic":
            log["topics"][1] = spelling(log["topics"][1])
        case "data":
            log["data"] = spelling(log["data"])
        case "value":
            transaction = next(item for item in block["transactions"] if len(item["value"]) > 14)
            transaction["value"] = spelling(transaction["value"])
        case _:
            block["transactions"][0]["hash"] = spelling(block["transactions"][0]["hash"])
    with pytest.raises(Inconsistent):
        verify_rows("full", block, receipts)


def compute_receipts_root(receipts: list[Rows]) -> bytes:
    built = build_receipts(receipts)
    return compute_ordered_root(
        [encode_receipt(item, item.type or "0x0", item.logs_bloom or "", None) for item in built]
    )
