"""The recorded mainnet block of 619 transactions, read to its last transfer, and recorded headers with their witnesses."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from chains.errors import Inconsistent
from chains.model import Doubt, TransferKind
from chains.tron.address import parse_address
from chains.tron.rows.blocks import (
    BLOCK,
    RawBlock,
    RawInfo,
    RawLog,
    RawReceipt,
    read_header,
    read_transactions,
)
from chains.tron.value.transfers import (
    TRANSFER_TOPIC,
    Decoded,
    decode_transfers,
    read_all_asked,
)
from chains.tron.verify.block import Schedule, check_root, check_witness, recover_signer
from tests.unit.chains.tron.listed import NUMBERED, USDT, assets
from tests.unit.chains.tron.oracle import (
    Counted,
    Recorded,
    count_transfers,
    list_calls,
    print_block,
    read_recorded,
)
from tests.unit.chains.verify.recorded import IS_RECORDED, REASON, RECORDED

if not IS_RECORDED:
    pytest.skip(REASON, allow_module_level=True)

BENDS = 60


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return read_recorded()


@pytest.fixture(scope="module")
def told(recorded: Recorded) -> dict[str, Any]:
    return print_block(recorded)


def check(told: dict[str, Any]) -> tuple[RawBlock, list[Doubt]]:
    content = msgspec.json.encode(told)
    block = BLOCK.decode(content)
    header, transactions = read_header(block), read_transactions(block)
    schedule = Schedule(
        0, 1 << 60, frozenset({parse_address(told["block_header"]["raw_data"]["witness_address"])})
    )
    return block, [*check_root(header, block, transactions, content), *check_witness(header, schedule)]


def decode(block: RawBlock, infos: list[RawInfo]) -> Decoded:
    transactions = read_transactions(block)
    return decode_transfers(assets(), transactions, read_all_asked(transactions), infos)


def plain(decoded: Decoded) -> list[Counted]:
    table = decoded.transfers
    found = [table.at(place) for place in range(len(table.recipients))]
    return [
        (
            one.tx_hash.hex(),
            "trx" if one.kind is TransferKind.NATIVE else one.asset.rpartition(":")[2],
            one.senders[0].hex(),
            one.recipient.hex(),
            one.amount_base_units,
        )
        for one in found
        if one.kind is not TransferKind.TOKEN
    ]


def test_the_recorded_block_is_proven_by_its_root_its_id_and_its_witness(told: dict[str, Any]) -> None:
    block, doubts = check(told)
    assert len(block.transactions) == 619
    assert doubts == []


def test_the_field_that_a_payer_invented_is_under_the_root(told: dict[str, Any]) -> None:
    bent = copy.deepcopy(told)
    (strange,) = [one for one in bent["transactions"] if len(one["ret"][0]) > 1]
    (name,) = set(strange["ret"][0]) - {"contractRet"}
    del strange["ret"][0][name]
    with pytest.raises(Inconsistent, match="do not give its root"):
        check(bent)


def test_the_recorded_block_moves_exactly_what_an_independent_count_finds(
    recorded: Recorded, told: dict[str, Any]
) -> None:
    counted = count_transfers(recorded, NUMBERED)
    assert len(counted) == 230 + 38
    found = plain(decode(check(told)[0], []))
    assert found == counted
    assert Counter(asset for _, asset, *_ in found)["trx"] == 230


def test_its_tokens_are_found_by_their_logs_and_failed_calls_move_nothing(
    recorded: Recorded, told: dict[str, Any]
) -> None:
    """Receipts were not recorded: they are made of each call's own words, logs of failed ones left in place."""
    calls = list_calls(recorded, bytes(USDT))
    assert len(calls) == 152
    by_tx = {tx: (payer, payee, amount) for tx, payer, payee, amount, _ in calls}
    infos = [_make_info(one, by_tx) for one in told["transactions"]]
    decoded = decode(check(told)[0], infos)
    table = decoded.transfers
    tokens = [
        transfer
        for place in range(len(table.recipients))
        if (transfer := table.at(place)).kind is TransferKind.TOKEN
    ]
    assert [
        (one.tx_hash.hex(), one.senders[0].hex(), one.recipient.hex(), one.amount_base_units)
        for one in tokens
    ] == [(tx, payer, payee, amount) for tx, payer, payee, amount, succeeded in calls if succeeded and amount]
    assert plain(decoded) == count_transfers(recorded, NUMBERED)


def _make_info(told: dict[str, Any], by_tx: dict[str, tuple[str, str, int]]) -> RawInfo:
    logs = []
    if (moved := by_tx.get(told["txID"])) is not None:
        payer, payee, amount = moved
        topics = [TRANSFER_TOPIC, payer[2:].rjust(64, "0"), payee[2:].rjust(64, "0")]
        logs = [RawLog(USDT[1:].hex(), topics, f"{amount:064x}")]
    return RawInfo(told["txID"], receipt=RawReceipt(told["ret"][0].get("contractRet", "")), logs=logs)


def _bend_raw(told: dict[str, Any], chance: random.Random) -> None:
    one = chance.choice(told["transactions"])
    raw = bytearray(bytes.fromhex(one["raw_data_hex"]))
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    one["raw_data_hex"] = raw.hex()
    if chance.random() < 0.5:
        one["txID"] = sha256(raw).hexdigest()


def _bend_result(told: dict[str, Any], chance: random.Random) -> None:
    one = chance.choice(told["transactions"])["ret"][0]
    one["contractRet"] = chance.choice(
        [other for other in ("REVERT", "OUT_OF_ENERGY") if other != one["contractRet"]]
    )


def _drop(told: dict[str, Any], chance: random.Random) -> None:
    told["transactions"].pop(chance.randrange(len(told["transactions"])))


def _repeat(told: dict[str, Any], chance: random.Random) -> None:
    told["transactions"].append(chance.choice(told["transactions"]))


def _swap(told: dict[str, Any], chance: random.Random) -> None:
    rows = told["transactions"]
    at = chance.randrange(len(rows) - 1)
    rows[at], rows[at + 1] = rows[at + 1], rows[at]


def _bend_header(told: dict[str, Any], chance: random.Random) -> None:
    raw = told["block_header"]["raw_data"]
    name = chance.choice(["number", "timestamp", "version", "txTrieRoot", "parentHash", "witness_address"])
    raw[name] = raw[name] + 1 if isinstance(raw[name], int) else _bend_hex(raw[name], chance)


def _bend_signature(told: dict[str, Any], chance: random.Random) -> None:
    header = told["block_header"]
    header["witness_signature"] = _bend_hex(header["witness_signature"], chance)


def _bend_hex(text: str, chance: random.Random) -> str:
    data = bytearray(bytes.fromhex(text))
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data.hex()


@pytest.mark.parametrize(
    "bend", [_bend_raw, _bend_result, _drop, _repeat, _swap, _bend_header, _bend_signature]
)
def test_no_bent_block_is_believed(
    told: dict[str, Any], bend: Callable[[dict[str, Any], random.Random], None]
) -> None:
    for seed in range(BENDS // 10):
        bent = copy.deepcopy(told)
        bend(bent, random.Random(seed))
        with pytest.raises(Inconsistent):
            check(bent)


def test_recorded_headers_are_signed_by_their_witness_or_by_who_signs_for_it() -> None:
    found = json.loads((RECORDED / "tron" / "untron" / "headers_78000000_78000099.json").read_text())
    active = frozenset(parse_address(one) for one in found["srs"])
    keys = {
        parse_address(one): parse_address(other)
        for one, other in zip(found["srs"], found["witnessDelegatees"], strict=True)
        if int(other, 16)
    }
    raws = [bytes.fromhex(one[2:]) for one in found["blockHeaderRawBytes"]]
    signatures = [bytes.fromhex(one[2:]) for one in found["witnessSignatures"]]
    assert len(raws) == len(signatures) == 100
    signers = set()
    for raw, signature, block_id in zip(raws, signatures, found["blockIds"], strict=True):
        header = read_header(_print_header(raw, signature, block_id[2:]))
        assert check_witness(header, Schedule(0, 1 << 60, active, dict(keys))) == []
        signers.add(recover_signer(header))
        with pytest.raises(Inconsistent, match="not scheduled"):
            check_witness(header, Schedule(0, 1 << 60, active - {header.witness}, dict(keys)))
    assert len(signers) > 20


def _print_header(raw: bytes, signature: bytes, block_id: str) -> RawBlock:
    recorded = Recorded([], raw, signature, bytes.fromhex(block_id))
    return msgspec.convert(print_block(recorded), RawBlock)


def test_a_block_of_a_private_network_is_proven_as_a_node_printed_it() -> None:
    told = json.loads((RECORDED / "tron" / "http" / "gotron_private_block_165.json").read_text())
    block, doubts = check(told)
    assert (block.block_id, doubts) == (told["blockID"], [])
