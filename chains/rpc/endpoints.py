"""Who is asked next: the health of a chain's providers.  Pure.

A provider rests after trouble, longer each time; lies and wrong networks rest
it longest; one that lags is asked last.  The one that serves keeps serving
until it fails (steps are cheaper on a warm connection, and one node's view is
steadier than two).  `now_s` is a monotonic clock's and always an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from chains.errors import ChainError, Inconsistent, Missing, Throttled, WrongNetwork

LAST_RESORT_REST_S = 10.0
"""The longest any provider rests while no other one is usable (CONTRACT 4)."""

REST_FIRST_S = 1.0
REST_MAX_S = 120.0
DISTRUST_FIRST_S = 60.0
DISTRUST_MAX_S = 3_600.0
MISSING_FREE = 3
"""So many answers in a row that a block is not held yet are ordinary lag."""

HEADS_REMEMBERED = 16
"""Of what one provider claimed, to see whether its head advances."""

LAG_BLOCKS_MAX = 3
STALE_MIN_S = 30.0
STALE_BLOCKS = 10
"""A head that stands still for so many block times may be stuck, not the chain."""


def compute_stale_after(block_time_s: float) -> float:
    """How long a head may stand still before another provider is preferred."""
    return max(STALE_MIN_S, STALE_BLOCKS * block_time_s)


@dataclass(slots=True)
class NodeHealth:
    """What is remembered of one provider."""

    name: str
    operator: str
    failures: int = 0
    distrusts: int = 0
    missing: int = 0
    rests_from_s: float = 0.0
    rests_until_s: float = 0.0
    head_height: int = -1
    head_heights: deque[int] = field(default_factory=lambda: deque(maxlen=HEADS_REMEMBERED))
    head_advanced_at_s: float = 0.0
    lag_blocks: int = 0
    last_error: str = ""

    def is_resting(self, now_s: float) -> bool:
        """Whether it should be left alone now."""
        return now_s < self.rests_until_s


@dataclass(slots=True)
class EndpointBook:
    """The providers of one chain in the order they were configured."""

    stale_after_s: float = STALE_MIN_S
    healths: dict[str, NodeHealth] = field(default_factory=dict)
    primary: str = ""

    def add(self, name: str, operator: str) -> None:
        """Enter a provider; the first one is asked first."""
        assert name not in self.healths, "provider names are unique"
        self.healths[name] = NodeHealth(name, operator)

    def choose_order(self, now_s: float) -> list[str]:
        """Usable providers, best first; empty while all of them rest."""
        everybody = list(self.healths.values())
        return self._order(everybody, now_s, last_resort=everybody)

    def choose_primary(self, now_s: float) -> str | None:
        """The provider of the next step, kept while it is as good as any."""
        order = self.choose_order(now_s)
        if not order:
            return None
        self.primary = order[0]
        return self.primary

    def compute_second_opinions(self, first: str, now_s: float) -> list[str]:
        """Usable providers of other operators than `first`, one each, best first.

        Where all others rest, those who told no lies are asked as a last
        resort, like anybody who serves alone: a fork waits for their word.
        """
        heard = {self.healths[first].operator} if first in self.healths else set()
        others = [health for health in self.healths.values() if health.operator not in heard]
        opinions = []
        for name in self._order(others, now_s, last_resort=[one for one in others if not one.distrusts]):
            if self.healths[name].operator not in heard:
                heard.add(self.healths[name].operator)
                opinions.append(name)
        return opinions

    def record_failure(self, name: str, error: ChainError, now_s: float) -> None:
        """Rest a provider as its failure deserves."""
        health = self.healths[name]
        health.last_error = error.detail
        rest_s = self._compute_rest(health, error)
        if rest_s > 0:
            health.rests_from_s = now_s
            health.rests_until_s = max(health.rests_until_s, now_s + rest_s)

    def record_success(self, name: str) -> None:
        """Forgive what a whole step proves to be over."""
        health = self.healths[name]
        health.failures = health.missing = 0
        health.rests_until_s = 0.0
        # A provider that lied is believed again slowly, one step at a time.
        health.distrusts = max(0, health.distrusts - 1) if health.distrusts > 1 else 0
        health.last_error = ""

    def record_head(self, name: str, head_height: int, now_s: float) -> None:
        """Note a head it claimed.

        Heads of two providers are not compared: a liar's would make the
        honest ones look late.  One whose head stands still is asked last: a
        head advances when it is higher than every recent one but the highest,
        so that a single absurd one is forgotten, and flapping is no progress.
        """
        health = self.healths[name]
        highest = sorted(health.head_heights)[-2:]
        if not highest or head_height > highest[0]:
            health.head_advanced_at_s = now_s
        health.head_heights.append(head_height)
        health.head_height = head_height

    def record_lag(self, name: str, head_height: int, tip_height: int) -> None:
        """Note that its head is behind what another one served."""
        health = self.healths[name]
        health.lag_blocks = max(0, tip_height - head_height)

    def _order(
        self, healths: Sequence[NodeHealth], now_s: float, *, last_resort: Sequence[NodeHealth]
    ) -> list[str]:
        """Those that do not rest, best first; while all do, of `last_resort` those that have rested long enough."""
        usable = [health for health in healths if not health.is_resting(now_s)]
        if not usable:
            usable = [health for health in last_resort if now_s - health.rests_from_s >= LAST_RESORT_REST_S]
        ordered = sorted(usable, key=lambda health: self._rank(health, now_s))
        return [health.name for health in ordered]

    def _rank(self, health: NodeHealth, now_s: float) -> tuple[bool, bool, bool, int]:
        position = list(self.healths).index(health.name)
        stands_still = health.head_height >= 0 and now_s - health.head_advanced_at_s > self.stale_after_s
        is_late = health.lag_blocks > LAG_BLOCKS_MAX or stands_still
        return (health.distrusts > 0, is_late, health.name != self.primary, position)

    @staticmethod
    def _compute_rest(health: NodeHealth, error: ChainError) -> float:
        if isinstance(error, Inconsistent | WrongNetwork):
            health.distrusts += 1
            return min(DISTRUST_FIRST_S * 2.0 ** (health.distrusts - 1), DISTRUST_MAX_S)
        if isinstance(error, Missing):
            health.missing += 1
            too_many = health.missing - MISSING_FREE
            # Longer each time: a rest as short as the poll would never be noticed, and nobody else asked.
            return min(REST_FIRST_S * 2.0 ** min(too_many, 16), REST_MAX_S) if too_many > 0 else 0.0
        health.failures += 1
        rest_s = min(REST_FIRST_S * 2.0 ** min(health.failures - 1, 16), REST_MAX_S)
        if isinstance(error, Throttled) and error.retry_after_s is not None:
            return max(rest_s, error.retry_after_s)
        return rest_s
