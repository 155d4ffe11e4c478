"""The same worlds on a real PostgreSQL, with real concurrency and processes that die at every statement."""

from __future__ import annotations

import os
import traceback

import pytest

from migrations.connect import open_pool
from tests.depth import times
from tests.simulation.postgres import PostgresWorld
from tests.simulation.troubles import Tally, Trouble

SCHEDULES = int(os.environ.get("CHAINBELL_POSTGRES_SCHEDULES", times(20, ci=200)))
PARTS = 2
ROUNDS = 14
ENOUGH_FOR_ALL = 100
"""Fewer schedules need not meet every common trouble."""
COMMON = (
    Trouble.CRASH_READING,
    Trouble.CRASH_WRITING,
    Trouble.CRASH_COMMITTED,
    Trouble.CRASH_DELIVERING,
    Trouble.CONNECTION_LOST,
    Trouble.RETRYABLE,
    Trouble.REGISTERED,
    Trouble.TOLD_REVERSED,
    Trouble.TOLD_MOVED,
)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
async def test_every_law_holds_on_a_real_database(part: int, seed: int, database_url: str) -> None:
    tally, first = Tally(), seed % (1 << 31)
    pool = await open_pool(database_url, size=12, application_name="simulation", resets=False)
    try:
        for number in range(SCHEDULES // PARTS):
            world = PostgresWorld(pool, number, first + number, tally)
            try:
                await world.run(ROUNDS)
            except Exception as error:  # noqa: BLE001  # whatever a schedule raises is its verdict
                place = traceback.extract_tb(error.__traceback__)[-1]
                pytest.fail(f"schedule {number} of seed {first + number}: {error!r} ({place.name})")
    finally:
        await pool.close()
    for trouble in COMMON:
        print(f"{tally.counts[trouble]:>10}  {trouble}")
    if SCHEDULES >= ENOUGH_FOR_ALL:
        assert all(tally.counts[trouble] for trouble in COMMON)
