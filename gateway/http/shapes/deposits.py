"""The JSON of deposits as types.

Lives here, pure: the query and the objects of `/v1/deposits`. Does not live here: a deposit's members as events tell them
(indexer.rules.events), reading rows (`resources.deposits`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from chains.model import TransferKind
from gateway.http.shapes.addresses import Reference
from gateway.http.shapes.forms import AddressText, Chain, Given, PageQuery, Time
from indexer.rules.deposits import DepositState

AssetText = Annotated[
    str,
    Meta(
        max_length=250,
        pattern=r"^[-a-zA-Z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}/[-a-zA-Z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128}$",
        description="CAIP-19.",
    ),
]

Amount = Annotated[str, Meta(pattern="^[0-9]+$", description="Base units, as digits.")]


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


class DepositWaiting(Given, frozen=True):
    """What the transaction of a `seen` deposit offers, and what the next block wants: base units for 1,000 virtual bytes.

    `expected_blocks`: within so many it is expected; null where the node does not say, or for longer than any it speaks of.
    """

    fee_rate_per_kvb: Amount | None
    fee_rate_wanted_per_kvb: Amount | None
    has_unconfirmed_parents: bool
    expected_blocks: int | None


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
    kind: TransferKind
    own_transfer: bool
    to: str
    from_: str | None
    senders: Annotated[list[str], Meta(max_length=100)]
    memo: str | None
    address_id: str
    reference: str | None
    tx_hash: str
    n: int
    block: DepositBlock | None
    position: Annotated[str, Meta(description="Opaque; sorts by place within the block.")] | None
    confirmations: int
    confirmations_required: int | None
    policy: str
    waiting: DepositWaiting | None
    replaced_by: str | None
    first_seen_at: str
    confirmed_at: str | None
    final_at: str | None
    backfilled: bool


class DepositPage(Given, frozen=True):
    """A page of deposits."""

    items: list[DepositObject]
    next: str | None
