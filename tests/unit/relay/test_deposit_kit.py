"""Both kits accept what a block proves, and refuse everything else with a word and in time."""

from __future__ import annotations

import ast
import json
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import rlp
from sha3 import keccak_256

from relay.kit import verify_deposit as kit
from relay.kit.verify_deposit import ProofInvalid, ProvenDeposit, check_told, verify_deposit
from tests.unit.relay.deposit_cases import (
    CHAIN,
    ETHER,
    MERCHANT,
    OTHER,
    SHOP,
    TOKEN,
    TRANSFER,
    VECTORS,
    Case,
    build_vectors,
    carriers,
    changed,
    encode,
    hexed,
    keccak,
    legacy,
    receipt,
    token_log,
    typed,
)
from tests.unit.relay.deposit_verdicts import Signers, Verdict, judge, judge_in_node

Json = Any
PYTHON_KIT = Path(kit.__file__)
NODE_KIT = PYTHON_KIT.with_suffix(".mjs")
FLIPS = 250
ODD_VALUES: list[Json] = [
    None, True, 0, 1, -1, -0.0, 7.0, 0.5, 2**53, 1e400, 10**30, "", "0x", "0x0", "0xAA", "7", "\u0000", [], {}, [[]],
    ["0x"], {"a": 1}, "0x" + "00" * 32, "0x" + "0 " * 32, [None], ["0x80"] * 13,
]  # fmt: skip


def busy(*, count: int = 20, paying: bytes | None = None, logs: tuple[Any, ...] = ()) -> Case:
    """A block of other people's business, and one transaction to the shop in the middle."""
    items = [(legacy(OTHER, n + 1, nonce=n), receipt(token_log(OTHER, n))) for n in range(count)]
    items[count // 2] = (paying or legacy(SHOP, 5), receipt(*logs))
    return Case(items)


def both(*proofs: Json, signers: Signers = None) -> list[Verdict]:
    """What both kits say of these proofs of the block they name: the same, to the letter."""
    asked = [(encode(proof), proof["block"]["hash"]) for proof in proofs]
    verdicts = [judge(*one, signers) for one in asked]
    assert judge_in_node(asked, signers) == verdicts
    return verdicts


def refused(*proofs: Json, signers: Signers = None) -> list[str]:
    """The words with which both kits refuse each of these."""
    verdicts = both(*proofs, signers=signers)
    assert all("refused" in one for one in verdicts), verdicts
    return [str(one["refused"]) for one in verdicts]


# --- accepted ----------------------------------------------------------------------------------------------------


def test_native_value_is_proven_for_every_form_of_transaction_that_carries_it_under_its_hash() -> None:
    cases = [busy(paying=one) for one in carriers(SHOP, 5).values()]
    verdicts = both(*(case.prove(10, 5) for case in cases))
    assert [one.get("amountBaseUnits") for one in verdicts] == ["5"] * len(cases)


@pytest.mark.parametrize("count", [1, 2, 17, 129, 257])
def test_a_deposit_is_proven_wherever_it_stands_in_blocks_of_any_size(count: int) -> None:
    case = Case([(legacy(SHOP, n + 1, nonce=n), receipt(token_log(SHOP, n + 2))) for n in range(count)])
    places = sorted({0, 1, count // 2, 127, 128, count - 1} & set(range(count)))
    natives = both(*(case.prove(place, place + 1) for place in places))
    tokens = both(*(case.prove(place, place + 2, token=TOKEN) for place in places))
    assert [one.get("amountBaseUnits") for one in natives] == [str(place + 1) for place in places]
    assert [one.get("amountBaseUnits") for one in tokens] == [str(place + 2) for place in places]


def test_the_ordinal_counts_transfers_of_one_kind_and_asset_to_one_recipient_and_no_empty_ones() -> None:
    other = b"\x78" * 20
    nft = token_log(SHOP, 1, topics=[TRANSFER, *[SHOP.rjust(32, b"\0")] * 3])
    unindexed = [TOKEN, [TRANSFER], b"\x01" * 96]
    approval = token_log(SHOP, 4, topics=[b"\x01" * 32, *[SHOP.rjust(32, b"\0")] * 2])
    logs = (
        token_log(SHOP, 0), token_log(OTHER, 9), token_log(SHOP, 7), nft, unindexed, approval,
        token_log(SHOP, 8, contract=other), token_log(SHOP, 7), token_log(SHOP, 3),
    )  # fmt: skip
    case = busy(logs=logs)
    verdicts = both(*(case.prove(10, amount, token=TOKEN, n=n) for n, amount in enumerate((7, 7, 3))))
    assert [one["amountBaseUnits"] for one in verdicts] == ["7", "7", "3"]
    assert "no such thing" in refused(case.prove(10, 3, token=TOKEN, n=3))[0]
    assert "no such thing" in refused(case.prove(10, 3, token=TOKEN, n=2**53 - 1))[0]
    assert both(case.prove(10, 8, token=other))[0]["amountBaseUnits"] == "8"


def test_a_mint_on_an_op_stack_stands_before_the_value_and_survives_a_failure() -> None:
    deposit = typed(0x7E, [b"\x09" * 32, SHOP, SHOP, 50, 30, 21_000, 0, b""])
    case = busy(paying=deposit)
    assert [one.get("amountBaseUnits") for one in both(case.prove(10, 50), case.prove(10, 30, n=1))] == [
        "50",
        "30",
    ]
    case.items[10] = (deposit, receipt(status=b"", kind=0x7E, extra=[1, 1]))
    assert both(case.prove(10, 50))[0]["amountBaseUnits"] == "50"
    assert "it failed" in refused(case.prove(10, 30, n=1))[0]


def test_an_item_that_stands_inside_its_parent_is_found_there() -> None:
    tiny = [(typed(0x55, [n]), receipt(token_log(SHOP, n + 1), kind=0x55)) for n in range(40)]
    case = Case(tiny)
    proof = case.prove(20, 21, token=TOKEN)
    assert both(proof)[0]["amountBaseUnits"] == "21"
    listed = [*proof["transaction"], hexed(rlp.encode([b"\x20", tiny[20][0]]))]
    assert "goes on behind its end" in refused(changed(proof, "transaction", to=listed))[0]


def test_what_is_proven_says_who_and_where_and_takes_any_spelling_of_the_hash() -> None:
    case = busy()
    proof = case.prove(10, 5)
    wanted = proof["block"]["hash"]
    found = verify_deposit(proof, wanted)
    assert found == ProvenDeposit(
        deposit_id=proof["deposit"]["id"], merchant_id=MERCHANT, chain=CHAIN, asset=ETHER, kind="native",
        recipient=hexed(SHOP), n=0, amount_base_units=5, tx_hash=proof["deposit"]["tx_hash"], height=1_234,
        block_hash=wanted, time_s=1_700_000_000,
    )  # fmt: skip
    assert found == verify_deposit(encode(proof), bytes.fromhex(wanted[2:]))
    assert found == verify_deposit(json.dumps(proof), "0x" + wanted[2:].upper())
    odd: list[Any] = ["", "0x", wanted[:-1], wanted + "0", wanted[:-1] + "é", b"", b"\x01" * 31, None, 7]
    for wrong in odd:
        with pytest.raises(ProofInvalid):
            verify_deposit(proof, wrong)


# --- refused -----------------------------------------------------------------------------------------------------


def test_a_claim_that_the_block_does_not_bear_out_is_refused() -> None:
    case = busy(logs=(token_log(SHOP, 9),))
    proof = case.prove(10, 5)
    lies = {
        "the chain says 5 base units": changed(proof, "deposit", "amount_base_units", to="6"),
        "moved no such thing to the recipient": changed(proof, "deposit", "recipient", to=hexed(OTHER)),
        "this transaction moved no such thing": changed(proof, "deposit", "n", to=1),
        "another transaction": changed(proof, "deposit", "tx_hash", to=hexed(b"\x01" * 32)),
        "id is not the id": changed(proof, "deposit", "id", to="dep_" + "0" * 26),
        "another height": changed(proof, "block", "height", to=1_235),
        "another block": changed(proof, "block", "hash", to=hexed(b"\x01" * 32)),
        "another chain": changed(proof, "deposit", "chain", to="eip155:2"),
        "no proof of the format": changed(proof, "format", to="chainbell-proof-2"),
        "of a token's transfer or": changed(proof, "deposit", "kind", to="internal"),
        "and its asset says so": changed(proof, "deposit", "asset", to=f"{CHAIN}/erc20:{hexed(TOKEN)}"),
        "no such thing": case.prove(10, 9, token=b"\x78" * 20),
        "merchant_id": changed(proof, "deposit", "merchant_id", to=f"{MERCHANT}\n{CHAIN}"),
        "chain is missing or malformed": changed(
            proof, "chain", to="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
        ),
    }
    for expected, said in zip(lies, refused(*lies.values()), strict=True):
        assert expected in said


def test_a_failed_transaction_and_an_old_receipt_prove_nothing() -> None:
    case = busy(logs=(token_log(SHOP, 9),))
    case.items[10] = (case.items[10][0], receipt(token_log(SHOP, 9), status=b""))
    for said in refused(case.prove(10, 5), case.prove(10, 9, token=TOKEN)):
        assert said.endswith("it failed")
    odd = []
    for status in (b"\x01" * 32, b"\x02", b"\x00", [b"\x01"]):
        case.items[10] = (case.items[10][0], receipt(token_log(SHOP, 9), status=status))
        odd.append(case.prove(10, 5))
    assert all("receipt" in said for said in refused(*odd))


def test_value_outside_of_what_the_hash_covers_is_not_proven() -> None:
    forms = {
        "creation": typed(0, [1, 1, 1, b"", 5, b"", *[b"\x01"] * 3]),
        "unknown type": typed(0x55, [1, SHOP, 5]),
        "arbitrum submit": typed(0x69, [1, b"\x09" * 32, SHOP, 1, 5, 1, 1, SHOP, 5, SHOP, 1, SHOP, b""]),
        "arbitrum internal": typed(0x6A, [1, b"\xaa" * 36]),
        "state sync": typed(0x7F, [[SHOP, 5]]),
        "another count of fields": typed(2, [1, 1, 1, 1, 1, SHOP, 5, b"", []]),
        "no envelope": b"\x80" + rlp.encode([SHOP]),
        "type zero": b"\x00" + legacy(SHOP, 5),
    }
    refused(*(busy(paying=paying).prove(10, 5) for paying in forms.values()))


def test_a_header_of_another_kind_is_refused_though_its_hash_is_right() -> None:
    case = busy()
    proofs = []
    for count in (12, 50, 11):  # Avalanche with ACP-194 has 27 fields and more, and other blocks' receipts
        case.tail = [1] * count
        proofs.append(case.prove(10, 5))
    assert all("of a kind this program does not know" in said for said in refused(*proofs[:2]))
    assert "refused" not in both(proofs[2])[0]
    case.roots = [b"\x01" * 31, b"\x02" * 32]
    assert "the header has another form" in refused(case.prove(10, 5))[0]


def test_nodes_left_out_put_in_or_changed_are_refused() -> None:
    case = busy(count=300, logs=(token_log(SHOP, 9),))
    proof = case.prove(150, 5)
    absent = changed(changed(proof, "index", to=300), "transaction", to=case.path(0, 300))
    odd = [absent, *(changed(proof, "index", to=index) for index in (149, 151, 0, 300, 2**53 - 1))]
    for part, (name, other) in enumerate((("transaction", "receipt"), ("receipt", "transaction"))):
        nodes = proof[name]
        assert len(nodes) >= 3
        odd += [
            changed(proof, name, to=value)
            for value in (
                nodes[:-1], nodes[1:], nodes[::-1], [*nodes, nodes[-1]], [nodes[0], *nodes], proof[other], [],
                nodes * 5, [*nodes, "0x"], [*nodes, "0xc0"], case.path(part, 151),
                [*nodes[:-1], nodes[-1] + "00"], [*nodes[:-1], nodes[-1][:-2]],
            )
        ]  # fmt: skip
    refused(*odd)


def hostile_nodes() -> dict[str, list[bytes]]:
    """Paths of a made-up trie for the key of item 0 (8, 0), each node named rightly by the one before."""
    leaf = rlp.encode([b"\x20", legacy(SHOP, 5)])
    inner = rlp.encode([b"\x30", legacy(SHOP, 5)])
    whole = rlp.encode([b"\x20\x80", legacy(SHOP, 5)])

    def branch(child: Any, *, value: Any = b"", width: int = 17) -> bytes:
        slots = [b""] * width
        slots[8], slots[-1] = child, value
        encoded: bytes = rlp.encode(slots)
        return encoded

    def over(node: bytes, **how: Any) -> bytes:
        return branch(keccak(node), **how)

    second = rlp.encode([b"\x20", b"\x05"])
    return {
        "extension that is empty": [rlp.encode([b"\x00", keccak(whole)]), whole],
        "extension of another key": [rlp.encode([b"\x00\x81", keccak(leaf)]), leaf],
        "extension beyond the key": [rlp.encode([b"\x00\x80\x00", keccak(leaf)]), leaf],
        "leaf of another key": [rlp.encode([b"\x20\x81", legacy(SHOP, 5)])],
        "leaf too short for the key": [rlp.encode([b"\x38", legacy(SHOP, 5)])],
        "leaf longer than the key": [rlp.encode([b"\x20\x80\x00", legacy(SHOP, 5)])],
        "flag that does not exist": [rlp.encode([b"\x40\x80", legacy(SHOP, 5)])],
        "padding that is not zero": [rlp.encode([b"\x21\x80", legacy(SHOP, 5)])],
        "path that is empty": [rlp.encode([b"", legacy(SHOP, 5)])],
        "path that is a list": [rlp.encode([[b"\x20\x80"], legacy(SHOP, 5)])],
        "value that is a list": [rlp.encode([b"\x20\x80", [legacy(SHOP, 5)]])],
        "value that is empty": [rlp.encode([b"\x20\x80", b""])],
        "three items": [rlp.encode([b"\x20\x80", legacy(SHOP, 5), b""])],
        "sixteen items": [over(inner, width=16), inner],
        "eighteen items": [over(inner, width=18), inner],
        "no items": [b"\xc0"],
        "a string": [rlp.encode(b"\x01" * 60)],
        "branch that ends": [over(rlp.encode([b"\x00\x00" * 20]))],
        "a child of 31 bytes": [branch(keccak(inner)[1:]), inner],
        "a child of 33 bytes": [branch(keccak(inner) + b"\x00"), inner],
        "an empty slot": [branch(b"", value=b"\x05" * 40)],
        "a list of 32 bytes inside": [branch([b"\x30", legacy(SHOP, 5)])],
        "a short node listed": [over(second), second],
        "bytes behind a node": [over(inner + b"\x00"), inner + b"\x00"],
        "a length in long form": [over(b"\xf9\x00" + inner[1:]), b"\xf9\x00" + inner[1:]],
    }


def test_a_trie_that_nobody_builds_is_refused_though_its_hashes_are_right() -> None:
    alone = [(legacy(SHOP, 5), receipt())]
    receipts_root = Case(alone).trie(1).root_hash
    proofs = []
    for nodes in hostile_nodes().values():
        proof = Case(alone).prove(0, 5)
        header = Case(alone, roots=[keccak(nodes[0]), receipts_root]).header()
        proof["header"], proof["block"]["hash"] = hexed(header), hexed(keccak(header))
        proof["transaction"] = [hexed(node) for node in nodes]
        proofs.append(proof)
    for name, said in zip(hostile_nodes(), refused(*proofs), strict=True):
        assert "transaction" in said, name


def test_bytes_that_are_no_header_are_refused_though_their_hash_is_right() -> None:
    proofs = []
    for header in (
        b"", b"\x00", b"\x80", b"\xc0", b"\xf8", b"\xf8\x38", b"\xf9\x00\x38" + bytes(56), b"\xff" * 9, b"\xff" * 61,
        b"\xf8\x37" + bytes(55), b"\xc2\x81\x05", b"\xbf" + b"\xff" * 8, b"\xc1\xff", b"\xc1\xb8",
        b"\xb8\x38" + bytes(56), rlp.encode([b"\x01"] * 14), rlp.encode([[b""]] * 20), rlp.encode([b""] * 20),
        rlp.encode([[]] * 15),
    ):  # fmt: skip
        proof = busy().prove(10, 5)
        proof["header"], proof["block"]["hash"] = hexed(header), hexed(keccak(header))
        proofs.append(proof)
    assert all("header" in said for said in refused(*proofs))


def nest(levels: int) -> bytes:
    """So many lists in one another."""
    heads, size = [b"\xc0"], 1
    for _ in range(levels - 1):
        long = size.to_bytes(4, "big").lstrip(b"\0")
        heads.append(bytes([0xC0 + size]) if size < 56 else bytes([0xF7 + len(long)]) + long)
        size += len(heads[-1])
    return b"".join(reversed(heads))


def test_lists_within_lists_of_rlp_are_never_entered() -> None:
    market = [rlp.encode(one) for one in (1, 1, 1, 1, 1, SHOP, 5, b"")]
    payload = b"".join([*market, nest(22_000), b"\x01\x01\x01"])
    case = busy(paying=b"\x02\xfa" + len(payload).to_bytes(3, "big") + payload)
    assert both(case.prove(10, 5))[0]["amountBaseUnits"] == "5"
    case.items[10] = (legacy(SHOP, 5), nest(2_000))
    refused(case.prove(10, 5))


def both_of_texts(*texts: bytes) -> list[Verdict]:
    wanted = busy().prove(10, 5)["block"]["hash"]
    asked = [(text, wanted) for text in texts]
    verdicts = [judge(*one) for one in asked]
    assert judge_in_node(asked) == verdicts
    return verdicts


@pytest.mark.parametrize("limit", [1_000, 100_000])
def test_text_that_is_no_proof_is_refused_before_any_parser_breaks(limit: int) -> None:
    text = encode(busy().prove(10, 5))
    deep = b"[" * 100_000 + b"]" * 100_000
    odd = (
        b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900,
        text.replace(b"null", deep), text.replace(b"null", b"[" * 31 + b"]" * 32), text.replace(b"null", b"[" * 40 + b"]" * 40),
        b"\xef\xbb\xbf" + text, text.decode().encode("utf-16"), text.replace(b"null", b"NaN"), text + b"x", text[:-1],
        text.replace(b"null", b"-Infinity"), text.replace(b"null", b'"\xff"'), b"", b"null", b"[]", b"7", b'"x"',
        text.replace(b"{", b"{,", 1), b" " * (kit.TEXT_LENGTH_MAX + 1),
    )  # fmt: skip
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(
        limit
    )  # some libraries of merchants raise it, and then a parser may take the process with it
    try:
        verdicts = both_of_texts(*odd)
    finally:
        sys.setrecursionlimit(before)
    assert all("refused" in one for one in verdicts)


def test_text_that_says_the_same_in_another_way_is_read_by_both_kits() -> None:
    text = encode(busy().prove(10, 5))
    verdicts = both_of_texts(
        text, b" " + text + b"\n", text.replace(b"null", b"[" * 31 + b"]" * 31), text.replace(b": 10,", b": 10.0,"),
        text.replace(b'"index": 10', b'"index": 9, "index": 10'), json.dumps(json.loads(text), sort_keys=True).encode(),
    )  # fmt: skip
    assert [one["amountBaseUnits"] for one in verdicts] == ["5"] * len(verdicts)


def test_whatever_stands_where_a_member_was_both_kits_say_the_same() -> None:
    proof = busy().prove(10, 5)
    places: list[tuple[Any, ...]] = [(name,) for name in proof]
    places += [("block", name) for name in proof["block"]] + [("deposit", name) for name in proof["deposit"]]
    places += [("transaction", 0), ("receipt", 1)]
    odd = [changed(proof, *place, to=value) for place in places for value in ODD_VALUES]
    asked = [(encode(one), proof["block"]["hash"]) for one in odd]
    verdicts = [judge(*one) for one in asked]
    assert judge_in_node(asked) == verdicts
    honest = judge(encode(proof), proof["block"]["hash"])
    accepted = [place for place, verdict in zip(asked, verdicts, strict=True) if "refused" not in verdict]
    assert all(judge(*one) == honest for one in accepted)
    assert (
        len(accepted) <= len(ODD_VALUES) + 3
    )  # the event, which is proven elsewhere, and other spellings of 0


def test_a_byte_flipped_anywhere_is_refused_or_changes_no_meaning() -> None:
    chance = random.Random(int.from_bytes(keccak(b"flip")[:4], "big"))
    case = busy(logs=(token_log(SHOP, 9),))
    for proof in (case.prove(10, 5), case.prove(10, 9, token=TOKEN)):
        text, wanted = encode(proof), proof["block"]["hash"]
        flipped = []
        for _ in range(FLIPS):
            place = chance.randrange(len(text))
            other = text[place] ^ (1 << chance.randrange(8))
            flipped.append((text[:place] + bytes([other]) + text[place + 1 :], wanted))
        verdicts = [judge(*one) for one in flipped]
        assert judge_in_node(flipped) == verdicts
        honest = judge(text, wanted)
        assert all("refused" in one or one == honest for one in verdicts)


def test_a_huge_proof_is_refused_by_its_size_and_a_large_one_is_read_in_linear_time() -> None:
    proof = busy().prove(10, 5)
    filler = "0x" + "00" * (kit.PROOF_BYTES_MAX - 10)
    assert "at most" in refused(changed(proof, "receipt", to=[*proof["receipt"], filler]))[0]
    assert "receipt" in refused(changed(proof, "receipt", to=[filler + "00" * 11]))[0]
    started = time.process_time()
    logs = tuple(token_log(OTHER, 1) for _ in range(3_000))
    large = busy(logs=(*logs, token_log(SHOP, 9)))
    assert (
        verify_deposit(large.prove(10, 9, token=TOKEN), hexed(keccak(large.header()))).amount_base_units == 9
    )
    assert time.process_time() - started < 60  # half a megabyte, twice; quadratic would be hours


def test_both_kits_give_the_answers_that_the_vectors_state() -> None:
    assert json.loads(VECTORS.read_text()) == build_vectors()
    vectors = build_vectors()["proofs"]
    asked = [(encode(one["proof"]), one["block_hash"]) for one in vectors]
    verdicts = [judge(*one) for one in asked]
    assert judge_in_node(asked) == verdicts
    for vector, verdict in zip(vectors, verdicts, strict=True):
        said = verdict.get("depositId"), verdict.get("amountBaseUnits")
        expected = vector["proven"] or {}
        assert said == (expected.get("deposit_id"), expected.get("amount_base_units")), vector["name"]


# --- the event, the hash function, the copying -------------------------------------------------------------------


def test_an_event_that_tells_of_something_else_is_noticed() -> None:
    proven = verify_deposit(busy().prove(10, 5), hexed(keccak(busy().header())))
    told = {"id": proven.deposit_id, "tx_hash": proven.tx_hash, "amount_base_units": "5"}
    event = {"merchant_id": MERCHANT, "data": {"deposit": {**told, "block": {"hash": proven.block_hash}}}}
    check_told(proven, json.dumps(event))
    check_told(proven, json.dumps(event).encode())
    for odd in (
        b"", b"[]", b"7", b"{}", b"[" * 100_000, json.dumps(event).encode("utf-16"),
        json.dumps(changed_event(event, "amount_base_units", "6")), json.dumps(changed_event(event, "block", None)),
        json.dumps(changed_event(event, "block", {"hash": hexed(b"\x01" * 32)})), json.dumps({**event, "merchant_id": 7}),
        json.dumps(changed_event(event, "amount_base_units", 5)), json.dumps({**event, "data": []}),
    ):  # fmt: skip
        with pytest.raises(ProofInvalid):
            check_told(proven, odd)


def changed_event(event: Json, name: str, value: Json) -> Json:
    deposit = {**event["data"]["deposit"], name: value}
    return {**event, "data": {"deposit": deposit}}


def test_keccak_is_the_c_librarys_at_every_length_and_on_known_words() -> None:
    assert kit.keccak_256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert kit.keccak_256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert kit.TRANSFER_TOPIC == TRANSFER
    for length in (*range(300), 1_087, 1_088, 1_089, 5_000):
        data = bytes(place * 7 + length & 0xFF for place in range(length))
        assert kit.keccak_256(data) == keccak_256(data).digest(), length


def test_the_kits_stand_alone() -> None:
    tree = ast.parse(PYTHON_KIT.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert re.findall(r'from "([^"]+)"', NODE_KIT.read_text()) == ["node:crypto"]
