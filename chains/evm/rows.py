"""The rows EVM nodes answer with, as typed structs over their JSON.

Values stay the strings the node wrote ("0x…"), so that a block of thousands
of logs costs one C pass; unknown fields and types are ignored, because nodes
add some at every fork.  Checking is `consistency` and `verify`, meaning is
`decode`.  Field names follow the Ethereum execution-apis specification.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct, field

from chains.errors import Inconsistent
from chains.model import BlockHash, Header, VerificationLevel

HASH_TEXT_LENGTH = 66
"""Characters of a 32-byte word as text: "0x" and 64 hex digits."""

HEIGHT_MAX = 2**53 - 1
TIME_MAX_S = 253_402_300_799
"""The last second of the year 9999. Beyond these a database or a calendar would fail, not the provider that said it."""

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")


class RawLog(Struct, gc=False, rename="camel"):
    """One log of a receipt."""

    address: str
    topics: list[str]
    data: str
    block_hash: str
    block_number: str
    transaction_hash: str
    transaction_index: str
    log_index: str
    removed: bool | None = False


class RawReceipt(Struct, gc=False, rename="camel"):
    """One transaction's receipt; `status` is None before Byzantium."""

    transaction_hash: str
    transaction_index: str
    block_hash: str
    block_number: str
    logs: list[RawLog]
    cumulative_gas_used: str
    status: str | None = None
    root: str | None = None
    type: str | None = None
    logs_bloom: str | None = None
    gas_used: str | None = None
    contract_address: str | None = None
    deposit_nonce: str | None = None
    deposit_receipt_version: str | None = None
    base_fee: str | None = None
    effective_gas_price: str | None = None
    blob_gas_used: str | None = None
    blob_gas_price: str | None = None


class RawWithdrawal(Struct, gc=False):
    """One withdrawal from the beacon chain (EIP-4895); `amount` in Gwei."""

    address: str
    amount: str


class RawTransaction(Struct, gc=False, rename="camel"):
    """What decoding needs of a transaction; all of it is in `RawBlock.raw`."""

    hash: str
    block_hash: str
    block_number: str
    transaction_index: str
    nonce: str
    sender: str = field(name="from")
    to: str | None = None
    value: str = "0x0"
    type: str | None = None
    mint: str | None = None


class RawHeader(Struct, gc=False, rename="camel"):
    """The few header fields that place a block in its chain."""

    hash: str
    number: str
    parent_hash: str
    timestamp: str


class RawBlock(Struct, gc=False, rename="camel"):
    """One block with its transactions.

    `raw` is the JSON it was decoded from, `receipts_raw` that of its receipts:
    one array, or one object each.  Both are there for `verify` only.
    """

    hash: str
    number: str
    parent_hash: str
    timestamp: str
    transactions_root: str
    receipts_root: str
    state_root: str
    sha3_uncles: str
    miner: str
    logs_bloom: str
    gas_limit: str
    gas_used: str
    extra_data: str
    transactions: list[RawTransaction]
    difficulty: str | None = None
    mix_hash: str | None = None
    nonce: str | None = None
    base_fee_per_gas: str | None = None
    withdrawals_root: str | None = None
    blob_gas_used: str | None = None
    excess_blob_gas: str | None = None
    parent_beacon_block_root: str | None = None
    requests_hash: str | None = None
    withdrawals: list[RawWithdrawal] | None = None
    raw: Raw = field(default_factory=Raw)
    receipts_raw: tuple[Raw, ...] = ()


RawReceipts = list[RawReceipt]

Verifier = Callable[[RawBlock, RawReceipts], VerificationLevel]
"""Recomputes what a chain's profile allows; raises `Inconsistent`."""

_BLOCK = msgspec.json.Decoder(RawBlock)
_HEADER = msgspec.json.Decoder(RawHeader)
_RECEIPTS = msgspec.json.Decoder(RawReceipts)
_RECEIPT = msgspec.json.Decoder(RawReceipt)


def decode_block(raw: Raw) -> RawBlock:
    """A block with full transactions; raises `Inconsistent` on another shape."""
    try:
        block = _BLOCK.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Inconsistent(f"a block that cannot be read: {error}") from None
    block.raw = raw
    block.receipts_raw = ()
    return block


def decode_receipts(raw: Raw) -> RawReceipts:
    """The receipts of a block; raises `Inconsistent` on another shape."""
    try:
        return _RECEIPTS.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Inconsistent(f"receipts that cannot be read: {error}") from None


def decode_receipt(raw: Raw) -> RawReceipt:
    """One receipt; raises `Inconsistent` on another shape."""
    try:
        return _RECEIPT.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Inconsistent(f"a receipt that cannot be read: {error}") from None


def decode_header(raw: Raw) -> Header:
    """A header's place; raises `Inconsistent` on another shape."""
    try:
        row = _HEADER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Inconsistent(f"a header that cannot be read: {error}") from None
    return compute_header(row)


def compute_header(row: RawHeader | RawBlock) -> Header:
    """The room's header value of a row; raises `Inconsistent` on bad hex, and on what no chain can have reached."""
    height, time_s = parse_quantity(row.number), parse_quantity(row.timestamp)
    if height > HEIGHT_MAX or time_s > TIME_MAX_S:
        raise Inconsistent(f"no block has height {row.number[:80]} and time {row.timestamp[:80]}")
    return Header(
        height=height,
        hash=BlockHash(parse_word(row.hash)),
        parent_hash=BlockHash(parse_word(row.parent_hash)),
        time_s=time_s,
    )


def parse_quantity(text: str) -> int:
    """A non-negative integer of up to 256 bits; raises `Inconsistent`.

    Leading zeros are accepted: some nodes write them.
    """
    if _QUANTITY.fullmatch(text) is None:
        raise Inconsistent(f"not a quantity: {text[:80]!r}")
    return int(text, 16)


def parse_word(text: str) -> bytes:
    """The 32 bytes of a hash or topic; raises `Inconsistent`."""
    return _parse_bytes(text, 32)


def parse_address_row(text: str) -> bytes:
    """The 20 bytes of an address in a row, in any case; raises `Inconsistent`."""
    return _parse_bytes(text, 20)


def encode_word(word: bytes) -> str:
    """Bytes as nodes spell them: lower-case hex after 0x."""
    return "0x" + word.hex()


def _parse_bytes(text: str, size: int) -> bytes:
    # bytes.fromhex skips spaces, so both the text's and the value's length count.
    if len(text) == 2 + 2 * size and text.startswith("0x"):
        try:
            value = bytes.fromhex(text[2:])
        except ValueError:
            value = b""
        if len(value) == size:
            return value
    raise Inconsistent(f"not {size} bytes of hex: {text[:80]!r}")
