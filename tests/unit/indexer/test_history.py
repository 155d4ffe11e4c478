"""History that no hash proves: told on one operator's word, credited on two, and taken back where most tell otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chains.errors import Inconsistent
from chains.model import Hold, Transfer, VerificationLevel
from chains.scripted.chain import ScriptedChain
from indexer.history.backfill import Covered, NothingPending, step_doubts
from indexer.history.loop import Bell
from indexer.move.halts import commit_trust
from indexer.rules.doubts import Findings
from tests.unit.indexer.operators import (
    NOW,
    OTHER_TILL,
    PAID_AT,
    PAYER,
    TILL,
    Tale,
    hidden,
    inflated,
    invented,
    open_scene,
)


async def test_what_two_operators_show_is_credited_at_once_and_costs_one_more_request() -> None:
    scene = await open_scene(3)
    scene.watch()
    told = [node.blocks_told for node in scene.nodes]
    await scene.read(scene.nodes[0])
    assert scene.states == [("final", 500)]
    assert scene.rows.doubted == {}
    more = [node.blocks_told - before for node, before in zip(scene.nodes, told, strict=True)]
    assert more[0] > 0
    assert more[1] == more[0], "one other operator is asked for each chunk, also for what it may hide"
    assert more[2] == 0


async def test_a_chain_that_verifies_in_full_asks_nobody_twice() -> None:
    scene = await open_scene(2, level=VerificationLevel.FULL)
    scene.watch()
    told = scene.nodes[1].blocks_told
    await scene.read(scene.nodes[0])
    assert scene.states == [("final", 500)]
    assert scene.nodes[1].blocks_told == told
    assert await scene.ask() == NothingPending()


async def test_one_operators_word_is_told_and_never_credited_by_the_heads_moves() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].is_silent = True
    await scene.read(scene.nodes[0])
    assert scene.states == [("included", 500)]
    await scene.ask()
    scene.nodes[1].is_silent = False
    await scene.follow(12)
    assert scene.rows.record.agreed_height == scene.rows.record.tip.height
    assert scene.states == [("included", 500)], "neither confirmed nor final, however deep"
    await scene.ask()
    assert scene.states == [("final", 500)]
    assert scene.rows.doubted == {}
    assert scene.found.differing == set()


@pytest.mark.parametrize("tale", [inflated, invented, hidden])
@pytest.mark.parametrize("liar", [0, 1])
async def test_of_two_that_contradict_each_other_nothing_is_credited(tale: Tale, liar: int) -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[liar].tale = tale
    await scene.read(scene.nodes[0])
    for _ in range(3):
        await scene.follow(3)
        await scene.ask()
    assert scene.found.differing == {PAID_AT}
    assert scene.found.liars == set(), "one word against another"
    assert scene.credited == 0
    scene.nodes[liar].tale = None
    await scene.ask()
    assert scene.credited == 500, "what both tell now counts, and what was told before does not"
    assert {one.state.value for one in scene.deposits} <= {"final", "orphaned"}


@pytest.mark.parametrize("tale", [inflated, invented])
@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_of_three_the_two_that_agree_are_believed_whoever_was_read_first(tale: Tale, liar: int) -> None:
    scene = await open_scene(3)
    scene.watch()
    scene.nodes[liar].tale = tale
    await scene.read(scene.nodes[0])
    await scene.ask()
    assert scene.credited == 500
    assert scene.rows.doubted == {}
    if liar < 2:
        assert scene.found.differing == {PAID_AT}
        assert scene.found.liars == {f"operator-{'ab'[liar]}"}
        name, error = scene.source.failures[-1]
        assert (name, type(error)) == (scene.nodes[liar].name, Inconsistent)
    told = [one for one in scene.deposits if one.state.value == "orphaned"]
    assert len(told) == (1 if (tale, liar) == (invented, 0) else 0), "what was invented is taken back"


async def test_two_against_two_is_no_majority() -> None:
    scene = await open_scene(4)
    scene.watch()
    scene.nodes[0].tale = scene.nodes[2].tale = inflated
    await scene.read(scene.nodes[0])
    await scene.ask()
    await scene.follow(3)
    assert scene.credited == 0


async def test_our_operators_word_counts_for_what_is_recorded() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].tale = hidden
    await scene.read(scene.nodes[0])
    await scene.follow(2)
    assert scene.credited == 0
    assert await commit_trust(scene.desk, scene.rows.record, until_height=PAID_AT, now=NOW)
    await scene.follow(1)
    assert scene.states == [("final", 500)]
    assert await scene.ask() == NothingPending()


async def test_who_lied_is_taken_out_and_the_range_read_again() -> None:
    """The way out with two operators, as docs/chains.md tells it."""
    scene = await open_scene(2)
    scene.watch()
    liar, honest = scene.nodes
    liar.tale = invented
    await scene.read(liar)
    await scene.ask()
    assert [state for state, _ in scene.states] == ["included", "included"]
    scene.source._providers = [honest]
    scene.store.rescan(scene.chain.traits.chain, 1, PAID_AT)
    await scene.read(honest)
    assert sorted(scene.states) == [("included", 500), ("orphaned", 500)]
    await scene.follow(2)
    assert scene.credited == 0, "one operator is left, and its word is doubted as well"
    assert await commit_trust(scene.desk, scene.rows.record, until_height=PAID_AT, now=NOW)
    await scene.follow(1)
    assert scene.credited == 500


async def test_who_lied_at_the_head_is_taken_out_and_the_block_read_again() -> None:
    scene = await open_scene(2)
    scene.watch()
    liar, honest = scene.nodes
    await scene.read(liar)
    height = scene.chain.head.height + 1
    liar.tale, liar.lies_at = invented, height
    scene.chain.mine(scene.chain.pay(TILL, 900, sender=PAYER))
    await scene.follow(8)
    for _ in range(2):
        await scene.ask()
        await scene.follow(1)
    assert scene.credited == 500, "one word against another"
    assert scene.rows.record.held_height == height
    scene.source._providers = [honest]
    scene.store.rescan(scene.chain.traits.chain, height, height)
    await scene.read(honest)
    await scene.follow(1)
    assert sorted(scene.states) == [("final", 500), ("included", 900), ("orphaned", 900)]
    tip = scene.chain.head.height
    assert await commit_trust(scene.desk, scene.rows.record, until_height=tip, now=NOW)
    await scene.follow(2)
    assert scene.credited == 1400
    assert scene.rows.record.held_height is None


async def test_reading_again_changes_nothing_that_is_credited_on_one_word() -> None:
    scene = await open_scene(2)
    scene.watch()
    await scene.read(scene.nodes[0])
    assert scene.credited == 500
    for tale in (inflated, invented):
        scene.nodes[0].tale = tale
        scene.store.rescan(scene.chain.traits.chain, 1, PAID_AT)
        await scene.read(scene.nodes[0])
        await scene.follow(2)
        assert scene.credited == 500
    assert scene.found.differing == {PAID_AT}


@pytest.mark.parametrize("tale", [inflated, invented, hidden])
async def test_what_is_confirmed_and_not_final_is_not_amended_on_one_word_either(tale: Tale) -> None:
    scene = await open_scene(2)
    scene.watch()
    await scene.read(scene.nodes[0])
    scene.chain.mine(scene.chain.pay(TILL, 900, sender=PAYER))
    height = scene.chain.head.height
    await scene.follow(1)
    assert ("confirmed", 900) in scene.states
    scene.nodes[0].tale, scene.nodes[0].lies_at = tale, height
    scene.store.rescan(scene.chain.traits.chain, height, height)
    await scene.read(scene.nodes[0])
    await scene.ask()
    assert scene.credited == 1400
    scene.nodes[0].tale = None
    await scene.ask()
    await scene.follow(6)
    assert scene.credited == 1400
    assert scene.rows.doubted == {}


async def test_who_told_what_is_recorded_counts_while_it_is_silent() -> None:
    scene = await open_scene(4)
    scene.watch()
    first, *others = scene.nodes
    for node in others:
        node.is_silent = True
    await scene.read(first)
    first.is_silent, others[2].is_silent = True, False
    for node in others[:2]:
        node.is_silent, node.tale = False, inflated
    await scene.ask()
    assert scene.credited == 0, "two against the one who told it and another"
    first.is_silent = False
    others[0].tale = None
    await scene.ask()
    assert scene.credited == 500


async def test_an_address_that_came_later_is_told_of_what_a_block_in_doubt_paid_it() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].is_silent = True
    await scene.read(scene.nodes[0])
    scene.watch(OTHER_TILL, 2)
    await scene.read(scene.nodes[0])
    assert sorted(scene.states) == [("included", 70), ("included", 500)]
    scene.nodes[1].is_silent = False
    await scene.ask()
    assert scene.credited == 570


async def test_a_novelty_in_history_waits_for_our_operator_where_only_one_is_configured() -> None:
    scene = await open_scene(1)
    scene.watch()
    scene.nodes[0].hold = Hold.CHAIN
    await scene.read(scene.nodes[0])
    scene.nodes[0].hold = Hold.NONE
    await scene.follow(8)
    await scene.ask()
    assert scene.states == [("included", 500)]
    assert scene.rows.record.held_height is None, "the head's credit does not wait for history"
    assert await commit_trust(scene.desk, scene.rows.record, until_height=PAID_AT, now=NOW)
    await scene.follow(1)
    assert scene.credited == 500


async def test_with_one_operator_a_known_gap_in_history_is_its_word() -> None:
    scene = await open_scene(1)
    scene.watch()
    scene.nodes[0].hold = Hold.HITS
    await scene.read(scene.nodes[0])
    assert scene.states == [("final", 500)]


async def test_a_doubt_leaves_with_its_block() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].is_silent = True
    await scene.read(scene.nodes[0])
    assert set(scene.rows.doubted) == {PAID_AT}
    async with scene.store.open_move(scene.chain.traits.chain, lease_epoch=0) as move:
        await move.leave_blocks(PAID_AT, left_for=scene.chain.head.hash, at=NOW)
    assert set(scene.rows.doubted) == {PAID_AT}
    async with scene.store.open_move(scene.chain.traits.chain, lease_epoch=0) as move:
        await move.leave_blocks(PAID_AT - 1, left_for=scene.chain.head.hash, at=NOW)
    assert scene.rows.doubted == {}


async def test_what_a_witness_contradicts_at_the_head_is_told_anew_where_most_tell_otherwise() -> None:
    scene = await open_scene(3)
    scene.watch()
    liar = scene.nodes[0]
    await scene.read(liar)

    def double(transfers: Sequence[Transfer]) -> Sequence[Transfer]:
        return [replace(one, amount_base_units=2 * one.amount_base_units) for one in transfers]

    liar.tale, liar.lies_at = double, scene.chain.head.height + 1
    scene.chain.mine(scene.chain.pay(TILL, 900, sender=PAYER))
    await scene.follow(3)
    assert scene.credited == 500
    assert ("included", 1800) in scene.states
    await scene.ask()
    await scene.follow(2)
    assert scene.credited == 1400
    assert scene.found.liars == {liar.operator}
    assert scene.rows.record.held_height is None


async def test_blocks_in_doubt_are_asked_about_twice_a_minute_at_most() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.nodes[1].tale = inflated
    await scene.read(scene.nodes[0])
    assert isinstance(await scene.ask(), Covered)
    told = scene.nodes[1].blocks_told
    for _ in range(20):
        assert await step_doubts(scene.desk, scene.history, scene.source, now=scene.now) == NothingPending()
    assert scene.nodes[1].blocks_told == told


async def test_asking_again_records_nothing_but_what_was_in_doubt() -> None:
    scene = await open_scene(2)
    scene.watch()
    scene.chain.mine(scene.chain.pay(TILL, 900, sender=PAYER))
    scene.nodes[1].tale, scene.nodes[1].lies_at = inflated, PAID_AT
    await scene.read(scene.nodes[0])
    await scene.follow(3)
    late = scene.chain.head.height
    assert await scene.ask() != NothingPending()
    for height in (late - 5, late):
        scene.rows.doubted[height] = ("node-a.test", scene.now)
    scene.nodes[0].tale, scene.nodes[0].lies_at = inflated, late - 3
    told = scene.nodes[0].blocks_told
    await step_doubts(scene.desk, scene.history, scene.source, now=scene.now)
    assert scene.nodes[0].blocks_told == told + 6, "what lies between was read"
    assert set(scene.rows.doubted) == {PAID_AT}, "the others were not in doubt"
    assert ("confirmed", 900) in scene.states


def test_the_operator_is_rung_once_for_what_waits_and_for_each_contradiction() -> None:
    rung: list[tuple[str, dict[str, object]]] = []
    bell = Bell(lambda kind, detail: rung.append((kind, detail)), "local")
    for _ in range(3):
        bell.tell(Covered(1, 9, (), findings=Findings(doubted={5}, differing={5})))
    bell.tell(NothingPending())
    told = {"chain": "local", "height": 5}
    assert rung == [("chain.credit-held", told | {"history": True}), ("chain.deposits-differ", told)]
    settled = Findings(settled={5}, differing={5}, replaced={5}, liars={"operator-a"})
    bell.tell(Covered(5, 5, (), findings=settled))
    assert rung[2:] == [("chain.deposits-differ", told | {"replaced": [5], "outvoted": ["operator-a"]})]
    bell.tell(Covered(1, 9, (), findings=Findings(doubted={7})))
    assert [kind for kind, _ in rung[3:]] == ["chain.credit-held"]


async def test_an_operator_on_another_branch_says_nothing_of_our_blocks() -> None:
    scene = await open_scene(2)
    scene.watch()
    fork = ScriptedChain(scene.chain.traits)
    fork.mine_many(3)
    fork._blocks_mined += 100  # other hashes from here on
    fork.mine_many(12)
    scene.nodes[1].chain = fork
    await scene.read(scene.nodes[0])
    await scene.ask()
    assert scene.states == [("included", 500)]
    assert scene.found.differing == set()
