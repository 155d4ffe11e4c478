"""The JSON of the log by pull as types.

Lives here, pure: queries and objects of `/v1/events`. Does not live here: reading the log (`resources.events`).
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from gateway.http.shapes.forms import HEIGHT_MAX, Given, Limit, Strict

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
