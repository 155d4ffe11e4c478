"""`/v1/addresses`: which addresses a merchant watches.

Lives here: from what a person wrote to registrations, and the refusals that point at what is wrong. Does not live here:
watching exactly against the chain (indexer.move.registration), how addresses are spelled (chains.families).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from chains.families import rules_of
from chains.family import FamilyRules
from chains.model import Address, ChainId
from chains.traits import Family
from gateway.faces import Face, Faces
from gateway.http.edge.calls import NO_CONTENT, Answer, Call, json_answer
from gateway.http.edge.cursors import decode_after, page
from gateway.http.edge.problem import Flaw, Problem, not_found, unprocessable
from gateway.http.shapes.addresses import (
    METADATA_BYTES_MAX,
    AddressList,
    AddressObject,
    BlockPlace,
    NewAddress,
    NewAddresses,
    NotWatched,
)
from indexer import views
from indexer.move.registration import (
    ChainNotReady,
    Registered,
    RegistrationConflict,
    RegistrationRequest,
    WatchedAddress,
    delete_address,
    register,
)
from indexer.rules.events import format_memo, format_time
from indexer.rules.identity import AddressId
from indexer.views import PageAfter
from migrations.ids import encode_id

T = TypeVar("T")
EVERY_CHAIN = "*"
EXACT_MAX = 2.0**53
"""Beyond it floats are whole numbers, which JSON writes with an exponent and PostgreSQL without."""
NOT_READY_RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One address on one chain, with the pointer of the item that asked for it."""

    pointer: str
    face: Face
    address: Address
    memo: bytes | None
    item: NewAddress


async def post_addresses(call: Call) -> Answer:
    """Watch one address, the same one on every EVM chain, or many."""
    body: NewAddress | NewAddresses = call.body
    wanted = _read_wanted(call.services.faces, body)
    on_every_chain = isinstance(body, NewAddress) and body.chain == EVERY_CHAIN
    later: list[_Wanted] = []
    try:
        registered = await _register(call, wanted)
    except ChainNotReady as error:
        later = [one for one in wanted if one.face.chain in error.chains]
        if not on_every_chain or len(later) == len(wanted):
            raise _not_ready(later) from error
        # All or nothing is for what was named one by one; of every chain, what can be watched is.
        registered = await _register(call, [one for one in wanted if one not in later])
    objects = [await _view(call.services.faces, one.address) for one in registered]
    status = 201 if any(one.created for one in registered) else 200
    if isinstance(body, NewAddress) and not on_every_chain:
        return json_answer(objects[0], status)
    not_watched = [NotWatched(one.face.chain, one.face.alias, _say_not_ready(one.face)) for one in later]
    answer = json_answer(AddressList(items=objects, not_watched=not_watched), status)
    return replace(answer, is_remembered=not later)


async def _register(call: Call, wanted: Sequence[_Wanted]) -> list[Registered]:
    """All of these or none. Raises ChainNotReady, and Problem 409 that points at the item."""
    requests = [
        RegistrationRequest(
            new_id=call.fresh_id(),
            merchant_id=call.merchant_id,
            chain=one.face.chain,
            address=one.address,
            memo=one.memo,
            reference=one.item.reference,
            metadata=one.item.metadata,
            from_height=one.item.from_height,
        )
        for one in wanted
    ]
    try:
        return await register(call.pool, requests, now=call.now)
    except RegistrationConflict as error:
        raise Problem(409, error.detail, flaws=[Flaw(wanted[error.index].pointer, error.detail)]) from error


def _not_ready(later: Sequence[_Wanted]) -> Problem:
    flaws = [Flaw(f"{one.pointer}/chain", _say_not_ready(one.face)) for one in later]
    return Problem(503, flaws[0].detail, flaws=flaws, headers={"Retry-After": str(NOT_READY_RETRY_AFTER_S)})


def _say_not_ready(face: Face) -> str:
    return f"{face.alias} has no first block yet: its follower is starting or no provider of it answers"


async def get_addresses(call: Call) -> Answer:
    """List the addresses that are watched."""
    query = call.query
    face = None if query.chain is None else find_chain(call.services.faces, query.chain)
    address = None if query.address is None else read_address(call.services.faces, face, query.address)
    after = decode_after("addresses", query.after)
    rows = await views.list_addresses(
        call.pool,
        call.merchant_id,
        chain=None if face is None else face.chain,
        address=address,
        reference=query.reference,
        after=None if after is None else PageAfter(*after),
        limit=query.limit + 1,
    )
    await _know_chains(call.services.faces, rows)
    shown = {row.id: await _view(call.services.faces, row) for row in rows}
    return json_answer(
        page(
            "addresses",
            rows,
            query.limit,
            place=lambda row: (row.created_at, row.id),
            view=lambda row: shown[row.id],
        )
    )


async def get_address(call: Call) -> Answer:
    """One watched address."""
    row = await views.load_address(call.pool, call.merchant_id, AddressId(call.id("address_id")))
    if row is None:
        raise not_found("address")
    return json_answer(await _view(call.services.faces, row))


async def delete_one_address(call: Call) -> Answer:
    """Stop watching; deposits that exist run on."""
    deleted = await delete_address(
        call.pool, call.merchant_id, AddressId(call.id("address_id")), now=call.now
    )
    if not deleted:
        raise not_found("address")
    return NO_CONTENT


def find_chain(faces: Faces, text: str) -> Face:
    """A chain by alias or CAIP-2 id; Problem 422 that names those there are."""
    face = faces.find(text)
    if face is None:
        known = ", ".join(one.alias for one in faces.all) or "none"
        raise unprocessable("/query/chain", f"not a chain of this server; it has: {known}")
    return face


def read_address(faces: Faces, face: Face | None, text: str) -> Address:
    """An address to look for, on one chain or on any; Problem 422."""
    return read_as_spelt(faces, face, "/query/address", lambda rules, chain: rules.parse_address(chain, text))


def read_as_spelt(
    faces: Faces, face: Face | None, pointer: str, parse: Callable[[FamilyRules, ChainId], T]
) -> T:
    """What is read for a chain, or without one for the first that can; Problem 422 with the last complaint."""
    complaint = "this server has no chain"
    # In the order of families: what two of them can read is the first one's.
    asked = sorted(faces.all, key=lambda one: list(Family).index(one.family)) if face is None else [face]
    for one in asked:
        try:
            return parse(rules_of(one.family), one.chain)
        except ValueError as error:
            complaint = str(error)
    raise unprocessable(pointer, complaint)


def _read_wanted(faces: Faces, body: NewAddress | NewAddresses) -> list[_Wanted]:
    flaws: list[Flaw] = []
    wanted: list[_Wanted] = []
    items = body.items if isinstance(body, NewAddresses) else [body]
    for index, item in enumerate(items):
        pointer = f"/items/{index}" if isinstance(body, NewAddresses) else ""
        wanted += _read_item(faces, item, pointer, flaws, is_bulk=isinstance(body, NewAddresses))
    if flaws:
        raise Problem(422, f"{flaws[0].pointer}: {flaws[0].detail}", flaws=flaws)
    return wanted


def _read_item(
    faces: Faces, item: NewAddress, pointer: str, flaws: list[Flaw], *, is_bulk: bool
) -> list[_Wanted]:
    chosen = _choose_chains(faces, item.chain, pointer, flaws, is_bulk=is_bulk)
    item = msgspec.structs.replace(item, metadata=as_stored(item.metadata))
    if item.metadata is not None and len(msgspec.json.encode(item.metadata)) > METADATA_BYTES_MAX:
        flaws.append(Flaw(f"{pointer}/metadata", f"metadata has at most {METADATA_BYTES_MAX} bytes as JSON"))
    wanted: list[_Wanted] = []
    for face in chosen:
        try:
            address = rules_of(face.family).parse_address(face.chain, item.address)
        except ValueError as error:
            flaws.append(Flaw(f"{pointer}/address", str(error)))
            break
        try:
            memo = None if item.memo is None else _read_memo(face, item.memo)
        except ValueError as error:
            flaws.append(Flaw(f"{pointer}/memo", str(error)))
            break
        wanted.append(_Wanted(pointer, face, address, memo, item))
    return wanted


def _read_memo(face: Face, text: str) -> bytes:
    """Raises `ValueError`, also where the chain's payments carry none."""
    parse_memo = rules_of(face.family).parse_memo
    if parse_memo is None:
        raise ValueError(
            f"payments on {face.alias} carry no memo; watch an address of its own for each customer"
        )
    return parse_memo(text)


def as_stored(value: Any) -> Any:
    """JSON as the database gives it back: a number that needs an exponent there has all its digits here."""
    match value:
        case dict():
            return {name: as_stored(one) for name, one in value.items()}
        case list():
            return [as_stored(one) for one in value]
        case float() if abs(value) >= EXACT_MAX:
            return int(Decimal(repr(value)))
        case _:
            return value


def _choose_chains(faces: Faces, text: str, pointer: str, flaws: list[Flaw], *, is_bulk: bool) -> list[Face]:
    if text == EVERY_CHAIN:
        chosen = [face for face in faces.configured if rules_of(face.family).shares_addresses]
        if is_bulk:
            flaws.append(Flaw(f"{pointer}/chain", "* is for a single address; name the chain here"))
        elif not chosen:
            flaws.append(Flaw(f"{pointer}/chain", "no EVM chain is configured"))
        return [] if is_bulk else chosen
    face = faces.find(text)
    if face is None or face.follow is None:
        known = ", ".join(one.alias for one in faces.configured) or "none"
        flaws.append(Flaw(f"{pointer}/chain", f"not a chain this server follows; it follows: {known}"))
        return []
    return [face]


async def _know_chains(faces: Faces, rows: Sequence[WatchedAddress]) -> None:
    for chain in {row.chain for row in rows}:
        await faces.of(chain)


async def _view(faces: Faces, row: WatchedAddress) -> AddressObject:
    face = await faces.of(row.chain)
    return AddressObject(
        id=encode_id("adr", row.id),
        chain=face.chain,
        chain_alias=face.alias,
        address=face.naming.address_text(row.address),
        memo=None if row.memo is None else format_memo(row.memo),
        reference=row.reference,
        metadata=None if row.metadata is None else dict(row.metadata),
        from_height=row.from_height,
        watching_from=BlockPlace(
            height=row.watching_from.height,
            hash=rules_of(face.family).format_block_hash(row.watching_from.hash),
        ),
        effective_start=row.effective_start,
        pending_start=row.pending_start,
        created_at=format_time(row.created_at),
    )
