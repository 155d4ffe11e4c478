"""However a node spells its rows, they are understood or refused out loud: numbers, types, tokens' logs.

No roots are recomputed here: what hashes catch is tested in `verify`.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import Inconsistent
from chains.evm.rows.consistency import STRICT, check_block
from chains.evm.rows.quantities import read_quantity
from chains.evm.rows.structs import decode_block, decode_header, decode_receipts
from chains.evm.value.decode import compute_asset_index, decode_transfers
from tests.devnet.local import local_traits, to_address, token
from tests.unit.chains.rows import PAYER, SHOP, TOKEN, TRANSFER, BlockRows, transfer, word

INDEX = compute_asset_index(local_traits([token(TOKEN)]))

Spell = Callable[[int], Any]

SPELLINGS: dict[str, Spell] = {
    "leading zeros": lambda value: f"0x{value:04x}",
    "a word": lambda value: f"0x{value:064x}",
    "an upper-case prefix": lambda value: f"0X{value:x}",
    "upper-case digits": lambda value: f"0x{value:X}",
    "a number": lambda value: value,
}
AMBIGUOUS: dict[str, Spell] = {
    "decimal text": str,
    "text without a prefix": lambda value: f"{value:x}",
    "a fraction": float,
    "a number beyond 2^53": lambda value: 2**53 + value,
    "a negative number": lambda value: -1 - value,
    "negative text": lambda value: f"-{value:#x}",
    "a truth": bool,
    "spaces": lambda value: f" {value:#x}",
    "nothing": lambda _: "",
    "more than 256 bits": lambda value: f"0x1{value:064x}",
    "digits of another script": lambda _: "0x\uff11",
    "a list": lambda value: [hex(value)],
}


def paid() -> BlockRows:
    """A plain payment, one by token, and one that failed."""
    rows = BlockRows(height=10)
    rows.add(value=10, type="0x2")
    rows.add(transfer(11), type="0x0")
    rows.add(value=12, status="0x0")
    return rows


def read(rows: BlockRows, header: dict[str, Any] | None = None) -> list[int]:
    """The amounts of a block as a provider's answer is read, JSON in."""
    block = decode_block(msgspec.Raw(json.dumps(header or rows.header()).encode()))
    receipts = decode_receipts(msgspec.Raw(json.dumps(rows.receipts).encode()))
    check_block(STRICT, None, block, receipts)
    table = decode_transfers(INDEX, block, receipts).transfers
    return [table.at(position).amount_base_units for position in range(len(table.recipients))]


def bend(rows: BlockRows, spell: Spell) -> None:
    """Spell every quantity of transactions, receipts and logs another way."""
    for transaction in rows.transactions:
        for name in ("blockNumber", "transactionIndex", "nonce", "value", "type"):
            transaction[name] = spell(int(transaction[name], 16))
    for receipt in rows.receipts:
        for name in ("blockNumber", "transactionIndex", "status", "type", "cumulativeGasUsed"):
            receipt[name] = spell(int(receipt[name], 16))
        for log in receipt["logs"]:
            for name in ("blockNumber", "transactionIndex", "logIndex"):
                log[name] = spell(int(log[name], 16))


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_quantity_is_the_number_it_means(spell: Spell) -> None:
    rows = paid()
    bend(rows, spell)
    assert read(rows) == [10, 11]
    header = rows.header() | {"number": spell(10), "timestamp": spell(1_700_000_000)}
    assert read(rows, header) == [10, 11]
    assert decode_header(msgspec.Raw(json.dumps(header).encode())).height == 10


def test_nothing_behind_the_prefix_is_zero() -> None:
    rows = BlockRows()
    rows.add(transfer(11), value=0, type="0x0")
    rows.transactions[0] |= {"value": "0x", "transactionIndex": "0x", "type": "0x", "nonce": "0x"}
    rows.receipts[0] |= {"transactionIndex": "0x", "type": "0x"}
    rows.receipts[0]["logs"][0] |= {"logIndex": "0x"}
    assert read(rows) == [11]


@pytest.mark.parametrize("name", ["value", "type", "transactionIndex"])
@pytest.mark.parametrize("spell", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_may_mean_another_number_is_refused(name: str, spell: Spell) -> None:
    rows = paid()
    rows.transactions[0][name] = spell(int(rows.transactions[0][name], 16))
    with pytest.raises(Inconsistent):
        read(rows)


@pytest.mark.parametrize("spell", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_an_outcome_that_is_no_quantity_is_refused(spell: Spell) -> None:
    rows = paid()
    rows.receipts[0]["status"] = spell(1)
    with pytest.raises(Inconsistent):
        read(rows)


@given(st.integers(0, 2**256 - 1), st.integers(0, 60), st.sampled_from(["0x", "0X"]), st.booleans())
def test_every_spelling_of_a_number_reads_as_it(value: int, zeros: int, prefix: str, upper: bool) -> None:
    digits = "0" * zeros + (f"{value:X}" if upper else f"{value:x}")
    assert read_quantity(prefix + digits) == value


@given(st.text(max_size=80))
def test_a_text_is_a_quantity_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert 0 <= read_quantity(text) < 2**256


@pytest.mark.parametrize("respell", [str, lambda text: "0x" + text[2:].upper(), lambda text: "0X" + text[2:]])
def test_a_transaction_stands_in_a_block_once(respell: Callable[[str], str]) -> None:
    rows = BlockRows()
    rows.add(value=10)
    rows.add(value=10)
    first = rows.transactions[0]["hash"] = rows.receipts[0]["transactionHash"] = "0x" + "ab" * 32
    rows.transactions[1]["hash"] = rows.receipts[1]["transactionHash"] = respell(first)
    with pytest.raises(Inconsistent, match="twice"):
        read(rows)


def test_only_what_is_used_is_demanded() -> None:
    rows = paid()
    for transaction in rows.transactions:
        del transaction["nonce"], transaction["type"], transaction["blockNumber"]
    for receipt in rows.receipts:
        del receipt["cumulativeGasUsed"], receipt["type"], receipt["contractAddress"]
        for log in receipt["logs"]:
            del log["removed"], log["blockNumber"], log["transactionIndex"]
    used = ("hash", "number", "parentHash", "timestamp", "transactions")
    assert read(rows, {name: rows.header()[name] for name in used}) == [10, 11]


# --- a listed token's transfers --------------------------------------------------------------------------------


def log_of(**others: Any) -> tuple[list[int], tuple[str, ...]]:
    """What one log of a listed token comes to: amounts, and what was not read."""
    rows = BlockRows()
    rows.add(transfer(500) | others)
    decoded = decode_transfers(INDEX, rows.block(), rows.rows())
    table = decoded.transfers
    amounts = [table.at(position).amount_base_units for position in range(len(table.recipients))]
    assert all(one == to_address(SHOP) for one in table.recipients)
    return amounts, tuple(decoded.unread)


@pytest.mark.parametrize(
    "others",
    [
        {"data": "0x1f4"},
        {"data": "0x01f4"},
        {"data": "0X1F4"},
        {"data": "0x" + f"{500:064X}"},
        {"topics": [TRANSFER.upper().replace("0X", "0x"), word(PAYER), word(SHOP)]},
        {"topics": [TRANSFER.replace("0x", "0X"), word(PAYER), word(SHOP).replace("0x", "0X")]},
        {"address": TOKEN.upper().replace("0X", "0x")},
    ],
)
def test_a_listed_transfer_in_another_spelling_is_read(others: dict[str, Any]) -> None:
    assert log_of(**others) == ([500], ())


@pytest.mark.parametrize(
    "others",
    [
        {"topics": [TRANSFER, word(PAYER), word(SHOP), word(500)], "data": "0x"},
        {"topics": [TRANSFER, word(PAYER), word(SHOP), word(500)]},
        {"topics": [TRANSFER], "data": word(PAYER) + word(SHOP)[2:] + word(500)[2:]},
        {"topics": [TRANSFER, word(PAYER)]},
        {"data": word(500) + "00"},
        {"data": word(500) + "00" * 32},
        {"topics": [TRANSFER, word(PAYER), "0x01" + word(SHOP)[4:]]},
        {"topics": [TRANSFER, "0x01" + word(PAYER)[4:], word(SHOP)]},
    ],
    ids=["nft", "nft-with-data", "unindexed", "half", "longer", "two-words", "wide-payee", "wide-payer"],
)
def test_a_listed_transfer_in_another_shape_is_never_silence(others: dict[str, Any]) -> None:
    amounts, (unread,) = log_of(**others)
    assert amounts == []
    assert unread.startswith(TOKEN)


@pytest.mark.parametrize(
    "others",
    [
        {"data": "1f4"},
        {"data": ""},
        {"data": "0x1f4 "},
        {"data": "0x" + "zz" * 32},
        {"data": "0x" + "zz" * 40},
        {"topics": [TRANSFER, word(PAYER), SHOP]},
        {"topics": [TRANSFER, PAYER, word(SHOP)]},
        {"topics": [TRANSFER, word(PAYER), "0x5"]},
        {"topics": [TRANSFER, word(PAYER), word(SHOP)[2:] + "00"]},
        {"address": "0x" + TOKEN[3:]},
    ],
)
def test_a_listed_transfer_that_cannot_be_read_refuses_the_block(others: dict[str, Any]) -> None:
    with pytest.raises(Inconsistent):
        log_of(**others)


@given(
    st.sampled_from(["payer", "payee", "data"]),
    st.integers(0, 65),
    st.sampled_from([" ", "0", "1", "f", "F", "x", "z", "\uff11", "", "00"]),
)
def test_the_quick_look_at_a_transfer_sees_what_the_close_one_sees(
    field: str, place: int, letter: str
) -> None:
    words = {"payer": word(PAYER), "payee": word(SHOP), "data": word(500)}
    words[field] = words[field][:place] + letter + words[field][place + 1 :]
    rows = BlockRows()
    rows.add(transfer(500) | {"topics": [TRANSFER, words["payer"], words["payee"]], "data": words["data"]})

    def told() -> object:
        try:
            decoded = decode_transfers(INDEX, rows.block(), rows.rows())
        except Inconsistent:
            return None
        return list(decoded.transfers.recipients), decoded.unread

    quick = told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chains.evm.value.decode.ADDRESS_PADDING", "nothing is spelt like this")
        assert told() == quick


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=30), st.randoms())
def test_an_ordinal_counts_the_same_recipients_rows_of_its_transaction(
    paid: list[tuple[int, int, bool]], chance: random.Random
) -> None:
    shops = ["0x" + f"{number:02x}" * 20 for number in (1, 2, 3)]
    rows = BlockRows()
    for tx_index in range(3):
        logs = [transfer(7, to=shops[to]) for index, to, _ in paid if index == tx_index]
        rows.add(*logs, value=int(any(own for index, _, own in paid if index == tx_index)), to=shops[0])
    table = decode_transfers(INDEX, rows.block(), rows.rows()).transfers
    places = list(range(len(table.recipients)))
    chance.shuffle(places)
    found = {place: table.at(place) for place in places}
    seen: Counter[object] = Counter()
    for place in sorted(found):
        one = found[place]
        identity = (one.tx_hash, one.kind, one.asset, one.recipient)
        assert one.n == seen[identity]
        seen[identity] += 1


def test_strangers_may_log_what_they_like() -> None:
    rows = BlockRows()
    shapes: list[dict[str, Any]] = [{"topics": [TRANSFER] * count} for count in (0, 1, 4)]
    for shape in (*shapes, {"data": "0x1f4"}):
        rows.add(transfer(500, emitter="0x" + "71" * 20) | shape)
    decoded = decode_transfers(INDEX, rows.block(), rows.rows())
    assert (len(decoded.transfers.recipients), decoded.unread) == (0, ())
