"""Standard Webhooks 1.0 signatures: the three headers of one attempt, and the spelling of secrets and keys.

Lives here, pure: what is signed (`id.timestamp.body`, and the headers beside it), `v1` (HMAC-SHA256, one per secret still
valid), `v1a` (Ed25519, one per key still valid), `whsec_`, `whsk_` and
`whpk_`. Does not live here: chance (callers bring the random bytes), where
secrets are kept (`secretbox`, `store`), and what a receiver runs (`verify`, which shares no code, so that one can check the
other).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET_BYTES = 32
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
SEED_BYTES = 32

_SECRET_PREFIX = "whsec_"
_PRIVATE_PREFIX = "whsk_"
_PUBLIC_PREFIX = "whpk_"


def sign(
    webhook_id: str,
    timestamp_s: int,
    body: bytes,
    *,
    secrets: Sequence[bytes],
    signing_keys: Sequence[Ed25519PrivateKey],
) -> str:
    """The value of `webhook-signature`: `v1,` for each of the raw `secrets` in order, then `v1a,` for each key.

    `timestamp_s` is Unix time of this attempt. An id with a dot would make the signed content ambiguous: an assert.
    """
    assert "." not in webhook_id, "a dot in the id makes `id.timestamp.body` ambiguous"
    assert secrets or signing_keys, "an unsigned webhook is never sent"
    return _sign(b"%s.%d.%s" % (webhook_id.encode("ascii"), timestamp_s, body), secrets, signing_keys)


def sign_headers(
    webhook_id: str, timestamp_s: int, *, prev_sequence: int, covers: str, secrets: Sequence[bytes]
) -> str:
    """The value of `chainbell-signature`, over what the headers beside the body say; `covers` is empty where there is none.

    By the secrets alone: a second Ed25519 signature would cost a third of what a delivery costs, for two numbers. Its first
    line ends in a line feed, which no header can hold, so it is never what `sign` signs.
    """
    text = f"chainbell-headers-1\n{webhook_id}\n{timestamp_s}\n{prev_sequence}\n{covers}\n"
    return _sign(text.encode("ascii"), secrets, ())


def _sign(content: bytes, secrets: Sequence[bytes], signing_keys: Sequence[Ed25519PrivateKey]) -> str:
    signatures = ["v1," + _text(hmac.digest(secret, content, "sha256")) for secret in secrets]
    signatures += ["v1a," + _text(key.sign(content)) for key in signing_keys]
    return " ".join(signatures)


def encode_secret(secret: bytes) -> str:
    """Raw bytes as `whsec_` and base64; 24 to 64 bytes, else ValueError."""
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise ValueError("a webhook secret has 24 to 64 bytes")
    return _SECRET_PREFIX + _text(secret)


def decode_secret(text: str) -> bytes:
    """The raw bytes of `whsec_…`; ValueError for anything else."""
    secret = _decode(_SECRET_PREFIX, text)
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise ValueError("a webhook secret has 24 to 64 bytes")
    return secret


def signing_key_from_seed(seed: bytes) -> Ed25519PrivateKey:
    """The Ed25519 key of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed)


def encode_signing_key(seed: bytes) -> str:
    """A seed as `whsk_` and base64."""
    return _PRIVATE_PREFIX + _text(seed)


def decode_signing_key(text: str) -> Ed25519PrivateKey:
    """The key of `whsk_…` (seed and public key, 64 bytes, or the seed alone); ValueError for anything else."""
    raw = _decode(_PRIVATE_PREFIX, text)
    if len(raw) not in (SEED_BYTES, 2 * SEED_BYTES):
        raise ValueError("an Ed25519 signing key has 32 or 64 bytes")
    key = signing_key_from_seed(raw[:SEED_BYTES])
    if raw[SEED_BYTES:] and raw[SEED_BYTES:] != public_bytes(key):
        raise ValueError("the two halves of the signing key do not belong together")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of its public key."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def encode_public_key(public_key: bytes) -> str:
    """The 32 bytes of an Ed25519 public key as `whpk_` and base64."""
    return _PUBLIC_PREFIX + _text(public_key)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _decode(prefix: str, text: str) -> bytes:
    if not text.startswith(prefix):
        raise ValueError(f"expected a value that starts with {prefix}")
    try:
        return base64.b64decode(text[len(prefix) :], validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {prefix} is not base64") from None
