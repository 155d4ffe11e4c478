"""Outputs of Bitcoin's family are proven by a header, a branch and the transaction, and nothing else passes for one."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from typing import Any

import pytest

from relay.kit.verify_deposit import HEADERS_MAX, ProofInvalid, verify_deposit
from tests.unit.chains.bitcoin.making import Tx, pay
from tests.unit.relay.deposit_cases import changed, encode, hexed
from tests.unit.relay.output_cases import (
    FIRST_HEADERS,
    OTHER_SCRIPT,
    SHOP_SCRIPT,
    OutputCase,
    busy_outputs,
    prove_first,
)
from tests.unit.relay.test_deposit_kit import ODD_VALUES, both, refused

Json = Any
FLIPS = 250


def test_an_output_is_proven_wherever_it_stands_in_blocks_of_any_size() -> None:
    proofs = []
    for count in (1, 2, 3, 4, 5, 8, 9, 33):
        case = OutputCase([pay((number + 1, SHOP_SCRIPT), spends=str(number)) for number in range(count)])
        proofs += [case.prove(index, 0, index) for index in {1, count // 2 + 1, count}]
    assert [one["amountBaseUnits"] for one in both(*proofs)] == [
        one["deposit"]["amount_base_units"] for one in proofs
    ]


def test_what_is_proven_is_spelled_as_the_chains_nodes_spell_it() -> None:
    proof = busy_outputs().prove(3, 1, 5)
    (said,) = both(proof)
    assert said["txHash"] == proof["deposit"]["tx_hash"]
    assert said["recipient"] == SHOP_SCRIPT.hex()
    assert (said["blockHash"], said["height"]) == (proof["block"]["hash"], 1_234)
    assert (said["headersCount"], said["work"]) == (3, "0"), "a test network's work is worth nothing"
    assert verify_deposit(proof, bytes.fromhex(proof["block"]["hash"])).n == 1


def test_the_work_of_real_headers_is_summed_and_a_forged_one_has_none() -> None:
    (said,) = both(prove_first())
    assert int(said["work"]) == 2 * 4_295_032_833
    forged = FIRST_HEADERS[1][:-1] + b"\x98"
    easier = FIRST_HEADERS[1][:72] + bytes.fromhex("ffff7f20") + FIRST_HEADERS[1][76:]
    none = FIRST_HEADERS[1][:72] + bytes.fromhex("ffff0003") + FIRST_HEADERS[1][76:]
    negative = FIRST_HEADERS[1][:72] + bytes.fromhex("ffff801d") + FIRST_HEADERS[1][76:]
    cheap = [changed(prove_first(), "headers", to=[hexed(one)]) for one in (forged, none, negative)]
    assert refused(*cheap) == ["a header has not the work that it claims"] * 3
    (said,) = both(changed(prove_first(), "headers", to=[hexed(easier)]))
    assert int(said["work"]) == 4_295_032_833 + 2, (
        "whoever claims little work is believed to have done little"
    )


def test_a_transaction_as_long_as_two_hashes_shows_nothing() -> None:
    # 64 bytes: what a miner can make look like an inner node, and the other way about.
    tx = Tx(((b"\1" * 36, b""),), (b"\5" + bytes(7) + b"\x04" + SHOP_SCRIPT[:4],))
    assert len(tx.bare) == 64
    refused(OutputCase([tx]).prove(1, 0, 5, to=SHOP_SCRIPT[:4]))


@pytest.mark.parametrize("cut", [0, 3, 5, 41, 45, 50, 60])
def test_a_transaction_that_ends_early_or_late_is_none_though_its_hash_is_right(cut: int) -> None:
    whole = pay((5, SHOP_SCRIPT), (6, OTHER_SCRIPT)).bare
    for core in (whole[:cut], whole + bytes(cut + 1), whole[:4] + b"\xff" * 9 + whole[5:], whole[:-4]):
        case = busy_outputs()
        case.everything[3] = Raw((), (), core=core)
        refused(case.prove(3, 0, 5))


@dataclass(frozen=True)
class Raw(Tx):
    """Bytes that stand in a block as if they were a transaction."""

    core: bytes = b""

    @property
    def bare(self) -> bytes:
        return self.core


def test_whatever_stands_where_a_member_was_both_kits_say_the_same() -> None:
    proof = busy_outputs().prove(3, 1, 5)
    paths: list[tuple[Any, ...]] = [(name,) for name in proof if name != "event"]
    paths += [("deposit", name) for name in proof["deposit"]] + [("block", name) for name in proof["block"]]
    paths += [("branch", 0), ("headers", 1)]
    odd = [changed(proof, *path, to=value) for path in paths for value in ODD_VALUES]
    for path in paths:
        without = copy.deepcopy(proof)
        place = without
        for step in path[:-1]:
            place = place[step]
        if isinstance(place, dict):
            del place[path[-1]]
            odd.append(without)
    asked = [
        one for one in odd if isinstance(one.get("block"), dict) and isinstance(one["block"].get("hash"), str)
    ]
    for verdict in both(*asked):
        assert "refused" in verdict or verdict["depositId"] == proof["deposit"]["id"], verdict


def test_a_byte_flipped_anywhere_is_refused_or_changes_no_meaning(rng: random.Random) -> None:
    proof = busy_outputs().prove(3, 1, 5)
    text, told = encode(proof), verify_deposit(proof, proof["block"]["hash"])
    for _ in range(FLIPS):
        place = rng.randrange(len(text))
        bent = text[:place] + bytes([text[place] ^ 1 << rng.randrange(7)]) + text[place + 1 :]
        try:
            found = verify_deposit(bent, proof["block"]["hash"])
        except ProofInvalid:
            continue
        assert (found.deposit_id, found.amount_base_units, found.tx_hash) == (
            told.deposit_id, told.amount_base_units, told.tx_hash)  # fmt: skip


def test_lists_without_end_are_refused_before_anything_is_hashed() -> None:
    proof = busy_outputs().prove(3, 1, 5)
    refused(
        changed(proof, "headers", to=["0x" + "00" * 80] * (HEADERS_MAX + 1)),
        changed(proof, "branch", to=["0x" + "00" * 32] * 31),
    )
    huge = json.loads(json.dumps(proof))
    huge["raw_transaction"] = "0x" + "fe" * (5 * 1024 * 1024)
    refused(huge)
