"""The rows EVM nodes answer with, as typed structs over their JSON.

Values stay the strings the node wrote ("0x…"), so that a block of thousands
of logs costs one C pass; types and outcomes, which are compared as text, are
spelled one way here.  Unknown fields are ignored, because nodes add some at
every fork, and only what is used is demanded: what a hash needs besides is
`verify.fields`.  Checking is `consistency` and `verify`, meaning is `decode`,
numbers are `quantities`.  Names follow the Ethereum execution-apis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from chains.errors import Inconsistent
from chains.evm.rows.quantities import read_quantity, spell_numbers
from chains.model import BlockHash, BlockRef, Doubt, Header, Hold, VerificationLevel

HASH_TEXT_LENGTH = 66
"""Characters of a 32-byte word as text: "0x" and 64 hex digits."""

HEIGHT_MAX = 2**53 - 1
TIME_MAX_S = 253_402_300_799
"""The last second of the year 9999. Beyond these a database or a calendar would fail, not the provider that said it."""

LEGACY_TYPE: Final = "0x0"
TYPE_MAX: Final = 0xFF

SUCCESS: Final = "0x1"
FAILURE: Final = "0x0"


class RawLog(Struct, gc=False, rename="camel"):
    """One log of a receipt."""

    address: str
    topics: list[str]
    data: str
    block_hash: str
    transaction_hash: str
    log_index: str
    block_number: str | None = None
    transaction_index: str | None = None
    removed: bool | None = False


class RawReceipt(Struct, gc=False, rename="camel"):
    """One transaction's receipt; `status` is None before Byzantium."""

    transaction_hash: str
    transaction_index: str
    block_hash: str
    block_number: str
    logs: list[RawLog]
    cumulative_gas_used: str | None = None
    status: str | None = None
    root: str | None = None
    type: str | None = None
    logs_bloom: str | None = None
    contract_address: str | None = None
    deposit_nonce: str | None = None
    deposit_receipt_version: str | None = None
    base_fee: str | None = None


class RawWithdrawal(Struct, gc=False):
    """One withdrawal from the beacon chain (EIP-4895); `amount` in Gwei."""

    address: str
    amount: str


class Authorization(Struct, gc=False, rename="camel"):
    """One signed delegation (EIP-7702)."""

    chain_id: str | None = None
    address: str | None = None
    nonce: str | None = None
    r: str | None = None
    s: str | None = None
    y_parity: str | None = None
    v: str | None = None


class RawTransaction(Struct, gc=False, rename="camel"):
    """What decoding needs of a transaction; `type` is spelled as `spell_type` does."""

    hash: str
    block_hash: str
    transaction_index: str
    sender: str = field(name="from")
    block_number: str | None = None
    nonce: str | None = None
    to: str | None = None
    value: str = "0x0"
    type: str | None = None
    mint: str | None = None
    authorization_list: list[Authorization] | None = None


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
    transactions: Sequence[RawTransaction]
    transactions_root: str | None = None
    miner: str | None = None
    difficulty: str | None = None
    base_fee_per_gas: str | None = None
    withdrawals: Sequence[RawWithdrawal] | None = None
    raw: Raw = field(default_factory=Raw)
    receipts_raw: tuple[Raw, ...] = ()


RawReceipts = list[RawReceipt]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying one block came to."""

    level: VerificationLevel
    doubts: tuple[Doubt, ...] = ()
    hold: Hold = Hold.NONE


Verifier = Callable[[RawBlock, RawReceipts], Verdict]
"""Recomputes what a chain's profile allows; raises `Inconsistent`."""

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class RowDecoder(Protocol[_T_co]):
    """Reads JSON into rows."""

    def decode(self, buf: bytes | Raw, /) -> _T_co: ...


BlockDecoder = RowDecoder[RawBlock]

BLOCK_ROWS: Final = msgspec.json.Decoder(RawBlock)
"""Reads what decoding needs and no more: for chains where nothing is hashed again."""

_HEADER = msgspec.json.Decoder(RawHeader)
_RECEIPTS = msgspec.json.Decoder(RawReceipts)
_RECEIPT = msgspec.json.Decoder(RawReceipt)


def decode_block(raw: Raw, decoder: BlockDecoder = BLOCK_ROWS) -> RawBlock:
    """A block with full transactions; raises `Inconsistent` on another shape."""
    block, read = _decode(decoder, raw, "a block")
    block.raw = read
    block.receipts_raw = ()
    for transaction in block.transactions:
        if transaction.type not in _SPELLED_TYPES:
            transaction.type = spell_type(transaction.type)
    return block


def decode_receipts(raw: Raw) -> RawReceipts:
    """The receipts of a block; raises `Inconsistent` on another shape."""
    receipts, _ = _decode(_RECEIPTS, raw, "receipts")
    for receipt in receipts:
        _spell_outcome(receipt)
    return receipts


def decode_receipt(raw: Raw) -> RawReceipt:
    """One receipt; raises `Inconsistent` on another shape."""
    receipt, _ = _decode(_RECEIPT, raw, "a receipt")
    _spell_outcome(receipt)
    return receipt


def decode_header(raw: Raw) -> Header:
    """A header's place; raises `Inconsistent` on another shape."""
    row, _ = _decode(_HEADER, raw, "a header")
    return compute_header(row)


def _decode(decoder: RowDecoder[_T], raw: Raw, what: str) -> tuple[_T, Raw]:
    """The rows and the JSON they were read from, which has no numbers in the place of quantities."""
    try:
        try:
            return decoder.decode(raw), raw
        except msgspec.ValidationError:
            raw = Raw(spell_numbers(raw))
            return decoder.decode(raw), raw
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Inconsistent(f"{what} that cannot be read: {error}") from None


_SPELLED_TYPES: Final = frozenset(hex(kind) for kind in range(TYPE_MAX + 1))


@lru_cache(maxsize=256)
def spell_type(text: str | None) -> str:
    """A transaction type as "0x2"; one that is missing is legacy.  Raises `Inconsistent`."""
    kind = 0 if text is None else parse_quantity(text)
    if kind > TYPE_MAX:
        raise Inconsistent(f"a transaction of type {kind:#x}")
    return hex(kind)


def _spell_outcome(receipt: RawReceipt) -> None:
    if receipt.type not in _SPELLED_TYPES:
        receipt.type = spell_type(receipt.type)
    status = receipt.status
    if status is not None and status not in {SUCCESS, FAILURE}:
        receipt.status = hex(parse_quantity(status))


def compute_header(row: RawHeader | RawBlock) -> Header:
    """The room's header value of a row; raises `Inconsistent` on bad hex, and on what no chain can have reached."""
    height, time_s = parse_quantity(row.number), parse_quantity(row.timestamp)
    if height > HEIGHT_MAX or time_s > TIME_MAX_S:
        raise Inconsistent(f"no block has height {row.number[:80]} and time {row.timestamp[:80]}")
    return Header(
        height=height,
        hash=BlockHash(parse_word(row.hash)),
        parent=BlockRef(height - 1, BlockHash(parse_word(row.parent_hash))),
        time_s=time_s,
    )


def parse_quantity(text: str) -> int:
    """A non-negative integer of up to 256 bits, in any spelling that means one; raises `Inconsistent`."""
    try:
        return read_quantity(text)
    except ValueError as error:
        raise Inconsistent(str(error)) from None


def is_quantity(text: str | None, value: int) -> bool:
    """Whether a row says this number, or nothing; raises `Inconsistent` on no number."""
    return text is None or parse_quantity(text) == value


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
    if len(text) == 2 + 2 * size and text[:2] in {"0x", "0X"}:
        try:
            value = bytes.fromhex(text[2:])
        except ValueError:
            value = b""
        if len(value) == size:
            return value
    raise Inconsistent(f"not {size} bytes of hex: {text[:80]!r}")
