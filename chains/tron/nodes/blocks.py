"""Whole blocks from one node: rows, and the receipts that are told by number only.

A number names whatever block is canonical when it is asked, so the block's id
is asked again behind its receipts, and ids and counts must agree; else the
step is repeated, a few times.  A block in which no contract ran has nothing in
receipts that could matter, and none are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chains.errors import ChainError, Inconsistent, Missing
from chains.model import Block, BlockRef, Doubt, Hold, TransferKind, VerificationLevel, is_linked
from chains.rpc.throttle import Priority
from chains.tron.nodes.node import FULL, TronNode, ask_together
from chains.tron.nodes.reading import Reading
from chains.tron.nodes.schedule import fetch_schedule
from chains.tron.rows.blocks import INFOS, RawInfo, Transaction, TronHeader, read_header, read_transactions
from chains.tron.rows.messages import Unwritable, read_int
from chains.tron.value.contracts import Asked
from chains.tron.value.transfers import decode_transfers, has_runs, read_all_asked
from chains.tron.verify.block import check_root, check_witness
from chains.tron.verify.checks import UNCOMMITTED_LOGS, UNSHOWN_TRANSFERS, UNWRITABLE_RESULT

TRIES_MAX: Final = 3
AT_ONCE: Final = 4
"""Whole blocks that are asked for together: a megabyte each where the chain is busy."""

COVERED: Final = frozenset({TransferKind.NATIVE, TransferKind.TRC10})
"""What the root covers by itself, whatever contracts logged in the same block."""

TRANSFERS: Final = "transfers"
"""What is in doubt where a block moved something that could not be counted."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """A block's rows after every check that its header allows; `infos` are empty where no contract ran."""

    header: TronHeader
    transactions: Sequence[Transaction]
    asked: Sequence[Asked]
    infos: Sequence[RawInfo]
    doubts: Sequence[Doubt]


async def fetch_by_ref(
    node: TronNode, priority: Priority, reading: Reading, refs: Sequence[BlockRef]
) -> list[Block]:
    """These blocks, in the order asked; raises `Missing` where one is not held, or not canonical any more."""
    return await _fetch_windows(node, priority, reading, [(one.hash.hex(), one.height) for one in refs])


async def fetch_by_height(
    node: TronNode, priority: Priority, reading: Reading, height_first: int, height_last: int
) -> list[Block]:
    """The node's canonical blocks at these heights, parent-linked; what is not is asked for once more."""
    wanted = [(str(height), height) for height in range(height_first, height_last + 1)]
    for _ in range(2):
        blocks = await _fetch_windows(node, priority, reading, wanted)
        if is_linked([block.header for block in blocks]):
            return blocks
    raise Inconsistent(f"blocks {height_first} to {height_last} are not of one chain")


async def _fetch_windows(
    node: TronNode, priority: Priority, reading: Reading, wanted: Sequence[tuple[str, int]]
) -> list[Block]:
    blocks: list[Block] = []
    for first in range(0, len(wanted), AT_ONCE):
        window = wanted[first : first + AT_ONCE]
        blocks += await ask_together([_fetch_block(node, priority, reading, *one) for one in window])
    return blocks


async def _fetch_block(
    node: TronNode, priority: Priority, reading: Reading, wanted: str, height: int
) -> Block:
    rows = await fetch_checked_rows(node, priority, reading, wanted, height)
    decoded = decode_transfers(reading.assets, rows.transactions, rows.asked, rows.infos)
    if decoded.has_internal and node.shows_internal_since is None:
        node.shows_internal_since = height
    doubts = [*rows.doubts, *(Doubt(TRANSFERS, reason) for reason in decoded.unread)]
    hold = Hold.NONE
    if reading.is_checked:
        if decoded.is_executed:
            doubts.append(UNCOMMITTED_LOGS)
            if node.shows_internal_since is None:
                doubts.append(UNSHOWN_TRANSFERS)
        if rows.doubts or decoded.is_executed:
            hold = Hold.CHAIN if UNWRITABLE_RESULT in doubts else Hold.HITS
    level = VerificationLevel.FULL if hold is Hold.NONE else VerificationLevel.PARTIAL
    return Block(
        header=rows.header.header,
        tx_count=len(rows.transactions),
        log_count=decoded.log_count,
        unlisted_transfer_count=decoded.unlisted_transfer_count,
        level=level if reading.is_checked else VerificationLevel.CONSISTENT,
        served_by=node.name,
        transfers=decoded.transfers,
        doubts=tuple(doubts),
        hold=hold,
        covered_kinds=COVERED if reading.is_checked and not rows.doubts else frozenset(),
    )


async def fetch_checked_rows(
    node: TronNode, priority: Priority, reading: Reading, wanted: str, height: int
) -> CheckedRows:
    """One block's rows, its receipts being those of this very block."""
    error: ChainError = Missing(f"does not hold block {wanted}")
    for _ in range(TRIES_MAX):
        told = await node.fetch_told(wanted, priority, whole=True)
        if told is None:
            raise Missing(f"does not hold block {wanted}")
        header, transactions = read_header(told.block), read_transactions(told.block)
        shown = header.header.hash.hex()
        if header.header.height != height or wanted not in {str(height), shown}:
            raise Inconsistent(f"asked for block {wanted}, told about {shown} at {header.header.height}")
        doubts: list[Doubt] = []
        if reading.is_checked:
            doubts += check_root(header, told.block, transactions, told.content)
            doubts += check_witness(header, await fetch_schedule(node, header, priority))
        asked = read_all_asked(transactions)
        if not has_runs(asked):
            return CheckedRows(header, transactions, asked, (), doubts)
        infos = await node.ask(f"{FULL}/gettransactioninfobyblocknum", {"num": height}, INFOS, priority)
        again = await node.fetch_header(str(height), priority)
        if again is None or again.hash != header.header.hash:
            error = Missing(f"does not call block {shown} canonical, and tells receipts by number only")
            continue
        if not infos:
            error = Missing(f"does not hold the receipts of block {shown}")
            continue
        ordered = order_infos(transactions, infos, height)
        if ordered is not None:
            return CheckedRows(header, transactions, asked, ordered, doubts)
        error = Inconsistent(
            f"the {len(infos)} receipts at {height} are not of the {len(transactions)} transactions of {shown}"
        )
    raise error


def order_infos(
    transactions: Sequence[Transaction], infos: Sequence[RawInfo], height: int
) -> list[RawInfo] | None:
    """The receipts in the order of their transactions; None unless they are exactly one for each, of this height."""
    by_id = {one.id.lower(): one for one in infos}
    ordered = [found for one in transactions if (found := by_id.get(one.id.hex())) is not None]
    if not len(ordered) == len(transactions) == len(infos) or any(_height_of(one) != height for one in infos):
        return None
    return ordered


def _height_of(info: RawInfo) -> int:
    try:
        return read_int(info.height)
    except Unwritable:
        return -1
