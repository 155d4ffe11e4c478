"""One schedule: two chains, their providers, merchants, an operator, and processes that die at any moment.

Lives here: what happens in a step, in an order that the seed alone decides, and the rest at its end, when everybody
is honest again and everything must be caught up. Coroutines of the in-memory store and of the scripted providers never
wait, so a whole step of the product is one `send(None)`. Does not live here: what must hold (`laws.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from chains.errors import ChainError, Inconsistent
from chains.model import ChainId
from indexer.follow.outcomes import Suspecting
from indexer.follow.step import Follower
from indexer.history.backfill import Covered, step_backfill
from indexer.move.commit import ChainDesk
from indexer.move.halts import commit_accept_reorg, commit_resume, commit_trust
from indexer.move.notices import commit_conditions
from indexer.move.reconcile import reconcile_policy
from indexer.rows.storage import ChainRecord, LeaseLost
from indexer.rules.watchset import WatchSet
from migrations.errors import DatabaseAway
from relay.model import EndpointState
from tests.simulation.deeds import Deeds, name_of
from tests.simulation.delivery import Delivery
from tests.simulation.driving import Crash, drive
from tests.simulation.history import MemoryBackfillStore
from tests.simulation.kinds import ANY, Kind
from tests.simulation.laws import Laws, Watched
from tests.simulation.memory import MemoryStore, load_unsettled
from tests.simulation.mempools import Waiting
from tests.simulation.network import Network
from tests.simulation.providers import Mood, TagMood
from tests.simulation.receivers import ReceiverMood, make_receivers
from tests.simulation.relay_rows import RelayRows
from tests.simulation.setups import draw_rules, draw_setup
from tests.simulation.troubles import Tally, Trouble

CHAINS = 2
NEVER = 1 << 60
REST_POLLS_MAX = 80
REST_ROUNDS_MAX = 200
FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """The schedule of one seed."""

    def __init__(self, seed: int, tally: Tally, *, kind: Kind = ANY, story: list[str] | None = None) -> None:
        self.rng = rng = random.Random(seed)
        self.tally = tally
        self.story = story
        self.now = FIRST_MOMENT
        self.relay = RelayRows(lambda: self.now, tally)
        self.relay.fault = self._pause_worker
        self.logs = self.relay.logs
        self.laws = Laws(self.logs, tally)
        self.store = MemoryStore(self, self.logs, self._committed)
        self.history = MemoryBackfillStore(self.store)
        self.deeds = Deeds(rng, self.store, tally, self._say)
        self._countdown = NEVER
        self._interrupt: Callable[[str, ChainId | None], None] | None = None
        self._retry = False
        self._vouch_rng = random.Random(repr(rng.getstate()))
        self._delivers = rng.random() < 0.6  # the others tell, and nobody sends: they are quicker
        self._judging: Network | None = None
        self._vouching: Network | None = None
        self.receivers = make_receivers()
        for receiver in self.receivers:
            self.relay.add_receiver(receiver)
        self.delivery = Delivery(self.relay, self.receivers, rng, tally)
        self.networks = [
            Network(draw_setup(number, rng, kind), rng, tally, self._pause_provider)
            for number in range(CHAINS)
        ]
        for network in self.networks:
            self.laws.watched[network.id] = Watched(
                network.chain,
                network.oracle,
                network.book,
                network.source.operators_count,
                network.setup.finality,
                {asset.asset_id: asset.min_base_units for asset in network.setup.naming.assets.values()},
            )
        self.followers = {network.id: self._new_follower(network, 0) for network in self.networks}
        # Chance of its own: worlds without mempools stay the worlds they were.
        self._waiting_rng = random.Random(repr(rng.getstate()) + "waiting")
        self.waiting = {
            network.id: Waiting(network, self._waiting_rng, tally, self._pause_provider)
            for network in self.networks
            if self._waiting_rng.random() < kind.waits_share
        }

    # The schedule.

    def run(self, steps: int) -> None:
        """All steps, then the rest; raises AssertionError where a law is broken."""
        for number in range(steps):
            self._say("step %s", number)
            self.step()
        self.come_to_rest()
        if self._delivers:
            self.deliver_all()
        self.laws.check_all(self.store)
        for receiver in self.receivers if self._delivers else ():
            self.laws.check_received(receiver, self.store, self.relay.exhausted(receiver))
        if any(not row.published for rows in self.store.rows.values() for row in rows.deposits.values()):
            self.tally.count(Trouble.BELOW_MINIMUM)

    def close(self) -> None:
        """Untie what refers to itself, so that a world is gone when nobody looks at it any more."""
        for network in self.networks:
            for block in network.chain.blocks.values():
                block.path.clear()
        vars(self).clear()

    def step(self) -> None:
        """The world moves a little, then one process takes one step of its own."""
        rng = self.rng
        self.now += timedelta(seconds=1)
        network = rng.choice(self.networks)
        while True:
            self._act(network)
            if rng.random() < 0.5:
                break
        for provider in network.providers:
            if provider.mood not in _STUBBORN and rng.random() < 0.85:
                provider.view = network.chain.tip
        if network.setup.hold_above is not None and self._vouch_rng.random() < 0.03:
            self._vouch(network)
        self._arm()
        self._poll(network)
        if network.id in self.waiting:
            self._arm()
            self._look_at_mempools(network)
        chance = rng.random()
        if chance < 0.2:
            self._arm()
            self._read_history(network)
        elif chance < 0.6 and self._delivers:
            self._deliver()

    def _arm(self) -> None:
        """Decide what, if anything, will interrupt this step, and where."""
        chance = self.rng.random()
        if chance < 0.25:
            self._interrupt = self._crash if chance < 0.12 else self._interleave
            self._countdown = 1 + int(14 * self.rng.random())
        else:
            self._countdown = NEVER
        self._retry = chance > 0.95

    def _poll(self, network: Network) -> None:
        """One step of the follower of one chain, whatever comes of it."""
        network.book.begin_poll()
        network.source.now += 1
        if not self._has_judged(network):
            return
        outcome = self._run(network, self.followers[network.id].step(self.now))
        if isinstance(outcome, Suspecting):
            self.tally.count(Trouble.SUSPECTED)

    def _look_at_mempools(self, network: Network, *, is_rest: bool = False) -> None:
        """What waits there, as the process that follows sees it."""
        waiting = self.waiting[network.id]
        if network.id not in self.store.rows or not self._has_judged(network):
            return
        step = waiting.come_to_rest if is_rest else waiting.step
        follower, rows = self.followers[network.id], self.store.rows[network.id]
        self.now = step(self.now, follower, rows, self.laws.watched[network.id], self._run)

    def _has_judged(self, network: Network) -> bool:
        """After another policy was written, what is recorded is judged by it before anything else is done."""
        if network.rules_to_judge_by is None or network.id not in self.store.rows:
            return True
        if self._interrupt == self._interleave:
            self._countdown = NEVER
        self._judging = network
        desk = self.followers[network.id].desk
        self._run(network, reconcile_policy(desk, load_unsettled, now=self.now))
        self._judging = None
        return network.rules_to_judge_by is None

    def _read_history(self, network: Network) -> None:
        """One chunk of history, where somebody wants some."""
        if network.id not in self.store.rows or not self._has_judged(network):
            return
        provider = self.rng.choice(network.providers)
        desk = self.followers[network.id].desk
        outcome = self._run(network, step_backfill(desk, self.history, provider, now=self.now))
        if isinstance(outcome, Covered):
            self.tally.count(Trouble.HISTORY_READ)
        elif isinstance(outcome, Inconsistent) and "history" in outcome.detail:
            self.tally.count(Trouble.HISTORY_REFUSED)

    def _deliver(self) -> None:
        """One round of the relay's worker, which may die between any two of its steps."""
        if self.rng.random() < 0.15:
            self.delivery.change_mood()
        chance = self.rng.random()
        if chance < 0.2:
            self._interrupt = self._crash if chance < 0.1 else self._withhold
            self._countdown = 1 + int(12 * self.rng.random())
        self.relay.now_s = (self.now - FIRST_MOMENT).total_seconds()
        try:
            drive(self.delivery.round(self.now))
        except Crash:
            self._say("  the worker dies")
            self.delivery.begin_worker()
        except DatabaseAway:
            self._say("  the worker waits for its database")
        self._countdown = NEVER
        self.relay.check(self.receivers)

    def _withhold(self, where: str, chain: ChainId | None) -> None:
        self.tally.count(Trouble.RELAY_UNAVAILABLE)
        raise DatabaseAway("planted")

    def _pause_worker(self, _name: str, _after: bool) -> None:
        self.pause("relay")

    def _run(self, network: Network, work: Coroutine[Any, Any, object]) -> object:
        """Some work of the process that follows this chain, whatever comes of it."""
        follower = self.followers[network.id]
        outcome: object = None
        try:
            outcome = drive(work)
        except ChainError as error:
            self._say("  %s: %s %s", network.id, type(error).__name__, error)
            outcome = error
        except Crash:
            self._say("  %s: crash", network.id)
            self.followers[network.id] = self._new_follower(network, follower.desk.lease_epoch)
        except DatabaseAway:
            self._say("  %s: retry", network.id)
            self.tally.count(Trouble.RETRYABLE)
        except LeaseLost:
            self._say("  %s: lease lost", network.id)
            self.tally.count(Trouble.LEASE_LOST)
        else:
            self._say("  %s: %s", network.id, outcome)
        self._countdown = NEVER
        self._retry = False
        return outcome

    def _new_follower(self, network: Network, lease_epoch: int) -> Follower:
        setup = network.setup
        desk = ChainDesk(
            settings=network.settings,
            store=self.store,
            naming=setup.naming,
            deposit_id=setup.deposit_id,
            watched=WatchSet(compact_above=setup.compact_above),
            lease_epoch=lease_epoch,
        )
        return Follower(desk, network.source)

    # What the machine does; `memory.Interrupts`.

    def pause(self, where: str, chain: ChainId | None = None) -> None:
        """A point at which the process may die, or somebody else may act."""
        self._countdown -= 1
        if not self._countdown:
            assert self._interrupt is not None
            self._interrupt(where, chain)

    def wants_retry(self) -> bool:
        """Whether the database asks for the transaction again."""
        return self._retry

    def _pause_provider(self) -> None:
        self.pause("read")

    def _crash(self, where: str, chain: ChainId | None) -> None:
        self.tally.count(_CRASHES[where])
        raise Crash

    def _interleave(self, where: str, chain: ChainId | None) -> None:
        """Somebody else acts in the middle of a step; what needs the lock that is held now has to wait."""
        self._retry = False
        for network in self.networks:
            if self.rng.random() < 0.7:
                if network.id == chain:
                    self.deeds.move_chain(network)
                elif self.rng.random() < 0.6:
                    if self.deeds.register(network):
                        self.tally.count(Trouble.REGISTERED_MID_STEP)
                elif self.rng.random() < 0.4:
                    self._act(network)
                elif where == "read" and self.rng.random() < 0.5:
                    self._read_history(network)
                elif where == "read" and network.id in self.store.rows:
                    self._take_over(network)

    def _committed(self, chain: ChainId, before: ChainRecord | None, covered: tuple[int, int] | None) -> None:
        after = self.store.rows[chain].record
        if before is None:
            oracle = self.laws.watched[chain].oracle
            for asset in self.store.rows[chain].asset_starts:
                oracle.list_asset(asset, 0)
        judging = self._judging
        if judging is not None and judging.rules_to_judge_by is not None:
            judging.oracle.rules, judging.rules_to_judge_by = judging.rules_to_judge_by, None
        vouching = self._vouching
        if vouching is not None and before is not None and before.trusted_height == after.trusted_height:
            # It was written in the commit before; in this one what had waited for it is judged.
            vouching.oracle.vouched_up_to = after.trusted_height
        self.laws.check_commit(self.store, chain, before, covered)
        if before is not None:
            if after.start_height < before.start_height:
                self.tally.count(Trouble.HISTORY_BELOW_START)
            if after.is_halted and not before.is_halted:
                self.tally.count(Trouble.HALTED)
            if after.disputed_fork_height is not None and before.disputed_fork_height is None:
                self.tally.count(Trouble.DISPUTED)

    # What the world does.

    def _act(self, network: Network) -> None:
        chance = self.rng.random()
        if chance < 0.58:
            self.deeds.move_chain(network)
        elif chance < 0.76:
            self.deeds.change_mood(network)
        elif chance < 0.81:
            self.deeds.change_tags(network)
        elif chance < 0.92:
            self.deeds.register(network)
        elif chance < 0.96:
            self.deeds.delete(network)
        elif chance < 0.98:
            self._take_over(network)
        elif chance < 0.99:
            self.deeds.list_asset(network)
        elif chance < 0.995:
            self.deeds.ask_for_rescan(network)
        else:
            self._change_conditions(network)
        self._decide_halt(network)

    def _change_conditions(self, network: Network) -> None:
        """What the chain itself goes through is told to whoever watches it."""
        rows = self.store.rows.get(network.id)
        if rows is None or rows.record.is_halted:
            return
        now_in_force = frozenset(one for one in _CONDITIONS if self.rng.random() < 0.5)
        desk = self.followers[network.id].desk
        self._run(network, commit_conditions(desk, rows.record, now_in_force, {}, now=self.now))
        self.tally.count(Trouble.CONDITION)

    def _take_over(self, network: Network) -> None:
        """Another process follows the chain from now on; the old one may not know it yet."""
        if network.id not in self.store.rows:
            return
        epoch = self.store.take_lease(network.id)
        if self.rng.random() < 0.3:
            economy, kind = network.setup.economy, network.setup.kind
            token = next(iter(economy.tokens), economy.native)
            network.change_policy(draw_rules(self.rng, token, has_safe=kind.has_safe))
            self.tally.count(Trouble.POLICY_CHANGED)
        old, new = self.followers[network.id], self._new_follower(network, epoch)
        self.followers[network.id] = new
        self._say("  %s: another process follows", network.id)
        if self._countdown == NEVER and self.rng.random() < 0.8:
            self.followers[network.id] = old
            self._poll(network)
            self.followers[network.id] = new

    def _vouch(self, network: Network) -> None:
        """The operator vouches for what could not be checked, up to a height that only rises."""
        rows = self.store.rows.get(network.id)
        if rows is None or not self._has_judged(network):
            return
        record, desk = rows.record, self.followers[network.id].desk
        until = max(record.trusted_height, record.tip.height + self._vouch_rng.randrange(-4, 3))
        if record.is_halted or desk.lease_epoch != record.lease_epoch or until == record.trusted_height:
            return
        if any(one.on_one_word for one in rows.deposits.values()):
            self.tally.count(Trouble.VOUCHED)
        self._vouching = network
        drive(commit_trust(desk, record, until_height=until, now=self.now))
        self._vouching = None
        self._say("  %s: the operator vouches up to %s", network.id, until)

    def _decide_halt(self, network: Network, *, chance: float = 0.25) -> None:
        """The operator looks at a halted chain now and then, and lets it go on or accepts the reorganisation."""
        rows = self.store.rows.get(network.id)
        if rows is None or not rows.record.is_halted or self.rng.random() > chance:
            return
        record, desk = rows.record, self.followers[network.id].desk
        fork_hash = network.true_fork_hash(rows)
        if chance < 1 and self.rng.random() < 0.4:
            drive(commit_resume(desk, record, now=self.now))
            self.tally.count(Trouble.RESUMED)
        else:
            drive(commit_accept_reorg(desk, record, fork_hash=fork_hash, now=self.now))
            self.tally.count(Trouble.ACCEPTED)
        self._say("  %s: the operator decides", network.id)

    # The end.

    def come_to_rest(self) -> None:
        """Everybody is honest and nothing fails any more: within a bound, all is caught up."""
        self._say("rest")
        self._retry = False
        for network in self.networks:
            # A chain that only lost its newest blocks shows no branch; absence is no evidence, the next block is.
            network.chain.extend()
            # What is to be read again was on our chain; a branch with fewer heights grows to it in time.
            rows = self.store.rows.get(network.id)
            wanted_height = max((first for first, _ in rows.rescans), default=0) if rows is not None else 0
            # And a liar's branch of more work than the truth is our chain until the truth has more.
            most_work = max(block.total_work for block in network.chain.blocks.values())
            while (
                network.chain.tip.height < wanted_height
                or network.chain.tip.total_work < most_work + network.setup.kind.has_work
            ):
                network.chain.extend()
            for provider in network.providers:
                provider.mood, provider.tag_mood = Mood.HONEST, TagMood.TRUE
                provider.view, provider.rest_until = network.chain.tip, 0
        for network in self.networks:
            for _ in range(REST_POLLS_MAX):
                if self._is_caught_up(network):
                    break
                self.now += timedelta(seconds=1)
                self._decide_halt(network, chance=1)
                self._poll(network)
                if self._is_history_wanted(network):
                    self._read_history(network)
            else:
                raise AssertionError(f"{network.id} does not come to rest at {name_of(network.chain.tip)}")
            if network.id in self.waiting:
                self._look_at_mempools(network, is_rest=True)

    def deliver_all(self) -> None:
        """Every receiver is well, and whoever was paused is resumed: in the end everybody has everything."""
        for receiver in self.receivers:
            receiver.mood = ReceiverMood.WELL
        for _ in range(REST_ROUNDS_MAX):
            for receiver in self.receivers:
                record = self.relay.endpoints[receiver.endpoint_id].record
                if record.state is EndpointState.PAUSED:
                    self.relay.change(
                        receiver.endpoint_id, state=EndpointState.ACTIVE, wakes=record.wakes + 1
                    )
            self.now += timedelta(seconds=6)
            self.relay.now_s += 6
            drive(self.delivery.round(self.now))
            self.relay.check(self.receivers)
            if self.delivery.is_idle and all(map(self.relay.is_delivered, self.receivers)):
                return
        raise AssertionError("deliveries do not come to rest")

    def _is_history_wanted(self, network: Network) -> bool:
        rows = self.store.rows.get(network.id)
        return rows is not None and bool(rows.pending_starts or rows.pending_assets or rows.rescans)

    def _is_caught_up(self, network: Network) -> bool:
        rows = self.store.rows.get(network.id)
        if rows is None:
            return False
        record, tip = rows.record, network.chain.tip
        final_due = tip.path[max(0, tip.height - network.chain.final_depth)].height
        return (
            not record.is_halted
            and network.oracle.is_history_read()
            and not rows.rescans
            and record.tip.hash == tip.hash
            and record.agreed_height == tip.height
            and record.disputed_fork_height is None
            and (final_due < record.start_height or (record.final_height or 0) >= final_due)
        )

    def _say(self, text: str, *values: object) -> None:
        """A line of the story, put together only where somebody wants to read it."""
        if self.story is not None:
            self.story.append(text % values)


_STUBBORN = frozenset({Mood.LAGGING, Mood.SIDE_BRANCH, Mood.FORGING})
_CONDITIONS = ("stalled", "congested", "finality_delayed")
_CRASHES = {
    "read": Trouble.CRASH_READING,
    "write": Trouble.CRASH_WRITING,
    "committed": Trouble.CRASH_COMMITTED,
    "relay": Trouble.CRASH_DELIVERING,
}
