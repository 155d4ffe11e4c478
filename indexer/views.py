"""Read-only questions that other rooms may ask of this one.

Everything here reads; nothing decides.  The gateway turns these values into
answers; facts for merchants leave by `events`, not by here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chains.model import Address, AssetId, BlockHash, BlockRef, ChainId, TxHash
from indexer.move.registration import WatchedAddress, decode_watched
from indexer.rows.spelling import decode_chain, decode_deposit
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Deposit, DepositState
from indexer.rules.identity import AddressId, DepositId, MerchantId
from migrations.handles import Pool
from migrations.queries import load_queries

_VIEWS = load_queries("indexer", "views.sql")
_WATCHLIST = load_queries("indexer", "watchlist.sql")
_CHAINS = load_queries("indexer", "chains.sql")
_DOUBTS = load_queries("indexer", "doubts.sql")


RECENT_BLOCKS = 64
"""So many of the newest blocks say whether a chain is verified as it is followed now."""


@dataclass(frozen=True, slots=True)
class PageAfter:
    """Where a list goes on: the (created_at, id) of the last item seen."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class DepositFilter:
    """What `GET /v1/deposits` may ask for; `since` is included, `until` is not."""

    chain: ChainId | None = None
    address: Address | None = None
    state: DepositState | None = None
    asset: AssetId | None = None
    reference: str | None = None
    tx_hash: TxHash | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DepositRow:
    """A deposit and its registration's reference."""

    deposit: Deposit
    reference: str | None


@dataclass(frozen=True, slots=True)
class CoverageRange:
    """A contiguous run of canonical blocks that were verified to one level; `spared_count` of them without receipts."""

    height_first: int
    height_last: int
    level: str
    blocks_count: int
    spared_count: int = 0


async def load_chain(pool: Pool, chain: ChainId) -> ChainRecord | None:
    """One chain's row."""
    row = await pool.fetchrow(_CHAINS["load_chain"], chain)
    return None if row is None else decode_chain(row)


async def load_chains(pool: Pool) -> list[ChainRecord]:
    """Every chain that has a first block."""
    return [decode_chain(row) for row in await pool.fetch(_VIEWS["load_chains"])]


async def count_unverified(pool: Pool) -> dict[ChainId, int]:
    """Of each chain that has a first block: how many of its newest `RECENT_BLOCKS` were not verified in full."""
    rows = await pool.fetch(_VIEWS["count_unverified"], RECENT_BLOCKS)
    return {ChainId(row["chain"]): row["blocks_count"] for row in rows}


async def load_address(pool: Pool, merchant_id: MerchantId, address_id: AddressId) -> WatchedAddress | None:
    """One living registration of this merchant."""
    row = await pool.fetchrow(_WATCHLIST["load_address"], address_id, merchant_id)
    return None if row is None else decode_watched(row)


async def list_addresses(
    pool: Pool,
    merchant_id: MerchantId,
    *,
    chain: ChainId | None,
    address: Address | None,
    reference: str | None,
    after: PageAfter | None,
    limit: int,
) -> list[WatchedAddress]:
    """Living registrations, oldest first by (created_at, id)."""
    rows = await pool.fetch(
        _WATCHLIST["list_addresses"],
        merchant_id,
        chain,
        address,
        reference,
        None if after is None else after.at,
        None if after is None else after.id,
        limit,
    )
    return [decode_watched(row) for row in rows]


async def load_deposit(pool: Pool, merchant_id: MerchantId, deposit_id: DepositId) -> DepositRow | None:
    """One deposit of this merchant, published or not."""
    row = await pool.fetchrow(_VIEWS["load_deposit"], deposit_id, merchant_id)
    return None if row is None else DepositRow(decode_deposit(row), row["reference"])


async def list_deposits(
    pool: Pool, merchant_id: MerchantId, wanted: DepositFilter, *, after: PageAfter | None, limit: int
) -> list[DepositRow]:
    """Published deposits, oldest first by (first_seen_at, id)."""
    rows = await pool.fetch(
        _VIEWS["list_deposits"],
        merchant_id,
        wanted.chain,
        wanted.address,
        None if wanted.state is None else wanted.state.value,
        wanted.asset,
        wanted.reference,
        wanted.tx_hash,
        wanted.since,
        wanted.until,
        None if after is None else after.at,
        None if after is None else after.id,
        limit,
    )
    return [DepositRow(decode_deposit(row), row["reference"]) for row in rows]


async def load_deposits_of_tx(
    pool: Pool, merchant_id: MerchantId, chain: ChainId, tx_hash: TxHash
) -> list[DepositRow]:
    """What this merchant's deposits say about one transaction, unpublished ones included."""
    rows = await pool.fetch(_VIEWS["load_deposits_of_tx"], chain, tx_hash, merchant_id)
    return [DepositRow(decode_deposit(row), row["reference"]) for row in rows]


async def load_repeats(pool: Pool, deposits: Sequence[Deposit]) -> dict[DepositId, list[BlockRef]]:
    """The canonical blocks that hold these deposits' transactions beside the one where each stands."""
    rows = await pool.fetch(_VIEWS["load_repeats_of"], [one.id for one in deposits])
    repeats: dict[DepositId, list[BlockRef]] = {}
    for row in rows:
        block = BlockRef(row["height"], BlockHash(row["block_hash"]))
        repeats.setdefault(DepositId(row["deposit_id"]), []).append(block)
    return repeats


async def load_doubted_heights(pool: Pool, chain: ChainId, deposits: Sequence[Deposit]) -> frozenset[int]:
    """In which blocks some of these deposits wait for a second operator to show them."""
    heights = [one.occurrence.height for one in deposits if one.occurrence is not None]
    rows = await pool.fetch(_DOUBTS["load_doubts"], chain, heights)
    return frozenset(row["height"] for row in rows)


async def load_coverage(
    pool: Pool, chain: ChainId, *, height_first: int, height_last: int
) -> list[CoverageRange]:
    """Contiguous ranges of canonical blocks by verification level, ascending."""
    rows = await pool.fetch(_VIEWS["load_coverage_ranges"], chain, height_first, height_last)
    return [
        CoverageRange(
            row["height_first"], row["height_last"], row["level"], row["blocks_count"], row["spared_count"]
        )
        for row in rows
    ]


async def load_registrations_of_merchant(
    pool: Pool, merchant_id: MerchantId, chain: ChainId, addresses: Sequence[Address]
) -> list[WatchedAddress]:
    """This merchant's registrations of these addresses, deleted ones included."""
    rows = await pool.fetch(_VIEWS["load_registrations_of_merchant"], chain, merchant_id, list(addresses))
    return [decode_watched(row) for row in rows]


async def list_newest_deposits(
    pool: Pool, merchant_id: MerchantId, chain: ChainId, address: Address, *, limit: int
) -> list[DepositRow]:
    """The newest deposits to one address, unpublished ones included, newest first."""
    rows = await pool.fetch(_VIEWS["list_newest_deposits"], merchant_id, chain, address, limit)
    return [DepositRow(decode_deposit(row), row["reference"]) for row in rows]


async def load_canonical_hash(pool: Pool, chain: ChainId, height: int) -> BlockHash | None:
    """Our canonical block's hash at a height, or None where we hold none."""
    found: bytes | None = await pool.fetchval(_VIEWS["load_canonical_hash"], chain, height)
    return None if found is None else BlockHash(found)


async def load_asset_starts(pool: Pool, chain: ChainId) -> dict[AssetId, int]:
    """The start height of each listed asset."""
    rows = await pool.fetch(_CHAINS["load_assets"], chain)
    return {AssetId(row["asset"]): row["start_height"] for row in rows if row["listed"]}
