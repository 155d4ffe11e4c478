"""Native coin moved by calls inside transactions, from callTracer.  Pure.

A frame counts only if it and every frame above it succeeded: a frame under a
reverted parent carries no error of its own.  CALL, CREATE, CREATE2 and
SELFDESTRUCT move value; DELEGATECALL, CALLCODE and STATICCALL show one and
move none; a value in a frame of any other kind is not understood and refuses
the trace.  Traces are in no header, so the outermost frames are held against
transactions and receipts; those stay `chains.evm.value.decode`'s to count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct, field

from chains.errors import Inconsistent, Missing, Refused
from chains.evm.rows.quantities import spell_numbers
from chains.evm.rows.structs import (
    FAILURE,
    RawBlock,
    RawReceipt,
    RawReceipts,
    RawTransaction,
    parse_address_row,
    parse_quantity,
)
from chains.evm.value.natives import SIGNED_TYPES, NativeMove, pair_receipts
from chains.model import Address, TransferKind
from chains.rpc.jsonrpc import decode_nested

TRACE_METHOD = "debug_traceBlockByHash"
TRACE_OPTIONS = {"tracer": "callTracer", "timeout": "20s"}

DESTRUCTION_TYPES = frozenset({"SELFDESTRUCT", "SUICIDE"})
VALUE_MOVING_TYPES = frozenset({"CALL", "CREATE", "CREATE2"}) | DESTRUCTION_TYPES
VALUE_SHOWING_TYPES = frozenset({"DELEGATECALL", "CALLCODE", "STATICCALL"})


class Frame(Struct, gc=False):
    """One call of callTracer's tree; tracers write its type in either case."""

    sender: str = field(name="from")
    type: str | None = None
    to: str | None = None
    value: str | None = None
    error: str | None = None
    revert_reason: str | None = field(name="revertReason", default=None)
    calls: list[Frame] | None = None


class TraceEntry(Struct, gc=False, rename="camel"):
    """One transaction's trace; nodes before 2023 leave its hash out."""

    result: Frame | None = None
    error: Raw = field(default_factory=Raw)
    tx_hash: str | None = None


_ENTRIES = msgspec.json.Decoder(list[TraceEntry])
_FRAME = msgspec.json.Decoder(Frame)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TracedBlock:
    """What a block's trace tells: the moves of inner calls, and who destroyed itself.

    What a contract still gets after it destroyed itself burns with it, which no frame shows.
    """

    moves: list[NativeMove]
    destroyed: frozenset[Address]


def decode_trace(raw: Raw, block: RawBlock, receipts: RawReceipts) -> TracedBlock:
    """The value moves inside a block's transactions, in the order of the trace.

    Raises `Missing` for a trace that is short, `Refused` for one that failed,
    `Inconsistent` for one of other transactions.
    """
    entries = _decode(_ENTRIES, raw)
    moves: list[NativeMove] = []
    destroyed: set[Address] = set()
    paired = pair_receipts(block, receipts)
    for position, frame in _pair(entries, block):
        transaction, receipt = block.transactions[position], paired[position]
        if receipt is not None and transaction.type in SIGNED_TYPES:
            check_outermost(frame, transaction, receipt)
        moves += collect_moves(frame, position)
        destroyed |= _collect_destroyed(frame)
    return TracedBlock(moves, frozenset(destroyed))


def decode_frame(raw: Raw) -> Frame:
    """One transaction's trace; raises `Inconsistent` on another shape."""
    return _decode(_FRAME, raw)


def _decode(decoder: msgspec.json.Decoder[_T], raw: Raw) -> _T:
    try:
        try:
            return decode_nested(decoder, raw)
        except msgspec.ValidationError:
            return decode_nested(decoder, spell_numbers(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Inconsistent(f"a trace that cannot be read: {error}") from None


def collect_moves(outermost: Frame, position: int) -> list[NativeMove]:
    """What the calls below the outermost frame moved, depth first.

    Raises `Inconsistent` where a frame of an unknown kind carries value.
    """
    moves: list[NativeMove] = []
    for frame in _walk_effective(outermost):
        if frame is outermost or frame.value in {None, "0x0"} or parse_quantity(frame.value or "") == 0:
            continue
        kind = kind_of(frame)
        if kind in VALUE_MOVING_TYPES:
            if not _destroys_to_itself(frame):
                moves.append(_read_move(frame, position))
        elif kind not in VALUE_SHOWING_TYPES:
            raise Inconsistent(f"value in a frame of the unknown kind {kind[:20]!r}")
    return moves


def _walk_effective(outermost: Frame) -> Iterator[Frame]:
    """Every frame that was not reverted, depth first; with its own stack, since traces are up to 1,024 deep."""
    pending = [outermost]
    while pending:
        frame = pending.pop()
        if not has_failed(frame):
            yield frame
            pending += reversed(frame.calls or ())


def kind_of(frame: Frame) -> str:
    """The frame's type in upper case; one that is missing is no type we know."""
    return (frame.type or "").strip().upper()


def _collect_destroyed(outermost: Frame) -> set[Address]:
    return {
        Address(parse_address_row(frame.sender))
        for frame in _walk_effective(outermost)
        if frame.type is not None and kind_of(frame) in DESTRUCTION_TYPES
    }


def has_failed(frame: Frame) -> bool:
    """Whether the frame itself was reverted."""
    return bool(frame.error) or bool(frame.revert_reason)


def check_outermost(frame: Frame, transaction: RawTransaction, receipt: RawReceipt) -> None:
    """Raise `Inconsistent` unless the frame is this transaction's execution.

    Only for signed transactions: system transactions are traced as each
    chain's node likes.
    """
    to = transaction.to or receipt.contract_address
    fits = (
        frame.sender.lower() == transaction.sender.lower()
        and parse_quantity(frame.value or "0x0") == parse_quantity(transaction.value)
        and (frame.to is None or to is None or frame.to.lower() == to.lower())
        and (receipt.status is None or has_failed(frame) == (receipt.status == FAILURE))
    )
    if not fits:
        raise Inconsistent(f"the trace of {transaction.hash} contradicts its receipt")


def _pair(entries: list[TraceEntry], block: RawBlock) -> list[tuple[int, Frame]]:
    """Each transaction's frame; system transactions may go without one."""
    named = bool(entries) and all(entry.tx_hash is not None for entry in entries)
    if not named and len(entries) != len(block.transactions):
        raise Missing(f"{len(entries)} traces for {len(block.transactions)} transactions")
    by_hash = {(entry.tx_hash or "").lower(): entry for entry in entries} if named else {}
    if named and not by_hash.keys() <= {transaction.hash.lower() for transaction in block.transactions}:
        raise Inconsistent(f"a trace of a transaction that is not in {block.hash}")
    pairs: list[tuple[int, Frame]] = []
    for position, transaction in enumerate(block.transactions):
        entry = by_hash.get(transaction.hash.lower()) if named else entries[position]
        if entry is None:
            if transaction.type in SIGNED_TYPES:
                raise Missing(f"does not hold the trace of {transaction.hash}")
        elif entry.result is None:
            raise Refused(f"cannot trace {transaction.hash}: {bytes(entry.error)[:120]!r}")
        else:
            pairs.append((position, entry.result))
    return pairs


def _read_move(frame: Frame, position: int) -> NativeMove:
    if frame.to is None:
        raise Inconsistent(f"a successful {frame.type} to nowhere")
    return NativeMove(
        position,
        TransferKind.INTERNAL,
        Address(parse_address_row(frame.sender)),
        Address(parse_address_row(frame.to)),
        parse_quantity(frame.value or "0x0"),
    )


def _destroys_to_itself(frame: Frame) -> bool:
    return kind_of(frame) in DESTRUCTION_TYPES and (frame.to or "").lower() == frame.sender.lower()
