"""Secrets at rest: AES-256-GCM, bound to the endpoint they belong to, with keys that can be changed.

Lives here: `SecretBox`. The first key encrypts, every key decrypts, `reencrypt` moves a value to the first one. A
sealed value is version, key id, nonce and ciphertext; the endpoint id is associated data, so that a row copied to
another endpoint does not open. Does not live here: where keys come from (the gateway's configuration).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.errors import SecretUnreadable

KEY_BYTES = 32
_VERSION = b"\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES


class SecretBox:
    """Seals and opens the secrets of endpoints. ValueError without a key: there is no mode that stores plain text."""

    __slots__ = ("_ciphers", "_first")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError("encryption keys: at least one, each of 32 bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._first = _key_id(keys[0])

    def seal(self, plain: bytes, *, owner: UUID) -> bytes:
        """Encrypt for `owner` with the first key and a fresh nonce."""
        nonce = os.urandom(_NONCE_BYTES)
        head = _VERSION + self._first + nonce
        return head + self._ciphers[self._first].encrypt(nonce, plain, head + owner.bytes)

    def open(self, sealed: bytes, *, owner: UUID) -> bytes:
        """What `seal` was given; SecretUnreadable for an unknown key, another owner or a changed byte."""
        head, ciphertext = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(head) < _HEADER_BYTES or not head.startswith(_VERSION):
            raise SecretUnreadable("a stored secret has an unknown form")
        cipher = self._ciphers.get(_key_id_of(head))
        if cipher is None:
            raise SecretUnreadable("a stored secret needs an encryption key that is not configured any more")
        try:
            return cipher.decrypt(head[-_NONCE_BYTES:], ciphertext, head + owner.bytes)
        except InvalidTag:
            raise SecretUnreadable("a stored secret was changed, or belongs to another endpoint") from None

    def reencrypt(self, sealed: bytes, *, owner: UUID) -> bytes | None:
        """The same secret under the first key; None where it is already."""
        if _key_id_of(sealed) == self._first:
            return None
        return self.seal(self.open(sealed, owner=owner), owner=owner)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"chainbell-key-id-1" + key).digest()[:_KEY_ID_BYTES]


def _key_id_of(sealed: bytes) -> bytes:
    return sealed[len(_VERSION) : len(_VERSION) + _KEY_ID_BYTES]
