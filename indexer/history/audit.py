"""Reading the chain again and comparing it with our rows: what `chainbell audit` does.

It repairs nothing and writes nothing: a difference is told with both sides,
and `rescan` or an operator acts on it.  Comparing is pure; the reading is a
bounded loop over chunks, each block asked of an operator who did not serve it,
where there is one; whom to ask is `auditors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from chains.model import Address, Block, BlockHash
from chains.port import ChainSource, Provider
from indexer.history.auditors import Asked, ask_auditor, list_runs
from indexer.history.balance_audit import AuditedBalances, BalanceTally
from indexer.move.commit import ChainDesk
from indexer.move.payers import load_payers
from indexer.rows.store import PostgresFollowStore
from indexer.rows.work_store import BlockRow, load_block_rows, load_recorded, load_repeats_in
from indexer.rules.deposits import Deposit, DepositState, Sighting, senders_of
from indexer.rules.events import Naming
from indexer.rules.identity import AddressId, DepositId
from indexer.rules.matching import Hit, Registration, find_hits, group_by_address, match_hits, parties
from migrations.handles import Pool


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the chain and our rows disagree; both sides as text."""

    height: int
    what: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class AuditedChunk:
    """One chunk's result; `asked` says of which operators, ascending and without a gap."""

    height_first: int
    height_last: int
    blocks_count: int
    deposits_count: int
    differences: tuple[Difference, ...]
    asked: tuple[Asked, ...]


def compare_blocks(naming: Naming, rows: Sequence[BlockRow], blocks: Sequence[Block]) -> list[Difference]:
    """Every height where hash, parent or counts differ, or one side has no block.

    A block that was spared its receipts has no counts; what it may have lacked shows as a deposit that is not recorded.
    """
    ours = {row.height: row for row in rows}
    spell = naming.block_hash_text
    differences: list[Difference] = []
    for block in blocks:
        header, row = block.header, ours.pop(block.header.height, None)
        if row is None:
            differences.append(Difference(header.height, "block", "no row", spell(header.hash)))
            continue
        pairs = [
            ("hash", spell(row.hash), spell(header.hash)),
            ("parent hash", spell(row.parent_hash), spell(header.parent.hash)),
            ("transactions", str(row.tx_count), str(block.tx_count)),
        ]
        if row.log_count is not None:
            pairs.append(("logs", str(row.log_count), str(block.log_count)))
            pairs.append(("transfers", str(row.transfer_count), str(len(block.transfers.recipients))))
        differences += [
            Difference(header.height, what, mine, theirs) for what, mine, theirs in pairs if mine != theirs
        ]
    differences += [Difference(row.height, "block", spell(row.hash), "no block") for row in ours.values()]
    return differences


def compare_deposits(
    naming: Naming,
    recorded: Sequence[Deposit],
    sightings: Sequence[Sighting],
    repeated: Collection[tuple[DepositId, BlockHash]] = (),
) -> list[Difference]:
    """Deposits we recorded and the chain does not show, the other way round, or with other particulars.

    `repeated` are the blocks in which we know a deposit to stand a second time.
    """
    spell = naming.block_hash_text

    def say(addresses: Sequence[Address]) -> str:
        return ", ".join(map(naming.address_text, addresses)) or "none"

    ours: dict[DepositId, Deposit] = {deposit.id: deposit for deposit in recorded}
    differences: list[Difference] = []
    for sighting in sightings:
        if (sighting.deposit_id, sighting.header.hash) in repeated:
            continue
        deposit = ours.pop(sighting.deposit_id, None)
        transfer = sighting.transfer
        place = f"{transfer.amount_base_units} of {transfer.asset} in {naming.tx_hash_text(transfer.tx_hash)}"
        if deposit is None:
            differences.append(Difference(sighting.header.height, "deposit", "not recorded", place))
            continue
        assert deposit.occurrence is not None, "only what stands in a block is compared"
        pairs = (
            ("amount", str(deposit.amount_base_units), str(transfer.amount_base_units)),
            ("deposit's block", spell(deposit.occurrence.block_hash), spell(sighting.header.hash)),
            ("sender", say(deposit.senders), say(senders_of(transfer))),
            ("own transfer", _say_flag(deposit.own_transfer), _say_flag(_is_own_now(deposit, sighting))),
        )
        differences += [
            Difference(sighting.header.height, what, mine, theirs)
            for what, mine, theirs in pairs
            if mine != theirs
        ]
    for deposit in ours.values():
        assert deposit.occurrence is not None
        place = f"{deposit.amount_base_units} of {deposit.asset} in {naming.tx_hash_text(deposit.tx_hash)}"
        differences.append(Difference(deposit.occurrence.height, "deposit", place, "not on the chain"))
    return differences


def _is_own_now(deposit: Deposit, sighting: Sighting) -> bool:
    """Whether it is an own transfer, as far as that is still open.

    What is final stays as it was told when its sender is registered later: only a payment to itself is one anyway.
    """
    transfer = sighting.transfer
    if deposit.state is DepositState.FINAL and not deposit.own_transfer:
        return transfer.recipient in transfer.senders
    return sighting.own_transfer


def _say_flag(is_so: bool) -> str:  # noqa: FBT001  (a value to be written)
    return "yes" if is_so else "no"


async def audit_range(
    pool: Pool,
    desk: ChainDesk,
    store: PostgresFollowStore,
    source: ChainSource,
    *,
    height_first: int,
    height_last: int,
    chunk_blocks: int = 64,
    tally: BalanceTally | None = None,
) -> AsyncIterator[AuditedChunk]:
    """Re-read a range chunk by chunk; raises `ChainError` when nobody can be read.

    Heights outside our chain are left out: the caller clamps the range, and
    says so.  `tally` counts what the blocks moved, to be settled afterwards.
    """
    for first in range(height_first, height_last + 1, chunk_blocks):
        last = min(first + chunk_blocks - 1, height_last)
        rows = await load_block_rows(pool, desk.settings.traits.chain, height_first=first, height_last=last)
        blocks: list[Block] = []
        asked: list[Asked] = []
        for run in list_runs(first, last, _list_servers(rows, desk, first, last), source.operator_of):
            told, by_whom = await ask_auditor(source, run)
            blocks += told
            asked.append(by_whom)
        if tally is not None:
            tally.add(blocks)
        recorded = await load_recorded(pool, desk.settings.traits.chain, height_first=first, height_last=last)
        sightings = await _sight(desk, store, blocks, recorded)
        repeated = await load_repeats_in(pool, desk.settings.traits.chain, first, last) if sightings else ()
        differences = compare_blocks(desk.naming, rows, blocks)
        differences += compare_deposits(desk.naming, recorded, sightings, repeated)
        yield AuditedChunk(first, last, len(blocks), len(sightings), tuple(differences), tuple(asked))


def _list_servers(
    rows: Sequence[BlockRow], desk: ChainDesk, height_first: int, height_last: int
) -> dict[int, str]:
    """Who served each height: where a chain skips one, whoever showed the next block, or else the one below, did."""
    servers = {row.height: row.served_by for row in rows}
    if not desk.settings.traits.skipped_heights_max or not rows:
        return servers
    server = rows[-1].served_by
    for height in range(height_last, height_first - 1, -1):
        server = servers.setdefault(height, server)
    return servers


async def settle_balances(
    desk: ChainDesk, store: PostgresFollowStore, provider: Provider, tally: BalanceTally
) -> AuditedBalances:
    """The tally held against balances, for addresses that are registered; raises `ChainError`."""

    async def load(addresses: Collection[Address]) -> list[Registration]:
        async with store.open_reading(desk.settings.traits.chain) as reading:
            return await reading.load_registrations(addresses)

    return await tally.settle(provider, load)


async def _sight(
    desk: ChainDesk, store: PostgresFollowStore, blocks: Sequence[Block], recorded: Sequence[Deposit]
) -> list[Sighting]:
    hits: Sequence[Hit] = find_hits(blocks, desk.watched)
    if not hits:
        return []
    async with store.open_reading(desk.settings.traits.chain) as reading:
        hits = await load_payers(reading, hits, desk.read_spent)
        payable, starts = await reading.load_payable(parties(hits))
    known: dict[DepositId, AddressId] = {deposit.id: deposit.address_id for deposit in recorded}
    return match_hits(hits, group_by_address(payable), known, desk.rules(starts))
