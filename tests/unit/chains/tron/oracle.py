"""What a recorded Tron block holds, read slowly and by another way than the product's.

Lives here: protobuf as the definitions in `Tron.proto`, the JSON that java-tron prints of a block,
and a count of its transfers. Shares no code with the product.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tests.unit.chains.verify.recorded import RECORDED

Message = list[tuple[int, int, Any]]
HEIGHT = 79_072_107
OUTCOMES = ["DEFAULT", "SUCCESS", "REVERT"] + ["?"] * 7 + ["OUT_OF_ENERGY", "OUT_OF_TIME"]


def parse(data: bytes) -> Message:
    """Fields in their order; varints as numbers, everything else as bytes."""
    fields: Message = []
    while data:
        found, data = _next(data)
        fields.append(found)
    return fields


def _next(data: bytes) -> tuple[tuple[int, int, Any], bytes]:
    key, rest = _number(data)
    if key % 8 == 0:
        value, rest = _number(rest)
        return (key // 8, 0, value), rest
    assert key % 8 == 2, "nothing else is recorded"
    length, rest = _number(rest)
    return (key // 8, 2, rest[:length]), rest[length:]


def _number(data: bytes) -> tuple[int, bytes]:
    digits = 0
    while data[digits] > 127:
        digits += 1
    return sum((data[at] % 128) * 128**at for at in range(digits + 1)), data[digits + 1 :]


def one(message: Message, number: int, default: Any = b"") -> Any:
    found = [value for at, _, value in message if at == number]
    return found[-1] if found else default


@dataclass(frozen=True)
class Recorded:
    """The recorded block: each transaction's bytes, and its header's."""

    transactions: list[bytes]
    header: bytes
    signature: bytes
    block_id: bytes


def read_recorded() -> Recorded:
    told = json.loads((RECORDED / "tron" / "untron" / "blockext_raw_79072107.json").read_text())
    extention = parse(bytes.fromhex(told["blockExtention"][2:]))
    transactions = [one(parse(value), 1) for at, _, value in extention if at == 1]
    header = parse(one(extention, 2))
    return Recorded(transactions, one(header, 1), one(header, 2), one(extention, 3))


def print_block(recorded: Recorded) -> dict[str, Any]:
    """As java-tron's `getblock` prints it, unknown fields under their numbers (`JsonFormat.printUnknownFields`)."""
    header = parse(recorded.header)
    raw = {
        "number": one(header, 7), "txTrieRoot": one(header, 2).hex(), "witness_address": one(header, 9).hex(),
        "parentHash": one(header, 3).hex(), "version": one(header, 10), "timestamp": one(header, 1),
    }  # fmt: skip
    return {
        "blockID": recorded.block_id.hex(),
        "block_header": {"raw_data": raw, "witness_signature": recorded.signature.hex()},
        "transactions": [print_transaction(parse(data)) for data in recorded.transactions],
    }


def print_transaction(transaction: Message) -> dict[str, Any]:
    raw = one(transaction, 1)
    return {
        "ret": [print_result(parse(value)) for at, _, value in transaction if at == 5],
        "signature": [value.hex() for at, _, value in transaction if at == 2],
        "txID": sha256(raw).hexdigest(),
        "raw_data": {},
        "raw_data_hex": raw.hex(),
    }


def print_result(result: Message) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for at, wire, value in result:
        if at == 3:
            told["contractRet"] = OUTCOMES[value]
        else:
            told.setdefault(str(at), []).append(value.hex() if wire == 2 else value)
    return told


Counted = tuple[str, str, str, str, int]
"""Transaction, asset, sender, recipient, amount."""


def count_transfers(recorded: Recorded, numbered: frozenset[bytes]) -> list[Counted]:
    """Every TRX and listed TRC-10 transfer that did not fail, in block order."""
    counted: list[Counted] = []
    for data in recorded.transactions:
        transaction = parse(data)
        raw = one(transaction, 1)
        contract = parse(one(parse(raw), 11))
        value = parse(one(parse(one(contract, 2)), 2))
        if one(parse(one(transaction, 5)), 3, 0) not in {0, 1}:
            continue
        kind, tx = one(contract, 1, 0), sha256(raw).hexdigest()
        if kind == 1:
            counted.append((tx, "trx", one(value, 1).hex(), one(value, 2).hex(), one(value, 3, 0)))
        if kind == 2 and one(value, 1) in numbered:
            counted.append(
                (tx, one(value, 1).decode(), one(value, 2).hex(), one(value, 3).hex(), one(value, 4, 0))
            )
    return [found for found in counted if found[4] > 0]


def list_calls(recorded: Recorded, contract: bytes) -> list[tuple[str, str, str, int, bool]]:
    """Direct `transfer` calls of a contract: transaction, payer, payee, amount, whether it succeeded."""
    calls = []
    for data in recorded.transactions:
        transaction = parse(data)
        raw = one(transaction, 1)
        asked = parse(one(parse(raw), 11))
        value = parse(one(parse(one(asked, 2)), 2))
        calldata = one(value, 4)
        if one(asked, 1, 0) == 31 and one(value, 2) == contract and calldata[:4].hex() == "a9059cbb":
            succeeded = one(parse(one(transaction, 5)), 3, 0) == 1
            payee = "41" + calldata[16:36].hex()
            calls.append(
                (
                    sha256(raw).hexdigest(),
                    one(value, 1).hex(),
                    payee,
                    int.from_bytes(calldata[36:68], "big"),
                    succeeded,
                )
            )
    return calls
