"""What a block's rows do to native balances, term by term, and which terms leave a doubt.

Rows are built by `rows.BlockRows`; that a real node's balances agree is in `tests/live/test_internal.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chains.evm.rows.structs import decode_block
from chains.evm.value.decode import compute_asset_index, decode_transfers
from chains.evm.value.ledger import Completeness, compute_completeness, open_ledger
from chains.evm.value.natives import NativeMove
from chains.evm.value.traces import TracedBlock, decode_trace
from chains.evm.verify import PROFILES
from chains.model import Address, NativeChange, TransferKind
from tests.devnet.local import local_traits, to_address
from tests.unit.chains.rows import PAYER, SHOP, BlockRows

MINER = "0x" + "0f" * 20
OTHER = "0x" + "66" * 20
POST_MERGE = {"miner": MINER, "baseFeePerGas": "0x7", "difficulty": "0x0"}
PRICE = {"maxFeePerGas": "0xa", "maxPriorityFeePerGas": "0x64"}
LIES = {"gasUsed": "0x1", "effectiveGasPrice": "0x1", "blobGasUsed": "0x1", "blobGasPrice": "0x1"}
"""What no hash covers is used for nothing: every receipt here lies about it."""
INDEX = compute_asset_index(local_traits())


def paying(value: int, **others: Any) -> BlockRows:
    """One transaction of 100 gas at 10 wei, over a base fee of 7."""
    rows = BlockRows()
    rows.add(value=value, **(PRICE | others))
    rows.receipts[-1] |= LIES | {"cumulativeGasUsed": "0x64"}
    return rows


def changes(
    rows: BlockRows,
    completeness: Completeness = Completeness.ALL,
    trace: TracedBlock | None = None,
    **header: Any,
) -> dict[str, NativeChange]:
    """The ledger's answer by 0x text."""
    block = decode_block(
        msgspec.Raw(msgspec.json.encode(rows.header() | POST_MERGE | header)), PROFILES["full"].decoder
    )
    receipts = rows.rows()
    decoded = decode_transfers(INDEX, block, receipts, () if trace is None else trace.moves)
    ledger = open_ledger(completeness, block, receipts, decoded.native_moves, trace)
    assert ledger.is_traced == (trace is not None)
    return {"0x" + address.hex(): change for address, change in ledger.changes().items()}


def inner(sender: str, recipient: str, amount: int) -> NativeMove:
    return NativeMove(0, TransferKind.INTERNAL, to_address(sender), to_address(recipient), amount)


def test_value_moves_and_fees_are_split_between_the_fire_and_the_miner() -> None:
    assert changes(paying(5)) == {
        SHOP: NativeChange(5),
        PAYER: NativeChange(-5 - 100 * 10),
        MINER: NativeChange(100 * (10 - 7)),
    }


def test_a_failed_transaction_costs_its_fee_and_moves_nothing() -> None:
    found = changes(paying(5, status="0x0"))
    assert (found[PAYER], found.get(SHOP)) == (NativeChange(-1000), None)


def test_inner_calls_count_on_both_sides() -> None:
    trace = TracedBlock([inner(SHOP, OTHER, 3), inner(OTHER, SHOP, 1)], frozenset())
    found = changes(paying(5), trace=trace)
    assert (found[SHOP], found[OTHER]) == (NativeChange(5 - 3 + 1), NativeChange(2))


def test_gas_is_counted_from_receipt_to_receipt_and_paid_by_what_was_signed() -> None:
    rows = paying(0)
    rows.add(type="0x0", gasPrice="0x9", nonce="0x1")
    rows.add(type="0x2", maxFeePerGas="0x64", maxPriorityFeePerGas="0x1", nonce="0x2")
    rows.receipts[1] |= LIES | {"cumulativeGasUsed": "0x6e"}
    rows.receipts[2] |= LIES | {"cumulativeGasUsed": "0x6f"}
    found = changes(rows)
    assert found[PAYER] == NativeChange(-(100 * 10 + 10 * 9 + 1 * 8))
    assert found[MINER] == NativeChange(100 * 3 + 10 * 2 + 1)


def test_who_pays_for_blobs_is_in_doubt() -> None:
    assert changes(paying(0, type="0x3"))[PAYER].doubt is not None


def test_case_030_withdrawals_come_in_gwei() -> None:
    withdrawals = [{"index": "0x1", "validatorIndex": "0x2", "address": OTHER, "amount": "0x3"}]
    assert changes(BlockRows(), withdrawals=withdrawals) == {OTHER: NativeChange(3 * 10**9)}


@pytest.mark.parametrize("name", ["maxFeePerGas", "cumulativeGasUsed"])
def test_a_fee_that_cannot_be_reckoned_leaves_a_doubt_about_payer_and_miner_only(name: str) -> None:
    rows = paying(5)
    (rows.receipts if name in rows.receipts[-1] else rows.transactions)[-1].pop(name)
    found = changes(rows)
    assert {text for text, change in found.items() if change.doubt is not None} == {PAYER, MINER}


def test_where_a_stack_has_fees_of_its_own_only_those_who_pay_none_are_certain() -> None:
    found = changes(paying(5), Completeness.ALL_BUT_FEES)
    assert {text for text, change in found.items() if change.doubt is None} == {SHOP}


def test_case_036_on_chains_that_change_balances_outside_of_blocks_nobody_is_certain() -> None:
    assert all(change.doubt is not None for change in changes(paying(5), Completeness.SOME).values())


def test_case_029_blocks_that_are_rewarded_leave_everybody_in_doubt() -> None:
    assert all(change.doubt is not None for change in changes(paying(5), difficulty="0x2").values())


def test_a_contract_that_destroyed_itself_may_have_burnt_what_came_later() -> None:
    frame = {
        "type": "CALL", "from": PAYER, "to": SHOP, "value": "0x5",
        "calls": [{"type": "SELFDESTRUCT", "from": OTHER, "to": OTHER, "value": "0x0"}],
    }  # fmt: skip
    rows = paying(5)
    raw = msgspec.Raw(msgspec.json.encode([{"txHash": rows.transactions[0]["hash"], "result": frame}]))
    trace = decode_trace(raw, rows.block(), rows.rows())
    assert trace == TracedBlock([], frozenset({Address(bytes.fromhex("66" * 20))}))
    trace.moves.append(inner(SHOP, OTHER, 1))
    found = changes(rows, trace=trace)
    assert (found[OTHER].amount_base_units, found[OTHER].doubt) == (1, "a contract destroyed itself")
    assert found[SHOP] == NativeChange(4)


@pytest.mark.parametrize(
    ("number", "profile", "expected"),
    [
        (1, "full", Completeness.ALL),
        (11155111, "agreement", Completeness.ALL),
        (31337, "full", Completeness.ALL),
        (8453, "op-stack", Completeness.ALL_BUT_FEES),
        (10, "optimism", Completeness.ALL_BUT_FEES),
        (100, "full", Completeness.SOME),
        (137, "polygon", Completeness.SOME),
        (42220, "celo", Completeness.SOME),
        (42161, "arbitrum-one", Completeness.SOME),
    ],
)
def test_only_chains_that_are_known_to_be_like_ethereum_are_reckoned_like_it(
    number: int, profile: str, expected: Completeness
) -> None:
    assert compute_completeness(local_traits(number=number, profile=profile)) is expected
