"""Secrets at rest: bound to their place, readable while keys change, never in plain."""

from __future__ import annotations

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.errors import SecretUnreadable
from relay.keys.secretbox import Column, Place, SecretBox

OLD, NEW = b"o" * 32, b"n" * 32
HERE = Place(Column.ENDPOINT_SECRET, UUID(int=1), b"row")
ELSEWHERE = (
    Place(Column.ENDPOINT_SEED, UUID(int=1), b"row"),
    Place(Column.ENDPOINT_SECRET, UUID(int=2), b"row"),
    Place(Column.ENDPOINT_SECRET, UUID(int=1), b"other"),
    Place(Column.ENDPOINT_SECRET, UUID(int=1)),
)


def test_what_was_sealed_opens_in_its_place_only() -> None:
    box = SecretBox([NEW])
    sealed = box.seal(b"secret", HERE)
    assert b"secret" not in sealed
    assert box.open(sealed, HERE) == b"secret"
    for place in ELSEWHERE:
        with pytest.raises(SecretUnreadable):
            box.open(sealed, place)


def test_sealing_twice_gives_different_bytes() -> None:
    box = SecretBox([NEW])
    assert box.seal(b"secret", HERE) != box.seal(b"secret", HERE)


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    sealed = SecretBox([OLD]).seal(b"secret", HERE)
    rotating = SecretBox([NEW, OLD])
    assert rotating.open(sealed, HERE) == b"secret"
    moved = rotating.reencrypt(sealed, HERE, bool)
    assert SecretBox([NEW]).open(moved, HERE) == b"secret"
    assert moved.startswith(rotating.head)
    assert not sealed.startswith(rotating.head)
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).open(sealed, HERE)


@pytest.mark.parametrize("position", [0, 1, 9, 21, 25, -1])
def test_a_changed_byte_is_noticed_wherever_it_is(position: int) -> None:
    box = SecretBox([NEW])
    sealed = bytearray(box.seal(b"secret", HERE))
    sealed[position] ^= 1
    with pytest.raises(SecretUnreadable):
        box.open(bytes(sealed), HERE)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(8)])
def test_a_truncated_value_is_noticed(sealed: bytes) -> None:
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).open(sealed, HERE)


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b""]])
def test_there_is_no_mode_without_a_proper_key(keys: list[bytes]) -> None:
    with pytest.raises(ValueError):
        SecretBox(keys)


def seal_before(plain: bytes, key: bytes) -> bytes:
    """Version 1 named the owner alone."""
    nonce = bytes(12)
    head = b"\x01" + SecretBox([key]).head[1:] + nonce
    return head + AESGCM(key).encrypt(nonce, plain, head + HERE.owner.bytes)


def test_the_form_before_is_moved_where_it_fits_and_read_nowhere() -> None:
    box, old = SecretBox([NEW, OLD]), seal_before(b"secret", OLD)
    with pytest.raises(SecretUnreadable):
        box.open(old, HERE)
    assert box.open(box.reencrypt(old, HERE, bool), HERE) == b"secret"
    with pytest.raises(SecretUnreadable, match="not what its column holds"):
        box.reencrypt(old, HERE, lambda plain: plain == b"headers")
