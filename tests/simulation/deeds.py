"""What the world does between two steps of the product: mine, fork, lie, watch an address, list an asset.

Lives here: one deed a method, drawn from the schedule's chance, told to the oracle where the contract depends on it.
Does not live here: how often each is done (`world.py`), and how blocks are made (`chain.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from uuid import UUID

from indexer.rules.identity import AddressId
from tests.simulation.blocks import SimBlock
from tests.simulation.memory import MemoryStore
from tests.simulation.network import Network
from tests.simulation.oracle import Watch
from tests.simulation.providers import Mood, TagMood
from tests.simulation.setups import MERCHANTS, WATCHABLE
from tests.simulation.troubles import Tally, Trouble

Say = Callable[..., None]

MOOD_TROUBLES = {
    Mood.LAGGING: Trouble.LAGGING,
    Mood.SILENT: Trouble.SILENT,
    Mood.THROTTLING: Trouble.THROTTLING,
    Mood.ERRING: Trouble.ERRING,
    Mood.SIDE_BRANCH: Trouble.SIDE_BRANCH,
    Mood.FORGING: Trouble.FORGING,
    Mood.STALE_HEAD: Trouble.STALE_HEAD,
    Mood.FLAPPING: Trouble.FLAPPING,
    Mood.HIDING: Trouble.HIDING,
}
TAG_TROUBLES = {
    TagMood.NULL: Trouble.TAGS_NULL,
    TagMood.FROZEN: Trouble.TAGS_FROZEN,
    TagMood.BACKWARD: Trouble.TAGS_BACKWARD,
    TagMood.STRANGE: Trouble.TAGS_STRANGE,
    TagMood.LEADING: Trouble.TAGS_LEADING,
}
_MOODS = tuple(mood for mood in Mood if mood is not Mood.HONEST)
_TAG_MOODS = tuple(TagMood)
_USUAL_TAG_MOODS = tuple(mood for mood in TagMood if mood is not TagMood.LEADING)


class Deeds:
    """The deeds of one schedule."""

    def __init__(self, rng: random.Random, store: MemoryStore, tally: Tally, say: Say) -> None:
        self._rng = rng
        self._store = store
        self._tally = tally
        self._say = say
        self._objects_made = 0

    def move_chain(self, network: Network) -> None:
        rng, chain = self._rng, network.chain
        chance = rng.random()
        if chance < 0.7:
            chain.extend(1 if rng.random() < 0.85 else rng.randrange(1, 5))
        elif chance < 0.95:
            deepest = chain.tip.height - max(chain.final_height_ever, 0)
            if chance > 0.942:
                deepest = chain.tip.height - 1
            if deepest > 0:
                depth = 1 if rng.random() < 0.5 else rng.randrange(1, deepest + 1)
                length = max(1, depth + rng.choice((-2, -1, 0, 0, 0, 1, 1, 2)))
                chain.reorganise(depth, length)
                self._say("  %s: reorg %s for %s", network.id, depth, length)
        elif chain.side_tips:
            side = rng.choice(chain.side_tips)
            if chain.fork_with(side).height >= chain.final_height_ever and side is not chain.tip:
                chain.return_to(side, rng.randrange(0, 3))
                self._say("  %s: returns to a side branch", network.id)
        self._say("  %s: truth is %s", network.id, name_of(chain.tip))

    def change_mood(self, network: Network) -> None:
        rng, chain = self._rng, network.chain
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
        if mood is Mood.HIDING:
            recent = chain.tip.ancestors(max(0, chain.tip.height - 12), chain.tip.height)
            provider.hidden = frozenset(rng.choices(recent, k=2))
        provider.stale_blocks = rng.randrange(1, 4)
        provider.mood = mood
        self._say("  %s: %s (%s) is %s", network.id, provider.name, provider.operator, mood)
        if mood in MOOD_TROUBLES:
            self._tally.count(MOOD_TROUBLES[mood])

    def change_tags(self, network: Network) -> None:
        if not network.setup.kind.has_tags:
            return
        provider = self._rng.choice(network.providers)
        moods = _TAG_MOODS if network.setup.kind.reads_by_height else _USUAL_TAG_MOODS
        provider.tag_mood = self._rng.choice(moods)
        provider.frozen_final = None
        if provider.tag_mood in TAG_TROUBLES:
            self._tally.count(TAG_TROUBLES[provider.tag_mood])
        self._say("  %s: finality of %s is %s", network.id, provider.name, provider.tag_mood)

    def register(self, network: Network) -> bool:
        rng, rows = self._rng, self._store.rows.get(network.id)
        if rows is None:
            return False
        merchant_id, address = rng.choice(MERCHANTS), rng.choice(WATCHABLE)
        memo = network.draw_memo()
        if (merchant_id, network.id, address, memo) in self._store.living:
            return False
        known = network.oracle.watches.get(address, [])
        if any(watch.merchant_id == merchant_id for watch in known):
            self._tally.count(Trouble.REGISTERED_AGAIN)
        if any(watch.merchant_id != merchant_id for watch in known):
            self._tally.count(Trouble.SHARED_ADDRESS)
        self._objects_made += 1
        address_id = AddressId(UUID(int=self._objects_made))
        start = wanted = rows.record.tip.height + 1
        chance = rng.random()
        if chance < 0.2:
            start = wanted = start + rng.randrange(0, 4)
            self._tally.count(Trouble.REGISTERED_AHEAD)
        elif chance < 0.45:
            wanted = rng.randrange(0, start)
            self._tally.count(Trouble.REGISTERED_BEHIND)
        pending = wanted if wanted < start else None
        self._store.register(
            network.id,
            address_id,
            merchant_id,
            address,
            effective_start=start,
            pending_start=pending,
            memo=memo,
        )
        network.oracle.watch(Watch(address_id, merchant_id, address, start, wanted, memo=memo))
        self._tally.count(Trouble.REGISTERED)
        if memo is not None:
            self._tally.count(Trouble.MEMO)
        self._say("  %s: %x watches %r from %s", network.id, merchant_id.int, address, start)
        return True

    def delete(self, network: Network) -> None:
        living = [
            address_id for (_, chain, *_), address_id in self._store.living.items() if chain == network.id
        ]
        if not living:
            return
        address_id = self._rng.choice(living)
        self._store.delete(network.id, address_id)
        network.oracle.unwatch(address_id, self._store.rows[network.id].record.tip.height)
        self._tally.count(Trouble.DELETED)
        self._say("  %s: %s is deleted", network.id, address_id.int)

    def list_asset(self, network: Network) -> None:
        rows, asset = self._store.rows.get(network.id), network.setup.late_asset
        if rows is None or asset is None or asset in rows.asset_starts:
            return
        self._store.list_asset(network.id, asset)
        network.oracle.list_asset(asset, rows.record.tip.height + 1)
        self._tally.count(Trouble.ASSET_LISTED)

    def ask_for_rescan(self, network: Network) -> None:
        rows = self._store.rows.get(network.id)
        if rows is None:
            return
        tip_height = rows.record.tip.height
        first = self._rng.randrange(max(0, rows.record.start_height - 3), tip_height + 1)
        self._store.rescan(network.id, first, self._rng.randrange(first, tip_height + 1))
        oracle = network.oracle
        for asset, start in oracle.asset_starts.items():
            if first < start:
                oracle.asset_wanted[asset] = min(first, oracle.asset_wanted.get(asset, start))
        self._tally.count(Trouble.RESCAN)


def name_of(block: SimBlock) -> str:
    return f"{block.height}:{int(block.hash[2:])}{' forged' if block.is_forged else ''}"
