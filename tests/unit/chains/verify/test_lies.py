"""
Lies × networks: each lie is refused, held, or changes nothing of what could be credited, on every chain of the catalogue.

An answer is read as a provider's is, from JSON to transfers. The lies are `lies`, the honest answers `samples`. What
lifts a hold is told in `tests/live/test_held.py`; there and in `test_played_lies.py` the program itself hears lies.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import msgspec
import pytest

from chains.evm.rows.structs import decode_block, decode_receipts
from chains.evm.verify import Mode
from chains.evm.verify.examination import COVERING_CHECKS
from chains.model import Hold, VerificationLevel
from docs.render_chains import PAGE
from tests.unit.chains.verify.excuses import (
    EXCUSES,
    OTHER_SPELLINGS,
    QUANTITIES,
    RECEIPT_HASHED,
    SAME_SPELLINGS,
    SIGNED_HASHED,
    TELLING,
    WHERE,
    excuse_of,
    list_fields,
    rows_of,
    spell,
)
from tests.unit.chains.verify.lies import LIES, VICTIM, Fate, fate_of, is_signed, plain, read, reading_of
from tests.unit.chains.verify.networks import TRAITS, Sample
from tests.unit.chains.verify.samples import MADE, RECORDED, compute_table

ALL = {**MADE, **RECORDED}

KNOWN_GAPS = {
    ("polygon-amoy", "a made-up state sync"),
    ("polygon/50000000", "a made-up state sync"),
}
"""Before Madhugiri, whose height on Amoy nobody told us, a bridge transaction in no root cannot be told from an invented one."""


@cache
def sample_of(name: str) -> Sample:
    return ALL[name]()


@cache
def honest_of(name: str) -> frozenset[tuple[object, ...]]:
    return frozenset(plain(read(reading_of(sample_of(name)), *sample_of(name).rows())[2]))


def test_the_known_gaps_are_gaps() -> None:
    for name, lie in KNOWN_GAPS:
        if name in ALL:
            block, receipts = sample_of(name).rows()
            assert LIES[lie](block, receipts)
            assert fate_of(reading_of(sample_of(name)), honest_of(name), block, receipts) is Fate.ASKED


def allowed(sample: Sample) -> set[Fate]:
    """Where everything is hashed a lie may not even be asked about: with one operator nobody would be."""
    fates = {Fate.REFUSED, Fate.HELD, Fate.SAME}
    modes = {sample.profile.modes[check] for check in COVERING_CHECKS}
    is_open = sample.hold is Hold.HITS or (modes & {Mode.ABSENT, Mode.BEST_EFFORT} and sample.has_receipts)
    return fates | {Fate.ASKED} if is_open else fates


def test_every_network_of_the_catalogue_has_a_sample_under_its_own_traits() -> None:
    assert {sample_of(name).traits.alias for name in MADE} == set(TRAITS)
    for name in MADE:
        traits = sample_of(name).traits
        assert traits.facts == TRAITS[traits.alias].facts


def test_the_docs_say_what_each_network_rests_on() -> None:
    section = PAGE.read_text(encoding="utf-8").split("### Which lies are tried\n")[1].split("\n### ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == compute_table()
    assert f"{len(LIES)} lies" in section


@pytest.mark.parametrize("name", ALL)
def test_no_honest_block_is_refused_or_held_but_for_its_networks_known_gap(name: str) -> None:
    sample = sample_of(name)
    reading = reading_of(sample)
    for _ in range(2):
        hold, level, _ = read(reading, *sample.rows())
        assert hold is sample.hold
        if name in MADE and sample.profile.is_tried:
            assert (level is VerificationLevel.FULL) is (hold is Hold.NONE)


@pytest.mark.parametrize("name", ALL)
def test_no_lie_reaches_a_credit(name: str) -> None:
    sample, met, wrong = sample_of(name), set(), {}
    for lie in LIES:
        block, receipts = sample.rows()
        if not LIES[lie](block, receipts):
            continue
        met.add(lie)
        # A fresh verifier each time: the first block a follower sees is the liar's.
        fate = fate_of(reading_of(sample), honest_of(name), block, receipts)
        if fate not in allowed(sample) and (name, lie) not in KNOWN_GAPS:
            wrong[lie] = fate
    assert not wrong
    assert len(met) >= (30 if name in MADE and "alone" not in name else 8), met


CONTRADICTIONS = (
    "receipts that name another block", "a removed log", "a log that skips an index", "a payment twice",
    "a transaction in another place (transaction)", "a transaction in another place (receipt)",
    "a transaction in another place (log)",
)  # fmt: skip
"""Answers that no honest node gives on any chain, whatever is hashed there."""


@pytest.mark.parametrize("name", MADE)
def test_an_answer_that_contradicts_itself_is_refused_on_every_chain(name: str) -> None:
    sample, wrong = sample_of(name), {}
    reading = reading_of(sample)
    for lie in CONTRADICTIONS:
        block, receipts = sample.rows()
        may_be = lie == "a log that skips an index" and (
            reading.rules.log_indexes_may_skip or "unlisted" in name
        )
        if LIES[lie](block, receipts) and not may_be:
            fate = fate_of(reading_of(sample), honest_of(name), block, receipts)
            if fate is not Fate.REFUSED:
                wrong[lie] = fate
    assert not wrong


@pytest.mark.parametrize("name", MADE)
def test_no_excuse_helps_a_lie(name: str) -> None:
    sample, wrong = sample_of(name), {}
    for excuse in EXCUSES:
        for lie in TELLING:
            block, receipts = sample.rows()
            if LIES[lie](block, receipts) and EXCUSES[excuse](block, receipts):
                fate = fate_of(reading_of(sample), honest_of(name), block, receipts)
                if fate not in allowed(sample) and (name, lie) not in KNOWN_GAPS:
                    wrong[f"{lie}, {excuse}"] = fate
    assert not wrong


@pytest.mark.parametrize("name", MADE)
def test_once_a_networks_rules_have_held_what_is_hashed_and_altered_is_refused(name: str) -> None:
    sample = sample_of(name)
    if sample.hold is not Hold.NONE or not sample.profile.is_tried:
        return
    reading = reading_of(sample)
    read(reading, *sample.rows())
    for lie in (
        "an altered amount",
        "a log left out",
        "payment #0 of a fortune",
        "payments in each other's place",
    ):
        block, receipts = sample.rows()
        assert LIES[lie](block, receipts)
        assert fate_of(reading, honest_of(name), block, receipts) is Fate.REFUSED, lie


@pytest.mark.parametrize("name", MADE)
def test_no_field_that_is_left_out_leads_to_a_credit(name: str) -> None:
    sample, wrong = sample_of(name), {}
    for where in WHERE:
        for field in list_fields(where, *sample.rows()):
            block, receipts = sample.rows()
            assert excuse_of(where, field)(block, receipts)
            fate = fate_of(reading_of(sample), honest_of(name), block, receipts)
            if fate not in allowed(sample):
                wrong[f"{where}: {field}"] = fate
    assert not wrong


@pytest.mark.parametrize("name", MADE)
def test_what_is_hashed_and_left_out_is_refused_once_the_networks_rules_have_held(name: str) -> None:
    sample = sample_of(name)
    if not sample.profile.is_tried:
        return
    reading, missing = reading_of(sample), []
    read(reading, *sample.rows())
    layout = sample.profile.header
    shown = set(sample.rows()[0])
    header = {camel(field) for field, _ in (*layout.fixed, *layout.tail)} & shown
    omissions = [("header", field) for field in sorted(header)]
    omissions += [("transaction", field) for field in SIGNED_HASHED if "alone" not in name]
    omissions += [("receipt", field) for field in RECEIPT_HASHED if sample.hold is Hold.NONE]
    for where, field in omissions:
        block, receipts = sample.rows()
        for row in rows_of(where, block, receipts):
            if where != "transaction" or is_signed(row):
                row.pop(field, None)
        if fate_of(reading, honest_of(name), block, receipts) is not Fate.REFUSED:
            missing.append(f"{where}: {field}")
    assert not missing


def camel(name: str) -> str:
    """The name a node gives to a field of ours."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@pytest.mark.parametrize("name", MADE)
def test_a_number_in_another_spelling_is_that_number_and_in_none_it_is_refused(name: str) -> None:
    sample, wrong = sample_of(name), {}
    for where, fields in QUANTITIES.items():
        for field, (spelling, write) in product(fields, (SAME_SPELLINGS | OTHER_SPELLINGS).items()):
            block, receipts = sample.rows()
            if spell(where, field, write)(block, receipts):
                fate = fate_of(reading_of(sample), honest_of(name), block, receipts)
                if fate not in ({Fate.SAME} if spelling in SAME_SPELLINGS else allowed(sample)):
                    wrong[f"{where}: {field}, {spelling}"] = fate
    assert not wrong


@pytest.mark.parametrize("name", MADE)
def test_what_no_hash_covers_may_say_anything(name: str) -> None:
    sample = sample_of(name)
    if not sample.profile.is_tried:
        return
    block, receipts = sample.rows()
    for receipt in receipts:
        receipt |= {
            "gasUsed": "0x1",
            "effectiveGasPrice": "0x1",
            "from": VICTIM,
            "to": VICTIM,
            "blobGasPrice": "0x1",
        }
        for log in receipt["logs"]:
            log["blockTimestamp"] = "0x1"
    block |= {"size": "0x1", "totalDifficulty": "0x1", "uncles": [VICTIM]}
    assert fate_of(reading_of(sample), honest_of(name), block, receipts) is Fate.SAME


def test_a_strangers_field_names_are_few_and_short_and_only_letters() -> None:
    sample = sample_of("ethereum")
    block, receipts = sample.rows()
    block |= {f"\x1b[31m<script>{number}" * 50: "0x1" for number in range(500)} | {
        "stateRoot": "0x" + "07" * 32
    }
    reading = reading_of(sample)
    built = decode_block(msgspec.Raw(msgspec.json.encode(block)), reading.rows)
    doubts = reading.verifier(built, decode_receipts(msgspec.Raw(msgspec.json.encode(receipts)))).doubts
    assert doubts
    for doubt in doubts:
        assert len(doubt.reason) < 200
        assert doubt.reason.isprintable()
        assert "<" not in doubt.reason
