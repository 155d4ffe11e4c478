"""What a log's key signs, as text: C2SP tlog-checkpoints and our lists of keys, inside C2SP signed notes (Ed25519).

Lives here, pure: the lines of a checkpoint, signature lines, and the names and keys that check them. Every epoch of a log has an
origin of its own, so no two roots of one size stand under one origin; there are no extension lines, and the time is in a
second signature, a C2SP cosignature by the log itself. Does not live here: what is signed and when (`checkpoints`, `keylists`),
and reading a note (`verify_log`, which shares no code with this).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migrations.ids import encode_id
from relay.keys.signing import public_bytes

ED25519, COSIGNATURE = b"\x01", b"\x04"
"""Signature types of signed notes; the second says when."""
KEY_ID_BYTES = 4


def name_log(merchant_id: UUID, log_epoch: int, epoch_after: int) -> str:
    """The origin of one epoch of a merchant's log, which is also the name of its key there."""
    return f"chainbell/log/{encode_id('mer', merchant_id)}/{log_epoch}/{epoch_after}"


def name_of(note: str) -> str:
    """The first line, by which others know what this is about."""
    return note.partition("\n")[0]


def compose_checkpoint(name: str, *, size: int, root_hash: bytes) -> str:
    """The text that is signed: one line each, the last one ended too."""
    return f"{name}\n{size}\n{_text(root_hash)}\n"


def read_time(note: str) -> datetime:
    """When one of our own notes with a time was signed."""
    raw = base64.b64decode(note.rstrip("\n").rpartition(" ")[2])
    return datetime.fromtimestamp(int.from_bytes(raw[KEY_ID_BYTES : KEY_ID_BYTES + 8], "big"), tz=UTC)


def sign_note(text: str, name: str, key: Ed25519PrivateKey, *, at: datetime | None = None) -> str:
    """The text, an empty line, and the signature line of `name`; where `at` is given, a second one that says so."""
    assert text.endswith("\n"), "a signed text ends with its last line's end"
    note = f"{text}\n{_line(name, ED25519, public_bytes(key), key.sign(text.encode()))}"
    return note if at is None else note + cosign(text, name, key, at=at)


def cosign(text: str, name: str, key: Ed25519PrivateKey, *, at: datetime) -> str:
    """The signature line by which `name` says that at this time it knew of no larger tree (C2SP tlog-cosignature)."""
    timestamp_s = int(at.timestamp())
    signature = key.sign(f"cosignature/v1\ntime {timestamp_s}\n{text}".encode())
    return _line(name, COSIGNATURE, public_bytes(key), timestamp_s.to_bytes(8, "big") + signature)


def _line(name: str, kind: bytes, public_key: bytes, signature: bytes) -> str:
    return f"\N{EM DASH} {name} {_text(compute_key_id(name, public_key, kind) + signature)}\n"


def encode_verifier_key(name: str, public_key: bytes, kind: bytes = ED25519) -> str:
    """The key as tools for signed notes take it: name, key id and key, separated by plus signs."""
    return f"{name}+{compute_key_id(name, public_key, kind).hex()}+{_text(kind + public_key)}"


def compute_key_id(name: str, public_key: bytes, kind: bytes = ED25519) -> bytes:
    """The first four bytes of SHA-256 over the name, a line feed, the signature type and the key."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public_key).digest()[:KEY_ID_BYTES]


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
