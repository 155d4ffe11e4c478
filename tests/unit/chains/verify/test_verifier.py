"""What a profile forgives, what it learns, and what it never forgives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chains.errors import Inconsistent
from chains.evm.rows.structs import Verdict
from chains.evm.verify import PROFILES, BlockVerifier, Check, Mode, examine_block
from chains.evm.verify.profiles import FULL_CHECKS
from chains.model import Doubt, Hold, VerificationLevel
from tests.unit.chains.verify.recorded import build, own, public, read_json
from tests.unit.chains.verify.test_corruptions import (
    change_an_amount,
    flip,
)

Rows = dict[str, Any]
AUTO = PROFILES["auto"]


OWN_BLOCKS = {"legacy": own("legacy"), "types": own("types"), "empty": own("empty")}
PUBLIC_BLOCKS = {
    name: (f"ethereum/{number}.block.json", f"ethereum/{number}.receipts.json")
    for name, number in (("legacy", 4369999), ("types", 18000000))
} | {"empty": ("ethereum/1234567.block.json", "")}
_blocks = dict(OWN_BLOCKS)


@pytest.fixture(
    params=[OWN_BLOCKS, *public(PUBLIC_BLOCKS)], ids=["own", "public"][: 1 + len(public(1))], autouse=True
)
def _choose_blocks(request: pytest.FixtureRequest) -> None:
    _blocks.update(request.param)


def read_answer(name: str = "legacy") -> tuple[Rows, list[Rows]]:
    """A block of legacy transactions only, or another by its name."""
    block_path, receipts_path = _blocks[name]
    return read_json(block_path), read_json(receipts_path) if receipts_path else []


def test_what_was_learnt_says_since_which_block() -> None:
    verifier = BlockVerifier(AUTO)
    verifier(*build(*read_answer("empty")))
    assert {height for _, _, height in verifier.describe()} == {None}, "an empty block proves nothing"
    block, receipts = read_answer()
    verifier(*build(block, receipts))
    first = {check: (mode, height) for check, mode, height in verifier.describe()}
    assert first[Check.RECEIPTS_ROOT] == (Mode.ENFORCED, int(block["number"], 16))
    verifier(*build(*read_answer("types")))
    again = {check: (mode, height) for check, mode, height in verifier.describe()}
    assert {check: one for check, one in again.items() if first[check][1] is not None} == {
        check: one for check, one in first.items() if one[1] is not None
    }, "the first proof counts"
    assert {height for _, _, height in BlockVerifier(PROFILES["full"]).describe()} == {None}


def test_every_profile_reads_every_check() -> None:
    for name, profile in PROFILES.items():
        assert set(profile.modes) == set(Check), name
        assert profile.name == name
        assert profile.trial_types <= set(profile.transaction_codecs), name


def test_a_check_on_trial_forgives_until_it_has_held() -> None:
    verifier = BlockVerifier(AUTO)
    block, receipts = read_answer()
    change_an_amount(block, receipts)
    verdict = verifier(*build(block, receipts))
    assert (verdict.level, verdict.hold) == (VerificationLevel.PARTIAL, Hold.CHAIN)
    assert Doubt(Check.RECEIPTS_ROOT, "mismatch-on-trial") in verdict.doubts
    assert verifier(*build(*read_answer())) == Verdict(VerificationLevel.FULL)
    with pytest.raises(Inconsistent, match="receipts-root"):
        verifier(*build(block, receipts))


def test_an_empty_block_teaches_nothing() -> None:
    verifier = BlockVerifier(AUTO)
    verifier(*build(*read_answer("empty")))
    assert verifier.profile.modes[Check.RECEIPTS_ROOT] is Mode.ON_TRIAL


def test_a_transaction_type_on_trial_is_learned_with_the_root_that_holds_it() -> None:
    verifier = BlockVerifier(AUTO)
    verifier(*build(*read_answer()))
    assert "0x0" not in verifier.profile.trial_types
    assert "0x2" in verifier.profile.trial_types
    block, receipts = read_answer("types")
    transaction = next(item for item in block["transactions"] if item["type"] == "0x2")
    honest = transaction["value"]
    transaction["value"] = flip(honest)
    verdict = verifier(*build(block, receipts))
    assert (verdict.level, verdict.hold) == (VerificationLevel.PARTIAL, Hold.CHAIN)
    assert Doubt(Check.TRANSACTIONS_ROOT, "type-unproven:0x2") in verdict.doubts
    transaction["value"] = honest
    assert verifier(*build(block, receipts)) == Verdict(VerificationLevel.FULL)
    transaction["value"] = flip(honest)
    with pytest.raises(Inconsistent, match="transaction-hashes"):
        verifier(*build(block, receipts))


def test_agreement_reads_nothing_and_claims_nothing() -> None:
    block, receipts = read_answer()
    examination = examine_block(PROFILES["agreement"], *build({**block, "stateRoot": "?"}, receipts))
    assert examination.level is VerificationLevel.CONSISTENT
    assert not examination.proven


def test_full_means_every_one_of_its_checks() -> None:
    for check in FULL_CHECKS:
        profile = replace(PROFILES["full"], modes={**PROFILES["full"].modes, check: Mode.ABSENT})
        examination = examine_block(profile, *build(*read_answer()))
        assert examination.level is VerificationLevel.PARTIAL, check


def test_a_quantity_that_is_a_number_is_the_same_quantity() -> None:
    block, receipts = read_answer()
    block["transactions"][0]["gas"] = int(block["transactions"][0]["gas"], 16)
    block["number"] = int(block["number"], 16)
    receipts[0]["cumulativeGasUsed"] = int(receipts[0]["cumulativeGasUsed"], 16)
    assert examine_block(PROFILES["full"], *build(block, receipts)).level is VerificationLevel.FULL
    block["transactions"][0]["gas"] += 1
    with pytest.raises(Inconsistent, match="does not give its hash"):
        examine_block(PROFILES["full"], *build(block, receipts))
