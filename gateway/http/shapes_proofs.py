"""The JSON of what makes a log tamper-evident: checkpoints, and the two proofs under them.

Pure, like `shapes`; the handlers are in `checkpoints`, what a merchant does with it in docs/proofs.md. Hashes are in hex.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from gateway.http.shapes import HEIGHT_MAX, Given, Strict

Size = Annotated[int, Meta(ge=1, le=HEIGHT_MAX, description="How many events, from the first.")]


class InclusionQuery(Strict, frozen=True):
    """`GET /v1/events/{event_id}/inclusion`: under the checkpoint of this size, or the newest."""

    size: Size | None = None


class ConsistencyQuery(Strict, frozen=True):
    """`GET /v1/events/consistency`: the size you kept, and the one you have now (the newest checkpoint's)."""

    first: Size = field(name="from")
    second: Size | None = field(name="to", default=None)


class CheckpointObject(Given, frozen=True):
    """What was signed: `note` is the signed text, the rest says what it says."""

    id: str
    log_id: str
    log_epoch: int
    size: int
    root_hash: str
    note: str
    public_key: str
    verifier_key: str
    created_at: str


class CheckpointPage(Given, frozen=True):
    """A page of checkpoints."""

    items: list[CheckpointObject]
    next: str | None


class InclusionProof(Given, frozen=True):
    """The event is leaf `leaf_index` under `checkpoint`: `path` leads from its `body_hash` to the root."""

    event_id: str
    sequence: int
    body_hash: str
    leaf_index: int
    tree_size: int
    path: list[str]
    checkpoint: CheckpointObject


class ConsistencyProof(Given, frozen=True):
    """The log of `to` events begins with the log of `from` events."""

    first: int = field(name="from")
    second: int = field(name="to")
    path: list[str]
