"""What counts as a transfer on an EVM chain, case by case (chains-and-cases B1, B2).

Rows are built by `rows.BlockRows`; the same questions on a real node are in
`tests/live_evm`.  Whether rows may be believed at all is `test_evm_consistency`.
"""

from __future__ import annotations

import time

import pytest

from chains.errors import Inconsistent
from chains.evm.value.decode import AssetIndex, DecodedBlock, compute_asset_index, decode_transfers
from chains.model import AssetId, ConflictKey, Transfer, TransferKind
from tests.devnet.local import local_traits, to_address, token
from tests.unit.chains.rows import PAYER, SHOP, TOKEN, ZERO, BlockRows, transfer, word

USDT = AssetId(f"eip155:31337/erc20:{TOKEN}")
ETH = AssetId("eip155:31337/slip44:60")
INDEX = compute_asset_index(local_traits([token(TOKEN)]))


def decode(rows: BlockRows, index: AssetIndex = INDEX) -> DecodedBlock:
    return decode_transfers(index, rows.block(), rows.rows())


def transfers_of(rows: BlockRows, index: AssetIndex = INDEX) -> list[Transfer]:
    table = decode(rows, index).transfers
    return [table.at(position) for position in range(len(table.recipients))]


def test_a_listed_tokens_transfer_is_read_whole() -> None:
    rows = BlockRows()
    rows.add(status="0x1")
    tx_hash = rows.add(transfer(1_500_000))
    (one,) = transfers_of(rows)
    assert one.tx_hash.hex() == tx_hash[2:]
    assert (one.position, one.n) == ("000001.000000", 0)
    assert (one.kind, one.asset, one.amount_base_units) == (TransferKind.TOKEN, USDT, 1_500_000)
    assert (one.senders, one.recipient) == ((to_address(PAYER),), to_address(SHOP))
    assert one.conflict_keys == (ConflictKey(to_address(PAYER) + (1).to_bytes(8, "big")),)


def test_case_001_a_failed_transaction_is_not_a_deposit() -> None:
    rows = BlockRows()
    rows.add(transfer(5), value=9, status="0x0")
    assert transfers_of(rows) == []


def test_case_002_success_without_a_log_is_not_a_deposit() -> None:
    rows = BlockRows()
    rows.add(to=TOKEN, status="0x1")
    assert transfers_of(rows) == []


def test_case_004_a_token_of_the_same_name_at_another_contract_is_only_counted() -> None:
    rows = BlockRows()
    rows.add(transfer(5, emitter="0x" + "71" * 20))
    decoded = decode(rows)
    assert (list(decoded.transfers.recipients), decoded.unlisted_transfer_count) == ([], 1)


def test_case_005_a_token_is_never_taken_for_the_native_coin() -> None:
    rows = BlockRows()
    rows.add(transfer(5))
    rows.add(value=5)
    assert [(one.kind, one.asset) for one in transfers_of(rows)] == [
        (TransferKind.NATIVE, ETH),
        (TransferKind.TOKEN, USDT),
    ]


@pytest.mark.parametrize(
    "shape",
    [
        {"topics": [transfer(0)["topics"][0], word(PAYER), word(SHOP), word(10**6)], "data": "0x"},
        {"topics": [transfer(0)["topics"][0], word(PAYER), word(SHOP), word(10**6)]},
        {"topics": [transfer(0)["topics"][0]], "data": word(PAYER) + word(SHOP)[2:] + word(5)[2:]},
        {"topics": [transfer(0)["topics"][0], word(PAYER)]},
        {"data": "0x"},
        {"data": word(5) + "00" * 32},
        {"topics": []},
    ],
    ids=["nft", "nft-with-data", "unindexed", "half-indexed", "no-data", "two-words", "anonymous"],
)
def test_case_009_an_nft_transfer_is_not_a_deposit(shape: dict[str, object]) -> None:
    rows = BlockRows()
    rows.add(transfer(5) | shape)
    assert transfers_of(rows) == []


def test_case_010_a_fee_on_transfer_credits_what_the_log_says_arrived() -> None:
    rows = BlockRows()
    rows.add(transfer(99), transfer(1, to="0x" + "0f" * 20), to=TOKEN)
    assert [one.amount_base_units for one in transfers_of(rows) if one.recipient == to_address(SHOP)] == [99]


def test_case_012_a_mint_has_no_sender() -> None:
    rows = BlockRows()
    rows.add(transfer(5, sender=ZERO))
    assert [one.senders for one in transfers_of(rows)] == [()]


def test_case_012_a_flood_of_unlisted_transfers_stays_cheap() -> None:
    rows = BlockRows()
    rows.add(*(transfer(1, emitter="0x" + "71" * 20) for _ in range(10_000)))
    block, receipts = rows.block(), rows.rows()
    began = time.perf_counter()
    decoded = decode_transfers(INDEX, block, receipts)
    assert decoded.unlisted_transfer_count == 10_000
    assert time.perf_counter() - began < 2.5, "it grows with the square of the logs"


def test_case_013_an_amount_of_zero_is_nothing() -> None:
    rows = BlockRows()
    rows.add(transfer(0), value=0)
    rows.add(transfer(0, sender=SHOP, to="0x" + "56" * 20))
    assert transfers_of(rows) == []


def test_case_015_only_the_transfer_event_counts() -> None:
    sent = transfer(5) | {"topics": ["0x" + "06" * 32, word(PAYER), word(SHOP)]}
    rows = BlockRows()
    rows.add(sent, transfer(5))
    assert len(transfers_of(rows)) == 1


def test_case_016_the_payer_is_whom_the_log_names_not_who_signed() -> None:
    rows = BlockRows()
    rows.add(transfer(5, sender="0x" + "ab" * 20), to="0x" + "e4" * 20)
    (one,) = transfers_of(rows)
    assert one.senders == (to_address("0x" + "ab" * 20),)
    assert one.conflict_keys[0].startswith(to_address(PAYER))


def test_case_017_equal_transfers_in_one_transaction_are_told_apart() -> None:
    rows = BlockRows()
    rows.add(transfer(5), transfer(5, to=PAYER), transfer(5), value=5)
    rows.add(transfer(5))
    to_shop = [one for one in transfers_of(rows) if one.recipient == to_address(SHOP)]
    assert [(int(one.position[:6]), one.kind, one.n) for one in to_shop] == [
        (0, TransferKind.NATIVE, 0),
        (0, TransferKind.TOKEN, 0),
        (0, TransferKind.TOKEN, 1),
        (1, TransferKind.TOKEN, 0),
    ]


def test_case_017_it_does_not_matter_how_many_others_are_asked_about() -> None:
    rows = BlockRows()
    for _ in range(3):
        rows.add(*(transfer(amount, to=to) for amount in (5, 7) for to in (SHOP, PAYER, SHOP)))
        rows.add(value=5)
    together = [one.n for one in transfers_of(rows)]
    alone = [decode(rows).transfers.at(index).n for index in range(len(together))]
    assert alone == together
    assert max(together) == 3


@pytest.mark.parametrize("amount", [2**53 + 1, 2**63, 2**256 - 1])
def test_case_023_large_amounts_are_exact(amount: int) -> None:
    rows = BlockRows()
    rows.add(transfer(amount), value=amount)
    assert [one.amount_base_units for one in transfers_of(rows)] == [amount, amount]


def test_value_sent_with_a_creation_goes_to_the_new_contract() -> None:
    rows = BlockRows()
    rows.add(value=7, to=None)
    rows.receipts[0]["contractAddress"] = "0x" + "c0" * 20
    (one,) = transfers_of(rows)
    assert (one.recipient, one.amount_base_units) == (to_address("0x" + "c0" * 20), 7)


def test_a_creation_that_created_nothing_is_a_contradiction() -> None:
    rows = BlockRows()
    rows.add(value=7, to=None)
    with pytest.raises(Inconsistent, match="created nothing"):
        decode(rows)


def test_a_receipt_without_status_proves_no_success() -> None:
    rows = BlockRows()
    rows.add(transfer(5), value=7, status=None)
    assert transfers_of(rows) == []


def test_a_status_of_another_kind_is_a_contradiction() -> None:
    rows = BlockRows()
    rows.add(value=7, status="0x2")
    with pytest.raises(Inconsistent, match="status"):
        decode(rows)


@pytest.mark.parametrize("status", ["0x1", "0x0"])
def test_case_031_a_bridge_mint_arrives_even_when_the_execution_fails(status: str) -> None:
    rows = BlockRows()
    rows.add(value=4, status=status, type="0x7e", mint=hex(10))
    minted = transfers_of(rows)[0]
    assert (minted.senders, minted.recipient, minted.amount_base_units) == ((), to_address(PAYER), 10)
    assert len(transfers_of(rows)) == (2 if status == "0x1" else 1)
    assert minted.conflict_keys == ()


def test_case_031_a_bridge_deposit_to_oneself_counts_its_mint_and_its_move_apart() -> None:
    rows = BlockRows()
    rows.add(value=10, type="0x7e", mint=hex(10), to=PAYER)
    assert [(one.n, one.senders) for one in transfers_of(rows)] == [(0, ()), (1, (to_address(PAYER),))]


def test_case_031_only_deposit_transactions_can_mint() -> None:
    rows = BlockRows()
    rows.add(type="0x2", mint=hex(10))
    assert transfers_of(rows) == []


@pytest.mark.parametrize(
    ("kind", "credited", "sender"),
    [
        ("0x64", True, None),
        ("0x65", True, PAYER),
        ("0x66", True, PAYER),
        ("0x68", True, PAYER),
        ("0x6a", False, None),
    ],
)
def test_case_032_arbitrum_types_are_judged_by_the_value_they_moved(
    kind: str, credited: bool, sender: str | None
) -> None:
    rows = BlockRows()
    rows.add(value=3, type=kind)
    found = transfers_of(rows)
    assert len(found) == credited
    assert all(one.senders == ((to_address(sender),) if sender else ()) for one in found)
    assert all(one.conflict_keys == () for one in found)


def test_case_033_a_state_sync_receipt_beyond_the_transactions_is_read() -> None:
    rows = BlockRows()
    rows.add()
    rows.add(transfer(5, sender=ZERO))
    del rows.transactions[1]
    (one,) = transfers_of(rows)
    assert (one.position, one.conflict_keys) == ("000001.000000", ())


def test_case_034_an_emitter_that_mirrors_the_native_coin_is_never_a_token() -> None:
    mirror = "0x" + "00" * 18 + "1010"
    index = compute_asset_index(local_traits([token(mirror)], excluded_emitters=[mirror]))
    rows = BlockRows()
    rows.add(transfer(5, emitter=mirror), value=5)
    decoded = decode(rows, index)
    assert [one.kind for one in transfers_of(rows, index)] == [TransferKind.NATIVE]
    assert decoded.unlisted_transfer_count == 0


def test_case_037_a_system_transaction_is_judged_by_its_value_alone() -> None:
    rows = BlockRows()
    rows.add(value=0, gasPrice="0x0", to="0x" + "00" * 18 + "1000")
    assert transfers_of(rows) == []


def test_case_038_a_sweeper_that_forwards_at_once_hides_no_deposit() -> None:
    rows = BlockRows()
    rows.add(transfer(5), transfer(5, sender=SHOP, to="0x" + "56" * 20), type="0x4")
    assert [one.amount_base_units for one in transfers_of(rows) if one.recipient == to_address(SHOP)] == [5]


def test_case_039_a_bundle_pays_for_each_operation_and_its_bundler_is_not_the_payer() -> None:
    rows = BlockRows()
    payers = ("0x" + "a1" * 20, "0x" + "a2" * 20)
    rows.add(*(transfer(5, sender=payer) for payer in payers), to="0x" + "e4" * 20)
    assert [one.senders for one in transfers_of(rows)] == [(to_address(payer),) for payer in payers]


def test_case_013_a_zero_however_it_is_written_is_nothing() -> None:
    rows = BlockRows()
    rows.add(type="0x7e", mint="0x0")
    rows.transactions[0]["value"] = "0x00"
    assert transfers_of(rows) == []


@pytest.mark.parametrize("kind", [None, "0x0", "0x1", "0x3", "0x4", "0x7f", "0xff"])
def test_case_040_types_and_fields_nobody_has_heard_of_are_read_all_the_same(kind: str | None) -> None:
    rows = BlockRows()
    rows.add(transfer(5), value=7, type=kind, blobVersionedHashes=["0x1"], newThing={"deep": [1]})
    assert [one.amount_base_units for one in transfers_of(rows)] == [7, 5]


def test_case_047_a_nonce_names_the_transaction_that_used_it_up() -> None:
    rows = BlockRows()
    first = rows.add(status="0x0", nonce="0x5")
    table = decode(rows).transfers
    spent = ConflictKey(to_address(PAYER) + (5).to_bytes(8, "big"))
    unspent = ConflictKey(to_address(PAYER) + (6).to_bytes(8, "big"))
    found = table.spent_by(spent)
    assert found is not None
    assert found.hex() == first[2:]
    assert table.spent_by(unspent) is None


def test_case_047_made_up_nonces_of_system_transactions_replace_nothing() -> None:
    rows = BlockRows()
    rows.add(type="0x7e", nonce="0x5")
    assert decode(rows).transfers.spent_by(ConflictKey(to_address(PAYER) + (5).to_bytes(8, "big"))) is None


def test_case_113_the_case_a_node_writes_hex_in_does_not_matter() -> None:
    loud = transfer(5)
    loud["address"] = "0x" + TOKEN[2:].upper()
    loud["topics"] = ["0x" + topic[2:].upper() for topic in loud["topics"]]
    rows = BlockRows()
    rows.add(loud)
    (one,) = transfers_of(rows)
    assert (one.asset, one.recipient) == (USDT, to_address(SHOP))


@pytest.mark.parametrize(
    "bent",
    [
        {"data": "0x" + "zz" * 32},
        {"data": "0x" + " " * 64},
        {"topics": [transfer(0)["topics"][0], word(PAYER), "0x1234"]},
        {"topics": [transfer(0)["topics"][0], word(PAYER), "0x" + "zz" * 32]},
    ],
)
def test_a_listed_log_that_is_not_hexadecimal_is_a_contradiction(bent: dict[str, object]) -> None:
    rows = BlockRows()
    rows.add(transfer(5) | bent)
    with pytest.raises(Inconsistent):
        decode(rows)
