"""Bugs in what is not asked for: blocks, finality or words that come late because a call was saved, and calls nobody needs.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import FOLLOW, Edit, Planted

HINTS, NODE, PACE, TAGS = (
    "chains/hints.py",
    "chains/rpc/node.py",
    "indexer/follow/pace.py",
    "indexer/follow/tags.py",
)
LOOKS, SOURCE = "indexer/follow/looks.py", "chains/source.py"

ASKS_HINTS = ("tests/unit/chains/test_hints.py",)
ASKS_PACE = ("tests/unit/indexer/test_pace.py",)
ASKS_TAGS = ("tests/unit/indexer/test_tags.py",)
ASKS_OCCASIONS = ("tests/unit/indexer/test_occasions.py",)
ASKS_BILL = ("tests/live/test_bill.py",)

PLANTED_BILL = (
    Planted(
        "a batch counts as one call of the day's",
        8,
        (Edit("chains/rpc/client.py", "self.meter.note(calls_count, began)", "self.meter.note(1, began)"),),
        asks=("tests/live_evm/test_providers.py",),
    ),
    Planted(
        "what was asked a day ago counts for ever",
        8,
        (Edit("chains/rpc/meter.py", "max(0, this_hour - HOURS_KEPT + 1)", "0"),),
        asks=("tests/unit/chains/test_meter.py",),
    ),
    Planted(
        "a websocket that names nothing is relied on",
        8,
        (Edit(HINTS, "        if not self._untold or now_s", "        if self._untold or now_s"),),
        asks=ASKS_HINTS,
    ),
    Planted(
        "belief that was lost comes back at once",
        8,
        (Edit(HINTS, "min(2 * self._to_earn, EARN_MAX)", "self._to_earn"),),
        asks=ASKS_HINTS,
    ),
    Planted(
        "the watchdog sleeps",
        8,
        (
            Edit(
                PACE,
                "        latest_s = self.looked_at_s + self.watchdog_s\n",
                "        latest_s = self.looked_at_s + 3600.0\n",
            ),
        ),
        asks=ASKS_PACE,
    ),
    Planted(
        "the timer goes on beside live hints",
        8,
        (Edit(PACE, "        if are_hints_live and not self.is_hint_open:\n", "        if False:\n"),),
        asks=ASKS_PACE,
    ),
    Planted(
        "a hint that came before its block is forgotten",
        8,
        (
            Edit(
                PACE,
                "            self.is_hint_open |= is_hinted\n",
                "            self.is_hint_open = False\n",
            ),
        ),
        asks=ASKS_PACE,
    ),
    Planted(
        "a block is looked for all the time",
        8,
        (
            Edit(
                PACE,
                "        return self.came_at_s + self.interval_s - self.spread_s\n",
                "        return self.came_at_s\n",
            ),
        ),
        asks=ASKS_PACE,
    ),
    Planted(
        "each block is seen later than the last",
        8,
        (Edit(PACE, "min(now_s, max(self._due_s(), before_s))", "now_s"),),
        asks=ASKS_PACE,
    ),
    Planted(
        "a halted chain is stepped without a pause",
        8,
        (
            Edit(
                "indexer/follow/loop.py",
                "            self._pace.put_off(looked_at_s)\n",
                "            pass\n",
            ),
        ),
        asks=("tests/database/indexer/test_broken_chain.py",),
    ),
    Planted(
        "several blocks a second are several looks",
        8,
        (Edit(PACE, "self.poll_interval_s if self.block_time_s <= BATCH_FROM_S else 0.0", "0.0"),),
        asks=ASKS_PACE,
    ),
    Planted(
        "finality is never asked for where nothing waits",
        5,
        (
            Edit(
                TAGS,
                "        if self.asked_at_s is None or not 0 <= now_s - self.asked_at_s < self.idle_s:\n",
                "        if self.asked_at_s is None:\n",
            ),
        ),
        asks=ASKS_TAGS,
    ),
    Planted(
        "finality that could not be used yet is not asked for again",
        5,
        (Edit(TAGS, "        return is_usable or now_s", "        return now_s"),),
        asks=ASKS_TAGS,
    ),
    Planted(
        "what was there before the start waits for nothing",
        5,
        (Edit(TAGS, "            self._paid_height = tip_height\n", "            self._paid_height = -1\n"),),
        asks=ASKS_TAGS,
    ),
    Planted(
        "a deposit does not wait for finality",
        5,
        (Edit(FOLLOW, "            self._looks.note_changes(moved.changes)\n", "            pass\n"),),
        asks=ASKS_BILL,
    ),
    Planted(
        "a tag is asked for with every head",
        8,
        (Edit(TAGS, "        if not waits:\n            return False\n", ""),),
        asks=ASKS_TAGS,
    ),
    Planted(
        "who has agreed is asked again",
        8,
        (Edit(FOLLOW, "asks=asks and is_open, wakes=wakes", "asks=asks, wakes=wakes"),),
        asks=ASKS_OCCASIONS,
    ),
    Planted(
        "every word costs a look",
        8,
        (
            Edit(
                FOLLOW,
                "        if seen is not None and self._suspicion is None:\n",
                "        if False and seen is not None:\n",
            ),
        ),
        asks=ASKS_OCCASIONS,
    ),
    Planted(
        "a head that is not our tip is not looked at again",
        5,
        (
            Edit(
                LOOKS,
                "        return self._seen if self._seen[1].head.hash == tip.hash else None\n",
                "        return self._seen\n",
            ),
        ),
        asks=ASKS_OCCASIONS,
    ),
    Planted(
        "a fork is weighed before it is known who shows it",
        5,
        (Edit(FOLLOW, "            await provider.fetch_network_id()\n", ""),),
        asks=ASKS_OCCASIONS,
    ),
    Planted(
        "an identity is asked for once and for all",
        5,
        (
            Edit(
                NODE,
                "self._is_same_connection and age_s < IDENTITY_MAX_AGE_S\n",
                "self._is_same_connection\n",
            ),
        ),
        asks=("tests/live_evm/test_providers.py",),
    ),
    Planted(
        "a head that the look has shown is looked for again",
        8,
        (Edit(SOURCE, "                    self._is_hinted = False\n", "                    pass\n"),),
        asks=("tests/live_evm/test_heads.py",),
    ),
)
