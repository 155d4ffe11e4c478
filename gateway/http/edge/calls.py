"""One call of the API as a handler sees it: who asks for what, and the answer as a value.

Lives here: `Call`, `Answer`, `Caller`, `Services`, and `Operation`, of which the whole API is a table. Does not live here:
the table (`operations`), HTTP itself (`app`). Handlers are plain functions of a `Call`; they never see aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry

from chains.model import ChainId
from chains.port import ChainSource
from gateway.apikeys import Scope
from gateway.config.settings import Settings
from gateway.faces import Faces
from gateway.http.edge.limits import Share, share_proofs, share_streams
from gateway.http.edge.problem import not_found
from gateway.live import LiveLog
from gateway.process.metrics import build_registry
from gateway.ratelimits import LocalRateLimits, RateLimits
from gateway.statuscache import LocalStatusCache, StatusCache
from indexer.rules.identity import MerchantId
from migrations.handles import Pool
from migrations.ids import decode_id, new_id
from relay.keys.secretbox import SecretBox
from relay.out.egress import Egress

ID_PREFIXES = {
    "address_id": "adr",
    "delivery_id": "dlv",
    "deposit_id": "dep",
    "endpoint_id": "end",
    "event_id": "evt",
    "key_id": "key",
    "log_id": "log",
    "merchant_id": "mer",
}
"""How the ids in paths begin."""


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """The operation is for the admin token."""


@dataclass(frozen=True, slots=True)
class AnyKey:
    """The operation is for every merchant's key."""


@dataclass(frozen=True, slots=True)
class OpenAccess:
    """The operation asks for no key."""


@dataclass(frozen=True, slots=True)
class HealthAccess(OpenAccess):
    """The same, and it is answered whatever else is asked."""


Access = Scope | AdminAccess | AnyKey | OpenAccess


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `merchant_id` is None for administrators, and `key_id` nil."""

    key_id: UUID
    merchant_id: UUID | None
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether the admin token was shown."""
        return self.merchant_id is None and self.key_id == ADMIN_KEY_ID


ADMIN_KEY_ID = UUID(int=0)
NOBODY = Caller(UUID(int=1), None, frozenset())
ADMIN = Caller(ADMIN_KEY_ID, None, frozenset())


@dataclass(slots=True)
class Services:
    """What handlers work with."""

    pool: Pool
    settings: Settings
    faces: Faces
    clock: Callable[[], datetime]
    box: SecretBox
    limits: RateLimits = field(default_factory=LocalRateLimits)
    cache: StatusCache = field(default_factory=LocalStatusCache)
    live: LiveLog = field(default_factory=LiveLog)
    streams: Share = field(default_factory=share_streams)
    registry: CollectorRegistry = field(default_factory=build_registry)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    proving: Share = field(default_factory=share_proofs)
    egress: Egress | None = None
    sources: dict[ChainId, ChainSource] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One call, from the address `place`. `pool` is one connection's transaction while an Idempotency-Key is at work.
    `gone` is done when the client has hung up: who waits for news only may stop; what was begun is brought to its end.
    """

    services: Services
    pool: Pool
    caller: Caller
    now: datetime
    path: Mapping[str, str] = field(default_factory=dict)
    query: Any = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    place: str = ""
    gone: asyncio.Future[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether to wait no longer: the client has hung up, or the process stops."""
        return self.services.stop.is_set() or (self.gone is not None and self.gone.done())

    @property
    def merchant_id(self) -> MerchantId:
        """The merchant who asks."""
        assert self.caller.merchant_id is not None, "merchants' operations are for merchants' keys"
        return MerchantId(self.caller.merchant_id)

    def id(self, name: str) -> UUID:
        """An id of the path; one that can not exist is not found."""
        try:
            return decode_id(ID_PREFIXES[name], self.path[name])
        except ValueError:
            raise not_found(name.removesuffix("_id")) from None

    def fresh_id(self) -> UUID:
        """An id for something new."""
        return new_id(int(self.now.timestamp() * 1000))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: JSON bytes, or another type's. One that is not remembered under its Idempotency-Key asks to be
    asked for again: something of it is still to be done.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_remembered: bool = True


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer from a Struct or from plain values."""
    return Answer(status, msgspec.json.encode(value))


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on: chunks of bytes, each sent as it comes. A refusal must be raised before the first."""

    content_type: str
    chunks: AsyncGenerator[bytes, None]


NO_CONTENT = Answer(204, content_type="")


@dataclass(frozen=True, slots=True)
class Response:
    """One documented answer: its status, its shape and a few words."""

    status: int
    shape: Any
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the API's table. `problems` are statuses beyond those every operation of its kind has.

    `waits` says that it asks a stranger something: then no transaction is held meanwhile.
    """

    method: str
    path: str
    name: str
    summary: str
    access: Access
    run: Callable[[Call], Awaitable[Answer | Stream]]
    responses: tuple[Response, ...]
    body: Any = None
    query: Any = None
    problems: tuple[int, ...] = ()
    waits: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """How it is asked: every GET also by HEAD."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)
