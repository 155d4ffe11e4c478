"""What a witness of logs decides (C2SP tlog-witness): sign along only what continues what it signed along before.

Lives here, pure: reading a submission, whether a log's key signed it, and the answer. Any log is watched whose verifier key is
known; of a log of chainbell, whose origin names its epoch, every epoch is. Does not live here: memory and the socket
(`gateway.witness`), asking witnesses (`cosigners`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay import strict, verify_log
from relay.proof import notes
from relay.verify_log import Checkpoint, ProofInvalid

SUBMISSION_BYTES_MAX = 65_536
_HEAD = re.compile(r"old (0|[1-9][0-9]{0,14})\n((?:[A-Za-z0-9+/]{43}=\n){0,63})\n")
_TEXT = re.compile(r"([^\x00-\x1f]{1,255})\n(0|[1-9][0-9]{0,14})\n([A-Za-z0-9+/]{43}=)\n(?:[^\x00-\x1f]+\n)*")
_CHAINBELL = re.compile(r"(chainbell/log/mer_[0-9a-z]{26})/[0-9]+/[0-9]+")
VERIFIER_KEY_PATTERN = re.compile(r"([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})")


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint, and a proof that its log continues the one of `old_size` events."""

    old_size: int
    path: tuple[bytes, ...]
    origin: str
    size: int
    root_hash: bytes
    text: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """The last checkpoint of an origin that was signed along."""

    size: int
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status of the protocol; with 409 the size that a proof must begin at."""

    status: int
    words: str
    size: int | None = None


def parse_verifier_key(text: str, kind: bytes) -> tuple[str, bytes]:
    """Name and 32 bytes of a verifier key of this kind; ValueError, also for a key under which anybody signs."""
    found = VERIFIER_KEY_PATTERN.fullmatch(text)
    raw = strict.decode_base64(found[3]) if found else b""
    if found is None or len(raw) != 33 or raw[:1] != kind or strict.is_unsound(raw[1:]):
        raise ValueError("this is not a verifier key of that kind")
    if notes.compute_key_id(found[1], raw[1:], kind).hex() != found[2]:
        raise ValueError("this verifier key contradicts itself")
    return found[1], raw[1:]


def parse_submission(body: bytes) -> Submission:
    """The body of `add-checkpoint`; ValueError."""
    text = body.decode()
    head = _HEAD.match(text)
    if head is None:
        raise ValueError("a submission begins with `old`, a size, and a proof")
    checkpoint, gap, signatures = text[head.end() :].partition("\n\n")
    found = _TEXT.fullmatch(checkpoint + "\n")
    if not gap or found is None:
        raise ValueError("no checkpoint follows the proof")
    path = tuple(strict.decode_base64(line) for line in head[2].splitlines())
    lines = tuple(signatures.split("\n")[: verify_log.SIGNATURES_MAX])
    root = strict.decode_base64(found[3])
    return Submission(int(head[1]), path, found[1], int(found[2]), root, checkpoint + "\n", lines)


def group_of(origin: str) -> str:
    """What stands for the origins of one log: all epochs of a log of chainbell have one key."""
    found = _CHAINBELL.fullmatch(origin)
    return found[1] if found else origin


def decide(logs: Mapping[str, Sequence[bytes]], known: Witnessed | None, asked: Submission) -> Refusal | None:
    """Why this checkpoint is not signed along; None where it is. `logs`: group of origins → public keys.

    In the order of the specification.
    """
    keys = logs.get(group_of(asked.origin))
    if not keys:
        return Refusal(404, "this log is not known here")
    if not any(_is_signed(asked, key) for key in keys):
        return Refusal(403, "no key that is known for this log signed it")
    if asked.old_size > asked.size:
        return Refusal(400, "the old size is beyond the new one")
    size = 0 if known is None else known.size
    if asked.old_size != size:
        return Refusal(409, "the proof must begin at another size", size)
    if known is not None and asked.size == known.size and asked.root_hash != known.root_hash:
        return Refusal(409, "another root of this size was signed along before", size)
    return None if _is_continued(known, asked) else Refusal(422, "the proof does not hold")


def _is_signed(asked: Submission, key: bytes) -> bool:
    offered = []
    prefix, key_id = f"\N{EM DASH} {asked.origin} ", notes.compute_key_id(asked.origin, key)
    for line in asked.signatures:
        try:
            raw = strict.decode_base64(line.removeprefix(prefix)) if line.startswith(prefix) else b""
        except ValueError:
            continue
        if raw.startswith(key_id):
            offered.append(raw[len(key_id) :])
    return strict.is_signed(key, asked.text.encode(), offered)


def _is_continued(known: Witnessed | None, asked: Submission) -> bool:
    if known is None or known.size == 0:
        is_empty = asked.size > 0 or asked.root_hash == hashlib.sha256(b"").digest()
        return not asked.path and is_empty
    first = Checkpoint(asked.origin, known.size, known.root_hash, 1, 0, 0)
    second = Checkpoint(asked.origin, asked.size, asked.root_hash, 1, 0, 0)
    try:
        verify_log.verify_consistency(first, second, [one.hex() for one in asked.path])
    except ProofInvalid:
        return False
    return True
