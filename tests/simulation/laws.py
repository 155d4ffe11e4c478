"""The first six laws of the design, checked at every commit of a schedule and once more, from nothing, at its end.

Lives here: comparing rows with the oracle's fresh pass, heights with what providers really served, logs with rows.
A broken law is an AssertionError that says which. Does not live here: what is right (`oracle.py`), and how a merchant
reads its log (`telling.py`).
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from chains.model import AssetId, BlockHash, BlockRef, ChainId, is_linked
from chains.traits import FinalAtDepth, FinalityRule
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Deposit
from indexer.rules.identity import DepositId, MerchantId
from migrations.ids import encode_id
from tests.simulation.blocks import SimBlock
from tests.simulation.chain import SimChain
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import Covered, MemoryStore
from tests.simulation.oracle import ChainOracle, Heights, Sight
from tests.simulation.providers import ServedBook
from tests.simulation.receivers import Receiver
from tests.simulation.rows import ChainRows
from tests.simulation.telling import Reader
from tests.simulation.troubles import Tally, Trouble

ON_CHAIN = ("included", "confirmed", "final")
CREDITED = ("confirmed", "final")


@dataclass(slots=True)
class Watched:
    """One chain as the laws see it; `path` is what we recorded as canonical, oldest first.

    `is_held_over`: after a halt, what another policy would confirm waits for the next move.
    `history` are blocks below our start; which deposit they replace is not looked up any more.
    `settled_own`: for what is final, in which block and whether as an own transfer; that stays while it stays there.
    """

    chain: SimChain
    oracle: ChainOracle
    book: ServedBook
    operators_count: int
    finality: FinalityRule
    minima: Mapping[AssetId, int]
    path: list[SimBlock] = field(default_factory=list)
    credited: set[UUID] = field(default_factory=set)
    published: set[UUID] = field(default_factory=set)
    is_held_over: bool = False
    history: set[SimBlock] = field(default_factory=set)
    settled_own: dict[UUID, tuple[BlockHash, bool]] = field(default_factory=dict)

    def stay(self, lowest: Sight) -> Sight:
        """Where a deposit stands: what is final stays, though history shows a lower block that holds it too."""
        place = self.settled_own.get(lowest.deposit_id)
        if place is None or place[0] == lowest.block.hash:
            return lowest
        settled = self.chain.blocks[place[0]]
        if settled.height < lowest.block.height or self.at(settled.height) is not settled:
            return lowest
        return self.oracle.sight_in(settled, lowest.deposit_id)

    def at(self, height: int) -> SimBlock | None:
        """Our block at a height, or where it has none the one below."""
        count = bisect_right(self.path, height, key=lambda block: block.height)
        return self.path[count - 1] if count else None


class Laws:
    """Looks at every commit of every chain."""

    def __init__(self, logs: MerchantLogs, tally: Tally) -> None:
        self.watched: dict[ChainId, Watched] = {}
        self.readers: dict[MerchantId, Reader] = {}
        self.commits = 0
        self._added_up: dict[int, Deposit] = {}
        self._logs = logs
        self._tally = tally

    def check_commit(
        self, store: MemoryStore, chain: ChainId, before: ChainRecord | None, covered: Covered | None
    ) -> None:
        """Called after each commit, before anybody can act on it; `covered` is a chunk of history."""
        self.commits += 1
        watched, rows = self.watched[chain], store.rows[chain]
        is_halted = False
        if covered is not None:
            self._check_below(watched, rows)
        left = self._check_canonical(watched, rows)
        if before is not None:
            self._check_heights(watched, before, rows.record, left)
            is_halted = before.is_halted and rows.record.is_halted
            watched.is_held_over = is_halted or (
                watched.is_held_over and before.move_count == rows.record.move_count
            )
            assert not is_halted or before.tip == rows.record.tip, "a halted chain moved"
        if covered is not None:
            assert not left, "history takes nothing away"
            watched.oracle.cover(*covered)
        elif before is not None and not left:
            assert rows.record.start_height == before.start_height, "only history extends a chain downward"
        if left:
            assert before is not None
            self._check_evidence(watched, before, left, rows.record.accepted_fork_hash)
            first = _first_after(watched, left)
            watched.oracle.lower_starts(first.header.parent.height, before.tip.height)
            self._tally.count(Trouble.REWOUND)
            if first is watched.path[0]:
                self._tally.count(Trouble.START_FORKED)
        self._check_starts(watched, rows)
        self._check_deposits(watched, rows, watched.oracle.pass_over(watched.path), is_halted=is_halted)
        accepted = before is not None and before.accepted_fork_hash is not None
        self._check_told(store, rows, final_may_leave=bool(left) and accepted)

    # Law 1

    @staticmethod
    def _check_below(watched: Watched, rows: ChainRows) -> None:
        """History below our start hangs by its hashes on the lowest block we held."""
        path, chain = watched.path, watched.chain
        below = [chain.blocks[one.hash] for one in rows.blocks if one.height < path[0].height]
        headers = [block.header for block in [*below, path[0]]]
        assert is_linked(headers, skipped_heights_max=chain.skipped_heights_max), (
            "history does not link to our start"
        )
        path[:0] = below
        watched.history.update(below)

    @staticmethod
    def _check_canonical(watched: Watched, rows: ChainRows) -> list[SimBlock]:
        """Hash-linked, every block once, no height left out that has one; returns the blocks that left."""
        path, record = watched.path, rows.record
        kept = min(len(path), len(rows.blocks))
        while kept and path[kept - 1].hash != rows.blocks[kept - 1].hash:
            kept -= 1
        left = path[kept:]
        del path[kept:]
        for header in rows.blocks[kept:]:
            block = watched.chain.blocks[header.hash]
            assert block.header == header, "a row that no block has"
            if path:
                assert path[-1].hash == header.parent.hash, "canonical blocks do not link"
                assert path[-1].height == header.parent.height, "a height was skipped"
            path.append(block)
        under = path[0].header.parent.height
        assert under + 1 == record.start_height, "the first canonical block is not at the start"
        assert record.tip == BlockRef(path[-1].height, path[-1].hash), "the tip is not the last block"
        return left

    def _check_heights(
        self, watched: Watched, before: ChainRecord, after: ChainRecord, left: list[SimBlock]
    ) -> None:
        """Finality only moves forward and only on grounds; agreement is two operators' or one operator's."""
        final, final_before = after.final_height, before.final_height
        if final_before is not None:
            assert final is not None, "finality was forgotten"
            if left and before.accepted_fork_hash == (fork := _first_after(watched, left).header.parent).hash:
                final_before = min(final_before, fork.height)
            assert final >= final_before, "finality went backward"
        assert after.agreed_height <= after.tip.height
        if watched.operators_count == 1:
            assert after.agreed_height == after.tip.height or after.move_count == 0
        elif after.agreed_height >= after.start_height:
            agreed = watched.at(after.agreed_height)
            assert agreed is None or watched.book.operators_for(agreed) >= 2, (
                "agreed, and only one operator ever said so"
            )
        if final is not None and (final_before is None or final > final_before):
            self._check_new_finality(watched, after, final)

    def _check_new_finality(self, watched: Watched, after: ChainRecord, final: int) -> None:
        assert after.start_height <= final <= after.tip.height, "final beyond the tip"
        assert final <= after.agreed_height, "final without a second operator"
        assert after.disputed_fork_height is None or final <= after.disputed_fork_height, "final in dispute"
        block = watched.at(final)
        assert block is not None, "final, and no block of ours"
        assert block.height == final, "final, and no block of ours"
        if isinstance(watched.finality, FinalAtDepth):
            deep = final + watched.finality.confirmations - 1
            assert deep <= after.tip.height, "final before it was deep enough"
            assert deep <= after.agreed_height, "final by blocks that one operator alone has shown"
        else:
            assert watched.book.was_called_final(block, after.tip.height), "final, and nobody called it so"

    # Law 5

    @staticmethod
    def _check_evidence(
        watched: Watched, before: ChainRecord, left: list[SimBlock], accepted_after: BlockHash | None
    ) -> None:
        """A rewind rests on a branch that was served by number in two polls, and by two operators."""
        first = _first_after(watched, left)
        fork_height = first.header.parent.height
        assert not before.is_halted, "a halted chain was rewound"
        if before.final_height is not None and fork_height < before.final_height:
            assert before.accepted_fork_hash == first.header.parent.hash, "what was final left without leave"
            assert accepted_after is None, "one leave allows one rewind"
        assert len(watched.book.polls_of.get(first.hash, ())) >= 2, "rewound on a branch seen once"
        if watched.operators_count > 1:
            assert watched.book.operators_for(first) >= 2, "rewound on the word of one operator"
            assert not first.is_forged, "rewound onto a forged branch"
        if watched.chain.kind.has_work and before.accepted_fork_hash != first.header.parent.hash:
            # What lies under the lowest block we hold is nobody's to compare.
            ours = left[-1].total_work - left[0].total_work + (left[0].header.work or 0)
            under = first.total_work - (first.header.work or 0)
            assert any(
                named.total_work - under > ours and named.descends_from(first)
                for _, named in watched.book.named_now
            ), "rewound onto a branch of less work"

    # Laws 2 and 3

    @staticmethod
    def _check_starts(watched: Watched, rows: ChainRows) -> None:
        """Every registration and asset begins where the contract says it does."""
        oracle = watched.oracle
        ours = {watch.address_id: (watch.start, watch.until) for watch in oracle.all_watches()}
        recorded = {one.address_id: (one.effective_start, one.watching_until) for one in rows.registrations}
        assert recorded == ours, "an effective start is not the contract's"
        assert rows.asset_starts == oracle.asset_starts

    @staticmethod
    def _check_deposits(
        watched: Watched, rows: ChainRows, expected: Mapping[UUID, Sight], *, is_halted: bool
    ) -> None:
        """Rows equal a fresh pass over our canonical chain, each in the state its heights give it."""
        oracle, record = watched.oracle, rows.record
        heights = Heights(
            tip=record.tip.height,
            final=record.final_height,
            safe=record.safe_height,
            agreed=record.agreed_height,
            held_above=-1 if is_halted else record.disputed_fork_height,
        )
        settled: dict[UUID, tuple[BlockHash, bool]] = {}
        credited: set[UUID] = set()
        for deposit_id, lowest in expected.items():
            row = rows.deposits.get(DepositId(deposit_id))
            assert row is not None, "a deposit was lost"
            sight = watched.stay(lowest)
            check_place(row, sight)
            if row.amount_base_units >= watched.minima[row.asset]:
                watched.published.add(deposit_id)
            assert row.published == (deposit_id in watched.published), "published is what reached its minimum"
            own = sight.own_transfer
            if row.state == "final":
                place, settled_own = watched.settled_own.get(deposit_id, (sight.block.hash, own))
                own = settled_own if place == sight.block.hash else own
                settled[deposit_id] = (sight.block.hash, own)
            assert row.own_transfer == own, "own_transfer is not what the watched senders say"
            was_credited = deposit_id in watched.credited
            state = oracle.state_of(sight, heights, was_credited=was_credited)
            if watched.is_held_over and row.state == "included" and state == "confirmed":
                continue
            assert row.state == state, f"{row.state}, where chain and policy say {state}"
            if state in CREDITED:
                credited.add(deposit_id)
        for deposit_id in rows.deposits.keys() - expected.keys():
            row = rows.deposits[deposit_id]
            assert row.state not in ON_CHAIN, f"{row.state}, and no canonical block holds it"
            assert row.credited_base_units == 0
            assert (row.replaced_by is not None) == (row.state == "replaced")
            if row.published:
                watched.published.add(deposit_id)
            if _has_rival(row, watched):
                assert row.state == "replaced", "another transaction used its nonce up, and nobody says so"
        watched.credited, watched.settled_own = credited, settled
        if len(oracle.ever_recorded) != len(rows.deposits):
            oracle.ever_recorded.update(rows.deposits)

    # Laws 4 and 6

    def _check_told(self, store: MemoryStore, rows: ChainRows, *, final_may_leave: bool) -> None:
        """Every new event is a legal continuation, and what was told adds up to what is recorded."""
        tip_height = rows.record.tip.height
        for merchant_id, log in store.logs.by_merchant.items():
            reader = self.readers.get(merchant_id)
            if reader is None:
                reader = self.readers[merchant_id] = Reader(log.merchant_text, self._tally)
            for event in log.events[reader.read_count :]:
                reader.read(event, final_may_leave=final_may_leave, tip_height=tip_height)
        added_up = self._added_up
        for row in rows.deposits.values():
            # Rows are values: one that was held against its events stays so until another takes its place.
            if row.published and added_up.get(row.id.int) is not row:
                check_adds_up(self.readers[row.merchant_id], row)
                added_up[row.id.int] = row

    def check_received(self, receiver: Receiver, store: MemoryStore, exhausted: set[int]) -> None:
        """At rest a receiver has everything it wants, and what it made of it is what is recorded."""
        log = store.logs.of(MerchantId(receiver.merchant_id))
        wanted = {event.sequence for event in log.events if receiver.wants(event.type)}
        assert wanted - receiver.sequences <= exhausted, "never delivered, and not kept either"
        assert receiver.sequences <= wanted
        if exhausted or receiver.event_types is not None:
            return
        rows = [row for one in store.rows.values() for row in one.deposits.values()]
        for row in rows:
            if row.published and row.merchant_id == receiver.merchant_id:
                latest = receiver.latest[id_text(row.id)]
                assert (latest["version"], latest["state"]) == (row.version, row.state)
                assert latest["credited_base_units"] == str(row.credited_base_units)

    def check_all(self, store: MemoryStore) -> None:
        """Everything again from the first block and the first byte, trusting no state of these checks."""
        tally = Tally()
        readers: dict[MerchantId, Reader] = {}
        for merchant_id, log in store.logs.by_merchant.items():
            reader = readers[merchant_id] = Reader(log.merchant_text, tally)
            for event in log.events:
                reader.read(event, final_may_leave=True, tip_height=None)
        for chain, rows in store.rows.items():
            watched = self.watched[chain]
            skipped_heights_max = watched.chain.skipped_heights_max
            assert is_linked(rows.blocks, skipped_heights_max=skipped_heights_max), (
                "canonical blocks do not link"
            )
            assert [block.header for block in watched.path] == rows.blocks
            self._check_deposits(
                watched, rows, watched.oracle.fresh_pass(watched.path), is_halted=rows.record.is_halted
            )
            for row in rows.deposits.values():
                if row.published:
                    check_adds_up(readers[row.merchant_id], row)


def _first_after(watched: Watched, left: list[SimBlock]) -> SimBlock:
    """The block that took the place of the lowest one that left: right above what stayed."""
    fork = left[0].header.parent
    first = next((block for block in watched.path if block.height > fork.height), None)
    assert first is not None, "blocks left for nothing"
    return first


def check_place(row: Deposit, sight: Sight) -> None:
    """A recorded deposit stands where the oracle sees it, with what it sees there."""
    at, block, transfer = row.occurrence, sight.block, sight.transfer
    assert at is not None, f"{row.state}, and a canonical block holds it"
    assert (at.height, at.block_hash, at.block_time_s) == (block.height, block.hash, block.header.time_s)
    assert at.position == transfer.position
    assert row.amount_base_units == transfer.amount_base_units
    assert (row.merchant_id, row.recipient, row.senders) == (
        sight.merchant_id,
        transfer.recipient,
        transfer.senders,
    )


def _has_rival(row: Deposit, watched: Watched) -> bool:
    """Whether a canonical transaction other than its own used up what the deposit's own would have used."""
    keys = {key for key in row.conflict_keys if key in watched.path[-1].keys}
    return bool(keys) and any(
        payment.tx_hash != row.tx_hash and not keys.isdisjoint(payment.keys)
        for block in watched.path
        if block not in watched.history
        for payment in block.payments
    )


def check_adds_up(reader: Reader, row: Deposit) -> None:
    """The events of a deposit add up to its row."""
    told = reader.deposits.get(id_text(row.id))
    assert told is not None, "a published deposit nobody was told of"
    deposit = told.deposit
    assert deposit["version"] == row.version, "a change was not told"
    assert deposit["state"] == row.state
    assert told.credited == row.credited_base_units
    assert deposit["amount_base_units"] == str(row.amount_base_units)
    at = row.occurrence
    assert (deposit["block"] and deposit["block"]["hash"]) == (at and "0x" + at.block_hash.hex())


@functools.lru_cache(maxsize=4096)
def id_text(deposit_id: DepositId) -> str:
    """`dep_…`"""
    return encode_id("dep", deposit_id)
