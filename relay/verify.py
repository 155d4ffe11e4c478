"""What a receiver runs: is this request from chainbell, is it fresh, is anything missing, was anything rewritten?

This file stands alone: the standard library, and `cryptography` only where a public key is given. Copy it, or import
it. Lives here: `verify`, which raises `WebhookInvalid` and nothing else; `GapTracker`; and what holds a log against its
signed checkpoints, which raises `ProofInvalid` and nothing else (docs/proofs.md). Does not live here: making any of it
(`signing`, `notes`, `merkle`). Receivers drop repeats by `webhook-id` and apply by (object id, version): docs/webhooks.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

TOLERANCE_S = 300
SIGNATURES_MAX = 32
"""More than any honest sender makes; what follows is not looked at."""
AHEAD_MAX = 10_000
"""Events a tracker remembers beyond a gap; more are not remembered, the gap itself is."""
NOTE_LENGTH_MAX = 4_096
PATH_HASHES_MAX = 64
"""A tree of 2**62 leaves needs fewer; a longer path is nobody's honest answer."""


class WebhookInvalid(Exception):
    """This request must not be believed; the message says why and holds no secret."""


class ProofInvalid(Exception):
    """This checkpoint or proof shows nothing, or the log is not the one that was signed; the message says why."""


class HistoryLost(ProofInvalid):
    """The log says itself, by its epoch, that a restored backup lacked events which an earlier checkpoint holds."""


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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the operator signed: the log of this merchant had `size` events, and this root over their bodies.

    `epoch_after`: behind so many events the epoch began; more than 0 only after a restored backup. `time`: RFC 3339.
    """

    merchant_id: str
    size: int
    root_hash: bytes
    log_epoch: int
    epoch_after: int
    time: str


_CHECKPOINT = re.compile(
    r"chainbell/log/(mer_[0-9a-z]{26})\n([1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
    r"epoch ([1-9][0-9]{0,9}) after (0|[1-9][0-9]{0,18})\ntime ([0-9T:.-]{19,26}Z)\n"
)


def verify_checkpoint(note: str, *, merchant_id: str, public_key: str) -> Checkpoint:
    """What `note` says of the log of `merchant_id` (`mer_…`), if `public_key` (`whpk_…`) signed it; else ProofInvalid.

    Use the key you noted when you first met this log, not one that comes with the note.
    """
    text, gap, signatures = note[:NOTE_LENGTH_MAX].partition("\n\n")
    text += "\n"
    found = _CHECKPOINT.fullmatch(text)
    if len(note) > NOTE_LENGTH_MAX or not gap or found is None:
        raise ProofInvalid("this is not a checkpoint of chainbell")
    if found[1] != merchant_id:
        raise ProofInvalid("this is a checkpoint of another log")
    name = f"chainbell/log/{merchant_id}"
    try:
        signed = _ed25519_matches(
            public_key, text.encode(), _parse_note_signatures(signatures, name, public_key)
        )
    except WebhookInvalid as error:
        raise ProofInvalid(str(error)) from None
    if not signed:
        raise ProofInvalid("the key we know did not sign this checkpoint")
    return Checkpoint(
        merchant_id=merchant_id,
        size=int(found[2]),
        root_hash=base64.b64decode(found[3]),
        log_epoch=int(found[4]),
        epoch_after=int(found[5]),
        time=found[6],
    )


def verify_inclusion(body: bytes, path: Sequence[str], checkpoint: Checkpoint) -> None:
    """Check that this event stands in the log of `checkpoint`, at the place its `sequence` says; else ProofInvalid.

    `body` is the bytes as received, `path` the hashes (hex) of `GET /v1/events/{id}/inclusion`.
    """
    sequence, merchant_id = _place_of(body)
    if merchant_id != checkpoint.merchant_id or not 1 <= sequence <= checkpoint.size:
        raise ProofInvalid("this checkpoint does not speak of this event")
    _, root = _climb(_leaf(body), _parse_path(path), sequence - 1, checkpoint.size - 1)
    if root != checkpoint.root_hash:
        raise ProofInvalid("this event does not stand there in the log that was signed")


def verify_consistency(first: Checkpoint, second: Checkpoint, path: Sequence[str]) -> None:
    """Check that the log of `second` is the log of `first` and what was told since; else ProofInvalid.

    `first` is the one you kept, `path` the hashes (hex) of `GET /v1/events/consistency?from=…&to=…` with the two sizes.
    HistoryLost where a later epoch admits that it began before the end of `first`.
    """
    if first.merchant_id != second.merchant_id:
        raise ProofInvalid("these are checkpoints of two logs")
    if second.log_epoch > first.log_epoch and second.epoch_after < first.size:
        raise HistoryLost(
            f"epoch {second.log_epoch} goes on behind {second.epoch_after} events, {first.size} had been signed"
        )
    if second.log_epoch < first.log_epoch or second.size < first.size:
        raise ProofInvalid("the second checkpoint is of an earlier log than the first")
    hashes = _parse_path(path)
    if first.size == second.size:
        if hashes or first.root_hash != second.root_hash:
            raise ProofInvalid("the log was rewritten: two logs of one size were signed")
        return
    place, last = first.size - 1, second.size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    if first.size & (first.size - 1) == 0:  # the first tree is a perfect subtree of the second
        hashes.insert(0, first.root_hash)
    if not hashes:
        raise ProofInvalid("the path is too short")
    first_root, second_root = _climb(hashes[0], hashes[1:], place, last)
    if first_root != first.root_hash or second_root != second.root_hash:
        raise ProofInvalid("the log was rewritten: it does not continue the one that was signed before")


def verify_bodies(bodies: Iterable[bytes], checkpoint: Checkpoint) -> None:
    """Check that these are all bodies of the log of `checkpoint`, in their order; ProofInvalid. Needs no proof."""
    peaks: list[bytes] = []
    count = 0
    for body in bodies:
        root, count = _leaf(body), count + 1
        for _ in range((count & -count).bit_length() - 1):
            root = _node(peaks.pop(), root)
        peaks.append(root)
    if count != checkpoint.size:
        raise ProofInvalid(f"{checkpoint.size} events were signed, these are {count}")
    root = peaks.pop()
    while peaks:
        root = _node(peaks.pop(), root)
    if root != checkpoint.root_hash:
        raise ProofInvalid("these are not the events that were signed")


def _leaf(body: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + hashlib.sha256(body).digest()).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _climb(start: bytes, path: Sequence[bytes], place: int, last: int) -> tuple[bytes, bytes]:
    """From a subtree at `place` of a row whose last is `last` to the roots: of the tree that ends with it, and of all."""
    inner = outer = start
    for other in path:
        if last == 0:
            raise ProofInvalid("the path is too long")
        if place & 1 or place == last:
            inner, outer = _node(other, inner), _node(other, outer)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            outer = _node(outer, other)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofInvalid("the path is too short")
    return inner, outer


def _place_of(body: bytes) -> tuple[int, object]:
    try:
        event = json.loads(body)
        sequence = event["sequence"]
        merchant_id = event["merchant_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProofInvalid("this is not the body of an event") from None
    if type(sequence) is not int:
        raise ProofInvalid("this event has no place in the log")
    return sequence, merchant_id


def _parse_path(path: Sequence[object]) -> list[bytes]:
    hashes = [one for one in path[: PATH_HASHES_MAX + 1] if isinstance(one, str) and _HASH.fullmatch(one)]
    if len(path) > PATH_HASHES_MAX or len(hashes) != len(path):
        raise ProofInvalid(f"a path is at most {PATH_HASHES_MAX} hashes in hex")
    return [bytes.fromhex(one) for one in hashes]


_HASH = re.compile(r"[0-9a-f]{64}")


def _parse_note_signatures(lines: str, name: str, public_key: str) -> list[bytes]:
    """The Ed25519 signatures of the key with this name; others on the same note are not ours to judge."""
    raw = _key_bytes(public_key, "whpk_")
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()[:4]
    found = []
    for line in lines.split("\n", SIGNATURES_MAX)[:SIGNATURES_MAX]:
        prefix = f"\N{EM DASH} {name} "
        if not line.startswith(prefix):
            continue
        try:
            signature = base64.b64decode(line[len(prefix) :], validate=True)
        except (binascii.Error, ValueError):
            continue
        if signature.startswith(key_id):
            found.append(signature[len(key_id) :])
    return found


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
