"""Transfers on Tron are proven by a signed header, a branch and the transaction, and nothing else passes for one."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any, Final

import pytest

from chains.tron.address import format_address
from relay.kit.verify_deposit import FIELDS_MAX
from tests.devnet.tron_chain import (
    PAYER,
    TOKEN,
    MadeBlock,
    MadeTx,
    TronChain,
    account,
    address_of,
    make_raw,
    number,
    pay,
    pay_numbered,
    text,
    varint,
)  # fmt: skip
from tests.unit.relay.deposit_cases import changed, hexed
from tests.unit.relay.signed_cases import NATIVE, name_token, prove
from tests.unit.relay.test_deposit_kit import ODD_VALUES, both, busy, refused

Json = Any
SHOP: Final = account("shop")
FLIPS = 80
ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
TRANSFER: Final = bytes.fromhex("a9059cbb")
NUMBER: Final = b"1002000"


def send_token(
    amount: int, *, data: bytes | None = None, outcome: str = "SUCCESS", contract: bytes = TOKEN
) -> MadeTx:
    """A plain call of a token's transfer."""
    plain = TRANSFER + bytes(12) + SHOP[1:] + amount.to_bytes(32, "big")
    parameter = text(1, PAYER) + text(2, contract) + text(4, plain if data is None else data)
    return MadeTx(
        make_raw(31, "TriggerSmartContract", parameter, nonce=amount % 100), {"contractRet": outcome}
    )


def mine(*txs: MadeTx) -> tuple[TronChain, MadeBlock]:
    chain = TronChain()
    return chain, chain.mine(*txs)


def busy_proof(kind: str = "native") -> Json:
    """The shop's payment of 5 in one of the kinds, among others'."""
    txs = [pay(PAYER, 9, nonce=at) for at in range(6)]
    txs[4] = {"native": pay(SHOP, 5), "trc10": pay_numbered(SHOP, 5, NUMBER), "token": send_token(5)}[kind]
    asset = {"native": NATIVE, "trc10": f"trc10:{NUMBER.decode()}", "token": name_token(TOKEN)}[kind]
    return prove(*mine(*txs), 4, kind, asset, SHOP, 5)


@pytest.mark.parametrize("kind", ["native", "trc10", "token"])
def test_each_kind_is_proven_and_what_rests_on_agreement_is_said(kind: str) -> None:
    proof = busy_proof(kind)
    (said,) = both(proof)
    assert (said["amountBaseUnits"], said["recipient"]) == ("5", SHOP.hex())
    assert said["txHash"] == proof["deposit"]["tx_hash"]
    assert said["byAgreement"] == ["witness-schedule", *(["logs"] if kind == "token" else [])]
    assert said["signer"] == said["witness"] == address_of(TronChain().keys[1]).hex()


def test_a_transfer_is_proven_wherever_it_stands_in_blocks_of_any_size() -> None:
    proofs = []
    for count in (1, 2, 3, 5, 6, 7, 9, 33, 619):
        made = mine(*(pay(SHOP, at + 1, nonce=at) for at in range(count)))
        proofs += [prove(*made, at, "native", NATIVE, SHOP, at + 1) for at in {0, count // 2, count - 1}]
    assert [one.get("amountBaseUnits") for one in both(*proofs)] == [
        one["deposit"]["amount_base_units"] for one in proofs
    ]


def test_only_signers_whom_the_receiver_names_are_taken_where_it_names_any() -> None:
    proof = busy_proof()
    signer = address_of(TronChain().keys[1])
    for accepted in ([signer.hex()], [format_address(signer), "other"], format_address(signer), None):
        assert both(proof, signers=accepted)[0]["signer"] == signer.hex()
    for others in ([], [SHOP.hex()], [signer.hex()[2:]], ["0x" + signer.hex()], "", f"{signer.hex()},"):
        (said,) = refused(proof, signers=others)
        assert "nobody whom you named" in said, others


def test_signers_are_not_overlooked_where_nobody_signs() -> None:
    (said,) = refused(busy().prove(10, 5), signers=[format_address(SHOP)])
    assert "nobody who could be named" in said


def test_a_key_that_signs_for_a_witness_is_told_apart_from_it() -> None:
    chain = TronChain()
    chain.delegates[address_of(chain.keys[1])] = chain.keys[2]
    (said,) = both(prove(chain, chain.mine(pay(SHOP, 5)), 0, "native", NATIVE, SHOP, 5))
    assert (said["witness"], said["signer"]) == (
        address_of(chain.keys[1]).hex(),
        address_of(chain.keys[2]).hex(),
    )


def bend_signature(proof: Json, bend: Any) -> Json:
    return changed(proof, "signature", to=hexed(bend(bytes.fromhex(proof["signature"][2:]))))


def test_a_signature_in_another_form_or_of_another_key_is_refused() -> None:
    proof = busy_proof()

    def high(one: bytes) -> bytes:
        return (
            one[:32] + (ORDER - int.from_bytes(one[32:64], "big")).to_bytes(32, "big") + bytes([one[64] ^ 1])
        )

    bends = [
        high, lambda one: one[:64] + bytes([one[64] ^ 1]), lambda one: one[:64] + b"\x02", lambda one: one[:64] + b"\x1d",
        lambda one: bytes(32) + one[32:], lambda one: one[:32] + bytes(32) + one[64:], lambda one: b"\xff" * 32 + one[32:],
        lambda one: one[:64], lambda one: one + b"\x00", lambda _: b"", lambda one: ORDER.to_bytes(32, "big") + one[32:],
    ]  # fmt: skip
    refused(*(bend_signature(proof, bend) for bend in bends))
    (said,) = both(bend_signature(proof, lambda one: one[:64] + bytes([one[64] + 27])))
    assert said["signer"] == proof["signer"], "old signatures count from 27"


def test_a_place_that_is_none_and_a_branch_of_another_length_are_refused() -> None:
    proof = busy_proof()
    bends: list[tuple[str, int]] = [("count", to) for to in (0, 1, 4, 2**30, 2**30 + 1, 2**53 - 1, -1)] + [
        ("index", to) for to in (0, 5, 6, 2**40)
    ]
    odd = [changed(proof, name, to=to) for name, to in bends]
    branches: list[list[str]] = [[]]
    odd += [
        changed(proof, "branch", to=to)
        for to in (*branches, proof["branch"][:-1], proof["branch"] + [hexed(bytes(32))])
    ]
    odd += [changed(proof, "branch", to=[hexed(bytes(32))] * 31)]
    refused(*odd)


def test_another_transactions_leaf_and_what_failed_are_refused() -> None:
    other = mine(pay(SHOP, 5), pay(SHOP, 5, nonce=1))
    proof = prove(*other, 0, "native", NATIVE, SHOP, 5)
    swapped = prove(*other, 1, "native", NATIVE, SHOP, 5)
    failed = replace(pay(SHOP, 5), ret={"ret": "FAILED"})
    late = replace(pay(SHOP, 5), ret={"contractRet": "OUT_OF_TIME"})
    twice = replace(pay(SHOP, 5), tail=text(5, number(3, 1)))
    doubled = replace(pay(SHOP, 5), tail=text(1, b""))
    unsaid = replace(send_token(5), ret={})
    refused(
        changed(proof, "leaf", to=swapped["leaf"]),
        {**swapped, "deposit": proof["deposit"]},
        *(prove(*mine(tx), 0, "native", NATIVE, SHOP, 5) for tx in (failed, late, twice, doubled)),
        prove(*mine(send_token(5, outcome="REVERT")), 0, "token", name_token(TOKEN), SHOP, 5),
        prove(*mine(unsaid), 0, "token", name_token(TOKEN), SHOP, 5),
    )


def test_a_call_that_is_no_plain_transfer_of_the_token_is_refused() -> None:
    word = bytes(12) + SHOP[1:]
    amount = (5).to_bytes(32, "big")
    calls = [
        TRANSFER + word + amount + b"\0", TRANSFER + word, b"", bytes.fromhex("23b872dd") + word + amount,
        TRANSFER + b"\x01" + word[1:] + amount, TRANSFER + bytes(11) + b"\x42" + SHOP[1:] + amount,
    ]  # fmt: skip
    odd = [prove(*mine(send_token(5, data=data)), 0, "token", name_token(TOKEN), SHOP, 5) for data in calls]
    calls_of = [send_token(5, contract=one) for one in (account("other"), TOKEN[1:], TOKEN + b"\0", b"")]
    odd += [prove(*mine(tx), 0, "token", name_token(TOKEN), SHOP, 5) for tx in calls_of]
    odd.append(prove(*mine(send_token(0)), 0, "token", name_token(TOKEN), SHOP, 5))
    odd.append(prove(*mine(send_token(5)), 0, "native", NATIVE, SHOP, 5))
    odd.append(prove(*mine(pay_numbered(SHOP, 5, b"1002001")), 0, "trc10", "trc10:1002000", SHOP, 5))
    refused(*odd)
    own = TRANSFER + bytes(11) + SHOP + amount
    (said,) = both(prove(*mine(send_token(5, data=own)), 0, "token", name_token(TOKEN), SHOP, 5))
    assert said["amountBaseUnits"] == "5", "some wallets leave Tron's first byte in the word"


def raw_of(parameter: bytes, kind: bytes = b"\x08\x01") -> bytes:
    return text(11, kind + text(2, text(2, parameter)))


WHOLE: Final = text(1, PAYER) + text(2, SHOP) + number(3, 5)
MALFORMED: Final = {
    "a length beyond the end": b"\x5a\x7f" + raw_of(WHOLE),
    "a huge length": b"\x5a" + b"\xff" * 9 + b"\x01" + raw_of(WHOLE),
    "a number without an end": b"\x08" + b"\xff" * 11 + raw_of(WHOLE),
    "a number that is cut off": raw_of(WHOLE) + b"\x08\xff",
    "field 0": b"\x00\x01" + raw_of(WHOLE),
    "a group": b"\x0b\x0c" + raw_of(WHOLE),
    "wire type 7": b"\x0f" + raw_of(WHOLE),
    "two contracts": raw_of(WHOLE) * 2,
    "a contract as a number": b"\x58\x05",
    "nothing": b"",
    "a negative amount": raw_of(text(2, SHOP) + number(3, -5)),
    "an amount told again": raw_of(WHOLE + number(3, 6)),
    "a recipient told again": raw_of(WHOLE + text(2, PAYER)),
    "a recipient of 20 bytes": raw_of(text(2, SHOP[1:]) + number(3, 5)),
    "another kind": raw_of(WHOLE, b"\x08\x02"),
    "an amount of a fixed width": raw_of(text(2, SHOP) + b"\x19" + (5).to_bytes(8, "little")),
    "very many fields": b"\x08\x01" * FIELDS_MAX + raw_of(WHOLE),
}
READ: Final = {
    "an amount told again, the last": raw_of(text(2, SHOP) + number(3, 7) + number(3, 5)),
    "a lengthy number": raw_of(text(2, SHOP) + varint(24) + b"\x85\x80\x00"),
    "unknown fields": b"\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4) + raw_of(WHOLE),
    "a parameter in two pieces": text(11, number(1, 1) + text(2, b"") + text(2, text(2, WHOLE))),
}


def test_bytes_that_are_read_otherwise_than_java_reads_them_are_refused() -> None:
    refused(*(prove(*mine(MadeTx(raw)), 0, "native", NATIVE, SHOP, 5) for raw in MALFORMED.values()))
    said = both(*(prove(*mine(MadeTx(raw)), 0, "native", NATIVE, SHOP, 5) for raw in READ.values()))
    assert [one.get("amountBaseUnits") for one in said] == ["5"] * len(READ)


@pytest.mark.parametrize("kind", ["native", "token"])
def test_no_byte_can_be_changed_unseen(kind: str) -> None:
    chance, proof = random.Random(7), busy_proof(kind)
    names = ["header", "signature", "leaf", "witness", "signer", "branch"]
    bent = []
    for at in range(FLIPS):
        name = names[at % len(names)]
        value = proof[name][at % len(proof[name])] if name == "branch" else proof[name]
        place = chance.randrange(2 * value.startswith("0x"), len(value))
        flipped = (
            value[:place] + format(int(value[place], 16) ^ chance.randrange(1, 16), "x") + value[place + 1 :]
        )
        path = (name, at % len(proof[name])) if name == "branch" else (name,)
        bent.append(changed(proof, *path, to=flipped))
    for name, to in (
        ("amount_base_units", "6"),
        ("recipient", PAYER.hex()),
        ("n", 1),
        ("tx_hash", "11" * 32),
        ("kind", "trc10"),
    ):
        bent.append(changed(proof, "deposit", name, to=to))
    bent += [changed(proof, "block", "height", to=2), changed(proof, "by_agreement", to=[])]
    bent += [
        changed(proof, "by_agreement", to=["logs", "witness-schedule"]),
        changed(proof, "deposit", "id", to="dep_" + "0" * 26),
    ]
    refused(*bent)


def test_whatever_stands_where_a_member_was_both_kits_say_the_same() -> None:
    proof = busy_proof("token")
    paths: list[tuple[Any, ...]] = [(name,) for name in proof if name not in {"event", "block"}]
    paths += [("deposit", name) for name in proof["deposit"]] + [
        ("block", "height"),
        ("branch", 0),
        ("by_agreement", 0),
    ]
    odd = [changed(proof, *path, to=value) for path in paths for value in ODD_VALUES]
    for name in proof:
        if name not in {"event", "block"}:
            without = copy.deepcopy(proof)
            del without[name]
            odd.append(without)
    for verdict in both(*odd):
        assert "refused" in verdict or verdict["depositId"] == proof["deposit"]["id"], verdict
