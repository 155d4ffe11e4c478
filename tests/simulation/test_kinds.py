"""The kinds of chain that schedules are drawn for are what the real families say of theirs."""

from __future__ import annotations

import pytest

from chains.catalog import entries
from chains.families import rules_of
from chains.traits import ChainTraits, Family, FinalAtDepth, FinalByTag
from tests.simulation.kinds import ANY, KINDS, Kind


def chains_of(kind: Kind) -> list[ChainTraits]:
    return [one.traits for one in entries() if one.traits.family is kind.family]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_has_what_its_familys_chains_have(kind: Kind) -> None:
    chains, rules = chains_of(kind), rules_of(kind.family)
    assert chains
    finalities = {type(one.finality) for one in chains}
    assert finalities <= ({FinalAtDepth} if kind.has_depth else set()) | (
        {FinalByTag} if kind.has_tags else set()
    )
    assert kind.has_safe == any(rules.facts.tells_safe(one) for one in chains)
    assert kind.has_tokens == any(one.assets for one in chains)
    # Who paid is told by a transfer itself, or by the output that it spends.
    assert kind.has_senders == (rules.read_spent is None)
    assert kind.counts_outputs == (rules.read_spent is not None)
    if kind is not ANY:
        assert kind.has_memos == (rules.parse_memo is not None)
        assert kind.may_skip == any(one.skipped_heights_max for one in chains)


def test_there_is_a_kind_for_every_family() -> None:
    assert {kind.family for kind in KINDS.values()} == {one.traits.family for one in entries()}
    assert {kind.name for kind in KINDS.values() if kind is not ANY} == set(Family)
