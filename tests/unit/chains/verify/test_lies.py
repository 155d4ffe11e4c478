"""Lies × profiles on recorded blocks: each is refused, held, or changes nothing of what could be credited.

A block is read as a provider's answer is, from JSON to transfers.  What holds
a block is lifted by another operator or by ours (`tests/live/test_held.py`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import pytest

from chains.errors import Inconsistent
from chains.evm.blocks import Reading, compute_reading
from chains.evm.consistency import check_block
from chains.evm.decode import decode_transfers
from chains.evm.rows import decode_block, decode_receipts
from chains.evm.verify import PROFILES, BlockVerifier, Check, Mode
from chains.evm.verify.header import AVALANCHE_HEADER
from chains.model import Hold, Transfer
from tests.devnet.local import local_traits, token
from tests.unit.chains.verify.recorded import Rows, needs_recorded, read_json
from tests.unit.chains.verify.test_cases import add_state_sync as show_state_sync
from tests.unit.chains.verify.test_cases import reseal

pytestmark = needs_recorded

VECTORS = Path(__file__).parents[3] / "vectors"
VICTIM = "0x" + "5e" * 20
OF_RECEIPTS = (Check.RECEIPTS_ROOT, Check.LOGS_BLOOM, Check.GAS_USED, Check.CREATED_ADDRESSES)
FORTUNE = hex(10**21)
ZERO = "0x" + "00" * 20
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

SAMPLES: dict[str, tuple[str, str]] = {
    "mainnet": ("full", "ethereum/18000000"),
    "byzantine": ("full", "ethereum/4369999"),
    "polygon": ("polygon", "polygon/50000000"),
    "hyperliquid": ("hyperliquid", "hyperliquid/50000"),
    "auto": ("auto", "ethereum/18000000"),
    "bsc": ("bsc", "ethereum/18000000"),
    "scroll": ("scroll", "ethereum/18000000"),
    "avalanche": ("avalanche", "avalanche"),
    "arbitrum": ("arbitrum", "arbitrum"),
    "optimism": ("op-stack", "op"),
}
ALL_EXCUSES = {"mainnet", "avalanche", "arbitrum", "optimism"}
"""Samples that meet every excuse; the others, which share their rules, meet some."""


@cache
def _load(sample: str) -> tuple[str, bytes, bytes]:
    profile, path = SAMPLES[sample]
    match path:
        case "arbitrum":
            block = json.loads((VECTORS / "evm_arbitrum_block.json").read_text())
            block = block.get("block", block)
            receipts: list[Rows] = [_plain_receipt(block, at) for at in range(len(block["transactions"]))]
        case "avalanche":
            # None is recorded: Ethereum's, under a header of the C-Chain's form.
            block, receipts = (
                read_json("ethereum/18000000.block.json"),
                read_json("ethereum/18000000.receipts.json"),
            )
            block["extDataHash"] = "0x" + "56" * 32
            reseal(block, receipts, AVALANCHE_HEADER)
        case "op":
            document = json.loads((VECTORS / "evm_op_deposits.json").read_text())
            vector = next(item for item in document["blocks"] if item["receipts"][0].get("logs") is not None)
            block, receipts = vector["block"], vector["receipts"]
        case _:
            block, receipts = read_json(f"{path}.block.json"), read_json(f"{path}.receipts.json")
    return profile, json.dumps(block).encode(), json.dumps(receipts).encode()


def _plain_receipt(block: Rows, at: int) -> Rows:
    """A successful receipt without logs, for a block recorded without its receipts."""
    transaction = block["transactions"][at]
    return {
        "transactionHash": transaction["hash"],
        "transactionIndex": hex(at),
        "blockHash": block["hash"],
        "blockNumber": block["number"],
        "cumulativeGasUsed": hex(21_000 * (at + 1)),
        "status": "0x1",
        "type": transaction["type"],
        "logs": [],
    }


def reading_of(profile: str, receipts: list[Rows]) -> Reading:
    """Everything that logged a transfer is listed, so that every forged log could be a deposit."""
    emitters = {log["address"].lower() for receipt in receipts for log in receipt["logs"]}
    tokens = [token(emitter, f"T{number}") for number, emitter in enumerate(sorted(emitters))]
    rules = PROFILES[profile]
    if profile == "arbitrum":
        # Recorded without receipts: what its transactions alone must not let through.
        rules = replace(rules, modes={**rules.modes, **dict.fromkeys(OF_RECEIPTS, Mode.ABSENT)})
    return compute_reading(local_traits(tokens, profile=profile), BlockVerifier(rules))


def read(reading: Reading, block: Rows, receipts: list[Rows]) -> tuple[Hold, list[Transfer]]:
    """What an answer comes to; raises `Inconsistent` where it is refused."""
    built = decode_block(msgspec.Raw(json.dumps(block).encode()), reading.rows)
    raw = msgspec.Raw(json.dumps(receipts).encode())
    built.receipts_raw = (raw,)
    rows = decode_receipts(raw)
    check_block(reading.rules, None, built, rows)
    verdict = reading.verifier(built, rows)
    table = decode_transfers(reading.assets, built, rows, (), reading.types).transfers
    return verdict.hold, [table.at(index) for index in range(len(table.recipients))]


Lie = Callable[[Rows, list[Rows]], bool]
"""Bends an answer; False where this block has nothing to bend."""


def log_of(receipts: list[Rows]) -> Rows | None:
    logs = [
        log for one in receipts for log in one["logs"] if len(log["topics"]) == 3 and len(log["data"]) == 66
    ]
    return next((log for log in logs if log["topics"][0] == TRANSFER), None)


def alter_amount(_block: Rows, receipts: list[Rows]) -> bool:
    log = log_of(receipts)
    if log is not None:
        log["data"] = f"0x{int(FORTUNE, 16):064x}"
    return log is not None


def redirect_log(_block: Rows, receipts: list[Rows]) -> bool:
    log = log_of(receipts)
    if log is not None:
        log["topics"][2] = "0x" + VICTIM[2:].rjust(64, "0")
    return log is not None


def drop_log(_block: Rows, receipts: list[Rows]) -> bool:
    for receipt in reversed(receipts):
        if receipt["logs"]:
            receipt["logs"].pop()
            return True
    return False


def invent_log(_block: Rows, receipts: list[Rows]) -> bool:
    log = log_of(receipts)
    receipt = receipts[-1]
    if log is None:
        return False
    count = sum(len(one["logs"]) for one in receipts)
    place = {
        name: receipt[name] for name in ("transactionHash", "transactionIndex", "blockHash", "blockNumber")
    }
    receipt["logs"].append({**copy.deepcopy(log), **place, "logIndex": hex(count)})
    return True


def is_signed(transaction: Rows) -> bool:
    return int(transaction.get("r") or "0x0", 16) > 0


def signed(block: Rows) -> Iterator[Rows]:
    return (one for one in block["transactions"] if is_signed(one))


def system(block: Rows) -> Iterator[tuple[int, Rows]]:
    return ((at, one) for at, one in enumerate(block["transactions"]) if not is_signed(one))


def pay_the_victim(block: Rows, _receipts: list[Rows]) -> bool:
    for one in signed(block):
        one |= {"to": VICTIM, "value": FORTUNE}
        return True
    return False


def alter_sender(block: Rows, receipts: list[Rows]) -> bool:
    for one in signed(block):
        at = block["transactions"].index(one)
        if one["to"] is not None and int(one["value"], 16) and receipts[at].get("status") == "0x1":
            one["from"] = VICTIM
            return True
    return False


def mint_by(spelling: str) -> Lie:
    """A system transaction in another spelling of its type, with value nobody hashed."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        for at, one in system(block):
            kind = int(one["type"], 16)
            one |= {"type": spelling.format(kind=kind), "to": VICTIM, "value": FORTUNE, "mint": FORTUNE}
            receipts[at]["type"] = one["type"]
            receipts[at]["status"] = "0x1"
            return True
        return False

    return lie


def retype(kind: str) -> Lie:
    def lie(block: Rows, _receipts: list[Rows]) -> bool:
        block["transactions"][-1] |= {"type": kind, "to": VICTIM, "value": FORTUNE}
        return True

    return lie


def add_state_sync(block: Rows, receipts: list[Rows]) -> bool:
    """A bridge transaction made up at any height, its name as Bor derives it."""
    if log_of(receipts) is None or not receipts[0]["logs"]:
        return False
    show_state_sync(block, receipts)
    receipts[-1]["logs"][0] |= {"data": f"0x{int(FORTUNE, 16):064x}"}
    return True


def status_up(_block: Rows, receipts: list[Rows]) -> bool:
    for receipt in receipts:
        if receipt.get("status") == "0x0":
            receipt["status"] = "0x01"
            return True
    return False


def move_creation(block: Rows, receipts: list[Rows]) -> bool:
    for one, receipt in zip(block["transactions"], receipts, strict=False):
        if one["to"] is None:
            receipt["contractAddress"] = VICTIM
            one["value"] = FORTUNE
            return True
    return False


LIES: dict[str, Lie] = {
    "an altered amount": alter_amount,
    "a log sent elsewhere": redirect_log,
    "a log left out": drop_log,
    "a log invented": invent_log,
    "a payment to the victim": pay_the_victim,
    "another sender": alter_sender,
    "a system transaction": mint_by("{kind:#x}"),
    "a system transaction in upper case": mint_by("0x{kind:X}"),
    "a system transaction in zeros": mint_by("0x00{kind:x}"),
    "an unknown type": retype("0x55"),
    "a deposit's type": retype("0x7e"),
    "an Arbitrum type": retype("0x69"),
    "a bridge type": retype("0x7f"),
    "a made-up state sync": add_state_sync,
    "a failure shown as success": status_up,
    "a creation elsewhere": move_creation,
}


def also(name: str, value: object = None) -> Lie:
    """An excuse a liar might choose: a header field left out, or one nobody knows."""

    def excuse(block: Rows, receipts: list[Rows]) -> bool:
        if name == "receipt-field":
            receipts[0]["inventedField"] = "0x1"
        elif name == "receipt-type":
            receipts[0]["type"] = "0x55"
        elif value is None:
            block.pop(name, None)
        else:
            block[name] = value
        return True

    return excuse


EXCUSES: dict[str, Lie] = {
    "no excuse": lambda _block, _receipts: True,
    **{
        f"without {name}": also(name)
        for name in (
            "nonce", "mixHash", "difficulty", "logsBloom", "receiptsRoot", "transactionsRoot", "stateRoot", "extraData",
            "baseFeePerGas", "withdrawalsRoot", "withdrawals", "gasUsed", "sha3Uncles", "miner",
        )
    },
    "a header field nobody knows": also("inventedRoot", "0x" + "07" * 32),
    "a settled height": also("settledHeight", "0x1"),
    "an access list hash": also("blockAccessListHash", "0x" + "07" * 32),
    "a receipt field nobody knows": also("receipt-field"),
    "a receipt type nobody knows": also("receipt-type"),
}  # fmt: skip


def plain(transfers: list[Transfer]) -> set[tuple[object, ...]]:
    return {(t.tx_hash, t.kind, t.asset, t.recipient, t.sender, t.n, t.amount_base_units) for t in transfers}


SOME_EXCUSES = {"no excuse", "without nonce", "a header field nobody knows", "a receipt field nobody knows"}
MEETINGS = [
    (sample, excuse)
    for sample in SAMPLES
    for excuse in EXCUSES
    if sample in ALL_EXCUSES or excuse in SOME_EXCUSES
]


@pytest.mark.parametrize(("sample", "excuse"), MEETINGS)
def test_no_lie_reaches_a_credit_whatever_its_excuse(sample: str, excuse: str) -> None:
    profile, block_json, receipts_json = _load(sample)
    honest_block, honest_receipts = json.loads(block_json), json.loads(receipts_json)
    _, honest = read(reading_of(profile, honest_receipts), honest_block, honest_receipts)
    met = []
    for name, lie in LIES.items():
        block, receipts = json.loads(block_json), json.loads(receipts_json)
        if not lie(block, receipts):
            continue
        met.append(name)
        EXCUSES[excuse](block, receipts)
        # A fresh verifier each time: the first block a follower sees is the liar's.
        fresh = reading_of(profile, honest_receipts)
        try:
            hold, told = read(fresh, block, receipts)
        except Inconsistent:
            continue
        gained = plain(told) - plain(honest)
        assert hold is not Hold.NONE or not gained, f"{name}: {sorted(map(str, gained))[:3]}"
    assert len(met) >= 5, met


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_honest_recorded_block_is_held(sample: str) -> None:
    profile, block_json, receipts_json = _load(sample)
    block, receipts = json.loads(block_json), json.loads(receipts_json)
    hold, _ = read(reading_of(profile, receipts), block, receipts)
    assert hold is Hold.NONE


HEADER_FIELDS = [
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot",
    "withdrawals",
]  # fmt: skip
TRANSACTION_FIELDS = [
    "input",
    "gas",
    "nonce",
    "r",
    "s",
    "v",
    "maxFeePerGas",
    "maxPriorityFeePerGas",
    "chainId",
    "to",
]
RECEIPT_FIELDS = ["status", "cumulativeGasUsed", "logs", "type"]


@pytest.mark.parametrize(
    ("where", "name"),
    [("header", name) for name in HEADER_FIELDS]
    + [("transaction", name) for name in TRANSACTION_FIELDS]
    + [("receipt", name) for name in RECEIPT_FIELDS],
)
def test_what_is_hashed_and_left_out_is_refused_where_its_check_is_enforced(where: str, name: str) -> None:
    profile, block_json, receipts_json = _load("mainnet")
    block, receipts = json.loads(block_json), json.loads(receipts_json)
    for row in {"header": [block], "transaction": block["transactions"], "receipt": receipts}[where]:
        if where != "transaction" or row["type"] == "0x2":
            row.pop(name, None)
            if name == "v":
                row.pop("yParity", None)
    with pytest.raises(Inconsistent):
        read(reading_of(profile, receipts if name != "logs" else []), block, receipts)


def test_what_no_hash_covers_may_say_anything() -> None:
    profile, block_json, receipts_json = _load("mainnet")
    honest_block, honest_receipts = json.loads(block_json), json.loads(receipts_json)
    _, honest = read(reading_of(profile, honest_receipts), honest_block, honest_receipts)
    block, receipts = json.loads(block_json), json.loads(receipts_json)
    for receipt in receipts:
        receipt |= {
            "gasUsed": "0x1",
            "effectiveGasPrice": "0x1",
            "from": VICTIM,
            "to": VICTIM,
            "blobGasPrice": "0x1",
        }
        for log in receipt["logs"]:
            log["blockTimestamp"] = "0x1"
    block |= {"size": "0x1", "totalDifficulty": "0x1", "uncles": [VICTIM]}
    hold, told = read(reading_of(profile, receipts), block, receipts)
    assert (hold, plain(told)) == (Hold.NONE, plain(honest))


def test_a_strangers_field_names_are_few_and_short_and_only_letters() -> None:
    profile, block_json, receipts_json = _load("byzantine")
    block, receipts = json.loads(block_json), json.loads(receipts_json)
    block |= {f"\x1b[31m<script>{number}" * 50: "0x1" for number in range(500)} | {
        "stateRoot": "0x" + "07" * 32
    }
    reading = reading_of(profile, receipts)
    built = decode_block(msgspec.Raw(json.dumps(block).encode()), reading.rows)
    doubts = reading.verifier(built, decode_receipts(msgspec.Raw(json.dumps(receipts).encode()))).doubts
    assert doubts
    for doubt in doubts:
        assert len(doubt.reason) < 200
        assert doubt.reason.isprintable()
        assert "<" not in doubt.reason
