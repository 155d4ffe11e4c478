"""A block may go without its receipts only where whatever they say could be no transfer to anybody sought.

Blocks are made with consistent hashes, roots and blooms, and read twice: without receipts, to decide, and with them,
to know what was decided. When receipts are asked for is `tests/live_evm/test_sparing.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import Inconsistent
from chains.evm.facts import facts_of
from chains.evm.nodes.reading import compute_reading
from chains.evm.rows.structs import RawBlock, Verdict, decode_block, decode_receipts
from chains.evm.value.decode import TRANSFER_TOPIC, compute_asset_index, decode_transfers
from chains.evm.value.sparing import VOUCHED_BLOCKS, Sparing, compute_sparing_rules, is_proven, read_spared
from chains.evm.verify import PROFILES, BlockVerifier
from chains.evm.verify.header import compute_header_hash
from chains.model import Address, Doubt, Sought, VerificationLevel
from chains.traits import ChainTraits
from tests.devnet.local import to_address, token
from tests.unit.chains.verify.made import PAYEE, Part, log, part, place, seal, unsigned, word
from tests.unit.chains.verify.networks import FAMILIES, ISTHMUS, LEGACY_HEADER, TRAITS, Maker
from tests.unit.chains.verify.recorded import Rows, build_block, hex_data
from tests.unit.chains.verify.samples import make_sample

LISTED, ALSO_LISTED, FOREIGN, MIRROR = ("0x" + digits * 20 for digits in ("70", "71", "f0", "fe"))
PEOPLE = [f"0x{number:02x}{'ab' * 19}" for number in range(24)]
NOBODY = Sought(frozenset(), 7)


def traits_of(alias: str, **changes: Any) -> ChainTraits:
    """A network's traits with two listed tokens and a contract that only mirrors the native coin."""
    tokens = (token(LISTED), token(ALSO_LISTED, "DAI", 18))
    facts = replace(facts_of(TRAITS[alias]), excluded_emitters=(to_address(MIRROR),), **changes)
    return replace(TRAITS[alias], assets=tokens, facts=facts)


def sought(*people: str, version: int = 7) -> Sought:
    return Sought(frozenset(map(to_address, people)), version)


def sealed(traits: ChainTraits, parts: list[Part], **header: Any) -> tuple[Rows, list[Rows]]:
    """A block of these parts, in the form of its network."""
    form = ISTHMUS if facts_of(traits).verification_profile in {"optimism", "op-stack"} else {}
    return seal(Maker(traits).profile, {**LEGACY_HEADER, **form, **header}, parts, settles=False)


def read_block(traits: ChainTraits, block: Rows) -> RawBlock:
    return decode_block(
        msgspec.Raw(msgspec.json.encode(block)), PROFILES[facts_of(traits).verification_profile].decoder
    )


def is_spared(traits: ChainTraits, block: Rows, whom: Sought) -> bool:
    """Whether the block would go without its receipts, had blooms been seen to hold."""
    rules = compute_sparing_rules(traits)
    if rules is None:
        return False
    built = read_block(traits, block)
    return read_spared(rules, built, whom) is not None and is_proven(rules, built)


def paid_in(traits: ChainTraits, block: Rows, receipts: list[Rows]) -> set[Address]:
    """Everybody to whom a block's transfers go, all of its receipts read."""
    reading = compute_reading(traits, BlockVerifier(PROFILES[facts_of(traits).verification_profile]))
    raw = msgspec.Raw(msgspec.json.encode(receipts))
    decoded = decode_transfers(
        compute_asset_index(traits), read_block(traits, block), decode_receipts(raw), (), reading.types
    )
    return set(map(Address, decoded.transfers.recipients))


people = st.sampled_from(PEOPLE)
topics = st.sampled_from([TRANSFER_TOPIC, TRANSFER_TOPIC.upper().replace("0X", "0x"), "0x" + "8c" * 32])


@st.composite
def logs(draw: st.DrawFn) -> Rows:
    """A token's log: listed or not, of a transfer or something else, in whatever shape."""
    emitter = draw(
        st.sampled_from([LISTED, ALSO_LISTED, FOREIGN, MIRROR, LISTED.upper().replace("0X", "0x")])
    )
    row = log(emitter, draw(people), draw(st.integers(0, 3)), topic=draw(topics))
    match draw(st.integers(0, 7)):
        case 0:
            row["topics"] = row["topics"][:2]
            row["data"] = word(draw(people)) + f"{5:064x}"
        case 1:
            row["topics"].append("0x" + "01" * 32)
            row["data"] = "0x"
        case 2:
            row["topics"][2] = "0x" + "01" * 12 + draw(people)[2:]
        case 3:
            row["data"] = "0x05"
        case 4:
            row["topics"] = row["topics"][::-1]
        case _:
            pass
    return row


def payments(make: Maker) -> st.SearchStrategy[Part]:
    """A transaction of any type that was known when this was written, which pays, creates, mints, fails or only logs."""
    is_op = make.profile.mints

    @st.composite
    def one(draw: st.DrawFn) -> Part:
        nonce = hex(draw(st.integers(0, 2**32)))
        fields: Rows = {"to": draw(people), "value": hex(draw(st.integers(0, 2))), "nonce": nonce}
        if draw(st.integers(0, 9)) == 0:
            fields |= {"to": None, "input": "0x6001"}
        status = draw(st.sampled_from(["0x1", "0x1", "0x1", "0x0"]))
        logged = draw(st.lists(logs(), max_size=3)) if status == "0x1" else []
        if is_op and draw(st.booleans()):
            deposit: Rows = {
                **fields,
                "from": draw(people),
                "sourceHash": f"0x{draw(st.integers(0, 2**64)):064x}",
            }
            deposit["mint"] = draw(st.sampled_from([None, "0x0", "0x5"]))
            receipt = {"depositNonce": "0x111", "depositReceiptVersion": "0x1"}
            row = unsigned(make.profile, "0x7e", **deposit)
            return part(make.profile, row, *logged, status=status, **receipt)
        kind = draw(st.sampled_from(["0x0", "0x1", "0x2"]))
        return make.signed(kind, *logged, status=status, **fields)

    return one()


@pytest.mark.parametrize("alias", ["ethereum", "optimism", "polygon"])
@given(data=st.data())
@settings(max_examples=150)
def test_a_block_that_is_spared_its_receipts_pays_nobody_who_is_sought(
    alias: str, data: st.DataObject
) -> None:
    traits = traits_of(alias)
    parts = data.draw(st.lists(payments(Maker(traits)), min_size=1, max_size=5))
    block, receipts = sealed(traits, parts)
    whom = sought(*data.draw(st.sets(people, max_size=6)))
    others = sought(*data.draw(st.sets(people, max_size=6)))
    rules = compute_sparing_rules(traits)
    assert rules is not None
    built = read_block(traits, block)
    spared = read_spared(rules, built, whom)
    if spared is None:
        return
    assert is_proven(rules, built), "an honest block is what its hash says"
    paid = paid_in(traits, block, receipts)
    assert not paid & whom.addresses
    assert spared.may_concern(others.addresses) or not paid & others.addresses


def test_a_block_goes_without_receipts_where_nobody_sought_is_in_it() -> None:
    traits = traits_of("ethereum")
    make = Maker(traits)
    block, _ = sealed(traits, [make.signed("0x2", log(LISTED, PEOPLE[1], 5), value="0x1", to=PEOPLE[2])])
    assert is_spared(traits, block, NOBODY)
    assert is_spared(traits, block, sought(PEOPLE[3]))
    assert not is_spared(traits, block, sought(PEOPLE[1])), "a listed token's transfer"
    assert not is_spared(traits, block, sought(PEOPLE[2])), "native value"
    assert not is_spared(traits, block, sought(PEOPLE[3], PEOPLE[2]))


def test_only_a_listed_tokens_log_makes_a_recipient_matter() -> None:
    traits = traits_of("ethereum")
    make = Maker(traits)
    block, _ = sealed(traits, [make.signed("0x2", log(FOREIGN, PEOPLE[1], 5), log(MIRROR, PEOPLE[1], 5))])
    assert is_spared(traits, block, sought(PEOPLE[1]))
    listed_now = replace(traits, assets=(*traits.assets, token(FOREIGN, "NEW")))
    assert not is_spared(listed_now, block, sought(PEOPLE[1])), "a token that was added matters from then on"
    first, second = compute_sparing_rules(traits), compute_sparing_rules(listed_now)
    assert first is not None
    assert second is not None
    assert first.assets != second.assets, "rows say which tokens they were spared for"


@pytest.mark.parametrize("status", ["0x1", "0x0"])
def test_a_call_of_whoever_is_sought_takes_its_receipt_whatever_came_of_it(status: str) -> None:
    traits = traits_of("ethereum")
    block, _ = sealed(traits, [Maker(traits).signed("0x2", value="0x1", to=PEOPLE[2], status=status)])
    assert not is_spared(traits, block, sought(PEOPLE[2]))


def test_a_creation_with_value_takes_its_receipt() -> None:
    traits = traits_of("ethereum")
    make = Maker(traits)
    for value, expected in (("0x0", True), ("0x1", False)):
        block, _ = sealed(traits, [make.signed("0x2", to=None, input="0x6001", value=value)])
        assert is_spared(traits, block, NOBODY) is expected


def test_a_deposit_that_mints_concerns_its_sender() -> None:
    traits = traits_of("optimism")
    receipt = {"depositNonce": "0x1", "depositReceiptVersion": "0x1"}
    minted = Maker(traits).unsigned(
        "0x7e", receipt=receipt, sourceHash="0x" + "21" * 32, mint="0x5", to=PEOPLE[1], **{"from": PEOPLE[2]}
    )
    block, _ = sealed(traits, [minted])
    assert is_spared(traits, block, sought(PEOPLE[3]))
    assert not is_spared(traits, block, sought(PEOPLE[2]))


@pytest.mark.parametrize(
    "name",
    [
        "polygon, bridging", "polygon, hidden bridging", "polygon, unlisted bridging", "polygon-amoy", "celo", "arbitrum",
        "avalanche", "avalanche-fuji", "bsc", "scroll", "linea", "zksync",
    ],
)  # fmt: skip
def test_where_a_hash_is_not_known_to_cover_everything_receipts_are_fetched(name: str) -> None:
    sample = make_sample(name)
    block, _ = sample.rows()
    assert not is_spared(sample.traits, block, NOBODY)


@pytest.mark.parametrize(
    "alias", ["ethereum", "sepolia", "hoodi", "optimism", "base", "base-sepolia", "polygon"]
)
def test_where_it_covers_everything_they_are_not(alias: str) -> None:
    traits = traits_of(alias)
    make = Maker(traits)
    header, parts = FAMILIES[alias](make)
    asked = [one for one in parts if one.row["to"] is not None]
    block, _ = seal(make.profile, {**LEGACY_HEADER, **header}, asked, settles=False)
    assert is_spared(traits, block, sought("0x" + "99" * 20))
    assert not is_spared(traits, block, sought(PAYEE))


@pytest.mark.parametrize(
    "alias",
    ["celo", "arbitrum", "avalanche", "avalanche-fuji", "bsc", "bsc-testnet", "scroll", "linea", "zksync"],
)
def test_where_a_check_is_on_trial_nothing_is_spared(alias: str) -> None:
    assert compute_sparing_rules(traits_of(alias)) is None


@pytest.mark.parametrize(
    "case",
    [("polygon", "0x2faf080", False), ("polygon", "0x7a12000", True), ("polygon-amoy", "0x7a12000", False)],
)
def test_where_a_bridges_events_may_stand_outside_of_both_roots_receipts_are_fetched(
    case: tuple[str, str, bool],
) -> None:
    alias, number, expected = case
    traits = traits_of(alias)
    block, _ = sealed(traits, [Maker(traits).signed("0x2")], number=number)
    assert is_spared(traits, block, NOBODY) is expected


def test_a_chain_that_traces_calls_or_is_told_to_fetches_everything() -> None:
    assert compute_sparing_rules(traits_of("ethereum")) is not None
    assert compute_sparing_rules(traits_of("ethereum", traces=True)) is None
    assert compute_sparing_rules(traits_of("ethereum", spare_receipts=False)) is None
    assert compute_sparing_rules(traits_of("ethereum", verification_profile="agreement")) is None


def test_blocks_older_than_a_profiles_rules_are_fetched_whole() -> None:
    traits = traits_of("optimism")
    block, _ = sealed(traits, [Maker(traits).signed("0x2")], number="0x10")
    assert not is_spared(traits, block, NOBODY)


@pytest.mark.parametrize(
    "lie",
    [
        {"logsBloom": "0x" + "00" * 256}, {"transactionsRoot": "0x" + "01" * 32}, {"gasUsed": "0x0"},
        {"receiptsRoot": "0x" + "01" * 32},
    ],
)  # fmt: skip
def test_a_header_that_was_changed_is_refused_without_receipts_too(lie: Rows) -> None:
    traits = traits_of("ethereum")
    block, _ = sealed(traits, [Maker(traits).signed("0x2", log(LISTED, PEOPLE[1], 5))])
    rules = compute_sparing_rules(traits)
    assert rules is not None
    with pytest.raises(Inconsistent):
        is_proven(rules, read_block(traits, {**block, **lie}))


def test_transactions_that_were_changed_are_refused_without_receipts_too() -> None:
    traits = traits_of("ethereum")
    block, _ = sealed(traits, [Maker(traits).signed("0x2", value="0x5", to=PEOPLE[1])])
    rules = compute_sparing_rules(traits)
    assert rules is not None
    for lie in ({"to": PEOPLE[2]}, {"value": "0x0"}, {"type": "0x1"}):
        rows = {**block, "transactions": [{**block["transactions"][0], **lie}]}
        with pytest.raises(Inconsistent):
            is_proven(rules, read_block(traits, rows))
    with pytest.raises(Inconsistent):
        is_proven(rules, read_block(traits, {**block, "transactions": []}))


def test_an_excuse_is_no_proof() -> None:
    """A field that nobody knows may be why a hash does not come out: then nothing is spared, and receipts are held."""
    traits = traits_of("ethereum")
    block, _ = sealed(traits, [Maker(traits).signed("0x2", log(LISTED, PEOPLE[1], 5))])
    excused = {**block, "logsBloom": "0x" + "00" * 256, "newForkRoot": "0x" + "01" * 32}
    assert not is_spared(traits, excused, sought(PEOPLE[1]))


@pytest.mark.parametrize("bloom", [None, "0x", "0x" + "00" * 255, "0x" + "zz" * 256, 5])
def test_a_bloom_that_is_none_spares_nothing(bloom: object) -> None:
    traits = traits_of("ethereum")
    block, _ = sealed(traits, [Maker(traits).signed("0x2")])
    rules = compute_sparing_rules(traits)
    assert rules is not None
    assert read_spared(rules, read_block(traits, {**block, "logsBloom": bloom}), NOBODY) is None


def test_a_transaction_of_a_type_that_is_not_known_takes_receipts() -> None:
    traits = traits_of("ethereum")
    block, _ = sealed(traits, [Maker(traits).signed("0x2")])
    for kind in ("0x5", "0x7e", "0x7f"):
        rows = {**block, "transactions": [{**block["transactions"][0], "type": kind}]}
        assert not is_spared(traits, rows, NOBODY)


def verdict_of(traits: ChainTraits, block: Rows, receipts: list[Rows]) -> tuple[RawBlock, Verdict]:
    built = read_block(traits, block)
    raw = msgspec.Raw(msgspec.json.encode(receipts))
    built.receipts_raw = (raw,)
    return built, BlockVerifier(PROFILES[facts_of(traits).verification_profile])(built, decode_receipts(raw))


def test_blooms_are_believed_near_one_that_was_seen_to_hold_and_not_for_ever() -> None:
    traits = traits_of("ethereum")
    rules = compute_sparing_rules(traits)
    assert rules is not None
    sparing = Sparing(rules)
    height = int(LEGACY_HEADER["number"], 16)
    assert not sparing.may_spare(height)
    empty, receipts = sealed(traits, [Maker(traits).signed("0x2")])
    sparing.note_verdict(*verdict_of(traits, empty, receipts))
    assert not sparing.may_spare(height), "a bloom of nothing shows nothing"
    block, receipts = sealed(traits, [Maker(traits).signed("0x2", log(FOREIGN, PAYEE, 5))])
    built, verdict = verdict_of(traits, block, receipts)
    sparing.note_verdict(built, verdict)
    assert sparing.may_spare(height)
    assert sparing.may_spare(height + VOUCHED_BLOCKS)
    assert not sparing.may_spare(height + VOUCHED_BLOCKS + 1)
    sparing.note_verdict(built, replace(verdict, doubts=(Doubt("logs-bloom", "rule-changed"),)))
    assert not sparing.may_spare(height), "what blooms hold has changed"


def test_a_block_whose_proven_receipts_give_another_bloom_is_a_doubt_that_unspares() -> None:
    """EIP-7668 would empty blooms: everything else holds, so that is no lie, and what was spared before is read again."""
    traits = traits_of("ethereum")
    block, receipts = sealed(traits, [Maker(traits).signed("0x2", log(LISTED, PEOPLE[1], 5))])
    emptied = reseal(traits, {**block, "logsBloom": "0x" + "00" * 256}, receipts)
    assert is_spared(traits, emptied[0], sought(PEOPLE[1])), "which is why blooms are not believed for ever"
    _, verdict = verdict_of(traits, *emptied)
    assert Doubt("logs-bloom", "rule-changed") in verdict.doubts
    assert verdict.level is VerificationLevel.PARTIAL


def reseal(traits: ChainTraits, block: Rows, receipts: list[Rows]) -> tuple[Rows, list[Rows]]:
    """The same block under the hash that its header has now."""
    profile = PROFILES[facts_of(traits).verification_profile]
    block = {**block, "hash": hex_data(compute_header_hash(profile.header, build_block(block)))}
    place(block, receipts)
    return block, receipts
