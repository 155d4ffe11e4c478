"""The JSON of watched addresses as types.

Lives here, pure: bodies, queries and objects of `/v1/addresses`. Does not live here: turning rows into them
(`resources.addresses`).
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field

from gateway.http.shapes.forms import AddressText, Chain, Given, Height, PageQuery, Strict

BULK_MAX = 1_000

REFERENCE_CHARACTERS_MAX = 256

METADATA_BYTES_MAX = 8_192

MEMO_CHARACTERS_MAX = 1_024

Reference = Annotated[
    str,
    Meta(min_length=1, max_length=REFERENCE_CHARACTERS_MAX, description="The merchant's own name for it."),
]


Memo = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MEMO_CHARACTERS_MAX,
        description="Watch only what is paid under this memo (tag, comment), on chains whose payments carry one.",
    ),
]


class NewAddress(Strict, frozen=True):
    """One address to watch. On EVM chains `chain` may be `*`: every configured one."""

    chain: Chain
    address: AddressText
    memo: Memo | None = None
    reference: Reference | None = None
    metadata: dict[str, Any] | None = None
    from_height: Height | None = None


class NewAddresses(Strict, frozen=True):
    """Up to 1,000 addresses: all or nothing, answered in order."""

    items: Annotated[list[NewAddress], Meta(min_length=1, max_length=BULK_MAX)]


class AddressQuery(PageQuery, frozen=True):
    """`GET /v1/addresses`."""

    chain: Chain | None = None
    address: AddressText | None = None
    reference: Reference | None = None


class BlockPlace(Given, frozen=True):
    """A block by height and hash."""

    height: int
    hash: str


class AddressObject(Given, frozen=True):
    """A watched address. What counts now starts at `effective_start`; `pending_start` is how far history is still read."""

    id: str
    chain: str
    chain_alias: str
    address: str
    memo: str | None
    reference: str | None
    metadata: dict[str, Any] | None
    from_height: int | None
    watching_from: BlockPlace
    effective_start: int
    pending_start: int | None
    created_at: str


class NotWatched(Given, frozen=True):
    """A chain that `*` asks for and that can not be watched yet: make the same call again later."""

    chain: str
    chain_alias: str
    detail: str


class AddressList(Given, frozen=True):
    """Addresses in the order they were asked for. `not_watched` is empty but for `*`: where nothing is watched yet."""

    items: list[AddressObject]
    not_watched: list[NotWatched] = field(default_factory=list)


class AddressPage(Given, frozen=True):
    """A page of addresses."""

    items: list[AddressObject]
    next: str | None
