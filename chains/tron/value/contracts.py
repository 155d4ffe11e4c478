"""What a transaction asks for, from its own bytes: TRX, a TRC-10, a contract's run, or something that moves nothing here.

Pure.  Whatever a payer wrote stands in a block for ever, so what cannot be
read is a value here and never an error.  Which kinds count is `transfers`.
Sources: tronprotocol/protocol `Tron.proto`, `balance_contract.proto`,
`asset_issue_contract.proto`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from chains.model import Address
from chains.tron.address import is_address
from chains.tron.rows.wire import LENGTH, Malformed, last_bytes, last_number, read_fields

MEMO_BYTES_MAX: Final = 1_024
"""A longer one can be nobody's that is watched, and is not told."""


class ContractType(IntEnum):
    """The kinds that are read closely."""

    TRANSFER = 1
    TRANSFER_ASSET = 2
    CREATE_SMART = 30
    TRIGGER_SMART = 31


CALL_BYTES: Final = 4 + 32 + 32
TRANSFER_SELECTOR: Final = bytes.fromhex("a9059cbb")
"""keccak("transfer(address,uint256)"), its first four bytes."""

PADDINGS: Final = (bytes(12), bytes(11) + b"\x41")
"""Before an address in a word."""

EXECUTED: Final = frozenset({ContractType.CREATE_SMART, ContractType.TRIGGER_SMART})
"""What the virtual machine runs: it may fail in its block, and may log."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one transaction asks for; `kind` is -1 where it cannot be read."""

    kind: int
    parameter: bytes
    memo: bytes | None


UNREADABLE: Final = Asked(-1, b"", None)


@dataclass(frozen=True, slots=True)
class Payment:
    """TRX, or a TRC-10 where `token` names one."""

    sender: Address
    recipient: Address
    amount_base_units: int
    token: bytes | None


def read_asked(raw: bytes) -> Asked:
    """The one contract of a transaction's raw data, with its memo."""
    try:
        contracts, memo = [], b""
        for number, wire, value in read_fields(raw):
            if wire == LENGTH and number == 11:
                contracts.append(value)
            elif wire == LENGTH and number == 10:
                assert isinstance(value, bytes)
                memo = value
        if len(contracts) != 1:
            return UNREADABLE
        (contract,) = contracts
        assert isinstance(contract, bytes)
        kind, pieces = 0, list[bytes]()
        for number, wire, value in read_fields(contract):
            if number == 1 and wire == 0:
                assert isinstance(value, int)
                kind = value
            elif number == 2 and wire == LENGTH:
                assert isinstance(value, bytes)
                pieces.append(value)  # a message told twice is merged
    except Malformed:
        return UNREADABLE
    return Asked(kind, b"".join(pieces), memo if 0 < len(memo) <= MEMO_BYTES_MAX else None)


def read_payment(asked: Asked) -> Payment | None:
    """What a transfer moves; None where its bytes are no such thing, or it moves nothing."""
    try:
        fields = read_fields(last_bytes(read_fields(asked.parameter), 2))
    except Malformed:
        return None
    first = 2 if asked.kind == ContractType.TRANSFER_ASSET else 1
    sender, recipient = last_bytes(fields, first), last_bytes(fields, first + 1)
    amount = last_number(fields, first + 2)
    if not (is_address(sender) and is_address(recipient)) or amount <= 0:
        return None
    token = last_bytes(fields, 1) if first == 2 else None
    return Payment(Address(sender), Address(recipient), amount, token)


def read_called(asked: Asked) -> tuple[bytes, bytes]:
    """Which contract a run calls, and with what data; nothing where it cannot be read."""
    try:
        fields = read_fields(last_bytes(read_fields(asked.parameter), 2))
    except Malformed:
        return b"", b""
    return last_bytes(fields, 2), last_bytes(fields, 4)


def is_plain_transfer(data: bytes) -> bool:
    """Whether this is `transfer(address,uint256)` and nothing behind it; some wallets leave Tron's first byte in the word."""
    return len(data) == CALL_BYTES and data.startswith(TRANSFER_SELECTOR) and data[4:16] in PADDINGS
