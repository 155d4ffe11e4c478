"""Blocks and the receipts of their transactions as java-tron's HTTP API tells them.  Pure.

Of a transaction only `raw_data_hex` is read: the JSON beside it is a node's
retelling, in a dialect that `visible` chooses.  Its result is told in JSON
only and goes back into bytes (`messages`).  What may be believed is `verify`.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, field

from chains.errors import Inconsistent
from chains.model import BEFORE_FIRST, BlockHash, BlockRef, Header
from chains.tron.rows.messages import (
    HEADER,
    RESULT,
    Unwritable,
    encode_message,
    encode_unknown,
    read_hex,
    read_int,
)
from chains.tron.rows.wire import encode_bytes, last_bytes, read_fields

HASH_BYTES: Final = 32
WITNESS: Final = HEADER["witness_address"][0]


class RawHeader(Struct, gc=False):
    raw_data: dict[str, Any]
    witness_signature: str = ""


class RawTransaction(Struct, gc=False):
    """`ret` is what became of it: one result, where nodes add none of their own."""

    tx_id: str = field(name="txID")
    raw_data_hex: str
    signature: list[str] = []
    ret: list[Raw] = []


class RawBlock(Struct, gc=False):
    block_id: str = field(name="blockID")
    block_header: RawHeader
    transactions: list[RawTransaction] = []


class _Result(Struct, gc=False):
    outcome: str = field(name="contractRet", default="")
    code: str = field(name="ret", default="")


class _LooseBlock(Struct, gc=False):
    transactions: list[dict[str, Raw]] = []


class RawLog(Struct, gc=False):
    address: str
    topics: list[str] = []
    data: str = ""


class RawValue(Struct, gc=False):
    """What an internal transaction moved: TRX, or a TRC-10 where it names one."""

    amount: int | str = field(name="callValue", default=0)
    token: str | int = field(name="tokenId", default="")


class RawInternal(Struct, gc=False):
    caller: str = field(name="caller_address", default="")
    recipient: str = field(name="transferTo_address", default="")
    values: list[RawValue] = field(name="callValueInfo", default=[])
    note: str = ""
    rejected: bool = False


class RawReceipt(Struct, gc=False):
    result: str = ""
    energy_fee: int | str = 0
    net_fee: int | str = 0


class RawInfo(Struct, gc=False):
    """One transaction's receipt; `result` is absent where it did not fail."""

    id: str
    height: int | str = field(name="blockNumber", default=0)
    result: str = ""
    receipt: RawReceipt = field(default_factory=RawReceipt)
    logs: list[RawLog] = field(name="log", default=[])
    internal: list[RawInternal] = field(name="internal_transactions", default=[])


BLOCK: Final = msgspec.json.Decoder(RawBlock)
INFO: Final = msgspec.json.Decoder(RawInfo)
INFOS: Final = msgspec.json.Decoder(list[RawInfo])
_RESULT: Final = msgspec.json.Decoder(_Result)
_DICT: Final = msgspec.json.Decoder(dict[str, Any])
_LOOSE: Final = msgspec.json.Decoder(_LooseBlock)


@dataclass(frozen=True, slots=True)
class TronHeader:
    """A block's header with the bytes that its id and its witness stand for."""

    header: Header
    raw: bytes
    root: bytes
    witness: bytes
    signature: bytes
    time_ms: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction: its bytes, and what its block says became of it.

    `is_failed` is what the result's own code says.  `tail` is what follows the
    raw data in the bytes that the root covers; None where it cannot be written.
    """

    id: bytes
    raw: bytes
    outcome: str
    is_failed: bool
    tail: bytes | None


def read_header(block: RawBlock) -> TronHeader:
    """The header, with the id that its own bytes give; raises `Inconsistent` where they cannot be had.

    Source: java-tron `BlockCapsule.generateBlockId`: the height, then the hash of the raw header without its first
    eight bytes.
    """
    said = block.block_header.raw_data
    try:
        raw = encode_message(HEADER, said)
        height, time_ms = read_int(said.get("number", 0)), read_int(said.get("timestamp", 0))
        parent, root = read_hex(said.get("parentHash", "")), read_hex(said.get("txTrieRoot", ""))
        witness = last_bytes(read_fields(raw), WITNESS)
        signature = read_hex(block.block_header.witness_signature)
        told = read_hex(block.block_id)
    except Unwritable as error:
        raise Inconsistent(f"the header of block {block.block_id[:64]} cannot be read: {error}") from None
    if (
        not 0 <= height < 1 << 63
        or time_ms < 0
        or len(parent) != HASH_BYTES
        or len(root) not in {0, HASH_BYTES}
    ):
        raise Inconsistent(f"the header of block {block.block_id[:64]} has a field out of form")
    block_id = height.to_bytes(8, "big") + sha256(raw).digest()[8:]
    if block_id != told:
        raise Inconsistent(
            f"block {told.hex()[:64]} at height {height} has a header that gives {block_id.hex()}"
        )
    if height and int.from_bytes(parent[:8], "big") != height - 1:
        raise Inconsistent(f"block {block_id.hex()} stands on one of another height than the one below")
    place = BlockRef(height - 1 if height else BEFORE_FIRST, BlockHash(parent))
    header = Header(height, BlockHash(block_id), place, time_ms // 1000)
    return TronHeader(header, raw, root, witness, signature, time_ms)


Results = dict[bytes, tuple[str, bool, bytes | None]]
"""What results were read as: most of a block's are the same text."""


def read_transactions(block: RawBlock) -> list[Transaction]:
    """The block's transactions; raises `Inconsistent` for one that is not the bytes its id names."""
    results: Results = {}
    found = [read_transaction(told, results) for told in block.transactions]
    if len({one.id for one in found}) != len(found):
        raise Inconsistent(f"block {block.block_id[:64]} holds a transaction twice")
    return found


def read_transaction(told: RawTransaction, results: Results | None = None) -> Transaction:
    """One transaction; raises `Inconsistent` where its bytes are not those its id names."""
    results = {} if results is None else results
    try:
        tx_id, raw = unhexlify(told.tx_id), unhexlify(told.raw_data_hex)
        pieces: list[bytes | None] = [encode_bytes(2, unhexlify(one)) for one in told.signature]
    except ValueError:
        raise Inconsistent(f"the transaction {told.tx_id[:64]} cannot be read") from None
    if sha256(raw).digest() != tx_id:
        raise Inconsistent(f"the bytes of {told.tx_id[:64]} are another transaction's")
    outcome, is_failed = "", False
    for place, result in enumerate(told.ret):
        key = bytes(result)
        if key not in results:
            results[key] = _read_result(told.tx_id, key)
        said, failed, encoded = results[key]
        if place == 0:
            outcome, is_failed = said, failed
        pieces.append(encoded)
    written = [one for one in pieces if one is not None]
    tail = b"".join(written) if len(written) == len(pieces) else None
    return Transaction(tx_id, raw, outcome, is_failed, tail)


def _read_result(tx_id: str, said: bytes) -> tuple[str, bool, bytes | None]:
    try:
        result = _RESULT.decode(said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Inconsistent(f"the result of {tx_id[:64]} cannot be read") from None
    try:
        encoded: bytes | None = encode_bytes(5, encode_message(RESULT, _DICT.decode(said)))
    except (Unwritable, msgspec.MsgspecError, RecursionError):
        encoded = None
    return result.outcome, result.code not in {"", "SUCESS"}, encoded


def read_strange_tails(content: bytes) -> list[bytes | None]:
    """What transactions carry behind everything known, by their order; None where it cannot be written.

    Fields that nobody knows may stand beside raw data, signatures and results, where a payer put them there.
    """
    try:
        loose = _LOOSE.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return [_encode_strange(one) for one in loose.transactions]


def _encode_strange(said: Mapping[str, Raw]) -> bytes | None:
    try:
        return encode_unknown(
            {name: msgspec.json.decode(value) for name, value in said.items() if name.isdecimal()}
        )
    except (Unwritable, msgspec.MsgspecError, RecursionError):
        return None
