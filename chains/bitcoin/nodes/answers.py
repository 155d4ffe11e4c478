"""What nodes of this family answer, as values: their words in JSON, their bytes in hexadecimal.

Pure.  Numbers that are read are heights and versions; whatever is an amount is
read from a transaction's own bytes (`rows`), never from a JSON number.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from chains.bitcoin.coins import Coin
from chains.bitcoin.rows.blocks import (
    BlockHeader,
    RawBlock,
    Transaction,
    decode_block,
    decode_header,
    decode_transaction,
)
from chains.bitcoin.rows.wire import Malformed
from chains.bitcoin.verify.block import check_header
from chains.errors import ChainError, Inconsistent
from chains.model import BlockHash
from chains.rpc.jsonrpc import Reply, expect_result

HEIGHT_MAX: Final = 2**31 - 1
_HASH: Final = re.compile("[0-9a-f]{64}")

_T = TypeVar("_T")


class ChainInfo(Struct, gc=False):
    """Of `getblockchaininfo` what is used; older nodes do not say whether they still download."""

    blocks: int
    headers: int
    bestblockhash: str
    initialblockdownload: bool | None = None
    pruned: bool = False


class NetworkInfo(Struct, gc=False):
    """Of `getnetworkinfo` what is used."""

    version: int


class HeaderInfo(Struct, gc=False):
    """Of `getblockheader` with words what is used; `confirmations` is -1 off the canonical chain."""

    height: int
    confirmations: int


class TransactionInfo(Struct, gc=False):
    """Of `getrawtransaction` with words what is used; no block while it waits."""

    hex: str
    blockhash: str | None = None


def read_answer(outcome: Reply, kind: type[_T], what: str) -> _T:
    """A result of this shape; raises the outcome's error, or `Inconsistent`."""
    raw = expect_result(outcome)
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Inconsistent(f"no {what} where one was due") from None


def read_hash(text: str, what: str) -> BlockHash:
    """A hash as people read it."""
    if _HASH.fullmatch(text) is None:
        raise Inconsistent(f"no hash where that of {what} was due")
    return BlockHash(bytes.fromhex(text))


def read_height(height: int) -> int:
    """A height as a node claims it."""
    if not 0 <= height <= HEIGHT_MAX:
        raise Inconsistent(f"claims the height {height}")
    return height


def read_header(coin: Coin, outcome: Reply, asked_hash: bytes) -> BlockHeader:
    """A header by its hash (as people read it), with its work; raises what is the matter."""
    what = f"header of {asked_hash.hex()}"
    try:
        header = decode_header(read_bytes(outcome, what), coin)
    except Malformed as error:
        raise Inconsistent(f"{what}: {error}") from None
    if header.hash[::-1] != asked_hash:
        raise Inconsistent(f"asked for the {what}, told that of {header.hash[::-1].hex()}")
    check_header(coin, header)
    return header


def read_block(coin: Coin, outcome: Reply, asked_hash: bytes) -> RawBlock:
    """A block's bytes as a value, nothing of it believed yet."""
    what = f"block {asked_hash.hex()}"
    try:
        return decode_block(read_bytes(outcome, what), coin)
    except Malformed as error:
        raise Inconsistent(f"{what}: {error}") from None


def read_transaction(coin: Coin, text: str, asked_id: bytes) -> Transaction:
    """A transaction by its id (as people read it)."""
    what = f"transaction {asked_id.hex()}"
    try:
        transaction = decode_transaction(binascii.unhexlify(text), coin)
    except (ValueError, Malformed) as error:
        raise Inconsistent(f"{what}: {error}") from None
    if transaction.shown_id != asked_id:
        raise Inconsistent(f"asked for the {what}, told {transaction.shown_id.hex()}")
    return transaction


def is_unknown_transaction(outcome: Reply) -> bool:
    """Whether a node says that it knows no such transaction, wherever it looked (its error -5)."""
    return isinstance(outcome, ChainError) and "(-5)" in outcome.detail


def read_bytes(outcome: Reply, what: str) -> bytes:
    """The bytes of a text of hexadecimal digits, without a copy of a text that may have millions."""
    text = memoryview(_as_text(expect_result(outcome), what))[1:-1]
    try:
        return binascii.unhexlify(text)
    except (ValueError, binascii.Error):
        raise Inconsistent(f"the {what} is not hexadecimal") from None


def _as_text(raw: Raw, what: str) -> Raw:
    if bytes(memoryview(raw)[:1]) != b'"':
        raise Inconsistent(f"no text where the {what} was due")
    return raw
