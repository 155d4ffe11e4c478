"""
What a liar may show or leave out: excuses beside a lie, every omission of a field, every spelling of a quantity.

Tables only, in the shape of `lies`; what must become of them is `test_lies`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.chains.verify.lies import Lie
from tests.unit.chains.verify.recorded import Rows


def rows_of(where: str, block: Rows, receipts: list[Rows]) -> list[Rows]:
    """The rows of one kind, one of each transaction type where they have one."""
    match where:
        case "header":
            return [block]
        case "transaction":
            return list({one.get("type"): one for one in block["transactions"]}.values())
        case "receipt":
            return list({one.get("type"): one for one in receipts}.values())
        case "log":
            return [one for receipt in receipts for one in receipt["logs"]][:1]
        case _:
            return list(block.get("withdrawals", []))


def excuse_of(where: str, name: str, value: object = None) -> Lie:
    """A field left out (None), or one nobody knows."""

    def excuse(block: Rows, receipts: list[Rows]) -> bool:
        rows = rows_of(where, block, receipts)
        for row in rows:
            if value is None:
                row.pop(name, None)
            else:
                row[name] = value
        return bool(rows)

    return excuse


HEADER_OMITTED = (
    "nonce", "mixHash", "difficulty", "logsBloom", "receiptsRoot", "transactionsRoot", "stateRoot", "extraData",
    "baseFeePerGas", "withdrawalsRoot", "withdrawals", "gasUsed", "sha3Uncles", "miner", "requestsHash", "extDataHash",
)  # fmt: skip

EXCUSES: dict[str, Lie] = {
    "no excuse": lambda _block, _receipts: True,
    **{f"without {name}": excuse_of("header", name) for name in HEADER_OMITTED},
    "a header field nobody knows": excuse_of("header", "inventedRoot", "0x" + "07" * 32),
    "a settled height": excuse_of("header", "settledHeight", "0x1"),
    "an access list hash": excuse_of("header", "blockAccessListHash", "0x" + "07" * 32),
    "a transaction field nobody knows": excuse_of("transaction", "inventedField", "0x1"),
    "a receipt field nobody knows": excuse_of("receipt", "inventedField", "0x1"),
    "a log field nobody knows": excuse_of("log", "inventedField", "0x1"),
    "a receipt type nobody knows": excuse_of("receipt", "type", "0x55"),
    "a receipt of no type": excuse_of("receipt", "type"),
    "a receipt without its bloom": excuse_of("receipt", "logsBloom"),
    "a receipt with a state root": excuse_of("receipt", "root", "0x" + "08" * 32),
}
"""What a liar may show or leave out beside a lie."""

TELLING = (
    "an altered amount", "a log invented", "payment #0 of a fortune", "payment #1 by another", "a payment too many",
    "a creation elsewhere", "both of the protocol's own #0, its type in upper case", "a made-up state sync",
    "a forged payment behind type 0x7f", "a payment as type 0x69",
)  # fmt: skip
"""The lies that every excuse is tried beside: one of each way to an amount."""

SIGNED_HASHED = ("input", "gas", "nonce", "r", "s")
RECEIPT_HASHED = ("status", "cumulativeGasUsed", "logs")
"""What every signed transaction and every receipt is hashed with; of a header it is its layout that says."""


def list_fields(where: str, block: Rows, receipts: list[Rows]) -> list[str]:
    """Every field that these rows show."""
    return sorted({name for row in rows_of(where, block, receipts) for name in row})


WHERE = ("header", "transaction", "receipt", "log", "withdrawal")

QUANTITIES = {
    "header": ("number", "gasUsed", "timestamp", "baseFeePerGas", "difficulty", "gasLimit"),
    "transaction": (
        "type",
        "value",
        "gas",
        "nonce",
        "chainId",
        "transactionIndex",
        "blockNumber",
        "gasPrice",
        "v",
    ),
    "receipt": (
        "type",
        "status",
        "cumulativeGasUsed",
        "transactionIndex",
        "blockNumber",
        "depositNonce",
        "baseFee",
    ),
    "log": ("logIndex", "transactionIndex", "blockNumber"),
    "withdrawal": ("amount", "index", "validatorIndex"),
}


SAME_SPELLINGS: dict[str, Callable[[int], object]] = {
    "zeros": lambda value: f"0x000{value:x}",
    "upper case": lambda value: f"0x{value:X}",
    "upper prefix": lambda value: f"0X{value:x}",
    "a JSON number": lambda value: value if value < 2**53 else hex(value),
    "nothing behind the prefix": lambda value: hex(value) if value else "0x",
}
"""Ways to write a number that mean it."""

OTHER_SPELLINGS: dict[str, Callable[[int], object]] = {
    "decimal digits": str,
    "a fraction": lambda value: value + 0.5,
    "a negative number": lambda value: -value - 1,
    "a truth": lambda _value: True,
    "an underscore": lambda value: f"0x0_{value:x}",
    "a space": lambda value: f" 0x{value:x}",
    "a wrapped number": lambda value: hex(value + 2**256),
    "another number": lambda value: hex(value + 1),
    "a list": lambda value: [hex(value)],
}
"""Ways that mean another number, two, or none."""


def spell(where: str, name: str, write: Callable[[int], object]) -> Lie:
    """The quantity written so in one row of each type that shows it."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        rows = [row for row in rows_of(where, block, receipts) if isinstance(row.get(name), str)]
        for row in rows:
            row[name] = write(int(row[name], 16))
        return bool(rows)

    return lie
