"""A store in memory whose coroutines never wait: `FollowStore` and `MoveTransaction` as `indexer.rows.storage` asks.

Lives here: rows, a transaction that buffers its writes and applies them at its end, what registering an address does.
A crash anywhere inside a transaction leaves no trace. Every method calls `pause` first: there the schedule may crash
the process or let somebody else act. Does not live here: any judgement of what is right (`oracle.py`, `laws.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from chains.model import Address, Asset, AssetId, Block, BlockHash, ChainId, TxHash
from indexer.rows.storage import ChainRecord, LeaseLost, MoveTransaction, TouchQuery, Undecided, WatchDelta
from indexer.rules.deposits import ON_CHAIN, Deposit, DepositState
from indexer.rules.events import Fact
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.matching import Registration
from indexer.rules.moves import Repeat, Touched
from migrations.errors import DatabaseAway
from tests.simulation.log import MerchantLogs
from tests.simulation.rows import (
    ChainRows,
    cover_history,
    covered,
    fallen_start,
    hashes_at,
    lower_starts,
    lowered,
    sunk_start,
    write_deposit,
)


class Interrupts(Protocol):
    """What the schedule does to a process while it works."""

    def pause(self, where: str, chain: ChainId | None = None) -> None:
        """A point at which the process may die or somebody else may act; `chain` is locked exclusively then."""
        ...

    def wants_retry(self) -> bool:
        """Whether the database asks for this transaction again."""
        ...


Covered = tuple[int, int]
"""The lowest and highest height of a chunk of history."""

Committed = Callable[[ChainId, ChainRecord | None, Covered | None], None]


class MemoryStore:
    """All chains' rows and all merchants' logs of one schedule."""

    def __init__(self, interrupts: Interrupts, logs: MerchantLogs, committed: Committed) -> None:
        self.rows: dict[ChainId, ChainRows] = {}
        self.logs = logs
        self.interrupts = interrupts
        self.references: dict[AddressId, str | None] = {}
        self.living: dict[tuple[MerchantId, ChainId, Address, bytes | None], AddressId] = {}
        self.committed = committed
        self._watch_version = 0

    async def load_chain(self, chain: ChainId) -> ChainRecord | None:
        self.interrupts.pause("read")
        rows = self.rows.get(chain)
        return None if rows is None else rows.record

    async def load_hashes(self, chain: ChainId, height_first: int, height_last: int) -> dict[int, BlockHash]:
        self.interrupts.pause("read")
        return hashes_at(self.rows[chain], range(height_first, height_last + 1))

    async def load_work_above(self, chain: ChainId, height: int) -> int | None:
        works = [header.work for header in self.rows[chain].blocks if header.height > height]
        known = [work for work in works if work is not None]
        return sum(known) if works and len(known) == len(works) else None

    async def load_servers(self, chain: ChainId, height_first: int, height_last: int) -> dict[int, str]:
        self.interrupts.pause("read")
        served_by = self.rows[chain].served_by
        return {one: served_by[one] for one in range(height_first, height_last + 1) if one in served_by}

    async def load_height_on_one_word(self, chain: ChainId, *, above_height: int) -> int | None:
        self.interrupts.pause("read")
        heights = [
            one.occurrence.height
            for one in self.rows[chain].deposits.values()
            if one.on_one_word and one.occurrence is not None and one.occurrence.height > above_height
        ]
        return min(heights, default=None)

    async def load_watch_version(self, chain: ChainId) -> int:
        self.interrupts.pause("read")
        watch_log = self.rows[chain].watch_log
        return watch_log[-1][0] if watch_log else 0

    async def load_watch_page(self, chain: ChainId, *, after_version: int, up_to_version: int) -> WatchDelta:
        self.interrupts.pause("read")
        page = [one for one in self.rows[chain].watch_log if after_version < one[0] <= up_to_version]
        return WatchDelta(page[-1][0] if page else after_version, [address for _, address in page])

    async def load_undecided(self, chain: ChainId, *, limit: int) -> list[Undecided]:
        self.interrupts.pause("read")
        states = (DepositState.SEEN, DepositState.ORPHANED, DepositState.REPLACED)
        rows = [
            one
            for one in self.rows[chain].deposits.values()
            if one.state in states and (one.state is not DepositState.REPLACED or one.replaced_height is None)
        ]
        first = sorted(rows, key=lambda one: (one.first_seen_at, one.id))[:limit]
        by_tx = {one.tx_hash: one for one in first}
        return [
            Undecided(tx_hash, one.conflict_keys, one.state is DepositState.SEEN)
            for tx_hash, one in by_tx.items()
        ]

    async def create_chain(
        self,
        chain: ChainId,
        *,
        alias: str,
        network_id: bytes,
        assets: Sequence[Asset],
        first: Block,
        at: datetime,
    ) -> None:
        self.interrupts.pause("write")
        if chain in self.rows:
            return
        start_height = first.header.parent.height + 1
        record = ChainRecord(
            chain=chain,
            alias=alias,
            network_id=network_id,
            start_height=start_height,
            tip=first.header.ref,
            final_height=None,
            safe_height=None,
            agreed_height=start_height - 1,
            halt_reason=None,
            halted_at=None,
            halted_fork_height=None,
            accepted_fork_hash=None,
            disputed_fork_height=None,
            conditions=frozenset(),
            notice_version=0,
            move_count=0,
            lease_epoch=0,
            moved_at=at,
        )
        rows = ChainRows(record, [first.header], levels={first.header.hash: first.level})
        # Nothing was watched before: what is listed from the beginning counts wherever an address does.
        rows.asset_starts = {asset.asset_id: 0 for asset in assets}
        self.rows[chain] = rows
        self.committed(chain, None, None)
        self.interrupts.pause("committed")

    def open_move(self, chain: ChainId, *, lease_epoch: int) -> MemoryMove:
        return MemoryMove(self, chain, lease_epoch)

    # What other processes do; they hold the chain's lock shared, so never inside a move of that chain.

    def register(
        self,
        chain: ChainId,
        address_id: AddressId,
        merchant_id: MerchantId,
        address: Address,
        *,
        effective_start: int,
        pending_start: int | None,
        memo: bytes | None = None,
    ) -> None:
        """A merchant's new watched address; history is wanted from `pending_start` on."""
        rows = self.rows[chain]
        self._watch_version += 1
        if pending_start is not None:
            rows.pending_starts[address_id] = pending_start
        rows.registrations.append(Registration(address_id, merchant_id, address, effective_start, None, memo))
        rows.watch_log.append((self._watch_version, address))
        self.references[address_id] = f"order-{len(self.references)}"
        self.living[merchant_id, chain, address, memo] = address_id

    def delete(self, chain: ChainId, address_id: AddressId) -> None:
        """The merchant wants no new deposits there."""
        rows = self.rows[chain]
        for index, registration in enumerate(rows.registrations):
            if registration.address_id == address_id:
                rows.registrations[index] = replace(registration, watching_until=rows.record.tip.height)
                rows.pending_starts.pop(address_id, None)
                del self.living[registration.merchant_id, chain, registration.address, registration.memo]

    def list_asset(self, chain: ChainId, asset: AssetId) -> None:
        """The configuration names one more asset, which counts from now on."""
        rows = self.rows[chain]
        rows.asset_starts.setdefault(asset, rows.record.tip.height + 1)

    def rescan(self, chain: ChainId, height_first: int, height_last: int) -> None:
        """An operator wants a range read again; listed assets count from its first height on."""
        rows = self.rows[chain]
        for asset, start in rows.asset_starts.items():
            if start > height_first and rows.pending_assets.get(asset, start) > height_first:
                rows.pending_assets[asset] = height_first
        first = max(height_first, rows.record.start_height)
        if first <= height_last:
            rows.rescans.append((first, height_last))

    def take_lease(self, chain: ChainId) -> int:
        """A new process follows the chain; returns its epoch."""
        rows = self.rows[chain]
        rows.record = replace(rows.record, lease_epoch=rows.record.lease_epoch + 1)
        return rows.record.lease_epoch


class MemoryMove:
    """One transaction: reads see what was, writes happen together when the block ends without an exception."""

    __slots__ = (
        "_chain",
        "_deposits",
        "_facts",
        "_fork_height",
        "_inserted",
        "_lease_epoch",
        "_lowered_to",
        "_record",
        "_repeats",
        "_store",
        "covered",
        "doubts",
        "rows",
    )

    def __init__(self, store: MemoryStore, chain: ChainId, lease_epoch: int) -> None:
        self._store = store
        self._chain = chain
        self._lease_epoch = lease_epoch
        self._fork_height: int | None = None
        self._lowered_to: int | None = None
        self._inserted: Sequence[Block] = ()
        self._deposits: Sequence[Deposit] = ()
        self._repeats: Sequence[Repeat] = ()
        self._facts: list[Fact] = []
        self.covered: Covered | None = None
        self.doubts = MemoryDoubts(self)

    async def __aenter__(self) -> Self:
        self._store.interrupts.pause("read")
        self.rows = self._store.rows[self._chain]
        self._record = self.rows.record
        if self._record.lease_epoch != self._lease_epoch:
            raise LeaseLost
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        self.pause()
        if self._store.interrupts.wants_retry():
            raise DatabaseAway("deadlock detected")
        self._apply()
        self._store.interrupts.pause("committed")

    def pause(self) -> None:
        """A crash point with the chain's lock held."""
        self._store.interrupts.pause("write", self._chain)

    def _apply(self) -> None:
        rows = self.rows
        before = rows.record
        if self._lowered_to is not None:
            lower_starts(rows, self._lowered_to)
        if self.covered is not None:
            cover_history(rows, *self.covered)
        self.doubts.apply(rows)
        if self._fork_height is not None:
            del rows.blocks[rows.count_below(self._fork_height + 1) :]
            for place in [place for place in rows.repeats if place[1] > self._fork_height]:
                del rows.repeats[place]
            for height in [height for height in rows.doubted if height > self._fork_height]:
                del rows.doubted[height]
        headers = [block.header for block in self._inserted]
        rows.levels |= {block.header.hash: block.level for block in self._inserted}
        rows.served_by |= {block.header.height: block.served_by for block in self._inserted}
        if headers and headers[0].height < before.start_height and self._fork_height is None:
            rows.blocks[:0] = headers
        else:
            rows.blocks.extend(headers)
        for deposit in self._deposits:
            write_deposit(rows, deposit)
        for repeat in self._repeats:
            rows.repeats.setdefault((repeat.deposit_id, repeat.occurrence.height), repeat)
        rows.record = self._record
        rows.commits += 1
        if self._facts:
            self._store.logs.append(self._facts)
        self._store.committed(self._chain, before, self.covered)

    @property
    def record(self) -> ChainRecord:
        return self._record

    async def lower_starts(self, fork_height: int) -> None:
        self.pause()
        self._lowered_to = fork_height

    async def load_watch_delta(self, after_version: int) -> WatchDelta:
        self.pause()
        log = self.rows.watch_log
        if not log or log[-1][0] <= after_version:
            return WatchDelta(after_version)
        return WatchDelta(log[-1][0], [address for version, address in log if version > after_version])

    async def load_registrations(self, addresses: Collection[Address]) -> list[Registration]:
        self.pause()
        found = [one for one in self.rows.registrations if one.address in addresses]
        if self._lowered_to is not None:
            old_tip = self.rows.record.tip.height
            return [lowered(one, self._lowered_to, old_tip) for one in found]
        if self.covered is not None:
            return [covered(one, self.rows.pending_starts, *self.covered) for one in found]
        return found

    async def load_payable(
        self, addresses: Collection[Address]
    ) -> tuple[list[Registration], Mapping[AssetId, int]]:
        return await self.load_registrations(addresses), self._listed_starts()

    def _listed_starts(self) -> Mapping[AssetId, int]:
        starts = self.rows.asset_starts
        if self._lowered_to is not None:
            old_tip = self.rows.record.tip.height
            return {one: fallen_start(start, self._lowered_to, old_tip) for one, start in starts.items()}
        if self.covered is None:
            return starts
        pending = self.rows.pending_assets
        return {one: sunk_start(start, pending.get(one), *self.covered) for one, start in starts.items()}

    async def load_hashes(self, heights: Collection[int]) -> dict[int, BlockHash]:
        self.pause()
        return hashes_at(self.rows, heights)

    async def load_touched(self, query: TouchQuery) -> Touched:
        self.pause()
        rows = self.rows.deposits
        ids = query.ids
        above = query.displaced_above
        displaced: list[Deposit] = []
        maturing: list[Deposit] = []
        for deposit in rows.values():
            at = deposit.occurrence
            if at is None:
                continue
            if above is not None and at.height > above:
                displaced.append(deposit)
            elif deposit.state is not DepositState.FINAL:
                maturing.append(deposit)
        conflicts = self.rows.conflicts
        spent = (
            {key for table in query.spends for key in table.spends if key in conflicts} if conflicts else ()
        )
        off_chain = [rows[one] for one in sorted({one for key in spent for one in conflicts[key]})]
        if above is not None:
            off_chain += [one for one in rows.values() if (one.replaced_height or -1) > above]
        gone = {one.id for one in displaced}
        repeats = [
            replace(repeat, level=self.rows.levels[repeat.occurrence.block_hash])
            for (deposit_id, height), repeat in sorted(
                self.rows.repeats.items(), key=lambda item: item[0][::-1]
            )
            if above is not None and height <= above and deposit_id in gone
        ]
        return Touched(
            {one: rows[one] for one in ids if one in rows}, displaced, maturing, off_chain, repeats
        )

    async def load_of_txs(self, tx_hashes: Collection[TxHash]) -> list[Deposit]:
        self.pause()
        return [one for one in self.rows.deposits.values() if one.tx_hash in tx_hashes]

    async def load_standing(self, height_first: int, height_last: int) -> list[Deposit]:
        self.pause()
        return [
            deposit
            for deposit in self.rows.deposits.values()
            if deposit.occurrence is not None and height_first <= deposit.occurrence.height <= height_last
        ]

    async def load_on_one_word(self, height_last: int, *, limit: int) -> list[Deposit]:
        standing = await self.load_standing(0, height_last)
        return [one for one in standing if one.on_one_word][:limit]

    async def load_references(self, addresses: Collection[AddressId]) -> dict[AddressId, str | None]:
        self.pause()
        return {one: self._store.references[one] for one in addresses}

    async def load_watching_merchants(self) -> list[MerchantId]:
        self.pause()
        return sorted({one.merchant_id for one in self.rows.registrations if one.watching_until is None})

    async def leave_blocks(self, fork_height: int, *, left_for: BlockHash, at: datetime) -> int:
        self.pause()
        self._fork_height = fork_height
        return len(self.rows.blocks) - self.rows.count_below(fork_height + 1)

    async def insert_blocks(self, blocks: Sequence[Block], *, at: datetime, watch_version: int) -> None:
        self.pause()
        assert all(block.spared is None or block.spared.version <= watch_version for block in blocks)
        self._inserted = blocks

    async def reread_spared(self, height_first: int, height_last: int, *, at: datetime) -> None:
        raise AssertionError("no simulated block shows that others were spared wrongly")

    async def write_deposits(self, deposits: Sequence[Deposit]) -> None:
        self.pause()
        assert all((one.occurrence is not None) == (one.state in ON_CHAIN) for one in deposits)
        self._deposits = deposits

    async def insert_repeats(self, repeats: Sequence[Repeat], *, at: datetime) -> list[Repeat]:
        self.pause()
        self._repeats = repeats
        return [one for one in repeats if (one.deposit_id, one.occurrence.height) not in self.rows.repeats]

    async def write_chain(self, record: ChainRecord) -> None:
        self.pause()
        self._record = record

    async def publish(self, facts: Sequence[Fact]) -> None:
        self.pause()
        self._facts.extend(facts)


class MemoryDoubts:
    """`BlockDoubts`: a copy that the move takes with its first write, and puts back as it commits."""

    __slots__ = ("_doubted", "_move", "_served_by")

    def __init__(self, move: MemoryMove) -> None:
        self._move = move
        self._doubted: dict[int, tuple[str, datetime]] | None = None
        self._served_by: dict[int, str] = {}

    def apply(self, rows: ChainRows) -> None:
        """The move commits."""
        if self._doubted is not None:
            rows.doubted = self._doubted
        rows.served_by |= self._served_by

    async def load(self, heights: Collection[int]) -> dict[int, str]:
        self._move.pause()
        doubted = self._move.rows.doubted if self._doubted is None else self._doubted
        return {height: doubted[height][0] for height in heights if height in doubted} if doubted else {}

    async def load_servers(self, heights: Collection[int]) -> dict[int, str]:
        self._move.pause()
        served_by = self._move.rows.served_by
        return {height: served_by[height] for height in heights if height in served_by}

    async def insert(self, served_by: Mapping[int, str], *, due_at: datetime) -> None:
        known = self._write()
        for height, host in served_by.items():
            known.setdefault(height, (host, due_at))

    async def delete(self, heights: Collection[int]) -> None:
        known = self._write()
        for height in heights:
            known.pop(height, None)

    async def delete_up_to(self, height: int) -> None:
        await self.delete([one for one in self._move.rows.doubted if one <= height])

    async def change_servers(self, blocks: Sequence[Block]) -> None:
        self._move.pause()
        self._served_by |= {block.header.height: block.served_by for block in blocks}

    def _write(self) -> dict[int, tuple[str, datetime]]:
        self._move.pause()
        if self._doubted is None:
            self._doubted = dict(self._move.rows.doubted)
        return self._doubted


async def load_unsettled(move: MoveTransaction, *, after: DepositId, limit: int) -> list[Deposit]:
    """Deposits that are not final, by id, inside a move: what a changed policy judges."""
    assert isinstance(move, MemoryMove)
    move.pause()
    states = (DepositState.INCLUDED, DepositState.CONFIRMED)
    found = [one for one in move.rows.deposits.values() if one.id > after and one.state in states]
    return sorted(found, key=lambda one: one.id)[:limit]
