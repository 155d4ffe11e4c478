"""Secrets at rest: AES-256-GCM, each bound to the one place it stands in, with keys that can be changed.

Lives here: `SecretBox` and `Place`. The first key encrypts, every key decrypts, `reencrypt` moves a value to the first one.
A sealed value is version, key id, nonce and ciphertext; column, owner and row are associated data, so that a value copied
to anywhere else does not open. Version 1 named the owner alone: nothing but `reencrypt` reads it (docs/decisions/0015).
Does not live here: where keys come from (the gateway's configuration), which rows there are (`reseal`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.errors import SecretUnreadable

KEY_BYTES = 32
_VERSION, _VERSION_BEFORE = b"\x02", b"\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES


class Column(StrEnum):
    """Every column that holds sealed values, by its name in the database."""

    ENDPOINT_HEADERS = "endpoints.headers_sealed"
    ENDPOINT_SECRET = "endpoint_secrets.secret_sealed"  # the name of a column
    ENDPOINT_SEED = "endpoint_keys.seed_sealed"
    LOG_SEED = "log_keys.signing_key_sealed"
    REMEMBERED_ANSWER = "idempotency_keys.body"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value stands: the column, whose it is, and which of the owner's rows (its key, or empty)."""

    column: Column
    owner: UUID
    row: bytes = b""

    @property
    def associated_data(self) -> bytes:
        """Unambiguous: a name has no zero byte, an owner 16 bytes, and the row is the rest."""
        return self.column.encode() + b"\x00" + self.owner.bytes + self.row


class SecretBox:
    """Seals and opens what must not be read in the database. ValueError without a key: there is no mode of plain text."""

    __slots__ = ("_ciphers", "_first")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError("encryption keys: at least one, each of 32 bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._first = _key_id(keys[0])

    @property
    def head(self) -> bytes:
        """What every value begins with that needs no `reencrypt`."""
        return _VERSION + self._first

    def seal(self, plain: bytes, place: Place) -> bytes:
        """Encrypt for `place` with the first key and a fresh nonce."""
        head = self.head + os.urandom(_NONCE_BYTES)
        nonce = head[-_NONCE_BYTES:]
        return head + self._ciphers[self._first].encrypt(nonce, plain, head + place.associated_data)

    def open(self, sealed: bytes, place: Place) -> bytes:
        """What `seal` was given; SecretUnreadable for an unknown key, another place, an older form or a changed byte."""
        if not sealed.startswith(_VERSION):
            raise SecretUnreadable(
                "a stored secret has an unknown form, or an old one: chainbell secrets reseal"
            )
        return self._decrypt(sealed, place.associated_data)

    def reencrypt(self, sealed: bytes, place: Place, fits: Callable[[bytes], bool]) -> bytes:
        """The same secret in today's form under the first key; SecretUnreadable as `open`, and where it is nothing that
        `fits`. Only here is the form before read, which names no column: what it says must be what this column holds.
        """
        old = sealed.startswith(_VERSION_BEFORE)
        plain = self._decrypt(sealed, place.owner.bytes) if old else self.open(sealed, place)
        if not fits(plain):
            raise SecretUnreadable("a stored secret is not what its column holds")
        return self.seal(plain, place)

    def _decrypt(self, sealed: bytes, associated_data: bytes) -> bytes:
        head, ciphertext = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(head) < _HEADER_BYTES:
            raise SecretUnreadable("a stored secret is cut off")
        cipher = self._ciphers.get(head[len(_VERSION) : -_NONCE_BYTES])
        if cipher is None:
            raise SecretUnreadable("a stored secret needs an encryption key that is not configured any more")
        try:
            return cipher.decrypt(head[-_NONCE_BYTES:], ciphertext, head + associated_data)
        except InvalidTag:
            raise SecretUnreadable("a stored secret was changed, or belongs to another place") from None


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"chainbell-key-id-1" + key).digest()[:_KEY_ID_BYTES]
