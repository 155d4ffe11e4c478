"""Secrets at rest: bound to their endpoint, readable while keys change, never in plain."""

from __future__ import annotations

from uuid import UUID

import pytest

from relay.errors import SecretUnreadable
from relay.secretbox import SecretBox

OLD, NEW = b"o" * 32, b"n" * 32
OWNER, OTHER = UUID(int=1), UUID(int=2)


def test_what_was_sealed_opens_for_its_owner_only() -> None:
    box = SecretBox([NEW])
    sealed = box.seal(b"secret", owner=OWNER)
    assert b"secret" not in sealed
    assert box.open(sealed, owner=OWNER) == b"secret"
    with pytest.raises(SecretUnreadable):
        box.open(sealed, owner=OTHER)


def test_sealing_twice_gives_different_bytes() -> None:
    box = SecretBox([NEW])
    assert box.seal(b"secret", owner=OWNER) != box.seal(b"secret", owner=OWNER)


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    sealed = SecretBox([OLD]).seal(b"secret", owner=OWNER)
    rotating = SecretBox([NEW, OLD])
    assert rotating.open(sealed, owner=OWNER) == b"secret"
    moved = rotating.reencrypt(sealed, owner=OWNER)
    assert moved is not None
    assert SecretBox([NEW]).open(moved, owner=OWNER) == b"secret"
    assert rotating.reencrypt(moved, owner=OWNER) is None
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).open(sealed, owner=OWNER)


@pytest.mark.parametrize("position", [0, 1, 9, 21, 25, -1])
def test_a_changed_byte_is_noticed_wherever_it_is(position: int) -> None:
    box = SecretBox([NEW])
    sealed = bytearray(box.seal(b"secret", owner=OWNER))
    sealed[position] ^= 1
    with pytest.raises(SecretUnreadable):
        box.open(bytes(sealed), owner=OWNER)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(8)])
def test_a_truncated_value_is_noticed(sealed: bytes) -> None:
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).open(sealed, owner=OWNER)


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b""]])
def test_there_is_no_mode_without_a_proper_key(keys: list[bytes]) -> None:
    with pytest.raises(ValueError):
        SecretBox(keys)
