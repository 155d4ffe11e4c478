"""One chain of a schedule with everything around it: the truth, its providers, its book, its oracle.

Lives here: putting them together from a setup. Does not live here: what happens to them (`deeds.py`, `world.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from chains.model import BlockHash, ChainId
from tests.simulation.chain import SimChain
from tests.simulation.oracle import ChainOracle, PolicyRule
from tests.simulation.providers import ServedBook, SimProvider, SimSource
from tests.simulation.rows import ChainRows
from tests.simulation.setups import ChainSetup, as_confirm_rule
from tests.simulation.troubles import Tally


class Network:
    """One chain of the schedule with everything around it."""

    def __init__(
        self, setup: ChainSetup, rng: random.Random, tally: Tally, pause: Callable[[], None]
    ) -> None:
        self.setup = setup
        self.chain = SimChain(
            setup.number,
            rng,
            setup.economy,
            tally,
            final_depth=setup.final_depth,
            is_doubtful=setup.hold_above is not None,
            skipped_heights_max=setup.settings.traits.skipped_heights_max,
            kind=setup.kind,
        )
        # Chance of its own, as what payments carry.
        self._memos_rng = random.Random(repr(rng.getstate()) + "watched")
        self.chain.extend(setup.blocks_before)
        self.book = ServedBook()
        self.providers = [
            SimProvider(f"node-{index}", operator, self.chain, rng, self.book, pause)
            for index, operator in enumerate(setup.operators)
        ]
        self.source = SimSource(self.providers, rng)
        self.oracle = ChainOracle(setup.chain, setup.rules, hold_above=setup.hold_above)
        self.settings = setup.settings
        self.rules_to_judge_by: tuple[PolicyRule, ...] | None = None

    @property
    def id(self) -> ChainId:
        """CAIP-2."""
        return self.setup.chain

    def draw_memo(self) -> bytes | None:
        """Under which memo a merchant watches an address; one of those that payments carry is watched by nobody."""
        return self._memos_rng.choice(self.setup.economy.memos[:2])

    def change_policy(self, rules: tuple[PolicyRule, ...]) -> None:
        """The operator writes another policy; the next process judges what is recorded by it before anything else."""
        self.settings = replace(self.settings, confirm_rules=tuple(as_confirm_rule(rule) for rule in rules))
        self.rules_to_judge_by = rules

    def true_fork_hash(self, rows: ChainRows) -> BlockHash:
        """Where an operator who looks at the real chain sees ours leave it; perhaps right under our start."""
        truth = self.chain.tip.path
        for header in reversed(rows.blocks):
            if header.height < len(truth) and truth[header.height].hash == header.hash:
                return header.hash
        return self.chain.tip.ancestors(rows.record.start_height, self.chain.tip.height)[0].header.parent.hash
