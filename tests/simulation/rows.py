"""What is stored about one chain in the simulation, and how starts sink and rise with it.

Lives here: the rows as plain values, and what a rewind or a chunk of history does to effective starts, as `indexer`'s
SQL does it. Does not live here: transactions (`memory.py`), and what the starts ought to be (`oracle.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from chains.model import Address, AssetId, BlockHash, ConflictKey, Header, VerificationLevel
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Deposit
from indexer.rules.identity import AddressId, DepositId
from indexer.rules.matching import Registration
from indexer.rules.moves import Repeat


@dataclass(slots=True)
class ChainRows:
    """Everything stored about one chain."""

    record: ChainRecord
    blocks: list[Header]
    deposits: dict[DepositId, Deposit] = field(default_factory=dict)
    conflicts: dict[ConflictKey, set[DepositId]] = field(default_factory=dict)
    repeats: dict[tuple[DepositId, int], Repeat] = field(default_factory=dict)
    levels: dict[BlockHash, VerificationLevel] = field(default_factory=dict)
    doubted: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    served_by: dict[int, str] = field(default_factory=dict)
    registrations: list[Registration] = field(default_factory=list)
    pending_starts: dict[AddressId, int] = field(default_factory=dict)
    pending_assets: dict[AssetId, int] = field(default_factory=dict)
    rescans: list[tuple[int, int]] = field(default_factory=list)
    watch_log: list[tuple[int, Address]] = field(default_factory=list)
    asset_starts: dict[AssetId, int] = field(default_factory=dict)
    commits: int = 0

    def hash_at(self, height: int) -> BlockHash | None:
        """Our canonical hash at a height, or None where we hold none."""
        index = self.count_below(height)
        if index < len(self.blocks) and self.blocks[index].height == height:
            return self.blocks[index].hash
        return None

    def count_below(self, height: int) -> int:
        """How many of our blocks stand below a height."""
        return bisect_left(self.blocks, height, key=lambda header: header.height)


def write_deposit(rows: ChainRows, deposit: Deposit) -> None:
    """A new version; who waits has its keys among the conflicts, who does not has none."""
    for key in deposit.conflict_keys:
        waiting = rows.conflicts.get(key, set())
        waiting.discard(deposit.id)
        if deposit.may_be_replaced:
            rows.conflicts.setdefault(key, waiting).add(deposit.id)
        elif not waiting:
            rows.conflicts.pop(key, None)
    rows.deposits[deposit.id] = deposit


def hashes_at(rows: ChainRows, heights: Collection[int]) -> dict[int, BlockHash]:
    found: dict[int, BlockHash] = {}
    for height in heights:
        block_hash = rows.hash_at(height)
        if block_hash is not None:
            found[height] = block_hash
    return found


def lower_starts(rows: ChainRows, fork_height: int) -> None:
    """What had begun above the fork begins right above it; history that is wanted below it stays wanted."""
    old_tip = rows.record.tip.height
    rows.registrations = [lowered(one, fork_height, old_tip) for one in rows.registrations]
    for asset, start in rows.asset_starts.items():
        rows.asset_starts[asset] = fallen_start(start, fork_height, old_tip)
    for one in rows.registrations:
        if one.effective_start <= rows.pending_starts.get(one.address_id, -1):
            del rows.pending_starts[one.address_id]
    for asset, pending in list(rows.pending_assets.items()):
        if rows.asset_starts[asset] <= pending:
            del rows.pending_assets[asset]


def cover_history(rows: ChainRows, height_first: int, height_last: int) -> None:
    """A chunk of history was read: what waited for it sinks to its first height."""
    pending = rows.pending_starts
    rows.registrations = [covered(one, pending, height_first, height_last) for one in rows.registrations]
    for one in rows.registrations:
        if one.effective_start <= pending.get(one.address_id, -1):
            del pending[one.address_id]
    for asset, start in rows.asset_starts.items():
        wanted = rows.pending_assets.get(asset)
        rows.asset_starts[asset] = sunk = sunk_start(start, wanted, height_first, height_last)
        if wanted is not None and sunk <= wanted:
            del rows.pending_assets[asset]
    left = [(first, min(last, height_first - 1)) for first, last in rows.rescans if last >= height_first]
    rows.rescans = [one for one in rows.rescans if one[1] < height_first]
    rows.rescans += [one for one in left if one[0] <= one[1]]


def covered(
    registration: Registration, pending: Mapping[AddressId, int], height_first: int, height_last: int
) -> Registration:
    start = registration.effective_start
    sunk = sunk_start(start, pending.get(registration.address_id), height_first, height_last)
    return registration if sunk == start else replace(registration, effective_start=sunk)


def sunk_start(start: int, wanted: int | None, height_first: int, height_last: int) -> int:
    if wanted is None or not height_first < start <= height_last + 1:
        return start
    return max(height_first, wanted)


def lowered(registration: Registration, fork_height: int, old_tip: int) -> Registration:
    start = registration.effective_start
    fallen = fallen_start(start, fork_height, old_tip)
    return registration if fallen == start else replace(registration, effective_start=fallen)


def fallen_start(start: int, fork_height: int, old_tip: int) -> int:
    return fork_height + 1 if fork_height + 1 < start <= old_tip + 1 else start
