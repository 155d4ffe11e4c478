"""Every recorded EVM block verifies as far as its chain allows, and no recorded forgery does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from chains.errors import Inconsistent
from chains.evm.rows.consistency import check_block, rules_of_profile
from chains.evm.verify import PROFILES, Check, Mode, Profile, examine_block, verify_block
from chains.model import VerificationLevel
from tests.unit.chains.verify.recorded import (
    IS_RECORDED,
    REASON,
    build,
    build_block,
    decode_rlp,
    envelopes_of,
    header_rows,
    hex_data,
    iterate_rlp,
    keccak,
    list_payload,
    read_answer,
    read_bytes,
    read_hex,
    read_json,
    receipt_rows,
    rows_of_rlp_block,
    transaction_rows,
)

if not IS_RECORDED:
    pytest.skip(REASON, allow_module_level=True)

RECEIPT_CHECKS = (Check.RECEIPTS_ROOT, Check.LOGS_BLOOM, Check.GAS_USED, Check.CREATED_ADDRESSES)
WITH_RECEIPTS = [
    ("full", "ethereum/1000000"),
    ("full", "ethereum/4369999"),
    ("full", "ethereum/18000000"),
    ("polygon", "polygon/50000000"),
    ("hyperliquid", "hyperliquid/50000"),
]
BLOCKS_ONLY = [
    *(f"ethereum/{number}.block.json" for number in (1000001, 1234567, 12964999, 24486902)),
    *(
        f"ethereum/forks/{fork}.block.json"
        for fork in (
            "Frontier", "Homestead", "SpuriousDragon", "Byzantium", "MuirGlacier", "StakingDeposit", "Berlin",
            "London", "GrayGlacier", "Shanghai",
        )
    ),
    *(f"ethereum/osaka-24476000/{number}.block.json" for number in (24476000, 24476001)),
    *(f"ethereum/run-22431080/{number}.block.json" for number in range(22431080, 22431091)),
    "ethereum/trin/block-17034871.json",
    "goerli/post-shanghai-success_data.json",
]  # fmt: skip
GOERLI_FORGERIES = [
    "bad-receipts-hash", "bad-transactions", "bad-transactions-hash", "bad-transactions-nil", "bad-withdrawals",
    "bad-withdrawals-hash", "bad-withdrawals-nil",
]  # fmt: skip
PORTAL_BLOCKS = [14764013, 15537393, 17034869, 17034870, 19426586, 22431083]


def leave_out(profile: Profile, *checks: Check) -> Profile:
    """The profile for a recording that lacks what these checks read."""
    return replace(profile, modes={**profile.modes, **dict.fromkeys(checks, Mode.ABSENT)})


HEADER_AND_BODY = leave_out(PROFILES["full"], *RECEIPT_CHECKS)
WITHOUT_SENDERS = leave_out(PROFILES["full"], Check.CREATED_ADDRESSES)
BODY_CHECKS = {Check.HEADER_HASH, Check.TRANSACTION_HASHES, Check.TRANSACTIONS_ROOT}


def verify_rows(profile: Profile, block: Any, receipts: Any) -> VerificationLevel:
    """What a provider's answer goes through: rows first, then hashes."""
    built, rows = build(block, receipts)
    check_block(rules_of_profile(profile.name), None, built, rows)
    return verify_block(profile, built, rows)


@pytest.mark.parametrize(("name", "path"), WITH_RECEIPTS)
def test_a_recorded_block_with_receipts_verifies_in_full(name: str, path: str) -> None:
    block, receipts = read_json(f"{path}.block.json"), read_json(f"{path}.receipts.json")
    assert verify_rows(PROFILES[name], block, receipts) is VerificationLevel.FULL


@pytest.mark.parametrize("number", [19433902, 19433903])
def test_a_cancun_block_with_blobs_verifies_in_full(number: int) -> None:
    block = read_json(f"ethereum/trin/block-{number}.json")
    receipts = read_json(f"ethereum/trin/receipts-{number}.json")
    assert verify_rows(PROFILES["full"], block, receipts) is VerificationLevel.FULL


@pytest.mark.parametrize("path", BLOCKS_ONLY)
def test_a_recorded_block_without_receipts_gives_its_hash_and_transactions_root(path: str) -> None:
    examination = examine_block(HEADER_AND_BODY, build_block(read_json(path)), [])
    assert examination.proven >= BODY_CHECKS
    assert not examination.unavailable


@pytest.mark.parametrize("name", GOERLI_FORGERIES)
def test_a_block_that_was_corrupted_by_others_is_refused(name: str) -> None:
    block = read_json(f"goerli/post-shanghai-{name}_data.json")
    with pytest.raises(Inconsistent):
        examine_block(HEADER_AND_BODY, build_block(block), [])


@pytest.mark.parametrize("number", PORTAL_BLOCKS)
def test_a_block_of_any_era_verifies_from_its_network_encoding(number: int) -> None:
    text = read_bytes(f"ethereum/portal/block-data-{number}.yaml").decode()
    values = dict(re.findall(r'^(header|body|receipts): "?0x([0-9a-f]*)', text, re.MULTILINE))
    header, body, receipts = (bytes.fromhex(values[key]) for key in ("header", "body", "receipts"))
    block = rows_of_rlp_block(wrap_list(header, list_payload(body)))
    rows = receipt_rows(block, [parse_receipt(item) for item in envelopes_of(receipts)])
    assert verify_rows(WITHOUT_SENDERS, block, rows) is VerificationLevel.FULL


def test_a_block_of_the_history_network_verifies_in_full() -> None:
    header = ssz_items(read_bytes("ethereum/trin/15040641.header.bin"))[0]
    transactions, uncles = ssz_items(read_bytes("ethereum/trin/15040641.body.bin"))
    block = rows_of_rlp_block(wrap_list(header, b"\xc0", uncles))
    block["transactions"] = [
        transaction_rows(item, at, block) for at, item in enumerate(ssz_items(transactions))
    ]
    receipts = [parse_receipt(item) for item in ssz_items(read_bytes("ethereum/trin/15040641.receipts.bin"))]
    assert len(receipts) == 307
    assert verify_rows(WITHOUT_SENDERS, block, receipt_rows(block, receipts)) is VerificationLevel.FULL


def test_the_first_thousand_blocks_of_mainnet_give_their_hashes_and_link() -> None:
    parent = None
    blocks = 0
    for encoded in iterate_rlp(read_bytes("ethereum/besu_mainnet_first1000.blocks")):
        block = rows_of_rlp_block(encoded)
        assert parent in {None, block["parentHash"]}
        assert examine_block(HEADER_AND_BODY, build_block(block), []).proven >= BODY_CHECKS
        parent = block["hash"]
        blocks += 1
    assert blocks == 1000
    assert parent == "0xc31b362e591aa07faa977dbc492ae43cd47eef291920435153bbbf3acaf2fc2f"


@pytest.mark.parametrize(
    ("name", "block_hash"),
    [
        ("one", "0xbf0bad30f1df970f54a9dfc05dd09e139d40933abad2fe42768a4ec5e53cac76"),
        ("two", "0xa1fab1364102e23ac70bf4f9d26bf47eb764fac77d7cc408d265f65b9974e66d"),
    ],
)
def test_a_bsc_block_gives_its_hash_and_transactions_root(name: str, block_hash: str) -> None:
    message = read_hex(f"bsc/bsc_new_block_network_{name}.hex")
    block = rows_of_rlp_block(next(iterate_rlp(list_payload(message))))
    assert block["hash"] == block_hash
    assert examine_block(HEADER_AND_BODY, build_block(block), []).proven >= BODY_CHECKS


@pytest.mark.parametrize("number", [1, 2])
def test_a_holesky_block_gives_its_hash(number: int) -> None:
    block = rows_of_rlp_block(read_hex(f"holesky/holesky_{number}.rlp"))
    assert examine_block(HEADER_AND_BODY, build_block(block), []).proven >= BODY_CHECKS


def test_every_block_of_the_rpc_test_chain_gives_its_hash_and_links() -> None:
    parent = None
    kinds = set()
    for encoded in iterate_rlp(read_bytes("hivechain/chain.rlp")):
        block = rows_of_rlp_block(encoded)
        assert parent in {None, block["parentHash"]}
        assert examine_block(HEADER_AND_BODY, build_block(block), []).proven >= BODY_CHECKS
        parent = block["hash"]
        kinds |= {item["type"] for item in block["transactions"]}
    assert parent == "0xd226371d0b1551adb03fb52b71f08e3e11247fe9b1af994768af8cdaa8e7dcd7"
    assert kinds == {"0x0", "0x1", "0x2", "0x3", "0x4"}


@pytest.mark.parametrize(
    ("block_answer", "receipts_answer"),
    [
        ("eth_getBlockByHash__get-block-by-hash", "eth_getBlockReceipts__get-block-receipts-by-hash"),
        ("eth_getBlockByNumber__get-latest", "eth_getBlockReceipts__get-block-receipts-latest"),
    ],
)
def test_an_rpc_answer_with_its_receipts_verifies_in_full(block_answer: str, receipts_answer: str) -> None:
    receipts = read_answer(f"hivechain/{receipts_answer}.io")
    block = find_hivechain_block(receipts[0]["blockHash"], block_answer)
    profile = PROFILES["full"] if "from" in block["transactions"][0] else WITHOUT_SENDERS
    assert verify_rows(profile, block, receipts) is VerificationLevel.FULL


@pytest.mark.parametrize("fork", ["london", "merge", "shanghai", "cancun", "prague"])
def test_an_rpc_header_of_every_fork_gives_its_hash(fork: str) -> None:
    block = read_answer(f"hivechain/eth_getBlockByNumber__get-block-{fork}-fork.io")
    profile = leave_out(HEADER_AND_BODY, Check.TRANSACTION_HASHES, Check.TRANSACTIONS_ROOT)
    block["transactions"] = []
    examination = examine_block(profile, build_block(block), [])
    assert Check.HEADER_HASH in examination.proven


@pytest.mark.parametrize("number", [26207960, 26207961, 26207962])
def test_an_op_stack_block_gives_its_hash_and_transactions_root(number: int) -> None:
    fixture = json.loads(read_bytes(f"op_sepolia/{number}.fixture.json"))
    header = json.loads(read_bytes(f"op_sepolia/{number + 1}.fixture.json"))["parent_header"]
    block = {**header, "hash": fixture["expected_block_hash"], "withdrawals": []}
    envelopes = [bytes.fromhex(item[2:]) for item in fixture["executing_payload"]["transactions"]]
    block["transactions"] = [transaction_rows(item, at, block) for at, item in enumerate(envelopes)]
    profile = leave_out(PROFILES["op-stack"], *RECEIPT_CHECKS)
    examination = examine_block(profile, build_block(block), [])
    assert examination.proven >= BODY_CHECKS
    assert "0x7e" in examination.types_proven


@pytest.mark.parametrize("number", [68216, 131465])
def test_a_chain_with_other_rules_raises_no_alarm_when_nobody_described_it(number: int) -> None:
    block, receipts = (
        read_json(f"cronos/{number}.block.json"),
        read_json(f"cronos/{number}.receipts.json"),
    )
    examination = examine_block(PROFILES["auto"], *build(block, receipts))
    assert examination.level is VerificationLevel.CONSISTENT
    assert Check.HEADER_HASH in {item.check for item in examination.unavailable}


@pytest.mark.parametrize(
    "name",
    [
        "bcMultiChainTest__ChainAtoChainB",
        "bcMultiChainTest__ChainAtoChainBtoChainA",
        "bcTotalDifficultyTest__newChainFrom4Block",
        "bcTotalDifficultyTest__sideChainWithMoreTransactions",
    ],
)
def test_every_branch_of_a_recorded_reorganisation_verifies(name: str) -> None:
    suites = json.loads(read_bytes(f"reorg_ethereum_tests/{name}.json"))
    count = 0
    for suite in suites.values():
        for item in suite["blocks"]:
            block = rows_of_rlp_block(bytes.fromhex(item["rlp"][2:]))
            assert examine_block(HEADER_AND_BODY, build_block(block), []).proven >= BODY_CHECKS
            count += 1
    assert count > 10


def find_hivechain_block(block_hash: str, answer: str) -> Any:
    """The block as RPC showed it if it was recorded so, else from the chain file."""
    shown = read_answer(f"hivechain/{answer}.io")
    if shown["hash"] == block_hash and isinstance(shown["transactions"][0], dict):
        return shown
    chain = (rows_of_rlp_block(item) for item in iterate_rlp(read_bytes("hivechain/chain.rlp")))
    return next(block for block in chain if block["hash"] == block_hash)


def parse_receipt(envelope: bytes) -> tuple[int, list[Any]]:
    """Type and fields; the portal network writes the type as the first field of a typed one."""
    if envelope[0] < 0xC0:
        return envelope[0], decode_rlp(envelope[1:])
    fields = decode_rlp(envelope)
    if len(fields) == 4 and not isinstance(fields[2], list) and len(fields[2]) != 256:
        return int.from_bytes(fields[0], "big"), fields[1:]
    return 0, fields


def wrap_list(*items: bytes) -> bytes:
    """An RLP list of items that are encoded already."""
    payload = b"".join(items)
    size = len(payload).to_bytes(4, "big").lstrip(b"\x00")
    return bytes([0xF7 + len(size)]) + size + payload


def ssz_items(data: bytes) -> list[bytes]:
    """The variable-size items of an SSZ container or list, by their offsets."""
    first = int.from_bytes(data[:4], "little")
    offsets = [int.from_bytes(data[at : at + 4], "little") for at in range(0, first, 4)]
    return [data[a:b] for a, b in zip(offsets, [*offsets[1:], len(data)], strict=True)]


def test_the_reader_of_these_tests_computes_hashes_by_itself() -> None:
    block = rows_of_rlp_block(read_hex("holesky/holesky_1.rlp"))
    assert block["hash"] == "0xe9011e6d15a0d0c16f65a38f84375bf1a6b88201b0ad75a2660df0bb8d1ac381"
    header = next(iterate_rlp(list_payload(read_hex("holesky/holesky_1.rlp"))))
    assert hex_data(keccak(header)) == block["hash"]
    assert header_rows(decode_rlp(header))["number"] == "0x1"
