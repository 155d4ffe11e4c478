"""What holds a merchant's log against the checkpoints its operator signed: was anything rewritten or dropped?

This file stands alone: the standard library and `cryptography`. Copy it beside `verify`, or import it. Lives here: reading
a signed checkpoint, an event's inclusion, one checkpoint's growth out of another, and a whole log (docs/proofs.md); all raise
`ProofInvalid` and nothing else. Does not live here: making any of it (`notes`, `merkle`), webhooks (`verify`).
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NOTE_LENGTH_MAX = 4_096
SIGNATURES_MAX = 32
"""More than any honest signer makes; what follows is not looked at."""
PATH_HASHES_MAX = 64
"""A tree of 2**62 leaves needs fewer; a longer path is nobody's honest answer."""
KEY_PREFIX = "whpk_"


class ProofInvalid(Exception):
    """This checkpoint or proof shows nothing, or the log is not the one that was signed; the message says why."""


class HistoryLost(ProofInvalid):
    """The log says itself, by its epoch, that a restored backup lacked events which an earlier checkpoint holds."""


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
    raw = _key_bytes(public_key)
    if not _is_signed(raw, text.encode(), _parse_note_signatures(signatures, name, raw)):
        raise ProofInvalid("the key we know did not sign this checkpoint")
    return Checkpoint(
        merchant_id=merchant_id,
        size=int(found[2]),
        root_hash=binascii.a2b_base64(found[3]),
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


def _parse_note_signatures(lines: str, name: str, raw_key: bytes) -> list[bytes]:
    """The Ed25519 signatures of the key with this name; others on the same note are not ours to judge."""
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + raw_key).digest()[:4]
    found = []
    for line in lines.split("\n", SIGNATURES_MAX)[:SIGNATURES_MAX]:
        prefix = f"\N{EM DASH} {name} "
        if not line.startswith(prefix):
            continue
        try:
            signature = _decode_base64(line[len(prefix) :])
        except (binascii.Error, ValueError):
            continue
        if signature.startswith(key_id):
            found.append(signature[len(key_id) :])
    return found


def _decode_base64(text: str) -> bytes:
    """RFC 4648 section 4; binascii.Error or another ValueError for anything else, which Python alone would let pass."""
    if len(text) % 4:
        raise binascii.Error("its length is no multiple of four")
    return binascii.a2b_base64(text, strict_mode=True)


def _key_bytes(text: str) -> bytes:
    if not text.startswith(KEY_PREFIX):
        raise ProofInvalid(f"the configured key does not start with {KEY_PREFIX}")
    try:
        return _decode_base64(text[len(KEY_PREFIX) :])
    except (binascii.Error, ValueError):
        raise ProofInvalid(f"what follows {KEY_PREFIX} in the configured key is not base64") from None


def _is_signed(raw_key: bytes, content: bytes, offered: Iterable[bytes]) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # told in words where it is missing
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        raise ProofInvalid("verifying a checkpoint needs the package cryptography") from None
    try:
        key = Ed25519PublicKey.from_public_bytes(raw_key)
    except ValueError:
        raise ProofInvalid("the configured public key is not an Ed25519 key") from None
    for signature in offered:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return True
    return False
