"""One limit for many blocks: as `asyncio.timeout` would, with one timer."""

from __future__ import annotations

import asyncio

import pytest

from relay.out.deadlines import Deadlines

SHORT_S = 0.05
LOOP_TICK_S = 0.001  # uvloop counts milliseconds


async def test_a_block_in_time_is_left_alone_and_a_late_one_is_a_timeout() -> None:
    deadlines = Deadlines(SHORT_S)
    loop = asyncio.get_running_loop()
    with deadlines.limit() as limit:
        await asyncio.sleep(0)
        assert loop.time() < limit.due_s
    began_s = loop.time()
    with pytest.raises(TimeoutError), deadlines.limit():
        await asyncio.sleep(30)
    assert loop.time() - began_s >= SHORT_S - LOOP_TICK_S
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the cancellation was taken back"
    deadlines.close()


async def test_each_of_many_is_late_at_its_own_time() -> None:
    deadlines = Deadlines(SHORT_S)
    loop = asyncio.get_running_loop()

    async def wait(delay_s: float, work_s: float) -> float | None:
        await asyncio.sleep(delay_s)
        began_s = loop.time()
        try:
            with deadlines.limit():
                await asyncio.sleep(work_s)
        except TimeoutError:
            return loop.time() - began_s
        return None

    late = [wait(number * SHORT_S / 10, 30) for number in range(30)]
    quick = [wait(number * SHORT_S / 10, 0) for number in range(30)]
    took = await asyncio.gather(*late, *quick)
    assert all(one is not None and one >= SHORT_S - LOOP_TICK_S for one in took[:30])
    assert took[30:] == [None] * 30
    deadlines.close()


async def test_somebody_elses_cancellation_stays_one() -> None:
    deadlines = Deadlines(SHORT_S)

    async def work() -> None:
        with deadlines.limit():
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(2 * SHORT_S)  # the timer rings for nobody
    both = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(SHORT_S * 0.99, both.cancel)
    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await both
    deadlines.close()


async def test_what_was_late_and_failed_in_another_way_fails_in_that_way() -> None:
    deadlines = Deadlines(SHORT_S)

    async def work() -> None:
        with deadlines.limit():
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                raise ValueError("on the way out") from None

    with pytest.raises(ValueError, match="on the way out"):
        await work()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    deadlines.close()
