"""What holds a merchant's log against what its operator signed: was anything rewritten, dropped, or dated back?

With `strict` it stands alone: the standard library and `cryptography`. Copy both beside `verify`, or import them. Lives here:
reading a signed checkpoint, an event's inclusion, one checkpoint's growth out of another, a whole log, and the signed list of
webhook keys (docs/proofs.md); all raise `ProofInvalid` and nothing else. `kit/verify_log.mjs` is the same for Node. Does not live
here: making any of it (`notes`, `merkle`), webhooks (`verify`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from relay import strict

NOTE_LENGTH_MAX = 16_384
KEY_LIST_LENGTH_MAX = 262_144
"""A merchant has at most a hundred endpoints, each with ten keys that are listed."""
SIGNATURES_MAX = 32
"""More than any honest signer makes; what follows is not looked at."""
PATH_HASHES_MAX = 64
"""A tree of 2**62 leaves needs fewer; a longer path is nobody's honest answer."""
ED25519, COSIGNATURE = b"\x01", b"\x04"
ANCHOR_TAG = b"cbl1"
"""What stands before the hash of a note in a transaction: `chainbell logs`, form 1."""
DATED_BACK_MAX_S = 300
"""A list of keys may be signed so long before a change that had begun already stands in the database."""


class ProofInvalid(Exception):
    """This checkpoint or proof shows nothing, or the log is not the one that was signed; the message says why."""


class HistoryLost(ProofInvalid):
    """The log says itself, by its epoch, that a restored backup lacked events which an earlier checkpoint holds.

    What stood before is still to be shown: hold the new checkpoint against one you kept of at most its `epoch_after`.
    """


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the operator signed: the log of this merchant had `size` events, and this root over their bodies.

    `epoch_after`: behind so many events the epoch began; more than 0 only after a restored backup. `time_s`: Unix time.
    `witnesses`: the names of those asked for who signed along.
    """

    merchant_id: str
    size: int
    root_hash: bytes
    log_epoch: int
    epoch_after: int
    time_s: int
    witnesses: tuple[str, ...] = ()


_CHECKPOINT = re.compile(
    r"(chainbell/log/(mer_[0-9a-z]{26})/([1-9][0-9]{0,9})/(0|[1-9][0-9]{0,14}))\n([1-9][0-9]{0,14})\n([A-Za-z0-9+/]{43}=)\n"
)
_PROOF = re.compile(
    r"c2sp\.org/tlog-proof@v1\n(?:extra [A-Za-z0-9+/=]*\n)?index (0|[1-9][0-9]{0,14})\n((?:[A-Za-z0-9+/]{43}=\n)*)\n"
)
_ANCHOR = re.compile(rf"(?:0x)?(?:6a24)?{ANCHOR_TAG.hex()}([0-9a-f]{{64}})", re.IGNORECASE | re.ASCII)
_VERIFIER_KEY = re.compile(r"([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})")


def verify_checkpoint(
    note: str, *, merchant_id: str, public_key: str, witnesses: Iterable[str] = ()
) -> Checkpoint:
    """What `note` says of the log of `merchant_id` (`mer_…`), if `public_key` (`whpk_…`) signed it; else ProofInvalid.

    Use the key you noted when you first met this log, not one that comes with the note. `witnesses` are verifier keys of
    those you trust; how many of them must have signed along is for you to say.
    """
    text, signatures = _split_note(note)
    found = _CHECKPOINT.fullmatch(text)
    if found is None:
        raise ProofInvalid("this is not a checkpoint of chainbell")
    name, raw_key = found[1], _key_bytes(public_key)
    epoch, after, size = int(found[3]), int(found[4]), int(found[5])
    if found[2] != merchant_id:
        raise ProofInvalid("this is a checkpoint of another log")
    if after > size or (epoch == 1 and after > 0):
        raise ProofInvalid("no log began its epoch there")
    times = _cosigned(text, signatures, name, raw_key)
    if (
        not _is_signed(raw_key, text.encode(), _signatures_of(signatures, name, raw_key, ED25519))
        or not times
    ):
        raise ProofInvalid("the key we know did not sign this checkpoint")
    return Checkpoint(
        merchant_id=merchant_id,
        size=size,
        root_hash=_decode_hash(found[6]),
        log_epoch=epoch,
        epoch_after=after,
        time_s=max(times),
        witnesses=tuple(
            one for one, raw in map(_parse_witness, witnesses) if _cosigned(text, signatures, one, raw)
        ),
    )


def verify_inclusion(body: bytes, path: Sequence[str], checkpoint: Checkpoint) -> None:
    """Check that this event stands in the log of `checkpoint`, at the place its `sequence` says; else ProofInvalid.

    `body` is the bytes as received, `path` the hashes (hex) of `GET /v1/events/{id}/inclusion`.
    """
    _check_place(body, _parse_path(path), checkpoint)


def verify_proof(
    proof: str, body: bytes, *, merchant_id: str, public_key: str, witnesses: Iterable[str] = ()
) -> Checkpoint:
    """Check one event by one file, offline: `proof` is `GET /v1/events/{id}/tlog-proof` (C2SP tlog-proof); ProofInvalid.

    Returns the checkpoint it stands under.
    """
    found = _PROOF.match(proof[: 2 * NOTE_LENGTH_MAX])
    if found is None or (hashes := found[2].split("\n")[:-1])[PATH_HASHES_MAX:]:
        raise ProofInvalid("this is not a tlog-proof")
    checkpoint = verify_checkpoint(
        proof[found.end() :], merchant_id=merchant_id, public_key=public_key, witnesses=witnesses
    )
    if _check_place(body, [_decode_hash(one) for one in hashes], checkpoint) != int(found[1]) + 1:
        raise ProofInvalid("this proof is of another event")
    return checkpoint


def verify_consistency(first: Checkpoint, second: Checkpoint, path: Sequence[str]) -> None:
    """Check that the log of `second` is the log of `first` and what was told since; else ProofInvalid.

    `first` is the one you kept, `path` the hashes (hex) of `GET /v1/events/consistency?from=…&to=…` with the two sizes.
    HistoryLost where a later epoch admits that it began before the end of `first`.
    """
    if first.merchant_id != second.merchant_id:
        raise ProofInvalid("these are checkpoints of two logs")
    if second.log_epoch == first.log_epoch and second.epoch_after != first.epoch_after:
        raise ProofInvalid("two beginnings of one epoch were signed")
    if second.time_s < first.time_s:
        raise ProofInvalid("the second checkpoint was signed before the first")
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


def verify_anchor(note: object, anchored: object) -> None:
    """Check that a transaction holds the hash of exactly this note; else ProofInvalid. Whose it is, `verify_checkpoint` says.

    `anchored` is its input data, or the script of one of its outputs, in hex; both are text. So the note existed when the
    transaction's block was made.
    """
    found = _ANCHOR.fullmatch(anchored) if isinstance(anchored, str) else None
    if found is None:
        raise ProofInvalid("this holds no note of chainbell")
    if not isinstance(note, str) or len(note) > NOTE_LENGTH_MAX:
        raise ProofInvalid("this is no note, or too long for one")
    if hashlib.sha256(note.encode("utf-8", "surrogatepass")).hexdigest() != found[1].lower():
        raise ProofInvalid("another note was anchored")


def verify_key_list(document: bytes, *, merchant_id: str, public_key: str) -> int:
    """Check that the key of the log (`whpk_…`) signed this list of webhook keys; when, in Unix time. Else ProofInvalid.

    `document` is the bytes of `/.well-known/chainbell/{merchant_id}/keys.json`; its keys are for `verify.public_keys_at`.
    """
    note, keys = _read_key_list(document)
    name = f"chainbell/keys/{merchant_id}"
    text, signatures = _split_note(note, KEY_LIST_LENGTH_MAX)
    lines = text.split("\n")[:-1]
    told = [f"{end} {key} {begun} {until or '-'}" for (end, key), (begun, until) in keys.items()]
    if (
        lines[0] != name
        or lines[2:] != told
        or not re.fullmatch(r"time [1-9][0-9]{0,11}", lines[1], re.ASCII)
    ):
        raise ProofInvalid("this is not what was signed of the keys")
    raw_key = _key_bytes(public_key)
    if not _is_signed(raw_key, text.encode(), _signatures_of(signatures, name, raw_key, ED25519)):
        raise ProofInvalid("the key of the log did not sign this list")
    return int(lines[1][5:])


def verify_key_growth(first: bytes, second: bytes, *, merchant_id: str, public_key: str) -> None:
    """Check that between two signed lists, of which you kept the first, no key was dated back; else ProofInvalid.

    Keys may come, end and go. One that was not there may not have begun before, nor an end once told be another.
    """
    signed_s = [
        verify_key_list(one, merchant_id=merchant_id, public_key=public_key) for one in (first, second)
    ]
    if signed_s[1] < signed_s[0]:
        raise ProofInvalid("the second list was signed before the first")
    (_, before), (_, after) = _read_key_list(first), _read_key_list(second)
    horizon_s = signed_s[0] - DATED_BACK_MAX_S
    for key, (begun, until) in after.items():
        was = before.get(key)
        if was is None and _unix_time_s(begun) < horizon_s:
            raise ProofInvalid(f"{key[1]} was dated back: it was not listed when it is said to have begun")
        if was is not None and was[0] != begun:
            raise ProofInvalid(f"{key[1]} has another beginning than it had")
        if was is not None and was[1] != until and (was[1] is not None or _unix_time_s(until) < horizon_s):
            raise ProofInvalid(f"{key[1]} has another end than it had, or ended before anybody was told")


def _read_key_list(document: bytes) -> tuple[str, dict[tuple[str, str], tuple[str, str | None]]]:
    try:
        parsed = strict.parse_json(document)
        rows = [
            [one[name] for name in ("endpoint_id", "public_key", "valid_from", "valid_until")]
            for one in parsed["keys"]
        ]
        note, is_list = parsed["note"], isinstance(parsed["keys"], list)
        shapes = (r"end_[0-9a-z]{26}", r"whpk_[A-Za-z0-9+/]{43}=", _TIME, _TIME)
        is_whole = all(
            (value is None and place == 3) or re.fullmatch(shape, value)
            for row in rows
            for place, (value, shape) in enumerate(zip(row, shapes, strict=True))
        )
    except (ValueError, TypeError, KeyError):
        raise ProofInvalid("this is not a signed list of public keys") from None
    keys = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    if not is_list or not is_whole or len(keys) != len(rows):
        raise ProofInvalid("this list of public keys is out of form, or names one twice")
    return note, keys


_TIME = r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z"


def _unix_time_s(text: str | None) -> int:
    try:
        return int(datetime.fromisoformat((text or "")[:19] + "+00:00").timestamp())
    except ValueError:
        raise ProofInvalid("this is not a time") from None


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


def _check_place(body: bytes, path: Sequence[bytes], checkpoint: Checkpoint) -> int:
    sequence, merchant_id = _place_of(body)
    if merchant_id != checkpoint.merchant_id or not 1 <= sequence <= checkpoint.size:
        raise ProofInvalid("this checkpoint does not speak of this event")
    _, root = _climb(_leaf(body), path, sequence - 1, checkpoint.size - 1)
    if root != checkpoint.root_hash:
        raise ProofInvalid("this event does not stand there in the log that was signed")
    return sequence


def _place_of(body: bytes) -> tuple[int, object]:
    try:
        event = strict.parse_json(body)
        return strict.parse_whole(event["sequence"]), event["merchant_id"]
    except (ValueError, TypeError, KeyError):
        raise ProofInvalid("this is not the body of an event that has a place in the log") from None


def _parse_path(path: Sequence[object]) -> list[bytes]:
    if not isinstance(path, list | tuple) or len(path) > PATH_HASHES_MAX:
        raise ProofInvalid(f"a path is a list of at most {PATH_HASHES_MAX} hashes")
    if not all(isinstance(one, str) and re.fullmatch(r"[0-9a-f]{64}", one) for one in path):
        raise ProofInvalid("a path is hashes in hex")
    return [bytes.fromhex(one) for one in path]


def _decode_hash(text: str) -> bytes:
    try:
        return strict.decode_base64(text)
    except ValueError:
        raise ProofInvalid("this is not how a hash is written") from None


def _split_note(note: object, length_max: int = NOTE_LENGTH_MAX) -> tuple[str, list[str]]:
    """The text, which has no empty line, and the signature lines; ProofInvalid."""
    if not isinstance(note, str) or len(note) > length_max:
        raise ProofInvalid("this is no note, or too long for one")
    text, gap, signatures = note.partition("\n\n")
    if not gap:
        raise ProofInvalid("this note is not signed")
    return text + "\n", signatures.split("\n")[:SIGNATURES_MAX]


def _signatures_of(lines: Sequence[str], name: str, raw_key: bytes, kind: bytes) -> list[bytes]:
    """What the key with this name and kind signed; others on the same note are not ours to judge."""
    key_id = hashlib.sha256(name.encode() + b"\n" + kind + raw_key).digest()[:4]
    prefix, found = f"\N{EM DASH} {name} ", []
    for line in lines:
        try:
            raw = strict.decode_base64(line[len(prefix) :]) if line.startswith(prefix) else b""
        except ValueError:
            continue
        if raw.startswith(key_id):
            found.append(raw[len(key_id) :])
    return found


def _cosigned(text: str, lines: Sequence[str], name: str, raw_key: bytes) -> list[int]:
    """When (Unix time) the key signed along, as C2SP tlog-cosignature says."""
    times = []
    for raw in _signatures_of(lines, name, raw_key, COSIGNATURE):
        time_s = int.from_bytes(raw[:8], "big")
        if (
            len(raw) == 72
            and time_s <= strict.WHOLE_MAX
            and _is_signed(raw_key, f"cosignature/v1\ntime {time_s}\n{text}".encode(), [raw[8:]])
        ):
            times.append(time_s)
    return times


def _parse_witness(verifier_key: str) -> tuple[str, bytes]:
    found = _VERIFIER_KEY.fullmatch(verifier_key)
    raw = _decode_hash(found[3]) if found else b""
    if found is None or len(raw) != 33 or raw[:1] != COSIGNATURE or strict.is_unsound(raw[1:]):
        raise ProofInvalid("this is not the verifier key of a witness")
    if hashlib.sha256(found[1].encode() + b"\n" + raw).hexdigest()[:8] != found[2]:
        raise ProofInvalid("this verifier key contradicts itself")
    return found[1], raw[1:]


def _key_bytes(text: str) -> bytes:
    try:
        return strict.decode_key(text, "whpk_")
    except ValueError as error:
        raise ProofInvalid(str(error)) from None


def _is_signed(raw_key: bytes, content: bytes, offered: Iterable[bytes]) -> bool:
    try:
        return strict.is_signed(raw_key, content, offered)
    except ImportError:
        raise ProofInvalid("verifying a checkpoint needs the package cryptography") from None
