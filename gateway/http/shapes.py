"""The API's JSON as types: what is taken in, strictly, and what is given out.

Lives here, pure: one Struct for each body, query and object; the OpenAPI description is generated from them. Does not live
here: turning rows into them (each resource).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.apikeys import Scope
from indexer.deposits import DepositState

LIST_LIMIT_MAX = 500
BULK_MAX = 1_000
REFERENCE_CHARACTERS_MAX = 256
METADATA_BYTES_MAX = 8_192
HEIGHT_MAX = 2**53 - 1

Limit = Annotated[int, Meta(ge=1, le=LIST_LIMIT_MAX, description="How many items, at most.")]
Cursor = Annotated[str, Meta(max_length=200, description="`next` of the page before.")]
Height = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339.")]
Chain = Annotated[str, Meta(min_length=1, max_length=120, description="An alias or a CAIP-2 id.")]
AddressText = Annotated[str, Meta(min_length=1, max_length=200)]
Reference = Annotated[
    str,
    Meta(min_length=1, max_length=REFERENCE_CHARACTERS_MAX, description="The merchant's own name for it."),
]
AssetText = Annotated[
    str,
    Meta(
        max_length=250,
        pattern=r"^[-a-zA-Z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}/[-a-zA-Z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128}$",
        description="CAIP-19.",
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Amount = Annotated[str, Meta(pattern="^[0-9]+$", description="Base units, as digits.")]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something taken in: members that are not known are refused."""


class Given(Struct, frozen=True, kw_only=True):
    """Something given out: members may be added to it later."""


class Nothing(Strict, frozen=True):
    """No body, or an empty object."""


class PageQuery(Strict, frozen=True):
    """What every list takes."""

    limit: Limit = 50
    after: Cursor | None = None


class NewMerchant(Strict, frozen=True):
    """`POST /v1/merchants`."""

    name: Name


class NewKeyBody(Strict, frozen=True):
    """`POST /v1/merchants/{merchant_id}/keys`; every scope when left out."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=16)] | None = None


class CreatedMerchant(Given, frozen=True):
    """A merchant with its first key, which is shown once."""

    merchant_id: str
    name: str
    api_key: str
    key_id: str


class MerchantObject(Given, frozen=True):
    """A merchant."""

    merchant_id: str
    name: str
    created_at: str
    disabled_at: str | None


class MerchantPage(Given, frozen=True):
    """A page of merchants."""

    items: list[MerchantObject]
    next: str | None


class CreatedKey(Given, frozen=True):
    """A key, which is shown once."""

    key_id: str
    api_key: str
    scopes: list[Scope]


class KeyObject(Given, frozen=True):
    """A key without its secret."""

    key_id: str
    merchant_id: str
    scopes: list[Scope]
    created_at: str
    revoked_at: str | None


class KeyPage(Given, frozen=True):
    """A page of keys."""

    items: list[KeyObject]
    next: str | None


class NewAddress(Strict, frozen=True):
    """One address to watch. On EVM chains `chain` may be `*`: every configured one."""

    chain: Chain
    address: AddressText
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
    not_watched: list[NotWatched] = []


class AddressPage(Given, frozen=True):
    """A page of addresses."""

    items: list[AddressObject]
    next: str | None


class DepositQuery(PageQuery, frozen=True):
    """`GET /v1/deposits`: `since` is included, `until` is not; both are about `first_seen_at`."""

    chain: Chain | None = None
    address: AddressText | None = None
    state: DepositState | None = None
    asset: AssetText | None = None
    reference: Reference | None = None
    tx_hash: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    since: Time | None = None
    until: Time | None = None


class DepositBlock(Given, frozen=True):
    """Where a deposit stands."""

    height: int
    hash: str
    time: str


class DepositPosition(Given, frozen=True):
    """Its place inside the block."""

    tx_index: int
    log_index: int | None


class DepositObject(Given, frozen=True, rename={"from_": "from"}):
    """A deposit. Set its credit to `credited_base_units` whenever a newer `version` arrives."""

    id: str
    version: int
    state: DepositState
    credited_base_units: Amount
    chain: str
    chain_alias: str
    asset: str
    symbol: str
    decimals: int
    amount_base_units: Amount
    amount: str
    kind: Literal["token", "native", "internal", "utxo", "trc10"]
    own_transfer: bool
    to: str
    from_: str | None
    address_id: str
    reference: str | None
    tx_hash: str
    n: int
    block: DepositBlock | None
    position: DepositPosition | None
    confirmations: int
    confirmations_required: int | None
    policy: str
    replaced_by: str | None
    first_seen_at: str
    confirmed_at: str | None
    final_at: str | None
    backfilled: bool


class DepositPage(Given, frozen=True):
    """A page of deposits."""

    items: list[DepositObject]
    next: str | None


class ErrorObject(Given, frozen=True):
    """One thing wrong: a JSON pointer into the body (or /query/…, /path/…) and a sentence."""

    pointer: str
    detail: str


class ProblemObject(Given, frozen=True):
    """A refusal, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ErrorObject]
    request_id: str
    oldest_sequence: int | UnsetType = UNSET
    head_sequence: int | UnsetType = UNSET
    log_epoch: int | UnsetType = UNSET


Sequence = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]
Types = Annotated[str, Meta(min_length=1, max_length=2_000, description="Event types, separated by commas.")]


class EventQuery(Strict, frozen=True):
    """`GET /v1/events`: what follows `after_sequence`; `wait` is how long to wait for the first one."""

    after_sequence: Sequence = 0
    types: Types | None = None
    limit: Limit = 50
    wait: Annotated[float, Meta(ge=0, le=30, description="Seconds.")] = 0


class StreamQuery(Strict, frozen=True):
    """`GET /v1/events/stream`: from here on, or from now on; `Last-Event-ID` counts before `after_sequence`."""

    after_sequence: Sequence | None = None
    types: Types | None = None


class EventObject(Given, frozen=True):
    """An event: the same bytes as in its webhook. `data` depends on `type`."""

    id: str
    type: str
    sequence: int
    prev_hash: str
    log_epoch: int
    timestamp: str
    api_version: str
    merchant_id: str
    data: dict[str, Any]


class EventPage(Given, frozen=True):
    """Events, ascending. `next` is the last sequence of this page, or null where there is none."""

    items: list[EventObject]
    next: int | None
    head_sequence: int


class EventList(Given, frozen=True):
    """Events of one object, oldest first."""

    items: list[EventObject]
    next: str | None = None
