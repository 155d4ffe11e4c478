"""What a support person reads about one deposit: the numbers must be those that decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.model import BlockRef, Movement, TransactionStory, TransferKind, TxHash
from indexer.explain import Knowledge, Reason, explain_deposit, explain_transaction
from indexer.rules.deposits import Deposit, DepositState, FeeStanding
from indexer.rules.events import Naming
from indexer.rules.matching import ListedAsset, Registration
from migrations.ids import encode_id
from tests.unit.indexer.making import (
    ADDRESS_ID,
    CHAIN,
    MERCHANT,
    PAYER,
    TILL,
    TOKEN,
    block_hash,
    chain_record,
    depth,
    recorded,
    sighting,
    transfer,
    view,
)


def known(tip: int, agreed: int, *, disputed_above: int | None = None) -> Knowledge:
    """A chain whose operators agree up to `agreed`."""
    record = chain_record(tip, agreed_height=agreed, disputed_fork_height=disputed_above)
    naming = Naming(CHAIN, "local", {TOKEN.asset_id: TOKEN}, encode_id, repr, repr, repr)
    return Knowledge(record, naming, {}, None, (), {}, None)


@pytest.mark.parametrize(
    ("tip", "agreed", "said"),
    [
        (11, 11, "2 of 3 confirmations."),
        (12, 11, "2 of 3 confirmations (3 seen by one operator, not by all yet)."),
    ],
)
def test_confirmations_are_counted_as_far_as_operators_agree(tip: int, agreed: int, said: str) -> None:
    deposit = recorded(sighting(10, requirement=depth(3)), view(tip, agreed=agreed))
    finding = explain_deposit(deposit, known(tip, agreed))
    assert finding.reason is Reason.WAITING
    assert finding.text.endswith(said)


def test_a_block_in_doubt_names_what_lifts_it() -> None:
    at = replace(known(12, 12), doubted_heights={10})
    finding = explain_deposit(recorded(sighting(10, requirement=depth(3)), view(12, agreed=9)), at)
    assert finding.reason is Reason.DISPUTED
    assert "only one operator has shown it" in finding.text
    assert "--until 10`" in finding.text


@pytest.mark.parametrize(("agreed", "disputed_above"), [(9, None), (12, 9)])
def test_a_block_that_not_all_vouch_for_is_named_as_the_reason(
    agreed: int, disputed_above: int | None
) -> None:
    at = view(12, agreed=agreed, held_above=disputed_above)
    finding = explain_deposit(recorded(sighting(10), at), known(12, agreed, disputed_above=disputed_above))
    assert finding.reason is Reason.DISPUTED


def test_a_large_deposit_on_one_word_says_so_and_what_lifts_it() -> None:
    deposit = recorded(replace(sighting(10), on_one_word=True), view(30))
    finding = explain_deposit(deposit, known(30, 30))
    assert finding.reason is Reason.UNVERIFIED
    assert "second operator" in finding.text
    assert finding.text.endswith("up to height 10.")


def off_chain(state: DepositState, fees: FeeStanding | None = None) -> Deposit:
    return replace(recorded(), state=state, occurrence=None, fees=fees)


@pytest.mark.parametrize(
    ("fees", "said"),
    [
        (None, "before it is in a block."),
        (FeeStanding(), "before it is in a block."),
        (FeeStanding(5_000, False, 9_000, 6), "expected within 6 blocks."),
        (FeeStanding(900, False, 9_000, None), "the payer can raise it."),
        (FeeStanding(900, True, 9_000, None), "another transaction that is not mined."),
    ],
)
def test_what_waits_says_when_it_is_expected(fees: FeeStanding | None, said: str) -> None:
    finding = explain_deposit(off_chain(DepositState.SEEN, fees), known(12, 12))
    assert finding.reason is Reason.PENDING
    assert finding.text.endswith(said)


def test_what_waits_no_more_says_so() -> None:
    finding = explain_deposit(off_chain(DepositState.DROPPED), known(12, 12))
    assert finding.reason is Reason.DROPPED
    assert "counts again if it is sent again" in finding.text


@pytest.mark.parametrize(
    ("watched", "carried", "reason"),
    [
        ([b"7"], b"7", Reason.NOT_RECORDED),
        ([b"7"], b"77", Reason.MEMO_NOT_WATCHED),
        ([b"7"], None, Reason.MEMO_NOT_WATCHED),
        ([b"7", None], b"77", Reason.NOT_RECORDED),
        ([], b"7", Reason.ADDRESS_NOT_WATCHED),
    ],
)
def test_a_payment_under_a_memo_nobody_watches_says_so(
    watched: list[bytes | None], carried: bytes | None, reason: Reason
) -> None:
    block = BlockRef(10, block_hash("b10"))
    moved = Movement(TransferKind.TOKEN, TOKEN.asset_id, None, None, PAYER, TILL, 100, memo=carried)
    story = TransactionStory(transfer().tx_hash, block, True, (moved,), "node")
    at = replace(
        known(12, 12),
        story=story,
        ours_at_height=block.hash,
        assets={TOKEN.asset_id: ListedAsset(TOKEN, 0)},
        registrations={TILL: [Registration(ADDRESS_ID, MERCHANT, TILL, 0, None, one) for one in watched]},
    )
    (finding,) = explain_transaction(at)
    assert finding.reason is reason
    if reason is Reason.MEMO_NOT_WATCHED:
        assert ("no memo" if carried is None else "the memo 77") in finding.text


def test_a_transaction_that_failed_says_why_where_its_chain_tells() -> None:
    block = BlockRef(5, block_hash("b5"))
    for failure, said in (
        (
            "it ran out of energy, and burned 13.5 TRX of its sender's all the same",
            "ran out of energy, and burned 13.5 TRX",
        ),
        ("", "it reverted"),
    ):
        story = TransactionStory(TxHash(b"\x01" * 32), block, False, (), "node", failure)
        (finding,) = explain_transaction(replace(known(9, 9), story=story, deposits=()))
        assert finding.reason is Reason.REVERTED
        assert said in finding.text


@pytest.mark.parametrize(
    ("elsewhere", "hindrance", "reason", "said"),
    [
        ((), None, Reason.NOT_SEEN, "No provider of local knows"),
        ((), "node: keeps no index", Reason.NOT_ASKED, "could not be asked: node: keeps no index."),
        (("base",), None, Reason.OTHER_CHAIN, "is not on local, but on base"),
        (("base", "op"), "node: is away", Reason.OTHER_CHAIN, "is on base, op: the payer may have"),
    ],
)
def test_of_an_unknown_transaction_nothing_is_claimed_that_nobody_could_tell(
    elsewhere: tuple[str, ...], hindrance: str | None, reason: Reason, said: str
) -> None:
    (finding,) = explain_transaction(replace(known(9, 9), other_chains=elsewhere, hindrance=hindrance))
    assert finding.reason is reason
    assert said in finding.text
