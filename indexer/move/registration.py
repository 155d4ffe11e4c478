"""Registering and deleting watched addresses, exactly against the chain's moves.

A registration holds the chain's lock shared until it commits, a move holds it
exclusive and rereads the watch list under it: so the tip written into
`watching_from` is the tip, and no address that was added a millisecond before
its block is missed.  Reading history for a lower `from_height` is `backfill`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chains.model import Address, BlockHash, BlockRef, ChainId
from indexer.rows.locks import load_lock_key, lock_chain_shared, tell_history
from indexer.rows.spelling import decode_chain
from indexer.rules.identity import AddressId, MerchantId
from migrations.handles import Connection, Pool, Row
from migrations.queries import load_queries

_CHAINS = load_queries("indexer", "chains.sql")
_WATCHLIST = load_queries("indexer", "watchlist.sql")


class ChainNotReady(LookupError):
    """No first block yet, so nothing can be watched from anywhere; `chains` are all those of a request."""

    def __init__(self, chains: Collection[ChainId]) -> None:
        super().__init__("no first block yet: " + ", ".join(chains))
        self.chains = frozenset(chains)


class RegistrationConflict(Exception):
    """The address is registered already, with other particulars; `index` is its place in the request."""

    def __init__(self, index: int, detail: str) -> None:
        super().__init__(detail)
        self.index = index
        self.detail = detail


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """One address to watch, or with a memo what is paid to it under that one; `new_id` becomes its identity if it is new."""

    new_id: UUID
    merchant_id: MerchantId
    chain: ChainId
    address: Address
    reference: str | None = None
    metadata: Mapping[str, Any] | None = None
    from_height: int | None = None
    memo: bytes | None = None


@dataclass(frozen=True, slots=True)
class WatchedAddress:
    """A registration as its merchant sees it.

    `effective_start` is the first height that counts now; while history is
    being read down to `pending_start` it sinks chunk by chunk.
    """

    id: AddressId
    merchant_id: MerchantId
    chain: ChainId
    address: Address
    memo: bytes | None
    reference: str | None
    metadata: Mapping[str, Any] | None
    from_height: int | None
    watching_from: BlockRef
    effective_start: int
    pending_start: int | None
    watching_until: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Registered:
    """One answer of `register`; `created` is False for a repetition."""

    address: WatchedAddress
    created: bool


async def register(pool: Pool, requests: Sequence[RegistrationRequest], *, now: datetime) -> list[Registered]:
    """Register all or nothing, answered in order.

    Raises `ChainNotReady` and `RegistrationConflict`; the same address twice
    in one request is a repetition of itself.
    """
    async with pool.acquire() as conn, conn.transaction():
        tips = await _lock_and_load_tips(conn, {request.chain for request in requests})
        existing = await _load_existing(conn, requests)
        fresh: dict[_Key, RegistrationRequest] = {}
        for request in requests:
            key = _key_of(request)
            if key not in existing:
                fresh.setdefault(key, request)
        inserted = await _insert(conn, list(fresh.values()), tips, now=now)
        if len(inserted) < len(fresh):
            # Another request of the same merchant won the race: what it wrote is the truth now.
            existing |= await _load_existing(conn, requests)
        return [
            await _answer(conn, index, request, tips[request.chain], existing, inserted, fresh)
            for index, request in enumerate(requests)
        ]


async def delete_address(
    pool: Pool, merchant_id: MerchantId, address_id: AddressId, *, now: datetime
) -> bool:
    """Stop new deposits to an address; those that exist run on.  False where there is none."""
    async with pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow(_WATCHLIST["load_address"], address_id, merchant_id)
        if row is None:
            return False
        await lock_chain_shared(conn, await load_lock_key(conn, ChainId(row["chain"])))
        return await conn.fetchrow(_WATCHLIST["delete_address"], address_id, merchant_id, now) is not None


async def _lock_and_load_tips(conn: Connection, chains: Collection[ChainId]) -> dict[ChainId, BlockRef]:
    tips: dict[ChainId, BlockRef] = {}
    lacking: list[ChainId] = []
    # In one order, so that two registrations cannot wait for each other.
    for chain in sorted(chains):
        try:
            lock_key = await load_lock_key(conn, chain)
        except LookupError:
            lacking.append(chain)
            continue
        await lock_chain_shared(conn, lock_key)
        row = await conn.fetchrow(_CHAINS["load_chain"], chain)
        assert row is not None
        tips[chain] = decode_chain(row).tip
    if lacking:
        raise ChainNotReady(lacking)
    return tips


_Key = tuple[MerchantId, ChainId, Address, bytes | None]


def _key_of(one: RegistrationRequest | WatchedAddress) -> _Key:
    return (one.merchant_id, one.chain, one.address, one.memo)


async def _load_existing(
    conn: Connection, requests: Sequence[RegistrationRequest]
) -> dict[_Key, WatchedAddress]:
    wanted: dict[tuple[MerchantId, ChainId], list[Address]] = {}
    for request in requests:
        wanted.setdefault((request.merchant_id, request.chain), []).append(request.address)
    existing: dict[_Key, WatchedAddress] = {}
    for (merchant_id, chain), addresses in wanted.items():
        rows = await conn.fetch(_WATCHLIST["load_addresses_for_register"], merchant_id, chain, addresses)
        for row in rows:
            watched = decode_watched(row)
            existing[_key_of(watched)] = watched
    return existing


async def _insert(
    conn: Connection,
    fresh: Sequence[RegistrationRequest],
    tips: Mapping[ChainId, BlockRef],
    *,
    now: datetime,
) -> dict[_Key, WatchedAddress]:
    if not fresh:
        return {}
    rows = await conn.fetch(
        _WATCHLIST["insert_addresses"],
        [r.new_id for r in fresh],
        [r.merchant_id for r in fresh],
        [r.chain for r in fresh],
        [r.address for r in fresh],
        [r.memo for r in fresh],
        [r.reference for r in fresh],
        [None if r.metadata is None else msgspec.json.encode(r.metadata).decode() for r in fresh],
        [r.from_height for r in fresh],
        [tips[r.chain].height for r in fresh],
        [tips[r.chain].hash for r in fresh],
        [_first_height(r, tips[r.chain]) for r in fresh],
        [_pending(r, tips[r.chain]) for r in fresh],
        now,
    )
    for chain in {ChainId(row["chain"]) for row in rows if row["pending_start"] is not None}:
        await tell_history(conn, chain)
    return {_key_of(one): one for one in map(decode_watched, rows)}


def _first_height(request: RegistrationRequest, tip: BlockRef) -> int:
    """Where it counts at once: above the tip, or later where `from_height` says so."""
    return max(tip.height + 1, request.from_height or 0)


def _pending(request: RegistrationRequest, tip: BlockRef) -> int | None:
    """How far down history is still to be read."""
    if request.from_height is None or request.from_height > tip.height:
        return None
    return request.from_height


async def _answer(
    conn: Connection,
    index: int,
    request: RegistrationRequest,
    tip: BlockRef,
    existing: Mapping[_Key, WatchedAddress],
    inserted: Mapping[_Key, WatchedAddress],
    fresh: Mapping[_Key, RegistrationRequest],
) -> Registered:
    key = _key_of(request)
    created = key in inserted and fresh.get(key) is request
    watched = inserted.get(key) or existing[key]
    if created:
        return Registered(watched, created=True)
    if (request.reference, request.metadata) != (watched.reference, watched.metadata):
        raise RegistrationConflict(
            index, "this address is registered already with another reference or metadata; delete it first"
        )
    if request.from_height is not None:
        row = await conn.fetchrow(
            _WATCHLIST["lower_pending_start"], watched.id, request.from_height, tip.height
        )
        if row is not None:
            watched = decode_watched(row)
            await tell_history(conn, request.chain)
    return Registered(watched, created=False)


def decode_watched(row: Row) -> WatchedAddress:
    """A row of `addresses`, whole."""
    return WatchedAddress(
        id=AddressId(row["id"]),
        merchant_id=MerchantId(row["merchant_id"]),
        chain=ChainId(row["chain"]),
        address=Address(row["address"]),
        memo=row["memo"],
        reference=row["reference"],
        metadata=row["metadata"],
        from_height=row["from_height"],
        watching_from=BlockRef(row["watching_from_height"], BlockHash(row["watching_from_hash"])),
        effective_start=row["effective_start"],
        pending_start=row["pending_start"],
        watching_until=row["watching_until"],
        created_at=row["created_at"],
    )
