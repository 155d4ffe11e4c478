"""Status answers that gateways share for seconds.

Lives here: `SharedStatusCache`. Staleness is excluded by the order of steps in `gateway.statuscache`; this adds that an
entry found in Redis must bear our seal over its key and its bytes, so that a torn, mixed-up or planted entry is none.
Without Redis, and for what is found there once, this process's own memory serves.
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import Any

from gateway.redis.connection import RedisAway, RedisConnection
from gateway.redis.metrics import Use
from gateway.statuscache import ANSWER_BYTES_MAX, KEPT_S, LocalStatusCache, Question, compute_key

SEAL_BYTES = 16


class SharedStatusCache:
    """Implements `gateway.statuscache.StatusCache`."""

    def __init__(self, connection: RedisConnection, local: LocalStatusCache) -> None:
        self._connection = connection
        self._local = local
        self._secret = connection.derive(b"status", 32)

    async def answer(self, question: Question) -> bytes:
        """As `StatusCache.answer`."""
        key = compute_key(question, await question.read_watermark())
        found = self._local.find(key)
        if found is not None:
            return found
        found = await self._find(key)
        if found is None:
            found = await question.compute()
            await self._keep(key, found)
        self._local.keep(key, found)
        return found

    async def _find(self, key: bytes) -> bytes | None:
        name = self._connection.name("status", key.hex())
        lookups = self._connection.metrics.lookups
        try:
            entry: Any = await self._connection.ask(Use.CACHE, lambda: self._connection.client.get(name))
        except RedisAway:
            return None
        if entry is None:
            lookups.labels("miss").inc()
            return None
        seal, answer = entry[:SEAL_BYTES], entry[SEAL_BYTES:]
        if not compare_digest(seal, self._seal(key, answer)):
            lookups.labels("refused").inc()
            return None
        lookups.labels("hit").inc()
        return bytes(answer)

    async def _keep(self, key: bytes, answer: bytes) -> None:
        if len(answer) > ANSWER_BYTES_MAX or not self._connection.is_up:
            return
        name = self._connection.name("status", key.hex())
        entry = self._seal(key, answer) + answer
        try:
            await self._connection.ask(
                Use.CACHE, lambda: self._connection.client.set(name, entry, px=round(KEPT_S * 1000))
            )
        except RedisAway:
            return

    def _seal(self, key: bytes, answer: bytes) -> bytes:
        return blake2b(key + answer, digest_size=SEAL_BYTES, key=self._secret).digest()
