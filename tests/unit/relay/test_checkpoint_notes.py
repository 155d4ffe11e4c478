"""Checkpoints as text: the published signed note, the form others' tools read, and that nothing false passes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import assume, given
from hypothesis import strategies as st

from migrations.ids import encode_id
from relay import merkle, notes, signing, verify_log
from relay.merkle import Span
from relay.verify_log import Checkpoint, HistoryLost, ProofInvalid

# The example of the package that signed notes come from (golang.org/x/mod/sumdb/note).
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
MERCHANT = UUID(int=1)
MERCHANT_ID = encode_id("mer", MERCHANT)
KEY = signing.signing_key_from_seed(bytes(range(32)))
OTHER_KEY = signing.signing_key_from_seed(bytes(32))
PUBLIC = signing.encode_public_key(signing.public_bytes(KEY))


def bodies(count: int, tag: str = "") -> list[bytes]:
    return [
        msgspec.json.encode({"sequence": n, "merchant_id": MERCHANT_ID, "tag": tag})
        for n in range(1, count + 1)
    ]


def leaf(body: bytes) -> bytes:
    return merkle.hash_leaf(hashlib.sha256(body).digest())


def roots(log: Sequence[bytes], spans: Sequence[Span]) -> list[str]:
    return [merkle.compute_root([leaf(body) for body in log[start:end]]).hex() for start, end in spans]


def note_of(log: Sequence[bytes], *, log_epoch: int = 1, epoch_after: int = 0) -> str:
    text = notes.compose_checkpoint(
        MERCHANT,
        log_epoch=log_epoch,
        epoch_after=epoch_after,
        size=len(log),
        root_hash=merkle.compute_root([leaf(body) for body in log]),
        at=NOW,
    )
    return notes.sign_note(text, notes.name_log(MERCHANT), KEY)


def checkpoint_of(log: Sequence[bytes], **more: int) -> Checkpoint:
    return verify_log.verify_checkpoint(note_of(log, **more), merchant_id=MERCHANT_ID, public_key=PUBLIC)


def test_the_published_note_has_the_key_id_and_the_signature_that_ours_would_have() -> None:
    name, key_id, encoded = PUBLISHED_KEY.split("+")
    raw = base64.b64decode(encoded)
    assert raw[:1] == notes.ED25519
    assert notes.compute_key_id(name, raw[1:]).hex() == key_id
    assert notes.encode_verifier_key(name, raw[1:]) == PUBLISHED_KEY
    text, _, line = PUBLISHED_NOTE.partition("\n\n")
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature[4:], (text + "\n").encode())


def test_a_checkpoint_reads_as_its_specification_says() -> None:
    log = bodies(3)
    lines = note_of(log, log_epoch=9, epoch_after=2).split("\n")
    assert lines[:5] == [
        f"chainbell/log/{MERCHANT_ID}",
        "3",
        base64.b64encode(merkle.compute_root([leaf(body) for body in log])).decode(),
        "epoch 9 after 2",
        "time 2026-11-20T12:00:00Z",
    ]
    assert lines[5] == lines[7] == ""
    assert lines[6].startswith(f"\N{EM DASH} chainbell/log/{MERCHANT_ID} ")
    assert len(base64.b64decode(lines[6].split(" ")[2])) == 4 + 64


def test_what_was_signed_is_read_back() -> None:
    log = bodies(3)
    found = checkpoint_of(log, log_epoch=9, epoch_after=2)
    root = merkle.compute_root([leaf(body) for body in log])
    assert found == Checkpoint(MERCHANT_ID, 3, root, 9, 2, "2026-11-20T12:00:00Z")
    verify_log.verify_bodies(log, found)


@given(st.data())
def test_a_note_with_any_change_is_refused(data: st.DataObject) -> None:
    note = note_of(bodies(5))
    place = data.draw(st.integers(0, len(note) - 1))
    letter = data.draw(st.sampled_from(["", "0", "9", "A", "z", "+", "\n", " ", "\N{EM DASH}", "\x00", "é"]))
    changed = note[:place] + letter + note[place + 1 :]
    assume(changed.rstrip("\n") != note.rstrip("\n"))
    # The last character before the padding carries two bits that decode to nothing: another spelling of the same bytes.
    assume(changed.partition("\n\n")[0] != note.partition("\n\n")[0] or not same_signature(changed, note))
    with pytest.raises(ProofInvalid):
        verify_log.verify_checkpoint(changed, merchant_id=MERCHANT_ID, public_key=PUBLIC)


def same_signature(one: str, other: str) -> bool:
    try:
        return base64.b64decode(one.rsplit(" ", maxsplit=1)[-1]) == base64.b64decode(
            other.rsplit(" ", maxsplit=1)[-1]
        )
    except ValueError:
        return False


@given(st.text(max_size=300) | st.just("a\n" * 5_000))
def test_anything_else_is_refused_with_the_one_error(note: str) -> None:
    with pytest.raises(ProofInvalid):
        verify_log.verify_checkpoint(note, merchant_id=MERCHANT_ID, public_key=PUBLIC)


def test_another_key_or_another_merchant_is_refused() -> None:
    note = note_of(bodies(2))
    other = signing.encode_public_key(signing.public_bytes(OTHER_KEY))
    for merchant_id, public_key in (
        (MERCHANT_ID, other),
        (encode_id("mer", UUID(int=2)), PUBLIC),
        (MERCHANT_ID, "whpk_%%"),
        (MERCHANT_ID, "whpk_AAAA"),
        (MERCHANT_ID, "whsec_AAAA"),
    ):
        with pytest.raises(ProofInvalid):
            verify_log.verify_checkpoint(note, merchant_id=merchant_id, public_key=public_key)


def test_signatures_of_others_on_a_note_do_no_harm_and_no_good() -> None:
    log = bodies(2)
    note = note_of(log)
    text = note.partition("\n\n")[0] + "\n"
    witness = notes.sign_note(text, "witness.example", OTHER_KEY).partition("\n\n")[2]
    impostor = notes.sign_note(text, notes.name_log(MERCHANT), OTHER_KEY)
    signed = text + "\n" + witness + note.partition("\n\n")[2]
    assert verify_log.verify_checkpoint(signed, merchant_id=MERCHANT_ID, public_key=PUBLIC).size == 2
    for wrong in (text + "\n" + witness, impostor):
        with pytest.raises(ProofInvalid):
            verify_log.verify_checkpoint(wrong, merchant_id=MERCHANT_ID, public_key=PUBLIC)


@given(st.data(), st.integers(1, 70))
def test_every_event_is_proven_and_no_other(data: st.DataObject, size: int) -> None:
    log = bodies(size)
    place = data.draw(st.integers(0, size - 1))
    checkpoint = checkpoint_of(log)
    path = roots(log, merkle.compute_inclusion(place, size))
    verify_log.verify_inclusion(log[place], path, checkpoint)
    wrong_paths = [
        path[:-1],
        [*path, "00" * 32],
        path[::-1],
        ["zz" * 32, *path[1:]],
        [one.upper() for one in path],
    ]
    for wrong in wrong_paths if path else [["00" * 32]]:
        if wrong != path:
            with pytest.raises(ProofInvalid):
                verify_log.verify_inclusion(log[place], wrong, checkpoint)
    for body in (
        bodies(size, "other")[place],
        bodies(size + 1)[-1],
        b"",
        b"[]",
        b'{"sequence":true}',
        b"[" * 9_999,
    ):
        with pytest.raises(ProofInvalid):
            verify_log.verify_inclusion(body, path, checkpoint)


@given(st.data(), st.integers(1, 70))
def test_a_log_that_grew_is_proven_and_one_that_was_rewritten_is_not(data: st.DataObject, size: int) -> None:
    log = bodies(size)
    first = data.draw(st.integers(1, size))
    earlier, later = checkpoint_of(log[:first]), checkpoint_of(log)
    path = roots(log, merkle.compute_consistency(first, size))
    verify_log.verify_consistency(earlier, later, path)
    for wrong in (path[:-1], [*path, "00" * 32], [*path[1:], *path[:1]]):
        if wrong != path:
            with pytest.raises(ProofInvalid):
                verify_log.verify_consistency(earlier, later, wrong)
    altered = data.draw(st.integers(0, first - 1))
    rewritten = [*log[:altered], bodies(size, "other")[altered], *log[altered + 1 :]]
    with pytest.raises(ProofInvalid):
        verify_log.verify_consistency(
            earlier, checkpoint_of(rewritten), roots(rewritten, merkle.compute_consistency(first, size))
        )
    with pytest.raises(ProofInvalid):
        verify_log.verify_bodies(rewritten, later)


def test_a_shorter_log_is_refused_and_a_restore_is_named() -> None:
    log = bodies(9)
    kept = checkpoint_of(log)
    with pytest.raises(ProofInvalid, match="earlier log"):
        verify_log.verify_consistency(kept, checkpoint_of(log[:8]), [])
    with pytest.raises(HistoryLost, match="epoch 2 goes on behind 5 events, 9 had been signed"):
        verify_log.verify_consistency(kept, checkpoint_of(log[:8], log_epoch=2, epoch_after=5), [])
    with pytest.raises(HistoryLost):
        verify_log.verify_consistency(kept, checkpoint_of(log, log_epoch=2, epoch_after=8), [])
    with pytest.raises(ProofInvalid, match="earlier log"):
        verify_log.verify_consistency(checkpoint_of(log[:3], log_epoch=2, epoch_after=3), kept, [])
    later = checkpoint_of(log, log_epoch=2, epoch_after=8)
    verify_log.verify_consistency(checkpoint_of(log[:8]), later, roots(log, merkle.compute_consistency(8, 9)))
    with pytest.raises(ProofInvalid, match="two logs"):
        verify_log.verify_consistency(replace(kept, merchant_id="mer_x"), kept, [])


def test_a_signed_size_that_is_not_the_trees_proves_nothing() -> None:
    """An operator may sign anything: the size must be the root's, or two logs could share one root."""
    log = bodies(4)
    small, large = checkpoint_of(log[:2]), checkpoint_of(log)
    swollen, shrunk = replace(small, size=4), replace(large, size=2)
    with pytest.raises(ProofInvalid, match="too short"):
        verify_log.verify_inclusion(log[0], roots(log, merkle.compute_inclusion(0, 2)), swollen)
    with pytest.raises(ProofInvalid, match="too long"):
        verify_log.verify_inclusion(log[0], roots(log, merkle.compute_inclusion(0, 4)), shrunk)
    with pytest.raises(ProofInvalid, match="too short"):
        verify_log.verify_consistency(
            small, replace(large, size=8), roots(log, merkle.compute_consistency(2, 4))
        )
    for claimed, shown in ((swollen, log[:2]), (shrunk, log), (large, [])):
        with pytest.raises(ProofInvalid, match="events were signed"):
            verify_log.verify_bodies(shown, claimed)


def test_an_event_of_another_merchant_proves_nothing_even_where_it_was_signed() -> None:
    strange = [
        body.replace(MERCHANT_ID.encode(), encode_id("mer", UUID(int=2)).encode()) for body in bodies(2)
    ]
    with pytest.raises(ProofInvalid, match="does not speak of this event"):
        verify_log.verify_inclusion(
            strange[0], roots(strange, merkle.compute_inclusion(0, 2)), checkpoint_of(strange)
        )


def test_a_note_about_one_log_under_the_name_of_another_is_refused() -> None:
    text = note_of(bodies(2)).partition("\n\n")[0] + "\n"
    other = UUID(int=2)
    note = notes.sign_note(text, notes.name_log(other), KEY)
    with pytest.raises(ProofInvalid, match="another log"):
        verify_log.verify_checkpoint(note, merchant_id=encode_id("mer", other), public_key=PUBLIC)
