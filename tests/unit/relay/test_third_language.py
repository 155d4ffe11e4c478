"""The verifier in Java and the vectors that every verifier must pass, deposits also with a bit changed anywhere.

Here: its verdicts against those that the vectors and the kits give. Not here: its source (tests/unit/relay/third), live
data (tests/api/test_third_language.py, tests/live/test_deposit_proofs.py).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from migrations.ids import encode_id
from relay import kit
from relay.keys import signing
from relay.kit.vectors_signed import KEY_NEW
from relay.kit.verify_deposit import ProofInvalid, verify_deposit
from tests.java_program import ask_java, b64
from tests.unit.relay.deposit_cases import MERCHANT
from tests.unit.relay.test_kits_agree import MERCHANT_ID, PUBLIC, WHO, make_case, raw, say

KIT = Path(kit.__file__).parent
FLIPS, CASES = 40, 1_500
Json = Any


def whole_list(document: str) -> Json:
    """A list of keys with what the answer has beside it."""
    log_id = encode_id("log", UUID(bytes=hashlib.sha256(signing.public_bytes(KEY_NEW)).digest()[:16]))
    beside = {"merchant_id": MERCHANT_ID, "log_id": log_id, "log_public_key": PUBLIC}
    return {**beside, **json.loads(raw(document))}


QUESTIONS: dict[str, Callable[..., Json]] = {
    "consistency": lambda first, second, path, who: {
        "before": first,
        "note": second,
        "path": path,
        **who,
    },
    "key_growth": lambda first, second, who: {
        "before": whole_list(first),
        "list": whole_list(second),
        **who,
    },
    "anchor": lambda note, anchored: {"note": note, "anchored": anchored},
}


def deposit_question(text: bytes, block_hash: str, merchant_id: str = MERCHANT) -> Json:
    return {"check": "deposit", "proof": b64(text), "block_hash": block_hash, "merchant_id": merchant_id}


def flip(rng: random.Random, text: bytes) -> bytes:
    place = rng.randrange(len(text))
    return text[:place] + bytes([text[place] ^ 1 << rng.randrange(7)]) + text[place + 1 :]


def proven_by_kit(text: bytes, block_hash: str) -> str | None:
    try:
        return str(verify_deposit(text, block_hash).amount_base_units)
    except ProofInvalid:
        return None


def test_it_proves_the_deposits_of_the_vectors_and_refuses_the_others(rng: random.Random) -> None:
    everything = json.loads((KIT / "deposit_vectors.json").read_text())["proofs"]
    # It knows the steps for EVM chains, and refuses a chain that it does not know.
    vectors = [
        one for one in everything if one["proof"]["chain"].startswith("eip155:") or one["proven"] is None
    ]
    texts = [(json.dumps(one["proof"]).encode(), one["block_hash"]) for one in vectors]
    flipped = [(flip(rng, text), known) for text, known in texts for _ in range(FLIPS)]
    said = ask_java([deposit_question(*one) for one in texts + flipped])
    for one, answer in zip(vectors, said, strict=False):
        amount = None if one["proven"] is None else str(one["proven"]["amount_base_units"])
        assert answer.get("amount_base_units") == amount, (one["name"], answer)
        assert answer["holds"] == (amount is not None)
    for (text, known), answer in zip(flipped, said[len(vectors) :], strict=True):
        amount = answer["amount_base_units"] if answer["holds"] else None
        assert amount == proven_by_kit(text, known), (answer, text)


def test_it_believes_the_requests_of_the_vectors_and_refuses_the_others() -> None:
    vectors = json.loads((KIT / "vectors.json").read_text())["verify"]
    shared = ("headers", "secrets", "public_keys", "now_s")
    questions = [
        {"check": "webhook", "body": b64(one["body"].encode()), **{name: one[name] for name in shared}}
        for one in vectors
    ]
    for one, answer in zip(vectors, ask_java(questions), strict=True):
        assert answer["holds"] == (one["accepted"] is not None), (one["name"], answer)
        if one["accepted"] is not None:
            prev_sequence = one["accepted"]["prev_sequence"]
            assert answer["prev_sequence"] == (-1 if prev_sequence is None else prev_sequence), one["name"]


def test_it_judges_growth_and_anchors_as_the_kit_for_python_does(rng: random.Random) -> None:
    made = [make_case(rng) for _ in range(CASES)]
    cases = [
        (name, given) for name, given in made if name == "anchor" or (name in QUESTIONS and WHO in given)
    ]
    questions = [{"check": name, **QUESTIONS[name](*given)} for name, given in cases]
    for (name, given), answer in zip(cases, ask_java(questions), strict=True):
        assert answer["holds"] == (say(name, given) is True), (answer, given)


def test_it_chooses_the_keys_of_the_vectors() -> None:
    vectors = json.loads((KIT / "vectors.json").read_text())["public_keys_at"]
    questions = [{**one, "check": "keys_at", "body": b64(one["document"].encode())} for one in vectors]
    for one, answer in zip(vectors, ask_java(questions), strict=True):
        assert answer.get("found") == one["found"], (one["name"], answer)
