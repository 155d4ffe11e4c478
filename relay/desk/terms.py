"""What a merchant may ask of an endpoint, and what the operator allows: bounds, and everything that is wrong at once.

Lives here, pure: `EndpointTerms`, `Rules` and `check_terms`. Does not live here: making and changing endpoints
(`endpoints`), the rules for URLs (`addresses`) and for headers (`targets`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from relay.errors import Flaw, RequestFlawed
from relay.model import Drain
from relay.out.addresses import HTTPS_PORT, judge_url
from relay.out.targets import find_header_flaws

EVENT_TYPES_MAX = 64
DESCRIPTION_LENGTH_MAX = 500
MAX_IN_FLIGHT_DEFAULT = 32
MAX_IN_FLIGHT_MAX = 1_000
RATE_PER_S_MAX = 10_000
EVENT_TYPES = frozenset(
    {
        "endpoint.failing",
        "endpoint.recovered",
        "endpoint.paused",
        "endpoint.resumed",
        "endpoint.retention_warning",
        "endpoint.events_lost",
        "endpoint.keys_changed",
        "log.checkpoint",
    }
)
"""The event types this room publishes itself."""


@dataclass(frozen=True, slots=True)
class EndpointTerms:
    """What a merchant decides about an endpoint. `event_types` None: all of them, also future ones."""

    url: str
    event_types: tuple[str, ...] | None = None
    description: str = ""
    headers: Mapping[str, str] | None = None
    max_in_flight: int = MAX_IN_FLIGHT_DEFAULT
    rate_per_s: int | None = None
    drain: Drain = Drain.ALL


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows: event types that exist, ports, private addresses in development, unproven endpoints."""

    event_types: Collection[str]
    allow_private_networks: bool
    allowed_ports: Collection[int] = (HTTPS_PORT,)
    verify_endpoints: bool = False


def check_terms(terms: EndpointTerms, rules: Rules) -> None:
    """Raise RequestFlawed with everything that is wrong; each flaw points into the request."""
    flaws: list[Flaw] = []
    reason = judge_url(
        terms.url, allow_private_networks=rules.allow_private_networks, allowed_ports=rules.allowed_ports
    )
    if reason is not None:
        flaws.append(Flaw("/url", reason))
    if terms.event_types is not None:
        if not 1 <= len(terms.event_types) <= EVENT_TYPES_MAX:
            flaws.append(Flaw("/event_types", f"1 to {EVENT_TYPES_MAX} types, or null for all"))
        known = {*rules.event_types, *EVENT_TYPES}
        flaws += [
            Flaw(f"/event_types/{position}", f"there is no event type {name[:64]!r}")
            for position, name in enumerate(terms.event_types)
            if name not in known
        ]
    if len(terms.description) > DESCRIPTION_LENGTH_MAX or "\x00" in terms.description:
        flaws.append(Flaw("/description", f"at most {DESCRIPTION_LENGTH_MAX} characters, none of them NUL"))
    if not 1 <= terms.max_in_flight <= MAX_IN_FLIGHT_MAX:
        flaws.append(Flaw("/max_in_flight", f"1 to {MAX_IN_FLIGHT_MAX}"))
    if terms.rate_per_s is not None and not 1 <= terms.rate_per_s <= RATE_PER_S_MAX:
        flaws.append(Flaw("/rate_per_s", f"1 to {RATE_PER_S_MAX}, or null"))
    flaws += find_header_flaws(terms.headers or {})
    if flaws:
        raise RequestFlawed(*flaws)
