"""Every recorded block of the three coins is believed, and none with a byte changed."""

from __future__ import annotations

import bz2
import json
import random
from itertools import pairwise
from typing import Any

import pytest

from chains.bitcoin.coins import COINS, Coin
from chains.bitcoin.rows.blocks import decode_block, decode_header
from chains.bitcoin.rows.wire import Malformed
from chains.bitcoin.verify.block import check_block, check_header, check_height
from chains.errors import Inconsistent
from tests.unit.chains.bitcoin.test_proofs import hold_against_kit
from tests.unit.chains.verify.recorded import IS_RECORDED, REASON, RECORDED

if not IS_RECORDED:
    pytest.skip(REASON, allow_module_level=True)

FAMILY = ("bitcoin", "litecoin", "dogecoin")
MANIFEST: list[dict[str, Any]] = json.loads((RECORDED / "MANIFEST.json").read_text())["files"]
WHOLE = [
    one for one in MANIFEST if one["path"].split("/")[0] in FAMILY and one["kind"] in ("raw_block", "block")
]
BITS_CHANGED = 12
PROVEN_EACH = 12


def coin_of(one: dict[str, Any]) -> Coin:
    return COINS[one["chain"] if one["network"] == "mainnet" else f"{one['chain']}-{one['network']}"]


def read(one: dict[str, Any]) -> bytes:
    data = (RECORDED / str(one["path"])).read_bytes()
    match str(one["path"]).rpartition(".")[2]:
        case "json":
            return bytes.fromhex(str(json.loads(data)["block"]))
        case "hex":
            return bytes.fromhex(data.decode().strip())
        case "bz2":
            return bz2.decompress(data)
        case _:
            return data


@pytest.mark.parametrize("one", WHOLE, ids=[one["path"] for one in WHOLE])
def test_a_recorded_block_is_believed_and_none_with_a_byte_changed(one: dict[str, Any]) -> None:
    coin, raw, asked = coin_of(one), read(one), bytes.fromhex(one["block_hash"])
    block = decode_block(raw, coin)
    check_block(coin, block, asked)
    check_height(coin, block, one["block_number"])
    assert len(block.transactions) == one["tx_count"]
    covered = len(raw) - len(block.extension)  # what the extension holds is told by no hash of ours
    begin = 80 if block.header.auxiliary is None else raw.index(block.header.auxiliary.header) + 80
    chance = random.Random(len(raw))
    for _ in range(BITS_CHANGED):
        place = chance.choice((chance.randrange(80), chance.randrange(begin, covered)))
        bent = bytearray(raw)
        bent[place] ^= 1 << chance.randrange(8)
        with pytest.raises((Malformed, Inconsistent)):
            check_block(coin, decode_block(bytes(bent), coin), asked)


def test_recorded_headers_link_and_have_their_work() -> None:
    lines = (RECORDED / "litecoin" / "core" / "blockheader_testnet4.hex").read_text().split()
    headers = [
        decode_header(bytes.fromhex(one), COINS["litecoin-testnet4"]) for one in lines if ":" not in one
    ]
    assert len(headers) == 300
    for before, after in pairwise(headers):
        assert after.parent_hash == before.hash
    for one in headers:
        check_header(COINS["litecoin-testnet4"], one)


@pytest.mark.parametrize("one", WHOLE, ids=[one["path"] for one in WHOLE])
def test_its_transactions_are_proven_to_the_merchants_own_program(
    one: dict[str, Any], rng: random.Random
) -> None:
    coin, raw = coin_of(one), read(one)
    count = len(decode_block(raw, coin).transactions)
    hold_against_kit(coin, raw, rng.sample(range(count), min(count, PROVEN_EACH)), [])
