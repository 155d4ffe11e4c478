"""What a receiver runs: is this request from chainbell, is it fresh, and is anything missing before it?

This file stands alone: the standard library, and `cryptography` only where a public key is given. Copy it, or import
it. Lives here: `verify`, which raises `WebhookInvalid` and nothing else, and `GapTracker`. Does not live here: making
signatures (`signing`). Receivers drop repeats by `webhook-id` and apply by (object id, version): docs/webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TOLERANCE_S = 300
SIGNATURES_MAX = 32
"""More than any honest sender makes; what follows is not looked at."""
AHEAD_MAX = 10_000
"""Events a tracker remembers beyond a gap; more are not remembered, the gap itself is."""


class WebhookInvalid(Exception):
    """This request must not be believed; the message says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What the signature vouches for, and the unsigned hint `prev_sequence` (None for a test)."""

    webhook_id: str
    timestamp_s: int
    prev_sequence: int | None


def verify(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: Iterable[str] = (),
    public_keys: Iterable[str] = (),
    now_s: float | None = None,
    tolerance_s: int = TOLERANCE_S,
) -> Verified:
    """Return when one of `secrets` (`whsec_…`) or `public_keys` (`whpk_…`) made a signature; WebhookInvalid otherwise.

    `body` is the bytes as received, before any parsing. Header names match in any case. The timestamp may be
    `tolerance_s` off `now_s` (Unix time; by default the clock) in either direction.
    """
    found = {name.lower(): value for name, value in headers.items()}
    webhook_id = found.get("webhook-id", "")
    timestamp = found.get("webhook-timestamp", "")
    if not webhook_id or "." in webhook_id or not webhook_id.isascii():
        raise WebhookInvalid("webhook-id is missing or malformed")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WebhookInvalid("webhook-timestamp is missing or malformed")
    clock_s = time.time() if now_s is None else now_s  # noqa: TID251  # this runs at the receiver's, on its own clock
    age_s = clock_s - int(timestamp)
    if abs(age_s) > tolerance_s:
        raise WebhookInvalid("webhook-timestamp is too old or in the future: check this machine's clock")
    content = f"{webhook_id}.{timestamp}.".encode("ascii") + body
    offered = _parse_signatures(found.get("webhook-signature", ""))
    symmetric = any(_hmac_matches(secret, content, offered.get("v1", ())) for secret in secrets)
    if not symmetric and not any(
        _ed25519_matches(key, content, offered.get("v1a", ())) for key in public_keys
    ):
        raise WebhookInvalid("no signature of this request was made with a key we know")
    return Verified(webhook_id, int(timestamp), _parse_sequence(found.get("chainbell-prev-sequence")))


@dataclass(slots=True)
class GapTracker:
    """Finds what is missing from `chainbell-prev-sequence`; a gap is a reason to fetch, never to reject.

    `complete_to` is the last sequence before which nothing is missing: keep it, and start with it again. Requests may
    come in any order and more than once.
    """

    complete_to: int
    _ahead: dict[int, int] = field(default_factory=dict)

    def saw(self, sequence: int, prev_sequence: int) -> None:
        """Note one verified event: its `sequence` (from the body), and the header that came with it."""
        if sequence <= self.complete_to or len(self._ahead) >= AHEAD_MAX:
            return
        self._ahead[sequence] = prev_sequence
        for known in sorted(self._ahead):
            if self._ahead[known] > self.complete_to:
                break
            self.complete_to = known
            del self._ahead[known]

    @property
    def gap(self) -> tuple[int, int] | None:
        """(after, up to): `GET /v1/events?after_sequence=after` has what is missing; None when nothing is."""
        if not self._ahead:
            return None
        return self.complete_to, self._ahead[min(self._ahead)]


def verify_chain(bodies: Iterable[tuple[bytes, str]], previous_body: bytes | None = None) -> None:
    """Check that consecutive bodies of one log, with the `prev_hash` each states, follow one another.

    The first is held against `previous_body` where that is known. Raises WebhookInvalid where the chain breaks.
    """
    expected = None if previous_body is None else hashlib.sha256(previous_body).hexdigest()
    for position, (body, prev_hash) in enumerate(bodies):
        if expected is not None and not hmac.compare_digest(expected, prev_hash):
            raise WebhookInvalid(f"body {position} does not follow the one before it")
        expected = hashlib.sha256(body).hexdigest()


def _parse_signatures(header: str) -> dict[str, list[bytes]]:
    offered: dict[str, list[bytes]] = {}
    for part in header.split(" ", SIGNATURES_MAX)[:SIGNATURES_MAX]:
        version, comma, text = part.partition(",")
        if not comma:
            continue
        try:
            offered.setdefault(version, []).append(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            continue
    if not offered:
        raise WebhookInvalid("webhook-signature is missing or malformed")
    return offered


def _parse_sequence(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    return int(text)


def _key_bytes(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise WebhookInvalid(f"the configured key does not start with {prefix}")
    try:
        return base64.b64decode(text[len(prefix) :], validate=True)
    except (binascii.Error, ValueError):
        raise WebhookInvalid(f"what follows {prefix} in the configured key is not base64") from None


def _hmac_matches(secret: str, content: bytes, offered: Iterable[bytes]) -> bool:
    expected = hmac.digest(_key_bytes(secret, "whsec_"), content, "sha256")
    return any(hmac.compare_digest(expected, signature) for signature in offered)


def _ed25519_matches(public_key: str, content: bytes, offered: Iterable[bytes]) -> bool:
    raw = _key_bytes(public_key, "whpk_")
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # optional for a receiver with secrets only
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        raise WebhookInvalid("verifying v1a needs the package cryptography") from None
    try:
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise WebhookInvalid("the configured public key is not an Ed25519 key") from None
    for signature in offered:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return True
    return False
