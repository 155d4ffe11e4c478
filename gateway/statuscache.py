"""Answers that many callers ask for at once, kept for seconds, and never older than what a caller has already seen.

Staleness is impossible by construction. Every call first reads its watermark from the database: numbers that move in
the very transaction that changes the answer (the head of the merchant's log, the moves of a chain). The watermark is
part of the key. An answer found under it was computed after somebody had read that watermark, so it holds at least
that state; and a caller who saw a newer state reads a newer watermark, for the database does not run backwards.
Lives here: that order of steps, the protocol, the equal for one process. Does not live here: sharing (`redis.cache`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

import msgspec

KEPT_S = 10.0
"""Bounds memory, not staleness: the key is the watermark."""
ANSWER_BYTES_MAX = 64 * 1024
CACHE_BYTES_MAX = 16 * 1024 * 1024
KEY_BYTES = 24

Watermark = Sequence[str | int]
"""What moves whenever the answer may change. Name the log's epoch and a chain's tip hash too: after a restored backup
numbers alone could repeat."""


@dataclass(frozen=True, slots=True)
class Question:
    """One read: who asks, what, how to read its watermark from the database, and how to compute the answer from it.

    Both are asked of the primary server, `compute` after `read_watermark` and on a snapshot of its own.
    """

    merchant_id: UUID
    asked: str
    read_watermark: Callable[[], Awaitable[Watermark]]
    compute: Callable[[], Awaitable[bytes]]


class StatusCache(Protocol):
    """Answers questions, from what others computed where that can not be older."""

    async def answer(self, question: Question) -> bytes:
        """The bytes that `question.compute` gave to somebody under the watermark that holds now."""
        ...


def compute_key(question: Question, watermark: Watermark) -> bytes:
    """The name of an answer: of the merchant, the question and the watermark, without ambiguity."""
    named = msgspec.json.encode([question.merchant_id.hex, question.asked, list(watermark)])
    return blake2b(named, digest_size=KEY_BYTES, person=b"chainbell-status").digest()


class LocalStatusCache:
    """The answers one process remembers; the one used longest ago goes first."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, bytes_max: int = CACHE_BYTES_MAX
    ) -> None:
        self._clock = clock
        self._bytes_max = bytes_max
        self._bytes_count = 0
        self._answers: dict[bytes, tuple[float, bytes]] = {}

    async def answer(self, question: Question) -> bytes:
        """As `StatusCache.answer`."""
        key = compute_key(question, await question.read_watermark())
        found = self.find(key)
        if found is None:
            found = await question.compute()
            self.keep(key, found)
        return found

    def find(self, key: bytes) -> bytes | None:
        """What is kept under a key."""
        entry = self._forget(key)
        if entry is None or entry[0] <= self._clock():
            return None
        self._remember(key, entry)
        return entry[1]

    def keep(self, key: bytes, answer: bytes) -> None:
        """Remember an answer, unless it is too large to be worth it."""
        if len(answer) > ANSWER_BYTES_MAX:
            return
        self._forget(key)
        self._remember(key, (self._clock() + KEPT_S, answer))
        while self._bytes_count > self._bytes_max:
            self._forget(next(iter(self._answers)))

    def _remember(self, key: bytes, entry: tuple[float, bytes]) -> None:
        self._answers[key] = entry
        self._bytes_count += len(key) + len(entry[1])

    def _forget(self, key: bytes) -> tuple[float, bytes] | None:
        entry = self._answers.pop(key, None)
        if entry is not None:
            self._bytes_count -= len(key) + len(entry[1])
        return entry
