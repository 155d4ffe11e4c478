"""A checkpoint as text: C2SP tlog-checkpoint, inside a C2SP signed note (Ed25519).

Lives here, pure: the lines of a checkpoint, its signature line, and the name and key that check it. Our two extension
lines say which epoch of the log this is, behind how many events it began, and when this was signed. Does not live here:
what is signed and when (`checkpoints`), and reading a note (`verify`, which shares no code with this).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migrations.ids import encode_id
from relay.bodies import format_time
from relay.signing import public_bytes

ED25519 = b"\x01"
"""The signature type of a signed note."""
KEY_ID_BYTES = 4


def name_log(merchant_id: UUID) -> str:
    """The origin of a merchant's log, which is also the name of its key. The epoch is no part of it."""
    return f"chainbell/log/{encode_id('mer', merchant_id)}"


def compose_checkpoint(
    merchant_id: UUID, *, log_epoch: int, epoch_after: int, size: int, root_hash: bytes, at: datetime
) -> str:
    """The text that is signed: one line each, the last one ended too."""
    lines = (
        name_log(merchant_id),
        str(size),
        _text(root_hash),
        f"epoch {log_epoch} after {epoch_after}",
        f"time {format_time(at)}",
    )
    return "".join(f"{line}\n" for line in lines)


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """The text, an empty line, and the signature line of `name`."""
    assert text.endswith("\n"), "a signed text ends with its last line's end"
    signature = compute_key_id(name, public_bytes(key)) + key.sign(text.encode())
    return f"{text}\n\N{EM DASH} {name} {_text(signature)}\n"


def encode_verifier_key(name: str, public_key: bytes) -> str:
    """The key as tools for signed notes take it: name, key id and key, separated by plus signs."""
    return f"{name}+{compute_key_id(name, public_key).hex()}+{_text(ED25519 + public_key)}"


def compute_key_id(name: str, public_key: bytes) -> bytes:
    """The first four bytes of SHA-256 over the name, a line feed, the signature type and the key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:KEY_ID_BYTES]


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
