"""The pull API from its other end: one merchant's log, read over HTTP with the merchant's own key.

Lives here: asking where the log ends and for what follows a sequence, within bounds of bytes and time, and what each
refusal means to whoever asks. Does not live here: what is done with the events (`listen`), the API itself
(`gateway.http.resources.events`). An event's bytes are handed on exactly as they came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Self, TypeVar
from uuid import UUID

import aiohttp
import msgspec

from gateway.config.settings import Secret
from migrations.ids import decode_id

PAGE_EVENTS = 100
PAGE_BYTES_MAX = 32 * 1024 * 1024
"""A page of the largest events there are, and some more."""
CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 15.0
"""How long an answer may take beyond the wait that was asked for."""
DETAIL_CHARACTERS_MAX = 300
_SECONDS = re.compile(r"[0-9]{1,2}")
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


Shape = TypeVar("Shape", bound=msgspec.Struct)


class ServerAway(Exception):
    """The server does not answer now, or not with the log: ask again, after `retry_after_s` where it said so."""

    def __init__(self, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServerRefuses(Exception):
    """The server will answer the same again: a wrong key, a type that does not exist, events kept no longer."""


class LogShorter(ServerRefuses):
    """The log ends before the place that was asked for; `head_sequence` is where."""

    def __init__(self, message: str, head_sequence: int) -> None:
        super().__init__(message)
        self.head_sequence = head_sequence


@dataclass(frozen=True, slots=True)
class PulledEvent:
    """One event; `body` is the exact bytes every webhook of it has."""

    sequence: int
    event_id: UUID
    type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class PulledPage:
    """Events ascending, and where the log ended when they were read: before the place that was asked for, perhaps."""

    events: tuple[PulledEvent, ...]
    head_sequence: int


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    head_sequence: int


class _Head(msgspec.Struct):
    sequence: int


class _Event(msgspec.Struct):
    id: str
    type: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,64}\.[a-z_]{1,64}$")]
    sequence: int


class _Problem(msgspec.Struct):
    detail: str = ""
    head_sequence: Annotated[int, msgspec.Meta(ge=0)] | None = None


class LogReader:
    """Reads one log; use it as an async context manager. `server` has no slash at its end."""

    def __init__(self, server: str, api_key: Secret) -> None:
        self._server = server
        self._api_key = api_key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {self._api_key.reveal()}", "Accept": "application/json"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def fetch_head(self) -> int:
        """The last sequence of the log, 0 while it is empty. Raises ServerAway, ServerRefuses."""
        answer = await self._get("/v1/events/head", {}, wait_s=0)
        try:
            return _decode(answer, _Head).sequence
        except ValueError as error:
            raise ServerAway(f"the server answers with something else than the log: {error}") from None

    async def fetch_after(self, sequence: int, *, types: str | None, wait_s: int) -> PulledPage:
        """What follows `sequence`, waiting up to `wait_s` for the first one. Raises ServerAway, ServerRefuses."""
        query = {"after_sequence": str(sequence), "limit": str(PAGE_EVENTS), "wait": str(wait_s)}
        if types is not None:
            query["types"] = types
        try:
            answer = await self._get("/v1/events", query, wait_s=wait_s)
        except LogShorter as shorter:
            return PulledPage((), shorter.head_sequence)
        try:
            return decode_page(answer, after_sequence=sequence)
        except ValueError as error:
            raise ServerAway(f"the server answers with something else than the log: {error}") from None

    async def _get(self, path: str, query: dict[str, str], *, wait_s: int) -> bytes:
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=wait_s + ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            # A redirect would carry the key to wherever it leads.
            async with self._session.get(
                self._server + path, params=query, timeout=timeout, allow_redirects=False
            ) as response:
                answer = await _read_bounded(response)
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerAway(f"the server does not answer ({type(error).__name__})") from None
        if status != HTTPStatus.OK:
            raise _refusal(status, answer, int(retry_after) if _SECONDS.fullmatch(retry_after) else None)
        return answer


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > PAGE_BYTES_MAX:
            response.close()
            raise ServerAway(f"the server's answer is longer than {PAGE_BYTES_MAX} bytes")
    return bytes(answer)


def _decode(data: bytes, shape: type[Shape]) -> Shape:
    """JSON of a shape; ValueError for anything else, also for what nests too deep for a decoder's stack."""
    try:
        return msgspec.json.decode(data, type=shape)
    except RecursionError:
        raise ValueError("it nests without end") from None


def decode_page(answer: bytes, *, after_sequence: int) -> PulledPage:
    """A page of the log with every event's bytes as they stand in it; ValueError for anything else."""
    page = _decode(answer, _Page)
    events: list[PulledEvent] = []
    behind = after_sequence
    for item in page.items:
        body = bytes(item)
        event = _decode(body, _Event)
        if event.sequence <= behind:
            raise ValueError("its sequences do not ascend")
        behind = event.sequence
        events.append(PulledEvent(event.sequence, decode_id("evt", event.id), event.type, body))
    return PulledPage(tuple(events), page.head_sequence)


def _refusal(status: int, answer: bytes, retry_after_s: int | None) -> ServerAway | ServerRefuses:
    try:
        problem = _decode(answer, _Problem)
    except ValueError:
        problem = _Problem()
    shown = "".join(one if one.isprintable() else "?" for one in problem.detail[:DETAIL_CHARACTERS_MAX])
    said = f"the server answers {status}" + (f": {shown}" if shown else "")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return ServerAway(said, retry_after_s)
    if status == HTTPStatus.CONFLICT and problem.head_sequence is not None:
        return LogShorter(said, problem.head_sequence)
    return ServerRefuses(said)
