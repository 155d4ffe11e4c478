"""One schedule: two chains, their providers, merchants, an operator, and processes that die at any moment.

Lives here: what happens in a step, in an order that the seed alone decides, and the rest at its end, when everybody
is honest again and everything must be caught up. Coroutines of the in-memory store and of the scripted providers never
wait, so a whole step of the product is one `send(None)`. Does not live here: what must hold (`laws.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from chains.errors import ChainError
from chains.model import BlockHash, ChainId
from indexer.backfill import Covered, step_backfill
from indexer.commit import ChainDesk
from indexer.follow import Follower
from indexer.halts import commit_accept_reorg, commit_resume
from indexer.identity import AddressId
from indexer.outcomes import Suspecting
from indexer.storage import ChainRecord, LeaseLost, Retryable
from indexer.watchset import WatchSet
from tests.simulation.chain import SimBlock, SimChain
from tests.simulation.history import MemoryBackfillStore
from tests.simulation.laws import Laws, Watched
from tests.simulation.log import MerchantLogs
from tests.simulation.memory import ChainRows, MemoryStore
from tests.simulation.oracle import ChainOracle, Watch
from tests.simulation.providers import Mood, ServedBook, SimProvider, SimSource, TagMood
from tests.simulation.setups import MERCHANTS, WATCHABLE, ChainSetup, draw_setup
from tests.simulation.troubles import Tally, Trouble

CHAINS = 2
NEVER = 1 << 60
REST_POLLS_MAX = 80
FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)

T = TypeVar("T")

MOOD_TROUBLES = {
    Mood.LAGGING: Trouble.LAGGING,
    Mood.SILENT: Trouble.SILENT,
    Mood.THROTTLING: Trouble.THROTTLING,
    Mood.ERRING: Trouble.ERRING,
    Mood.SIDE_BRANCH: Trouble.SIDE_BRANCH,
    Mood.FORGING: Trouble.FORGING,
    Mood.STALE_HEAD: Trouble.STALE_HEAD,
    Mood.FLAPPING: Trouble.FLAPPING,
}
TAG_TROUBLES = {
    TagMood.NULL: Trouble.TAGS_NULL,
    TagMood.FROZEN: Trouble.TAGS_FROZEN,
    TagMood.BACKWARD: Trouble.TAGS_BACKWARD,
    TagMood.STRANGE: Trouble.TAGS_STRANGE,
}


class Crash(BaseException):
    """The process is gone; nothing catches this but the schedule."""


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits to its end."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise AssertionError("a coroutine of the simulation waited")


class Network:
    """One chain of the schedule with everything around it."""

    def __init__(
        self, setup: ChainSetup, rng: random.Random, tally: Tally, pause: Callable[[], None]
    ) -> None:
        self.setup = setup
        self.chain = SimChain(setup.number, rng, setup.economy, tally, final_depth=setup.final_depth)
        self.chain.extend(setup.blocks_before)
        self.book = ServedBook()
        self.providers = [
            SimProvider(f"node-{index}", operator, self.chain, rng, self.book, pause)
            for index, operator in enumerate(setup.operators)
        ]
        self.source = SimSource(self.providers, rng)
        self.oracle = ChainOracle(setup.chain, setup.rules)

    @property
    def id(self) -> ChainId:
        """CAIP-2."""
        return self.setup.chain


class World:
    """The schedule of one seed."""

    def __init__(self, seed: int, tally: Tally, *, story: list[str] | None = None) -> None:
        self.rng = rng = random.Random(seed)
        self.tally = tally
        self.story = story
        self.now = FIRST_MOMENT
        self.logs = MerchantLogs()
        self.laws = Laws(self.logs, tally)
        self.store = MemoryStore(self, self.logs, self._committed)
        self.history = MemoryBackfillStore(self.store)
        self._countdown = NEVER
        self._interrupt: Callable[[str, ChainId | None], None] | None = None
        self._retry = False
        self._objects_made = 0
        self.networks = [
            Network(draw_setup(number, rng), rng, tally, self._pause_provider) for number in range(CHAINS)
        ]
        for network in self.networks:
            self.laws.watched[network.id] = Watched(
                network.chain,
                network.oracle,
                network.book,
                network.source.operators_count,
                network.setup.finality,
            )
        self.followers = {network.id: self._new_follower(network, 0) for network in self.networks}

    # The schedule.

    def run(self, steps: int) -> None:
        """All steps, then the rest; raises AssertionError where a law is broken."""
        for number in range(steps):
            self._say(f"step {number}")
            self.step()
        self.come_to_rest()
        self.laws.check_all(self.store)
        if any(not row.published for rows in self.store.rows.values() for row in rows.deposits.values()):
            self.tally.count(Trouble.BELOW_MINIMUM)

    def step(self) -> None:
        """The world moves a little, then one process takes one step of its own."""
        rng = self.rng
        self.now += timedelta(seconds=1)
        network = rng.choice(self.networks)
        while True:
            self._act(network)
            if rng.random() < 0.4:
                break
        for provider in network.providers:
            if provider.mood not in _STUBBORN and rng.random() < 0.85:
                provider.view = network.chain.tip
        self._arm()
        self._poll(network)
        if rng.random() < 0.25:
            self._arm()
            self._read_history(network)

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
        outcome = self._run(network, self.followers[network.id].step(self.now))
        if isinstance(outcome, Suspecting):
            self.tally.count(Trouble.SUSPECTED)

    def _read_history(self, network: Network) -> None:
        """One chunk of history, where somebody wants some."""
        if network.id not in self.store.rows:
            return
        provider = self.rng.choice(network.providers)
        desk = self.followers[network.id].desk
        outcome = self._run(network, step_backfill(desk, self.history, provider, now=self.now))
        if isinstance(outcome, Covered):
            self.tally.count(Trouble.HISTORY_READ)

    def _run(self, network: Network, work: Coroutine[Any, Any, object]) -> object:
        """Some work of the process that follows this chain, whatever comes of it."""
        follower = self.followers[network.id]
        outcome: object = None
        try:
            outcome = drive(work)
        except ChainError as error:
            self._say(f"  {network.id}: {type(error).__name__} {error}")
        except Crash:
            self._say(f"  {network.id}: crash")
            self.followers[network.id] = self._new_follower(network, follower.desk.lease_epoch)
        except Retryable:
            self._say(f"  {network.id}: retry")
            self.tally.count(Trouble.RETRYABLE)
        except LeaseLost:
            self._say(f"  {network.id}: lease lost")
            self.tally.count(Trouble.LEASE_LOST)
        else:
            self._say(f"  {network.id}: {outcome}")
        self._countdown = NEVER
        self._retry = False
        return outcome

    def _new_follower(self, network: Network, lease_epoch: int) -> Follower:
        setup = network.setup
        desk = ChainDesk(
            settings=setup.settings,
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
                    self._move_chain(network)
                elif self.rng.random() < 0.6:
                    if self._register(network):
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
            self._move_chain(network)
        elif chance < 0.76:
            self._change_mood(network)
        elif chance < 0.81:
            self._change_tags(network)
        elif chance < 0.92:
            self._register(network)
        elif chance < 0.96:
            self._delete(network)
        elif chance < 0.98:
            self._take_over(network)
        elif chance < 0.99:
            self._list_asset(network)
        else:
            self._ask_for_rescan(network)
        self._decide_halt(network)

    def _move_chain(self, network: Network) -> None:
        rng, chain = self.rng, network.chain
        chance = rng.random()
        if chance < 0.7:
            chain.extend(1 if rng.random() < 0.7 else rng.randrange(1, 5))
        elif chance < 0.95:
            deepest = chain.tip.height - max(chain.final_height_ever, 0)
            if chance > 0.93:
                deepest = chain.tip.height - 1
            if deepest > 0:
                depth = 1 if rng.random() < 0.5 else rng.randrange(1, deepest + 1)
                length = max(1, depth + rng.choice((-2, -1, 0, 0, 0, 1, 1, 2)))
                chain.reorganise(depth, length)
                self._say(f"  {network.id}: reorg {depth} for {length}")
        elif chain.side_tips:
            side = rng.choice(chain.side_tips)
            if chain.fork_with(side).height >= chain.final_height_ever and side is not chain.tip:
                chain.return_to(side, rng.randrange(0, 3))
                self._say(f"  {network.id}: returns to a side branch")
        self._say(f"  {network.id}: truth is {_name(chain.tip)}")

    def _change_mood(self, network: Network) -> None:
        rng, chain = self.rng, network.chain
        provider = rng.choice(network.providers)
        mood = Mood.HONEST if rng.random() < 0.35 else rng.choice(_MOODS)
        if mood is Mood.FORGING:
            if provider.operator != network.setup.liar:
                return
            deepest = min(chain.tip.height - 1, 4)
            fork = chain.tip.path[chain.tip.height - rng.randrange(0, deepest + 1)]
            length = chain.tip.height - fork.height + rng.randrange(0, 4)
            provider.view = chain.forge(fork, max(1, length))
        if mood in {Mood.SIDE_BRANCH, Mood.FLAPPING}:
            if not chain.side_tips:
                return
            side = rng.choice(chain.side_tips)
            if rng.random() < 0.4:
                side = chain.mine(side)
            if mood is Mood.FLAPPING and rng.random() < 0.3:
                side = chain.tip.path[max(0, chain.tip.height - rng.randrange(1, 4))]
            provider.other_view = side
            if mood is Mood.SIDE_BRANCH:
                provider.view = side
        provider.stale_blocks = rng.randrange(1, 4)
        provider.mood = mood
        self._say(
            f"  {network.id}: {provider.name} ({provider.operator}) is {mood} at {_name(provider.view)}"
        )
        if mood in MOOD_TROUBLES:
            self.tally.count(MOOD_TROUBLES[mood])

    def _change_tags(self, network: Network) -> None:
        provider = self.rng.choice(network.providers)
        provider.tag_mood = self.rng.choice(_TAG_MOODS)
        provider.frozen_final = None
        if provider.tag_mood in TAG_TROUBLES:
            self.tally.count(TAG_TROUBLES[provider.tag_mood])
        self._say(f"  {network.id}: finality of {provider.name} is {provider.tag_mood}")

    def _register(self, network: Network) -> bool:
        rng, rows = self.rng, self.store.rows.get(network.id)
        if rows is None:
            return False
        merchant_id, address = rng.choice(MERCHANTS), rng.choice(WATCHABLE)
        if (merchant_id, network.id, address) in self.store.living:
            return False
        known = network.oracle.watches.get(address, [])
        if any(watch.merchant_id == merchant_id for watch in known):
            self.tally.count(Trouble.REGISTERED_AGAIN)
        if any(watch.merchant_id != merchant_id for watch in known):
            self.tally.count(Trouble.SHARED_ADDRESS)
        self._objects_made += 1
        address_id = AddressId(UUID(int=self._objects_made))
        start = wanted = rows.record.tip.height + 1
        chance = rng.random()
        if chance < 0.2:
            start = wanted = start + rng.randrange(0, 4)
            self.tally.count(Trouble.REGISTERED_AHEAD)
        elif chance < 0.45:
            wanted = rng.randrange(0, start)
            self.tally.count(Trouble.REGISTERED_BEHIND)
        pending = wanted if wanted < start else None
        self.store.register(
            network.id, address_id, merchant_id, address, effective_start=start, pending_start=pending
        )
        network.oracle.watch(Watch(address_id, merchant_id, address, start, wanted))
        self.tally.count(Trouble.REGISTERED)
        self._say(f"  {network.id}: {merchant_id.int:x} watches {address!r} from {start}")
        return True

    def _delete(self, network: Network) -> None:
        living = [
            address_id for (_, chain, _), address_id in self.store.living.items() if chain == network.id
        ]
        if not living:
            return
        address_id = self.rng.choice(living)
        self.store.delete(network.id, address_id)
        network.oracle.unwatch(address_id, self.store.rows[network.id].record.tip.height)
        self.tally.count(Trouble.DELETED)
        self._say(f"  {network.id}: {address_id.int} is deleted")

    def _list_asset(self, network: Network) -> None:
        rows, asset = self.store.rows.get(network.id), network.setup.late_asset
        if rows is None or asset in rows.asset_starts:
            return
        self.store.list_asset(network.id, asset)
        network.oracle.list_asset(asset, rows.record.tip.height + 1)
        self.tally.count(Trouble.ASSET_LISTED)

    def _ask_for_rescan(self, network: Network) -> None:
        rows = self.store.rows.get(network.id)
        if rows is None:
            return
        tip_height = rows.record.tip.height
        first = self.rng.randrange(max(0, rows.record.start_height - 3), tip_height + 1)
        self.store.rescan(network.id, first, self.rng.randrange(first, tip_height + 1))
        oracle = network.oracle
        for asset, start in oracle.asset_starts.items():
            if first < start:
                oracle.asset_wanted[asset] = min(first, oracle.asset_wanted.get(asset, start))
        self.tally.count(Trouble.RESCAN)

    def _take_over(self, network: Network) -> None:
        """Another process follows the chain from now on; the old one may not know it yet."""
        if network.id not in self.store.rows:
            return
        epoch = self.store.take_lease(network.id)
        old, new = self.followers[network.id], self._new_follower(network, epoch)
        self.followers[network.id] = new
        self._say(f"  {network.id}: another process follows")
        if self._countdown == NEVER and self.rng.random() < 0.8:
            self.followers[network.id] = old
            self._poll(network)
            self.followers[network.id] = new

    def _decide_halt(self, network: Network, *, chance: float = 0.25) -> None:
        """The operator looks at a halted chain now and then, and lets it go on or accepts the reorganisation."""
        rows = self.store.rows.get(network.id)
        if rows is None or not rows.record.is_halted or self.rng.random() > chance:
            return
        record, desk = rows.record, self.followers[network.id].desk
        fork_hash = self._true_fork_hash(network, rows)
        if chance < 1 and self.rng.random() < 0.4:
            drive(commit_resume(desk, record, now=self.now))
            self.tally.count(Trouble.RESUMED)
        else:
            drive(commit_accept_reorg(desk, record, fork_hash=fork_hash, now=self.now))
            self.tally.count(Trouble.ACCEPTED)
        self._say(f"  {network.id}: the operator decides")

    @staticmethod
    def _true_fork_hash(network: Network, rows: ChainRows) -> BlockHash:
        """Where an operator who looks at the real chain sees ours leave it; perhaps right under our start."""
        truth = network.chain.tip.path
        for header in reversed(rows.blocks):
            if header.height < len(truth) and truth[header.height].hash == header.hash:
                return header.hash
        return truth[rows.record.start_height].header.parent_hash

    # The end.

    def come_to_rest(self) -> None:
        """Everybody is honest and nothing fails any more: within a bound, all is caught up."""
        self._say("rest")
        self._retry = False
        for network in self.networks:
            # A chain that only lost its newest blocks shows no branch; absence is no evidence, the next block is.
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
                self._read_history(network)
            else:
                raise AssertionError(f"{network.id} does not come to rest at {_name(network.chain.tip)}")

    def _is_caught_up(self, network: Network) -> bool:
        rows = self.store.rows.get(network.id)
        if rows is None:
            return False
        record, tip = rows.record, network.chain.tip
        final_due = tip.height - network.chain.final_depth
        return (
            not record.is_halted
            and network.oracle.is_history_read()
            and not rows.rescans
            and record.tip.hash == tip.hash
            and record.agreed_height == tip.height
            and record.disputed_fork_height is None
            and (final_due < record.start_height or (record.final_height or 0) >= final_due)
        )

    def _say(self, line: str) -> None:
        if self.story is not None:
            self.story.append(line)


_STUBBORN = frozenset({Mood.LAGGING, Mood.SIDE_BRANCH, Mood.FORGING})
_MOODS = tuple(mood for mood in Mood if mood is not Mood.HONEST)
_TAG_MOODS = tuple(TagMood)
_CRASHES = {
    "read": Trouble.CRASH_READING,
    "write": Trouble.CRASH_WRITING,
    "committed": Trouble.CRASH_COMMITTED,
}


def _name(block: SimBlock) -> str:
    return f"{block.height}:{int(block.hash[2:])}{' forged' if block.is_forged else ''}"
