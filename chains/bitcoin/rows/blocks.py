"""Blocks, headers and transactions of this family, from their bytes.  Pure.

What is hashed and what is told are one value: ids come from the same slices
that outputs are read from.  Hashes are in the order in which people read them
(reversed).  Formats: Bitcoin developer reference; BIP 144 (witnesses); LIP 2
and 3 (Litecoin's extension); the merged mining specification (auxiliary work).
Whether a block is true is `verify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.wire import Cursor, Malformed

HEADER_BYTES: Final = 80
AUXILIARY_VERSION_BIT: Final = 1 << 8
"""Of a header's version: another chain's header follows, which did the work."""

COINBASE_OUTPOINT: Final = bytes(32) + b"\xff\xff\xff\xff"
INPUT_BYTES_MIN: Final = 41
OUTPUT_BYTES_MIN: Final = 9
TRANSACTION_BYTES_MIN: Final = 10
BRANCH_MAX: Final = 30
"""Steps of a merkle branch: no tree in a block is deeper."""

_WITNESS_FLAG: Final = 1
_EXTENSION_FLAG: Final = 8


def hash_twice(data: bytes) -> bytes:
    """SHA-256 of SHA-256, in the order of bytes as computed."""
    return sha256(sha256(data).digest()).digest()


@dataclass(frozen=True, slots=True)
class Output:
    """What one output holds, and the script that may spend it."""

    value_base_units: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction; `outpoints` are what it spends, 36 bytes each as on the wire.

    `id` is the hash without witnesses, `full_id` that with them, both as they
    enter a merkle tree.  `coinbase_script` and `coinbase_witness` are those of
    a coinbase's one input.  `is_extension`: Litecoin's last transaction of a
    block, which only blocks hold.
    """

    id: bytes
    full_id: bytes
    outpoints: tuple[bytes, ...]
    outputs: tuple[Output, ...]
    coinbase_script: bytes = b""
    coinbase_witness: tuple[bytes, ...] = ()
    has_witness: bool = False
    is_extension: bool = False

    @property
    def shown_id(self) -> bytes:
        """The id as people read it."""
        return self.id[::-1]

    @property
    def is_coinbase(self) -> bool:
        """Whether it spends nothing and mints the block's reward."""
        return self.outpoints == (COINBASE_OUTPOINT,)


@dataclass(frozen=True, slots=True)
class MerkleBranch:
    """From a leaf to its root: the hashes beside the way, and which side at each step."""

    hashes: tuple[bytes, ...]
    index: int


@dataclass(frozen=True, slots=True)
class AuxiliaryWork:
    """Another chain's header, and what ties this block to it."""

    coinbase: Transaction
    to_coinbase: MerkleBranch
    to_chain: MerkleBranch
    header: bytes


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """Eighty bytes and what they say; `hash`, `parent_hash` and `merkle_root` as computed, not as read by people."""

    raw: bytes
    hash: bytes
    version: int
    parent_hash: bytes
    merkle_root: bytes
    time_s: int
    bits: int
    auxiliary: AuxiliaryWork | None = None


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A whole block; `extension` is what stands behind its transactions, opaque here."""

    header: BlockHeader
    transactions: Sequence[Transaction]
    extension: bytes = field(default=b"")


def read_header(cursor: Cursor, coin: Coin) -> BlockHeader:
    """A header, with the work of another chain where it carries one; raises `Malformed`."""
    raw = cursor.take(HEADER_BYTES, "a header")
    version = int.from_bytes(raw[:4], "little", signed=True)
    auxiliary = None
    if coin.merge_id is not None and version & AUXILIARY_VERSION_BIT:
        auxiliary = _read_auxiliary(cursor, coin)
    return BlockHeader(
        raw=raw,
        hash=hash_twice(raw),
        version=version,
        parent_hash=raw[4:36],
        merkle_root=raw[36:68],
        time_s=int.from_bytes(raw[68:72], "little"),
        bits=int.from_bytes(raw[72:76], "little"),
        auxiliary=auxiliary,
    )


def decode_header(data: bytes, coin: Coin) -> BlockHeader:
    """One header and nothing behind it; raises `Malformed`."""
    cursor = Cursor(data)
    header = read_header(cursor, coin)
    cursor.end_here("a header")
    return header


def decode_block(data: bytes, coin: Coin) -> RawBlock:
    """One whole block and nothing behind it; raises `Malformed`."""
    cursor = Cursor(data)
    header = read_header(cursor, coin)
    count = cursor.read_count(TRANSACTION_BYTES_MIN, "the transactions")
    transactions = [read_transaction(cursor, coin) for _ in range(count)]
    extension = b""
    if len(transactions) > 1 and transactions[-1].is_extension:
        extension = _read_extension(cursor)
    cursor.end_here("a block")
    return RawBlock(header, transactions, extension)


def find_core(data: bytes, coin: Coin, tx_id: bytes) -> tuple[int, bytes] | None:
    """Where a transaction stands in a block, and the bytes that its id is the hash of; raises `Malformed`.

    `tx_id` as computed, not as read by people.
    """
    cursor = Cursor(data)
    read_header(cursor, coin)
    for index in range(cursor.read_count(TRANSACTION_BYTES_MIN, "the transactions")):
        begin = cursor.at
        if read_transaction(cursor, coin).id != tx_id:
            continue
        end, cursor.at = cursor.at, begin + 4
        if coin.has_witness:
            _read_flags(cursor, coin)
        body = cursor.at
        _read_inputs(cursor)
        _read_outputs(cursor)
        return index, data[begin : begin + 4] + data[body : cursor.at] + data[end - 4 : end]
    return None


def decode_transaction(data: bytes, coin: Coin) -> Transaction:
    """One transaction and nothing behind it; raises `Malformed`."""
    cursor = Cursor(data)
    transaction = read_transaction(cursor, coin)
    cursor.end_here("a transaction")
    return transaction


def read_transaction(cursor: Cursor, coin: Coin) -> Transaction:
    """The transaction that begins here; raises `Malformed`."""
    data, begin = cursor.data, cursor.at
    cursor.skip(4, "a transaction")
    flags = _read_flags(cursor, coin) if coin.has_witness else 0
    body = cursor.at
    outpoints, script = _read_inputs(cursor)
    outputs = _read_outputs(cursor)
    body_end = cursor.at
    witness: tuple[bytes, ...] = ()
    has_witness = False
    if flags & _WITNESS_FLAG:
        witness, has_witness = _read_witnesses(cursor, len(outpoints))
        if not has_witness:
            raise Malformed("a transaction that says it has witnesses and has none")
    witness_end = cursor.at
    if flags & _EXTENSION_FLAG and cursor.read_u8("a transaction's extension"):
        raise Malformed("a transaction with an extension of its own, which no block holds")
    cursor.skip(4, "a transaction's lock time")
    version, lock_time = data[begin : begin + 4], data[cursor.at - 4 : cursor.at]
    bare_id = full_id = hash_twice(version + data[body:body_end] + lock_time)
    if has_witness:
        # Whatever else a transaction carries, this commits to its witnesses only.
        full_id = hash_twice(version + b"\0\1" + data[body:witness_end] + lock_time)
    is_coinbase = outpoints == (COINBASE_OUTPOINT,)
    return Transaction(
        id=bare_id,
        full_id=full_id,
        outpoints=outpoints,
        outputs=outputs,
        coinbase_script=script if is_coinbase else b"",
        coinbase_witness=witness if is_coinbase else (),
        has_witness=has_witness,
        is_extension=bool(flags & _EXTENSION_FLAG),
    )


def _read_flags(cursor: Cursor, coin: Coin) -> int:
    """What follows beside the usual: a count of no inputs is the mark of flags (BIP 144)."""
    mark = cursor.data[cursor.at : cursor.at + 2]
    if len(mark) < 2 or mark[0] or not mark[1]:
        return 0
    cursor.skip(2, "a transaction's flags")
    known = _WITNESS_FLAG | (_EXTENSION_FLAG if coin.extension_flag else 0)
    if mark[1] & ~known:
        raise Malformed(f"a transaction with the flags {mark[1]:#x}")
    return mark[1]


def _read_inputs(cursor: Cursor) -> tuple[tuple[bytes, ...], bytes]:
    """What is spent, and the last input's script."""
    outpoints: list[bytes] = []
    script = b""
    for _ in range(cursor.read_count(INPUT_BYTES_MIN, "the inputs")):
        outpoints.append(cursor.take(36, "an input"))
        script = cursor.take_text("an input's script")
        cursor.skip(4, "an input's sequence")
    return tuple(outpoints), script


def _read_outputs(cursor: Cursor) -> tuple[Output, ...]:
    return tuple(
        Output(cursor.read_u64("an output's value"), cursor.take_text("an output's script"))
        for _ in range(cursor.read_count(OUTPUT_BYTES_MIN, "the outputs"))
    )


def _read_witnesses(cursor: Cursor, inputs_count: int) -> tuple[tuple[bytes, ...], bool]:
    """The last input's witness, and whether any input has one."""
    items: list[bytes] = []
    found = False
    for _ in range(inputs_count):
        items = [cursor.take_text("a witness") for _ in range(cursor.read_count(1, "an input's witnesses"))]
        found = found or bool(items)
    return tuple(items), found


def _read_extension(cursor: Cursor) -> bytes:
    if not cursor.left:
        raise Malformed("a block whose extension is left out")
    if cursor.read_u8("a block's extension") != 1:
        raise Malformed("a block whose last transaction is an extension's, and none follows")
    return cursor.take(cursor.left, "a block's extension")


def _read_auxiliary(cursor: Cursor, coin: Coin) -> AuxiliaryWork:
    # As this coin writes transactions, whatever the other chain does: without witnesses.
    coinbase = read_transaction(cursor, coin)
    cursor.skip(32, "the hash of another chain's block")
    to_coinbase = _read_branch(cursor)
    to_chain = _read_branch(cursor)
    return AuxiliaryWork(coinbase, to_coinbase, to_chain, cursor.take(HEADER_BYTES, "another chain's header"))


def _read_branch(cursor: Cursor) -> MerkleBranch:
    count = cursor.read_count(32, "a merkle branch")
    if count > BRANCH_MAX:
        raise Malformed(f"a merkle branch of {count} steps")
    hashes = tuple(cursor.take(32, "a merkle branch") for _ in range(count))
    return MerkleBranch(hashes, cursor.read_u32("a merkle branch's index"))
