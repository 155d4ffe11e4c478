"""The JSON of the log's end, endpoints and deliveries as types.

Lives here, pure: bodies, queries and objects of `/v1/endpoints`, `/v1/deliveries` and the public keys, and `EventHead`. Does
not live here: turning rows into them (`endpoints`, `deliveries`, `public_keys`), bounds that need the operator's settings
(relay.desk.endpoints).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from gateway.http.shapes.forms import HEIGHT_MAX, Cursor, Given, Limit, Strict, Time
from relay.desk.terms import (
    DESCRIPTION_LENGTH_MAX,
    EVENT_TYPES_MAX,
    MAX_IN_FLIGHT_DEFAULT,
    MAX_IN_FLIGHT_MAX,
    RATE_PER_S_MAX,
)
from relay.keys.keyring import OVERLAP_MAX_S

OVERLAP_DEFAULT_S = 86_400

Url = Annotated[str, Meta(min_length=1, max_length=2_048)]
EventTypes = Annotated[list[str], Meta(min_length=1, max_length=EVENT_TYPES_MAX)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_LENGTH_MAX)]
InFlight = Annotated[int, Meta(ge=1, le=MAX_IN_FLIGHT_MAX)]
Rate = Annotated[int, Meta(ge=1, le=RATE_PER_S_MAX)]
Place = Annotated[int, Meta(ge=0, le=HEIGHT_MAX)]
Headers = dict[str, str]
DrainMode = Literal["all", "latest_only"]
DeliveryStateName = Literal["delivered", "pending", "sending", "retrying", "waiting", "exhausted", "covered"]


class EventHead(Given, frozen=True):
    """The end of the log: its last sequence (0: nothing was told yet) and the SHA-256 of that body, which is the
    `prev_hash` of the next event.
    """

    sequence: int
    log_epoch: int
    head_hash: str


class NewEndpoint(Strict, frozen=True):
    """`POST /v1/endpoints`. Without `event_types` it gets every event; without `from_sequence`, those from now on."""

    url: Url
    event_types: EventTypes | None = None
    description: Description = ""
    headers: Headers | None = None
    max_in_flight: InFlight = MAX_IN_FLIGHT_DEFAULT
    rate_per_s: Rate | None = None
    drain: DrainMode = "all"
    from_sequence: Place | None = None


class EndpointChanges(Strict, frozen=True):
    """`PATCH /v1/endpoints/{endpoint_id}`: what is left out stays as it is."""

    url: Url | UnsetType = UNSET
    event_types: EventTypes | UnsetType | None = UNSET
    description: Description | UnsetType = UNSET
    headers: Headers | UnsetType | None = UNSET
    max_in_flight: InFlight | UnsetType = UNSET
    rate_per_s: Rate | UnsetType | None = UNSET
    drain: DrainMode | UnsetType = UNSET


class RotateSecret(Strict, frozen=True):
    """For so long the secret before signs along."""

    overlap_s: Annotated[int, Meta(ge=0, le=OVERLAP_MAX_S)] = OVERLAP_DEFAULT_S


class RotateKey(Strict, frozen=True):
    """For so long the signing key before signs along."""

    overlap_s: Annotated[int, Meta(ge=0, le=OVERLAP_MAX_S)] = OVERLAP_DEFAULT_S


class ReplayRange(Strict, frozen=True):
    """Which events to deliver again; up to the endpoint's place in the log when `to_sequence` is left out."""

    from_sequence: Annotated[int, Meta(ge=1, le=HEIGHT_MAX)]
    to_sequence: Annotated[int, Meta(ge=1, le=HEIGHT_MAX)] | None = None


class ReplayDeposit(Strict, frozen=True):
    """Every event of one deposit, as far as the endpoint has come."""

    deposit_id: Annotated[str, Meta(pattern="^[dD][eE][pP]_[0-7][0-9a-hjkmnp-tv-zA-HJKMNP-TV-Z]{25}$")]


class ReplayExhausted(Strict, frozen=True):
    """Everything whose last retry failed at this time or later."""

    exhausted_since: Time


class LostEvents(Given, frozen=True):
    """What retention dropped before this endpoint had it, both ends included: events never delivered in time, or
    deliveries that had run out of tries.
    """

    first_sequence: int
    last_sequence: int
    reason: Literal["undelivered", "exhausted"]
    events: int
    lost_at: str


class EndpointObject(Given, frozen=True):
    """An endpoint. `sequence` is its place in the log; of its own headers only the names are shown. `lost` has the newest
    losses first, at most 20.
    """

    id: str
    url: str
    event_types: list[str] | None
    description: str
    header_names: list[str]
    max_in_flight: int
    rate_per_s: int | None
    drain: DrainMode
    public_key: str
    state: str
    state_reason: str | None
    state_since: str
    sequence: int
    last_success_at: str | None
    last_failure_at: str | None
    last_failure: str | None
    verification: Literal["pending", "verified"]
    verification_failure: str | None
    lost: list[LostEvents]
    created_at: str
    updated_at: str


class CreatedEndpoint(EndpointObject, frozen=True):
    """A new endpoint with its secret, which is shown once."""

    secret: str


class EndpointSecret(Given, frozen=True):
    """A new secret, which is shown once."""

    secret: str


class PublicKeyObject(Given, frozen=True):
    """A key that signs an endpoint's webhooks from `valid_from` until before `valid_until` (null: without end)."""

    endpoint_id: str
    algorithm: Literal["ed25519"]
    public_key: str
    valid_from: str
    valid_until: str | None


class PublicKeyList(Given, frozen=True):
    """The keys of all endpoints of a merchant, by endpoint, the current one first; `note` says so, signed by the log's."""

    merchant_id: str
    keys: list[PublicKeyObject]
    log_id: str
    log_public_key: str
    note: str


class EndpointPage(Given, frozen=True):
    """A page of endpoints."""

    items: list[EndpointObject]
    next: str | None


class DeliveryQuery(Strict, frozen=True):
    """`GET /v1/endpoints/{endpoint_id}/deliveries`."""

    state: DeliveryStateName | None = None
    limit: Limit = 50
    after: Cursor | None = None


class DeliveryObject(Given, frozen=True):
    """One event to one endpoint. A first try that simply succeeded is not counted among the attempts kept.

    `covered_by_sequence` names the event that stands for a covered one.
    """

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    sequence: int
    object_id: str
    version: int
    event_at: str
    state: DeliveryStateName
    attempt_count: int
    retry_at: str | None
    exhausted_at: str | None
    covered_by_sequence: int | None


class AttemptObject(Given, frozen=True):
    """One HTTP try; `excerpt` is the first KiB of the answer as text, without the endpoint's own header values.

    `detail` says in a sentence what `outcome` alone does not, for people; it may be empty.
    """

    number: int
    started_at: str
    duration_ms: int
    outcome: str
    status_code: int | None
    excerpt: str
    detail: str


class DeliveryDetail(DeliveryObject, frozen=True):
    """A delivery with its attempts, oldest first."""

    attempts: list[AttemptObject]


class DeliveryPage(Given, frozen=True):
    """A page of deliveries, in the order of the log."""

    items: list[DeliveryObject]
    next: str | None


class AuditObject(Given, frozen=True):
    """One thing done to an endpoint. `actor` is the id of the key that asked, or `operator`; `detail` has no secret."""

    at: str
    actor: str
    action: str
    detail: dict[str, Any]


class AuditPage(Given, frozen=True):
    """A page of an endpoint's trail, oldest first."""

    items: list[AuditObject]
    next: str | None


class AcceptedReplay(Given, frozen=True):
    """What will be delivered again, both ends included; null where that is nothing. A stretch is not counted."""

    endpoint_id: str
    from_sequence: int | None
    to_sequence: int | None
    deliveries: int | None


class VerificationResult(Given, frozen=True):
    """What became of a challenge, and how the endpoint stands now; `failure` is null when it was echoed."""

    verification: Literal["pending", "verified"]
    failure: str | None
    outcome: str
    status_code: int | None
    duration_ms: int
    excerpt: str
    detail: str


class PingResult(Given, frozen=True):
    """What became of a `test.ping`."""

    outcome: str
    status_code: int | None
    duration_ms: int
    excerpt: str
    detail: str
