"""What moved in a Tron block: execution evidence only, in every spelling, whatever stands beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import Inconsistent
from chains.model import Address, Asset, AssetId, Transfer, TransferKind
from chains.tron.address import format_address
from chains.tron.rows.blocks import BLOCK, INFOS, read_transactions
from chains.tron.value.contracts import UNREADABLE, read_asked, read_payment
from chains.tron.value.transfers import Decoded, compute_asset_index, decode_transfers, read_all_asked
from tests.devnet.tron_chain import (
    PAYER,
    TOKEN,
    MadeTx,
    Rows,
    TronChain,
    account,
    call,
    internal,
    lie_about,
    log,
    log_event,
    make_raw,
    number,
    pay,
    pay_numbered,
    text,
)

SHOP = account("shop")
COIN = Asset(AssetId("tron:x/trc10:1002000"), "BTT", 3, Address(b"1002000"))
BEYOND_DOUBLES = 9_007_199_254_740_993


def decode(*txs: MadeTx, infos: list[Rows] | None = None) -> Decoded:
    chain = TronChain()
    block = chain.mine(*txs)
    transactions = read_transactions(BLOCK.decode(msgspec.json.encode(block.row)))
    rows = INFOS.decode(msgspec.json.encode(block.infos if infos is None else infos))
    index = compute_asset_index(chain.traits(tokens=[COIN]))
    return decode_transfers(index, transactions, read_all_asked(transactions), rows)


def moved(*txs: MadeTx, infos: list[Rows] | None = None) -> list[Transfer]:
    table = decode(*txs, infos=infos).transfers
    found = [table.at(at) for at in range(len(table.recipients))]
    assert [one.recipient for one in found] == list(table.recipients)
    return found


def amounts(*txs: MadeTx) -> list[tuple[TransferKind, int]]:
    return [(one.kind, one.amount_base_units) for one in moved(*txs)]


def told_as(tx: MadeTx, **row: Any) -> MadeTx:
    """The same transaction with other words in its first log."""
    return lie_about(tx, log=[{**tx.info["log"][0], **row}])


@pytest.mark.parametrize("outcome", ["OUT_OF_ENERGY", "REVERT", "OUT_OF_TIME", "TRANSFER_FAILED"])
def test_case_079_a_run_that_failed_moves_nothing_whatever_it_logged(outcome: str) -> None:
    assert moved(call(log(SHOP, 5), outcome=outcome, internals=[internal(SHOP, 6)])) == []


def test_case_079_a_receipt_that_hides_a_failure_is_refused() -> None:
    failed = call(log(SHOP, 5), outcome="REVERT")
    for lie in ({"receipt": {"result": "SUCCESS"}}, {"receipt": {"result": "SUCCESS"}, "result": "SUCESS"}):
        with pytest.raises(Inconsistent, match="its block REVERT"):
            moved(lie_about(failed, **lie))
    assert moved(lie_about(call(log(SHOP, 5)), result="FAILED")) == []


def test_case_080_what_is_left_out_is_a_default_and_no_success() -> None:
    assert amounts(replace(pay(SHOP, 5), ret={})) == [(TransferKind.NATIVE, 5)]
    assert amounts(replace(pay(SHOP, 5), ret={"contractRet": "SUCCESS"}, info={"receipt": {}})) == [
        (TransferKind.NATIVE, 5)
    ]
    assert amounts(replace(pay(SHOP, 5), ret={"ret": "FAILED"})) == []
    assert amounts(replace(pay(SHOP, 5), ret={"contractRet": "REVERT"})) == []
    silent = lie_about(replace(call(log(SHOP, 5)), ret={}), receipt={})
    assert amounts(silent) == []
    with pytest.raises(Inconsistent):
        moved(lie_about(call(log(SHOP, 5)), receipt={}))


def test_case_081_tokens_are_known_by_contract_and_number_only() -> None:
    lookalike = account("look-alike")
    assert amounts(pay_numbered(SHOP, 5, b"1002000")) == [(TransferKind.TRC10, 5)]
    for name in (
        b"USDT",
        b"TRX",
        b"BTT",
        b"1002000".hex().encode(),
        b" 1002000",
        b"01002000",
        b"1002001",
        b"",
    ):
        assert amounts(pay_numbered(SHOP, 5, name)) == [], name
    decoded = decode(call(log(SHOP, 5, contract=lookalike)), pay_numbered(SHOP, 5, b"USDT", nonce=1))
    assert list(decoded.transfers.recipients) == []
    assert decoded.unlisted_transfer_count == 2


def test_case_082_one_event_in_every_dialect_is_one_deposit() -> None:
    honest = call(log(SHOP, 5))
    (expected,) = moved(honest)
    spellings = [
        TOKEN[1:].hex(),
        TOKEN.hex(),
        format_address(TOKEN),
        TOKEN[1:].hex().upper(),
        TOKEN.hex().upper(),
    ]
    for spelling in spellings:
        assert moved(told_as(honest, address=spelling)) == [expected]
    words = honest.info["log"][0]["topics"]
    prefixed = [words[0], *(word[:22] + "41" + word[24:] for word in words[1:])]
    assert moved(told_as(honest, topics=prefixed)) == [expected]
    assert moved(told_as(honest, topics=[one.upper() for one in words])) == [expected]


def test_case_087_transfers_of_nothing_are_nothing() -> None:
    assert moved(call(log(SHOP, 0)), pay(SHOP, 0, nonce=1), pay(SHOP, -5, nonce=2)) == []


def test_case_088_trx_that_comes_another_way_is_not_guessed() -> None:
    reward = MadeTx(make_raw(13, "WithdrawBalanceContract", text(1, SHOP), nonce=1))
    along = text(1, PAYER) + text(2, SHOP) + number(3, 7_000_000) + number(5, 8) + number(6, 1_002_000)
    valued = MadeTx(
        make_raw(31, "TriggerSmartContract", along, nonce=2), info={"receipt": {"result": "SUCCESS"}}
    )
    created = MadeTx(make_raw(0, "AccountCreateContract", text(1, PAYER) + text(2, SHOP), nonce=3))
    assert moved(reward, valued, created) == []


def test_case_089_what_an_issuer_freezes_destroys_or_issues_is_no_transfer_and_no_doubt() -> None:
    who, amount = SHOP[1:].hex().rjust(64, "0"), f"{5:064x}"
    events = [
        log_event("AddedBlackList(address)", who),
        log_event("AddedBlackList(address)", data=who),
        log_event("RemovedBlackList(address)", who),
        log_event("DestroyedBlackFunds(address,uint256)", who, data=amount),
        log_event("DestroyedBlackFunds(address,uint256)", data=who + amount),
        log_event("DestroyedBlackFunds(address,uint256)", who, who, data=amount),
        log_event("Issue(uint256)", data=amount),
        log_event("Redeem(uint256)", amount),
        log_event("Pause()"),
    ]
    decoded = decode(call(*events))
    assert list(decoded.transfers.recipients) == []
    assert decoded.unread == {}
    assert (decoded.log_count, decoded.unlisted_transfer_count) == (len(events), 0)
    assert amounts(call(events[3], log(SHOP, 7), events[6])) == [(TransferKind.TOKEN, 7)]


def test_case_090_amounts_beyond_doubles_survive() -> None:
    largest = (1 << 256) - 1
    assert amounts(pay(SHOP, BEYOND_DOUBLES), call(log(SHOP, largest), nonce=1)) == [
        (TransferKind.NATIVE, BEYOND_DOUBLES),
        (TransferKind.TOKEN, largest),
    ]
    for told in (BEYOND_DOUBLES, str(BEYOND_DOUBLES)):
        values = [{"callValue": told}]
        assert amounts(call(internals=[internal(SHOP, 0, callValueInfo=values)])) == [
            (TransferKind.INTERNAL, BEYOND_DOUBLES)
        ]
    for wrong in (float(BEYOND_DOUBLES), "9e15", -1, 1 << 64):
        with pytest.raises((Inconsistent, msgspec.ValidationError)):
            moved(call(internals=[internal(SHOP, 0, callValueInfo=[{"callValue": wrong}])]))


def test_case_083_what_contracts_send_on_counts_where_it_moved_trx() -> None:
    sent = [
        internal(SHOP, 5),
        internal(SHOP, 6, rejected=True),
        internal(SHOP, 7, note="voteWitness"),
        internal(SHOP, 8, callValueInfo=[{"callValue": 8, "tokenId": "1002000"}]),
        internal(SHOP, 9, caller_address=SHOP.hex()),
        internal(SHOP, 10, callValueInfo=[{}]),
        internal(SHOP, 11, note="suicide", transferTo_address=format_address(SHOP)),
    ]
    assert amounts(call(internals=sent)) == [(TransferKind.INTERNAL, 5), (TransferKind.INTERNAL, 11)]


def test_several_transfers_in_one_transaction_are_told_apart() -> None:
    found = moved(
        call(log(SHOP, 5), log(SHOP, 5), log(account("x"), 1), log(SHOP, 6), internals=[internal(SHOP, 7)])
    )
    assert [(one.kind, one.n) for one in found if one.recipient == SHOP] == [
        (TransferKind.TOKEN, 0), (TransferKind.TOKEN, 1), (TransferKind.TOKEN, 2), (TransferKind.INTERNAL, 0),
    ]  # fmt: skip
    places = [one.position for one in found]
    assert places == sorted(set(places))


def test_events_of_another_shape_are_told_and_not_counted() -> None:
    honest = call(log(SHOP, 5))
    topics = honest.info["log"][0]["topics"]
    for row in (
        {"topics": [*topics, topics[2]], "data": ""},
        {"topics": topics[:2]},
        {"data": "00" * 64},
        {"data": ""},
        {"topics": [topics[0], topics[1], "ff" * 12 + topics[2][24:]]},
    ):
        decoded = decode(told_as(honest, **row))
        assert list(decoded.transfers.recipients) == [], row
        assert len(decoded.unread) == 1, row


def test_a_mint_has_no_sender_and_a_memo_goes_with_every_transfer() -> None:
    nobody = Address(b"\x41" + bytes(20))
    (minted,) = moved(call(log(SHOP, 5, sender=nobody), memo=b"m"))
    assert (minted.senders, minted.memo) == ((), b"m")
    (long,) = moved(pay(SHOP, 5, memo=b"x" * 1_025))
    assert long.memo is None


@given(st.binary(max_size=300))
def test_whatever_a_payer_wrote_is_read_or_not_counted(raw: bytes) -> None:
    asked = read_asked(raw)
    assert asked == UNREADABLE or read_payment(asked) is None or asked.kind in {1, 2}


def test_a_payment_is_what_javas_parser_would_make_of_its_bytes() -> None:
    twice = (
        text(1, PAYER)
        + text(2, account("first"))
        + number(3, 1)
        + text(2, SHOP)
        + number(3, 5)
        + number(9, 7)
    )
    assert [one.recipient for one in moved(MadeTx(make_raw(1, "TransferContract", twice, nonce=0)))] == [SHOP]
    wrong = [
        text(1, PAYER) + text(2, SHOP[1:]) + number(3, 5),
        text(1, PAYER) + text(2, b"\xa0" + SHOP[1:]) + number(3, 5),
        text(2, SHOP) + number(3, 5),
        b"\x0a\xff",
    ]
    for parameter in wrong:
        decoded = decode(MadeTx(make_raw(1, "TransferContract", parameter, nonce=0)))
        assert list(decoded.transfers.recipients) == []
        assert decoded.unread
    two = make_raw(1, "TransferContract", text(1, PAYER) + text(2, SHOP) + number(3, 5), nonce=0)
    contract = two[two.index(b"\x5a") :]
    assert moved(MadeTx(two + contract[: 2 + contract[1]])) == []
