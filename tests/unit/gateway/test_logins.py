"""Wrong keys cost whoever shows them, and not the database, nor anybody with a right key."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import pytest

from gateway.apikeys import ApiKey, new_api_key
from gateway.config.settings import Secret
from gateway.http.edge import logins as logins_module
from gateway.http.edge.calls import ADMIN, Caller
from gateway.http.edge.limits import FAILED_LOGINS, FAILED_SECRETS, Shares
from gateway.http.edge.logins import Logins
from gateway.http.edge.problem import Problem
from migrations.handles import Pool
from migrations.ids import new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Keys:
    """A table of keys that counts who is asked for, and at most how many at once."""

    def __init__(self) -> None:
        self.right = {new_api_key(new_id(number)).text for number in range(2)}
        self.asked = self.at_once = self.now = 0

    async def find(self, _pool: object, key: ApiKey) -> Caller:
        self.asked += 1
        self.now += 1
        self.at_once = max(self.at_once, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if key.text not in self.right:
            raise Problem(401, "no")
        return Caller(key.id, key.id, frozenset())


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    """The database's part, in memory."""
    made = Keys()
    monkeypatch.setattr(logins_module, "find_caller", made.find)
    return made


def open_logins(now_s: list[float]) -> Logins:
    """With a clock that stands still."""
    no_pool = cast("Pool", None)  # asked by `Keys` only
    return Logins(no_pool, Secret("the-admin-token"), Shares().strangers, clock=lambda: now_s[0])


def wrong() -> str:
    """A key nobody has."""
    return f"Bearer {new_api_key(new_id(0)).text}"


async def show_wrong(logins: Logins, place: str, count: int, header: str | None = None) -> list[int]:
    """The statuses of so many wrong keys."""
    statuses = []
    for _ in range(count):
        with pytest.raises(Problem) as refused:
            await logins.identify(place, header or wrong())
        statuses.append(refused.value.status)
    return statuses


async def test_right_keys_are_never_locked_out_by_wrong_ones(keys: Keys) -> None:
    logins = open_logins([0.0])
    lately, never_seen = keys.right
    await logins.identify("198.51.100.1", f"Bearer {lately}")
    statuses = await show_wrong(logins, "198.51.100.1", FAILED_LOGINS.requests + 1)
    assert (statuses[0], statuses[-1]) == (401, 429)
    for right in (lately, never_seen):
        assert (await logins.identify("198.51.100.1", f"Bearer {right}")).merchant_id
    assert await logins.identify("198.51.100.1", "Bearer the-admin-token") is ADMIN


async def test_wrong_secrets_of_one_key_do_not_lock_it_out_wherever_they_come_from(keys: Keys) -> None:
    logins = open_logins([0.0])
    (right, _) = keys.right
    swapped = "Bearer " + right[:-5] + ("00000" if right[-5:] != "00000" else "11111")
    places = [f"198.51.100.{number}" for number in range(FAILED_SECRETS.requests + 1)]
    statuses = [await show_wrong(logins, place, 1, swapped) for place in places]
    assert statuses[-1] == [429]
    assert (await logins.identify("203.0.113.9", f"Bearer {right}")).merchant_id
    assert (await show_wrong(logins, "203.0.113.9", 1)) == [401], "another key's count"


async def test_the_neighbours_of_an_ipv6_network_share_one_count(keys: Keys) -> None:
    logins = open_logins([0.0])
    places = [f"2001:db8::{number:x}" for number in range(FAILED_LOGINS.requests + 1)]
    statuses = [await show_wrong(logins, place, 1) for place in places]
    assert statuses[-1] == [429]
    assert await show_wrong(logins, "2001:db8:0:1::1", 1) == [401]
    assert keys.asked == FAILED_LOGINS.requests + 2


async def test_strangers_ask_the_database_a_few_at_once(keys: Keys) -> None:
    logins = open_logins([0.0])

    async def show(number: int) -> None:
        with suppress(Problem):
            await logins.identify(f"198.51.100.{number}", wrong())

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(show(number))
    assert keys.at_once <= logins_module.ASKED_AT_ONCE


async def test_what_is_not_a_key_costs_the_database_nothing(keys: Keys) -> None:
    logins = open_logins([0.0])
    for header in ("Bearer nonsense", "Basic abc", "Bearer ", "Bearer ключ"):
        await show_wrong(logins, "198.51.100.1", 1, header)
    assert keys.asked == 0
