"""The laws on a real database: everything is read back in one snapshot and held against the oracle.

Lives here: loading rows, and comparing them with a fresh pass, with the true chain and with the merchants' logs.
Effective starts are taken from the rows: that they are exact is the database's to prove by never missing a deposit.
Does not live here: evidence and agreement, which the simulation in memory checks commit by commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chains.model import AssetId, BlockHash, BlockRef, ChainId, Header, is_linked
from indexer.rows.spelling import decode_chain, decode_deposit, decode_registration
from indexer.rules.identity import DepositId, MerchantId
from migrations.handles import Connection
from migrations.ids import encode_id
from tests.simulation.laws import CREDITED, ON_CHAIN, check_adds_up, check_place
from tests.simulation.log import Event
from tests.simulation.network import Network
from tests.simulation.oracle import ChainOracle, Heights, Watch
from tests.simulation.rows import ChainRows
from tests.simulation.telling import Reader
from tests.simulation.troubles import Tally

HEADERS = "select height, hash, parent_hash, extract(epoch from block_time)::bigint as time_s from blocks"
EVENTS = "select sequence, event_id, type, object_id, version, body from events"
TOO_LATE = """
  select count(*) from addresses where chain = $1 and deleted_at is null and pending_start is null
  and effective_start > greatest(watching_from_height + 1, from_height)
"""
NOT_LOWERED = """
  select count(*) from addresses a where chain = $1 and effective_start > watching_from_height
  and from_height is null
  and not exists (
    select from blocks b
    where b.chain = a.chain and b.height = a.watching_from_height and b.hash = a.watching_from_hash
  )
"""


@dataclass(slots=True)
class Seen:
    """What the last look at a chain left behind: finality that may not fall, and where we began."""

    final_height: int | None = None
    first_start: int | None = None


async def load_rows(conn: Connection, chain: ChainId) -> ChainRows | None:
    """Everything stored about a chain; None before its first block."""
    record = await conn.fetchrow("select * from chains where chain = $1", chain)
    if record is None:
        return None
    headers = await conn.fetch(f"{HEADERS} where chain = $1 order by height", chain)
    rows = ChainRows(
        decode_chain(record),
        [],
    )
    under = rows.record.start_height - 1
    for row in headers:
        parent = BlockRef(under, BlockHash(row["parent_hash"]))
        rows.blocks.append(Header(row["height"], BlockHash(row["hash"]), parent, row["time_s"]))
        under = row["height"]
    for row in await conn.fetch("select * from deposits where chain = $1", chain):
        deposit = decode_deposit(row)
        rows.deposits[deposit.id] = deposit
        assert row["credited_base_units"] == deposit.credited_base_units
    registrations = await conn.fetch("select * from addresses where chain = $1 order by watch_version", chain)
    rows.registrations = [decode_registration(row) for row in registrations]
    rows.pending_starts = {
        row["id"]: row["pending_start"] for row in registrations if row["pending_start"] is not None
    }
    for row in await conn.fetch("select * from assets where chain = $1 and listed", chain):
        rows.asset_starts[AssetId(row["asset"])] = row["start_height"]
        if row["pending_start"] is not None:
            rows.pending_assets[AssetId(row["asset"])] = row["pending_start"]
    assert await conn.fetchval(TOO_LATE, chain) == 0, "an address begins later than it was promised"
    assert await conn.fetchval(NOT_LOWERED, chain) == 0, (
        "a rewind below its tip did not lower an address's start"
    )
    return rows


def check_rows(network: Network, rows: ChainRows, seen: Seen, *, final_may_fall: bool) -> None:
    """Law 1 and 2: linked blocks without a gap, and deposits as a fresh pass finds them."""
    record = rows.record
    skipped_heights_max = network.chain.skipped_heights_max
    assert is_linked(rows.blocks, skipped_heights_max=skipped_heights_max), "canonical blocks do not link"
    assert rows.blocks == [network.chain.blocks[header.hash].header for header in rows.blocks]
    assert record.tip == BlockRef(rows.blocks[-1].height, rows.blocks[-1].hash)
    if not final_may_fall:
        assert (record.final_height or -1) >= (seen.final_height or -1), "finality went backward"
    seen.final_height = record.final_height
    seen.first_start = record.start_height if seen.first_start is None else seen.first_start
    path = [network.chain.blocks[header.hash] for header in rows.blocks]
    oracle = ChainOracle(network.id, network.setup.rules, hold_above=network.setup.hold_above)
    oracle.ever_recorded.update(rows.deposits)
    for one in rows.registrations:
        start = one.effective_start
        until = one.watching_until
        oracle.watch(Watch(one.address_id, one.merchant_id, one.address, start, start, until, one.memo))
    for asset, start in rows.asset_starts.items():
        oracle.list_asset(asset, start)
    expected = oracle.fresh_pass(path)
    heights = Heights(
        record.tip.height,
        record.final_height,
        record.safe_height,
        record.agreed_height,
        record.disputed_fork_height,
    )
    by_hash = {block.hash: block for block in path}
    for deposit_id, lowest in expected.items():
        row = rows.deposits.get(DepositId(deposit_id))
        assert row is not None, "a deposit was lost"
        sight, at = lowest, row.occurrence
        if at is None and not lowest.counts:
            continue  # it was not recorded yet when that block was read, and its address was deleted then
        if (
            at is not None
            and at.block_hash != lowest.block.hash
            and (row.state == "final" or not lowest.counts)
        ):
            # History was read after it was final, or as above: it stays in a higher block that holds it too.
            sight = oracle.sight_in(by_hash[at.block_hash], deposit_id)
        check_place(row, sight)
        assert row.state == "final" or row.own_transfer == sight.own_transfer
        # What was credited at the last look may not have been when its heights were judged: either is right.
        states = {oracle.state_of(sight, heights, was_credited=was) for was in (True, False)}
        assert row.state in states, f"{row.state}, where chain and policy say {states}"
    applied = [block for block in path if block.height >= seen.first_start]
    for deposit_id in rows.deposits.keys() - expected.keys():
        row = rows.deposits[DepositId(deposit_id)]
        assert row.state not in ON_CHAIN, "no canonical block holds it"
        rivals = {
            payment.tx_hash
            for block in applied
            for payment in block.payments
            if not set(payment.keys).isdisjoint(row.conflict_keys)
        }
        assert row.state == "replaced" or not rivals - {row.tx_hash}, "another transaction used its nonce up"


async def read_logs(
    conn: Connection, readers: dict[MerchantId, Reader], merchants: Iterable[MerchantId], tally: Tally
) -> None:
    """Law 4: every merchant reads on from where it was."""
    for merchant_id in merchants:
        reader = readers.setdefault(merchant_id, Reader(encode_id("mer", merchant_id), tally))
        rows = await conn.fetch(
            f"{EVENTS} where merchant_id = $1 and sequence > $2 order by sequence",
            merchant_id,
            reader.read_count,
        )
        for row in rows:
            event = Event(
                row["sequence"],
                encode_id("evt", row["event_id"]),
                row["type"],
                row["object_id"],
                row["version"],
                row["body"],
            )
            reader.read(event, final_may_leave=True, tip_height=None)


def check_told(readers: dict[MerchantId, Reader], rows: Sequence[ChainRows]) -> dict[UUID, int]:
    """Laws 3, 4 and 6: what was told adds up to what is recorded; returns each merchant's credit."""
    credit: dict[UUID, int] = {}
    for one in rows:
        for row in one.deposits.values():
            if row.published:
                check_adds_up(readers[row.merchant_id], row)
            if row.state in CREDITED:
                credit[row.merchant_id] = credit.get(row.merchant_id, 0) + row.credited_base_units
    for merchant_id, reader in readers.items():
        told = sum(one.credited for one in reader.deposits.values())
        unpublished = sum(
            row.credited_base_units
            for one in rows
            for row in one.deposits.values()
            if row.merchant_id == merchant_id and not row.published
        )
        assert told + unpublished == credit.get(merchant_id, 0), "credit told is not credit recorded"
    return credit
