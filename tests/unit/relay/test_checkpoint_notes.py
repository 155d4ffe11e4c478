"""Checkpoints as text: the published signed note, the form others' tools read, and that nothing false passes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import assume, given
from hypothesis import strategies as st

from migrations.ids import encode_id
from relay import verify_log
from relay.keys import signing
from relay.proof import merkle, notes
from relay.proof.merkle import Span
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


def note_of(
    log: Sequence[bytes],
    *,
    log_epoch: int = 1,
    epoch_after: int = 0,
    at: datetime = NOW,
    merchant: UUID = MERCHANT,
) -> str:
    name = notes.name_log(merchant, log_epoch, epoch_after)
    root = merkle.compute_root([leaf(body) for body in log])
    return notes.sign_note(notes.compose_checkpoint(name, size=len(log), root_hash=root), name, KEY, at=at)


def checkpoint_of(log: Sequence[bytes], **more: Any) -> Checkpoint:
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
    note = note_of(log, log_epoch=9, epoch_after=2)
    lines, name = note.split("\n"), f"chainbell/log/{MERCHANT_ID}/9/2"
    root = base64.b64encode(merkle.compute_root([leaf(body) for body in log])).decode()
    assert lines[:4] == [name, "3", root, ""]
    assert [line.split(" ")[:2] for line in lines[4:6]] == [["\N{EM DASH}", name]] * 2
    assert [len(base64.b64decode(line.split(" ")[2])) for line in lines[4:6]] == [4 + 64, 4 + 8 + 64]
    assert lines[6:] == [""]
    assert (notes.name_of(note), notes.read_time(note)) == (name, NOW)


def test_what_was_signed_is_read_back() -> None:
    log = bodies(3)
    found = checkpoint_of(log, log_epoch=9, epoch_after=2)
    root = merkle.compute_root([leaf(body) for body in log])
    assert found == Checkpoint(MERCHANT_ID, 3, root, 9, 2, int(NOW.timestamp()))
    verify_log.verify_bodies(log, found)


@given(st.data())
def test_a_note_with_any_change_is_refused(data: st.DataObject) -> None:
    note = note_of(bodies(5))
    place = data.draw(st.integers(0, len(note) - 1))
    letter = data.draw(st.sampled_from(["", "0", "9", "A", "z", "+", "\n", " ", "\N{EM DASH}", "\x00", "é"]))
    changed = note[:place] + letter + note[place + 1 :]
    assume(changed.rstrip("\n") != note.rstrip("\n"))
    with pytest.raises(ProofInvalid):
        verify_log.verify_checkpoint(changed, merchant_id=MERCHANT_ID, public_key=PUBLIC)


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
    impostor = notes.sign_note(text, notes.name_log(MERCHANT, 1, 0), OTHER_KEY, at=NOW)
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
    for first, second, words in (
        (later, checkpoint_of(log, log_epoch=2, epoch_after=7), "two beginnings of one epoch"),
        (checkpoint_of(log, at=NOW + timedelta(seconds=1)), kept, "signed before the first"),
    ):
        with pytest.raises(ProofInvalid, match=words):
            verify_log.verify_consistency(first, second, [])
    for impossible in ({"log_epoch": 2, "epoch_after": 10}, {"log_epoch": 1, "epoch_after": 2}):
        with pytest.raises(ProofInvalid, match="no log began"):
            checkpoint_of(log, **impossible)
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
    note, other = note_of(bodies(2)), UUID(int=2)
    foreign = note.replace(MERCHANT_ID, encode_id("mer", other))
    for wrong, merchant in ((note, other), (foreign, other), (note_of(bodies(2), merchant=other), MERCHANT)):
        with pytest.raises(ProofInvalid):
            verify_log.verify_checkpoint(wrong, merchant_id=encode_id("mer", merchant), public_key=PUBLIC)


def test_a_checkpoint_without_its_time_or_without_its_signature_is_refused() -> None:
    text, _, signatures = note_of(bodies(2)).partition("\n\n")
    for line in signatures.splitlines():
        with pytest.raises(ProofInvalid, match="did not sign"):
            verify_log.verify_checkpoint(f"{text}\n\n{line}\n", merchant_id=MERCHANT_ID, public_key=PUBLIC)


def test_a_witness_is_named_where_it_signed_along() -> None:
    note = note_of(bodies(2))
    text = note.partition("\n\n")[0] + "\n"
    raw = signing.public_bytes(OTHER_KEY)
    trusted = notes.encode_verifier_key("witness.example/w1", raw, notes.COSIGNATURE)
    signed = note + notes.cosign(text, "witness.example/w1", OTHER_KEY, at=NOW)
    unsigned = note + notes.cosign(text + "x", "witness.example/w1", OTHER_KEY, at=NOW)
    plain = note + notes.sign_note(text, "witness.example/w1", OTHER_KEY).partition("\n\n")[2]
    for one, found in ((signed, ("witness.example/w1",)), (unsigned, ()), (plain, ()), (note, ())):
        read = verify_log.verify_checkpoint(
            one, merchant_id=MERCHANT_ID, public_key=PUBLIC, witnesses=[trusted]
        )
        assert read.witnesses == found
    for wrong in ("", "a+b+c", trusted.replace("w1", "w2"), notes.encode_verifier_key("w", raw)):
        with pytest.raises(ProofInvalid):
            verify_log.verify_checkpoint(note, merchant_id=MERCHANT_ID, public_key=PUBLIC, witnesses=[wrong])


def proof_of(log: Sequence[bytes], place: int, *, index: int | None = None, extra: str = "") -> str:
    path = [
        base64.b64encode(bytes.fromhex(one)).decode()
        for one in roots(log, merkle.compute_inclusion(place, len(log)))
    ]
    lines = "".join(f"{one}\n" for one in path)
    shown = place if index is None else index
    return f"c2sp.org/tlog-proof@v1\n{extra}index {shown}\n{lines}\n{note_of(log)}"


def test_one_file_proves_one_event_and_no_other() -> None:
    log = bodies(5)
    who = {"merchant_id": MERCHANT_ID, "public_key": PUBLIC}
    for place in range(5):
        assert verify_log.verify_proof(proof_of(log, place), log[place], **who).size == 5
    assert verify_log.verify_proof(proof_of(log, 2, extra="extra eA==\n"), log[2], **who).size == 5
    for proof, body in (
        (proof_of(log, 2), log[3]),
        (proof_of(log, 2, index=3), log[2]),
        (proof_of(log, 2).replace("proof@v1", "proof@v2"), log[2]),
        (proof_of(log, 2).replace("index 2", "index 02"), log[2]),
        (proof_of(bodies(5, "other"), 2), log[2]),
        ("", log[2]),
        ("x" * 99_999, log[2]),
    ):
        with pytest.raises(ProofInvalid):
            verify_log.verify_proof(proof, body, **who)
