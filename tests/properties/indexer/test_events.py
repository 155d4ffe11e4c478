"""The published form: amounts and times that read back, and exactly the members of CONTRACT 5."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.model import Address
from indexer.rules.deposits import decide_lost
from indexer.rules.events import (
    Naming,
    chain_fact,
    count_confirmations,
    deposit_fact,
    encode_deposit,
    format_amount,
    format_time,
)
from migrations.ids import encode_id
from tests.unit.indexer.making import (
    ADDRESS_ID,
    CHAIN,
    COIN,
    MERCHANT,
    NOW,
    TOKEN,
    found,
    recorded,
    sighting,
    transfer,
    view,
)

MEMBERS = [
    "id", "version", "state", "credited_base_units", "chain", "chain_alias", "asset", "symbol", "decimals",
    "amount_base_units", "amount", "kind", "own_transfer", "to", "from", "senders", "memo", "address_id", "reference", "tx_hash", "n",
    "block", "position", "confirmations", "confirmations_required", "policy", "waiting", "replaced_by", "first_seen_at",
    "confirmed_at", "final_at", "backfilled",
]  # fmt: skip
NAMING = Naming(
    chain=CHAIN,
    alias="local",
    assets={COIN.asset_id: COIN, TOKEN.asset_id: TOKEN},
    encode_id=encode_id,
    address_text=lambda address: "0x" + address.hex(),
    tx_hash_text=lambda tx_hash: "0x" + tx_hash.hex(),
    block_hash_text=lambda block_hash: "0x" + block_hash.hex(),
)


@given(st.integers(0, 2**256 - 1), st.integers(0, 78))
def test_an_amount_reads_back_exactly_and_has_no_idle_zeros(base_units: int, decimals: int) -> None:
    text = format_amount(base_units, decimals)
    scaled = Decimal(text).scaleb(decimals) if len(text) < 28 else None
    whole, _, fraction = text.partition(".")
    assert int(whole) * 10**decimals + int(fraction.ljust(decimals, "0") or 0) == base_units
    assert scaled is None or scaled == base_units
    assert not text.endswith((".", "0")) or "." not in text
    assert whole == "0" or not whole.startswith("0")


naive_times = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1))  # noqa: DTZ001  # its bounds are naive


@given(naive_times, st.integers(-14 * 60, 14 * 60))
def test_a_time_is_utc_with_a_z_and_reads_back(naive: datetime, offset_minutes: int) -> None:
    at = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    text = format_time(at)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text.removesuffix("Z") + "+00:00") == at


def test_amounts_are_shown_as_people_write_them() -> None:
    shown = {
        (1_500_000, 6): "1.5",
        (1, 18): "0.000000000000000001",
        (10, 0): "10",
        (0, 6): "0",
        (10**24, 18): "1000000",
    }
    assert {key: format_amount(*key) for key in shown} == shown


@given(
    st.integers(10, 500),
    st.sampled_from([COIN, TOKEN]),
    st.booleans(),
    st.integers(10, 30),
    st.none() | st.integers(0, 30),
)
def test_a_deposit_has_exactly_the_contract_s_members(
    amount: int, asset: object, own: bool, tip: int, final: int | None
) -> None:
    moved = transfer(amount, asset=COIN if asset is COIN else TOKEN)
    final = None if final is None else min(final, tip)
    deposit = recorded(sighting(10, moved=moved, own=own), view(tip, final=final))
    body = encode_deposit(
        deposit, NAMING, reference="order-17", confirmations=count_confirmations(deposit, tip)
    )
    assert list(body) == MEMBERS
    assert body == json.loads(json.dumps(body))
    assert body["confirmations"] == tip - 10 + 1
    assert body["position"] == ("000000" if asset is COIN else "000000.000004")
    assert body["block"] == {
        "height": 10,
        "hash": "0x" + b"b10".ljust(32, b".").hex(),
        "time": "2023-11-14T22:13:30Z",
    }
    assert (body["policy"], body["confirmations_required"]) == ("confirmations>=3", 3)


def test_off_the_chain_it_has_no_place_and_no_confirmations() -> None:
    lost = decide_lost(recorded(), replaced_by=transfer(tx="rival").tx_hash, now=NOW)[0].deposit
    body = encode_deposit(lost, NAMING, reference=None, confirmations=count_confirmations(lost, 40))
    assert (body["block"], body["position"], body["confirmations"], body["reference"]) == (
        None,
        None,
        0,
        None,
    )
    assert body["replaced_by"] == "0x" + b"rival".ljust(32, b".").hex()
    assert body["credited_base_units"] == "0"


@pytest.mark.parametrize("count", [0, 1, 2, 100, 101, 1_000])
def test_the_only_sender_is_told_as_such_and_several_up_to_a_hundred(count: int) -> None:
    senders = tuple(Address(number.to_bytes(20, "big")) for number in range(count))
    paid = recorded(sighting(10, moved=replace(transfer(), senders=senders)))
    body = encode_deposit(paid, NAMING, reference=None, confirmations=1)
    assert body["from"] == ("0x" + senders[0].hex() if count == 1 else None)
    assert body["senders"] == ["0x" + sender.hex() for sender in senders[:100]]


@pytest.mark.parametrize(
    ("memo", "told"),
    [
        (None, None),
        (b"", ""),
        (b"order 17", "order 17"),
        ("Bestellung für Zoë".encode(), "Bestellung für Zoë"),
        (b"\xff\x00", "0xff00"),
        (b"a\nb", "0x610a62"),
        ("\u202eabc".encode(), "0xe280ae616263"),
    ],
)
def test_a_memo_is_text_where_it_is_harmless_text(memo: bytes | None, told: str | None) -> None:
    paid = recorded(sighting(10, moved=replace(transfer(), memo=memo)))
    assert encode_deposit(paid, NAMING, reference=None, confirmations=1)["memo"] == told


def test_a_fact_says_what_was_before_and_which_version_it_takes_back() -> None:
    (change,) = found(recorded(), sighting(12, block="other"), view(12))
    fact = deposit_fact(change, NAMING, references={ADDRESS_ID: "order-17"}, tip_height=12)
    assert fact is not None
    assert (fact.type, fact.version, fact.reverses_version) == ("deposit.reversed", 2, 1)
    assert fact.data["previous_state"] == "confirmed"
    assert fact.data["reverses"] is None
    deposit = fact.data["deposit"]
    assert isinstance(deposit, dict)
    assert (deposit["id"], deposit["reference"]) == (fact.object_id, "order-17")


def test_what_is_not_published_tells_nothing() -> None:
    (change,) = found(None, sighting(10, moved=transfer(9)), view(12))
    assert deposit_fact(change, NAMING, references={}, tip_height=12) is None


def test_a_chain_speaks_under_its_own_name() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    fact = chain_fact(MERCHANT, NAMING, version=3, notice="halted", detail={"fork_height": 7}, at=at)
    assert (fact.object_id, fact.type, fact.version) == (CHAIN, "chain.halted", 3)
    assert fact.data == {"chain": CHAIN, "chain_alias": "local", "fork_height": 7}
