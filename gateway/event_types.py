"""Every event type there is, so that a filter with a typing error is refused instead of matching nothing.

Lives here, pure: the list. Does not live here: what each means (docs/webhooks.md), who publishes it (indexer.rules.events, the
relay's endpoint and log events). A test compares it with what the rooms publish.
"""

from __future__ import annotations

import difflib

DEPOSIT_EVENTS = (
    "deposit.seen",
    "deposit.included",
    "deposit.confirmed",
    "deposit.final",
    "deposit.moved",
    "deposit.orphaned",
    "deposit.replaced",
    "deposit.dropped",
    "deposit.reversed",
    "deposit.amended",
)
CHAIN_EVENTS = (
    "chain.stalled",
    "chain.recovered",
    "chain.congested",
    "chain.finality_delayed",
    "chain.disputed",
    "chain.halted",
    "chain.resumed",
)
ENDPOINT_EVENTS = (
    "endpoint.failing",
    "endpoint.recovered",
    "endpoint.paused",
    "endpoint.resumed",
    "endpoint.retention_warning",
    "endpoint.events_lost",
    "endpoint.keys_changed",
)
LOG_EVENTS = ("log.checkpoint",)
EVENT_TYPES = (*DEPOSIT_EVENTS, *CHAIN_EVENTS, *ENDPOINT_EVENTS, *LOG_EVENTS)


def check_event_type(text: str) -> str | None:
    """What is wrong with an event type; None when it exists."""
    if text in EVENT_TYPES:
        return None
    close = difflib.get_close_matches(text, EVENT_TYPES, n=1)
    return f"{text!r} is not an event type" + (f"; did you mean {close[0]}?" if close else "")
