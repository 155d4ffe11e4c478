"""How much one caller may ask: which limits hold where, and how many calls each may have under way.

Lives here: the limits' numbers, turning a refusal into a problem, and shares of what runs at once. Does not live here:
counting over time (`gateway.ratelimits`, and `gateway.redis.ratelimits` for several processes), wrong keys (`logins`),
bodies (`bodies`), connections (`connections`), budgets of providers (chains.rpc.throttle).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from gateway.http.edge.problem import Problem
from gateway.process.files import CONNECTIONS_MAX
from gateway.ratelimits import RateLimit, RateLimits

CALLS = RateLimit("calls", requests=500, period_s=5.0)
"""One key's calls: a hundred a second, and a burst of five seconds' worth for a program that catches up."""

FAILED_LOGINS = RateLimit("failed logins", requests=300, period_s=60.0)
"""Refused keys from one place, after which the next wait in line: guessing is hopeless, so this bounds what it costs."""

FAILED_SECRETS = RateLimit("failed secrets", requests=100, period_s=60.0)
"""The same for one key's id, from wherever it is shown with a wrong secret."""

CALLS_MAX = 2_000
"""Merchants' calls under way, streams included: a bound on memory, far above what the database answers at once."""
CALLS_EACH_MAX = 100
"""One merchant's: eight times the database's connections, and with a mebibyte for each body still little memory."""
BODIES_BYTES_MAX = 512 * 1024 * 1024
"""Of bodies that are being read or worked on, so that memory has a bound; one without a length counts as the largest."""
BODIES_BYTES_EACH_MAX = BODIES_BYTES_MAX // 4
ADMIN_CALLS_MAX = 32
STRANGERS_MAX = 1_024
"""Calls that have shown no right key yet: each has sent a header and waits for one look into the database."""
STRANGERS_EACH_MAX = 512
HEALTH_CALLS_MAX = 64
HEALTH_CALLS_EACH_MAX = 8
"""Load balancers and Prometheus; nobody else's calls count here, and one address can not take it all."""

KEY_LISTS = RateLimit("key lists", requests=100, period_s=10.0)
"""Lists of public keys for one place: nobody shows a key there, and each costs the database a read."""

PROOFS = RateLimit("proofs", requests=60, period_s=60.0)
"""Proofs of deposits for one merchant: each is a whole block asked of a provider."""

PROOFS_MAX = 8
PROOFS_EACH_MAX = 2
"""At once, of one process and of one merchant: whole blocks in memory, and a core that checks them."""

STREAMS_PER_MERCHANT_MAX = 20


async def spend(limits: RateLimits, who: str, limit: RateLimit) -> dict[str, str]:
    """Count one call of whoever it is: a key, a merchant, a place; the headers to answer with. Problem 429."""
    verdict = await limits.spend(who, limit)
    if not verdict.allowed:
        detail = f"more than {limit.requests} calls in {limit.period_s:g} s"
        raise Problem(429, detail, headers=verdict.headers())
    return verdict.headers()


class Share:
    """So many at once, and so many of them for each of those who share; a bound on memory and on each other's waiting."""

    def __init__(self, *, most: int, each_max: int, what: str, again_s: int = 1) -> None:
        self._most = most
        self.each_max = each_max
        self._what = what
        self._again = {"Retry-After": str(again_s)}
        self._held_by: dict[Hashable, int] = {}
        self.held = 0
        """By all together, now."""

    @contextmanager
    def hold(self, who: Hashable, cost: int = 1) -> Iterator[None]:
        """Count `cost` while it lasts. Problem 429 where `who` has too much, 503 where all together have."""
        if self._held_by.get(who, 0) + cost > self.each_max:
            raise Problem(429, f"at most {self.each_max} {self._what} at once", headers=self._again)
        if self.held + cost > self._most:
            raise Problem(503, f"too many {self._what} at once", headers=self._again)
        self._held_by[who] = self._held_by.get(who, 0) + cost
        self.held += cost
        try:
            yield
        finally:
            self.held -= cost
            left = self._held_by.get(who, 0) - cost
            if left > 0:
                self._held_by[who] = left
            else:
                self._held_by.pop(who, None)  # it is not there while all that it holds costs nothing


def share_streams() -> Share:
    """How many streams and long polls a merchant holds open."""
    return Share(most=CALLS_MAX, each_max=STREAMS_PER_MERCHANT_MAX, what="streams and long polls", again_s=5)


def share_proofs() -> Share:
    """How many proofs of deposits are being made."""
    return Share(most=PROOFS_MAX, each_max=PROOFS_EACH_MAX, what="proofs", again_s=5)


class Shares:
    """What of the API's calls under way belongs to whom. `connections` is how many there may be to carry them."""

    def __init__(self, connections: int = CONNECTIONS_MAX) -> None:
        most = min(CALLS_MAX, connections * 3 // 4)
        each_max = min(CALLS_EACH_MAX, max(1, most // 4))
        self.merchants = Share(most=most, each_max=each_max, what="calls of a merchant")
        self.bodies = Share(most=BODIES_BYTES_MAX, each_max=BODIES_BYTES_EACH_MAX, what="bytes of bodies")
        self.administrators = Share(
            most=ADMIN_CALLS_MAX, each_max=ADMIN_CALLS_MAX, what="calls of administrators"
        )
        self.strangers = Share(
            most=STRANGERS_MAX, each_max=STRANGERS_EACH_MAX, what="calls without a known key from here"
        )
        self.health = Share(
            most=HEALTH_CALLS_MAX, each_max=HEALTH_CALLS_EACH_MAX, what="questions about health"
        )
