"""API keys and scopes: how a key is made, read, hashed and compared.

Lives here, pure but for the random bytes of a new key. A key is `cb_`, 26 digits of its id and 52 of 32 random bytes,
all in lower-case Crockford base32; the database holds the SHA-256 of the random bytes. Does not live here: the tables
(`store`), who may call what (`http.edge.auth`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from migrations.ids import ID_DIGITS, decode_id, encode_id

KEY_PREFIX = "cb"
SECRET_BYTES = 32
_HALF = SECRET_BYTES // 2


class Scope(StrEnum):
    """What a key may touch."""

    ADDRESSES = "addresses"
    DEPOSITS = "deposits"
    EVENTS = "events"
    ENDPOINTS = "endpoints"


ALL_SCOPES = tuple(Scope)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A whole key as its holder has it."""

    id: UUID
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The key as it is shown once and sent with every call."""
        first, second = (UUID(bytes=self.secret[at : at + _HALF]) for at in (0, _HALF))
        return encode_id(KEY_PREFIX, self.id) + _digits(first) + _digits(second)

    @property
    def secret_hash(self) -> bytes:
        """What the database holds."""
        return hashlib.sha256(self.secret).digest()


def new_api_key(key_id: UUID) -> ApiKey:
    """A key with fresh random bytes."""
    return ApiKey(key_id, os.urandom(SECRET_BYTES))


def decode_api_key(text: str) -> ApiKey:
    """Read a key; ValueError for anything that is not one."""
    head, _, digits = text.partition("_")
    if head != KEY_PREFIX or len(digits) != 3 * ID_DIGITS:
        raise ValueError("not an API key")
    parts = [digits[at : at + ID_DIGITS] for at in range(0, len(digits), ID_DIGITS)]
    key_id, first, second = (decode_id(KEY_PREFIX, f"{KEY_PREFIX}_{part}") for part in parts)
    return ApiKey(key_id, first.bytes + second.bytes)


def is_same_secret(secret: bytes, secret_hash: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hashlib.sha256(secret).digest(), secret_hash)


def _digits(value: UUID) -> str:
    return encode_id("x", value).removeprefix("x_")
