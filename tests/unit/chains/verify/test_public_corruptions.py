"""Falsifications that need a block as only public chains have them: withdrawals, blobs, old headers, other rules."""

from __future__ import annotations

import pytest

from chains.errors import Inconsistent
from chains.evm.rows.structs import Verdict
from chains.evm.verify import PROFILES, BlockVerifier, Check, Mode
from chains.model import Hold, VerificationLevel
from tests.unit.chains.verify.recorded import IS_RECORDED, REASON, build, read_answer, read_json
from tests.unit.chains.verify.test_corruptions import (
    CANCUN,
    ETHEREUM,
    check_created_address,
    check_typed_field,
    flip,
    leave_out_the_last_transaction,
    verify_rows,
)

if not IS_RECORDED:
    pytest.skip(REASON, allow_module_level=True)


def test_a_field_invented_for_an_old_header_changes_nothing() -> None:
    block = read_json("ethereum/4369999.block.json")
    receipts = read_json("ethereum/4369999.receipts.json")
    verify_rows("full", {**block, "baseFeePerGas": "0x7"}, receipts)


def test_no_withdrawal_can_be_changed() -> None:
    for name in ("amount", "address", "index", "validatorIndex"):
        block, receipts = map(read_json, ETHEREUM)
        block["withdrawals"][3][name] = flip(block["withdrawals"][3][name])
        with pytest.raises(Inconsistent, match="withdrawals-root"):
            verify_rows("full", block, receipts)


def test_no_field_of_a_blob_transaction_can_be_changed() -> None:
    for name in ("maxFeePerBlobGas", "blobVersionedHashes"):
        check_typed_field(name, *map(read_json, CANCUN))


def test_the_address_of_a_created_contract_can_not_be_changed_in_an_rpc_answer() -> None:
    for block_answer, receipts_answer, with_status in (
        ("eth_getBlockByHash__get-block-by-hash", "eth_getBlockReceipts__get-block-receipts-by-hash", False),
        ("eth_getBlockByNumber__get-latest", "eth_getBlockReceipts__get-block-receipts-latest", True),
    ):
        block = read_answer(f"hivechain/{block_answer}.io")
        receipts = read_answer(f"hivechain/{receipts_answer}.io")
        check_created_address(block, receipts, with_status=with_status)


def test_best_effort_is_never_learned() -> None:
    verifier = BlockVerifier(PROFILES["hyperliquid"])
    block, receipts = read_json("hyperliquid/50000.block.json"), read_json("hyperliquid/50000.receipts.json")
    assert verifier(*build(block, receipts)) == Verdict(VerificationLevel.FULL)
    assert verifier.profile.modes[Check.RECEIPTS_ROOT] is Mode.BEST_EFFORT
    leave_out_the_last_transaction(block, receipts)
    verdict = verifier(*build(block, receipts))
    assert (verdict.level, verdict.hold) == (VerificationLevel.PARTIAL, Hold.HITS)
