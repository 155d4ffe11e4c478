"""The JSON of the two resources that answer why and how far: `/v1/explain` and `/v1/coverage`.

Lives here, pure. Does not live here: the handlers (`resources.explain`, `resources.coverage`).
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from gateway.http.shapes.forms import AddressText, Chain, Given, Height, Strict


class ExplainQuery(Strict, frozen=True):
    """`GET /v1/explain`: a transaction, or what waits for an address."""

    chain: Chain
    tx_hash: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    address: AddressText | None = None


class FindingObject(Given, frozen=True):
    """One answer; `reason` is for programs, `text` for people."""

    reason: str
    text: str
    deposit_id: str | None
    deposit: dict[str, Any] | None


class Explanation(Given, frozen=True):
    """Why something is credited or not."""

    chain: str
    chain_alias: str
    tx_hash: str | None
    address: str | None
    asked_provider: str | None
    findings: list[FindingObject]


class CoverageQuery(Strict, frozen=True, rename={"height_first": "from", "height_last": "to"}):
    """`GET /v1/coverage`: what was read of a range, for one address or for the chain."""

    chain: Chain
    address: AddressText | None = None
    height_first: Height | None = None
    height_last: Height | None = None


class CoverageRangeObject(Given, frozen=True):
    """A contiguous run of canonical blocks, verified to one level.

    `without_receipts` of them were applied without their receipts: their own
    transactions and bloom, under their hash, prove that nothing in them paid
    an address that was watched.
    """

    first: int
    last: int
    blocks: int
    level: str
    without_receipts: int


class HeightRange(Given, frozen=True):
    """Heights, both ends included."""

    first: int
    last: int


class Coverage(Given, frozen=True, rename={"from_": "from"}):
    """What was looked at: every height of `ranges` was applied exactly once.

    `holes` are heights of the asked range inside our chain without a row
    (none, ever); `not_covered` lie outside our chain or before the address
    counts.
    """

    chain: str
    chain_alias: str
    address: str | None
    from_: Annotated[int, Meta(description="First height asked for.")]
    to: int
    effective_start: int | None
    ranges: list[CoverageRangeObject]
    holes: list[HeightRange]
    not_covered: list[HeightRange]
