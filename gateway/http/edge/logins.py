"""Finding out who calls, so that wrong keys cost their senders and not the others.

Lives here: `Logins`. A right key is always found right: wrong ones, from the same address or for the same key, only make
strangers wait in line, and a key that was right lately does not wait at all. What is asked of the database for strangers
takes few of its connections. Does not live here: what makes a key right (`auth`).
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

from gateway.apikeys import ApiKey, decode_api_key
from gateway.config.settings import Secret
from gateway.http.edge.auth import find_caller, is_admin_token, not_a_key, read_token
from gateway.http.edge.calls import ADMIN, Caller
from gateway.http.edge.clients import share_of
from gateway.http.edge.limits import FAILED_LOGINS, FAILED_SECRETS, Share
from gateway.http.edge.problem import Problem, busy
from gateway.ratelimits import LocalRateLimits, RateLimit
from migrations.handles import Pool

REMEMBERED_MAX = 10_000
ASKED_AT_ONCE = 4
"""Connections that strangers may take of the pool's."""
ASKED_IN_LINE = 1
"""The same for those who share an address or a key's id with too many wrong keys."""
LINE_TIMEOUT_S = 5.0
Subject = TypeVar("Subject", bound=Hashable)
Value = TypeVar("Value")


class Logins:
    """Who shows which key. Keys are remembered as hashes only."""

    def __init__(
        self,
        pool: Pool,
        admin_token: Secret,
        strangers: Share,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._admin_token = admin_token
        self._strangers = strangers
        self._clock = clock
        self._counts = LocalRateLimits(clock=clock)
        self._slow_until_s: dict[str, float] = {}
        self._right: dict[bytes, None] = {}
        self._lines = asyncio.Semaphore(ASKED_AT_ONCE), asyncio.Semaphore(ASKED_IN_LINE)

    async def identify(self, place: str, header: str | None) -> Caller:
        """The caller. Problem 401, or 429 for a wrong key where there were too many; 503."""
        share, key = share_of(place), None
        try:
            token = read_token(header)
            if is_admin_token(token, self._admin_token):
                return ADMIN
            key = _decode(token)
            return await self._find(key, share)
        except Problem as problem:
            if problem.status != HTTPStatus.UNAUTHORIZED or header is None:
                raise
            self._note_wrong(share, FAILED_LOGINS)
            if key is not None:
                self._right.pop(_fingerprint(key), None)
                self._note_wrong(str(key.id), FAILED_SECRETS)
            left_s = max(self._left_s(share), 0.0 if key is None else self._left_s(str(key.id)))
            if left_s <= 0:
                raise
            wait = {"Retry-After": str(math.ceil(left_s))}
            raise Problem(429, "too many calls with wrong keys came from here", headers=wait) from None

    async def _find(self, key: ApiKey, share: str) -> Caller:
        fingerprint = _fingerprint(key)
        if fingerprint in self._right:
            return await find_caller(self._pool, key)
        with self._strangers.hold(share):
            slow = max(self._left_s(share), self._left_s(str(key.id))) > 0
            async with _in_line(self._lines[slow]):
                caller = await find_caller(self._pool, key)
        _remember(self._right, fingerprint, None)
        return caller

    def _note_wrong(self, subject: str, limit: RateLimit) -> None:
        verdict = self._counts.spend_now(subject, limit)
        if not verdict.allowed:
            _remember(self._slow_until_s, subject, self._clock() + verdict.retry_after_s)

    def _left_s(self, subject: str) -> float:
        return self._slow_until_s.get(subject, 0.0) - self._clock()


@asynccontextmanager
async def _in_line(line: asyncio.Semaphore) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(LINE_TIMEOUT_S):
            await line.acquire()
    except TimeoutError:
        raise busy("too many calls with unknown keys at once") from None
    try:
        yield
    finally:
        line.release()


def _decode(token: str) -> ApiKey:
    try:
        return decode_api_key(token)
    except ValueError:
        raise not_a_key() from None


def _fingerprint(key: ApiKey) -> bytes:
    return hashlib.sha256(key.id.bytes + key.secret).digest()


def _remember(memory: dict[Subject, Value], what: Subject, value: Value) -> None:
    memory.pop(what, None)
    memory[what] = value
    if len(memory) > REMEMBERED_MAX:
        del memory[next(iter(memory))]
