"""Work that must not end: what surprises it is told, and it begins again; who is asked to end, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from indexer.follow import steady
from indexer.follow.steady import run_steadily


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "WAIT_MAX_S", 0.0)


class Work:
    """Fails so many times, then returns."""

    def __init__(self, surprise: Callable[[], BaseException], times: int = 3) -> None:
        self.surprise, self.times, self.begun = surprise, times, 0

    async def __call__(self) -> None:
        self.begun += 1
        if self.begun <= self.times:
            raise self.surprise()


SURPRISES = [ValueError, ExceptionGroup, asyncio.CancelledError, TimeoutError, RecursionError, MemoryError]


def make(kind: type[BaseException]) -> BaseException:
    return ExceptionGroup("two", [ValueError(), OSError()]) if kind is ExceptionGroup else kind()


@pytest.mark.parametrize("of_bell", SURPRISES)
@pytest.mark.parametrize("of_work", [ValueError, asyncio.CancelledError])
async def test_a_bell_that_breaks_ends_no_work(
    of_work: type[BaseException], of_bell: type[BaseException]
) -> None:
    work, told = Work(lambda: make(of_work)), []

    def tell(surprise: BaseException) -> None:
        told.append(type(surprise))
        raise make(of_bell)

    async with asyncio.timeout(10):
        await run_steadily(work, tell)
    assert work.begun == 4
    assert told == [of_work] * 3


async def test_who_is_cancelled_while_a_surprise_is_told_ends_whatever_the_bell_does() -> None:
    work = Work(ValueError, times=100)

    def tell(_surprise: BaseException) -> None:
        running.cancel()
        raise asyncio.CancelledError

    running = asyncio.ensure_future(run_steadily(work, tell))
    async with asyncio.timeout(10):
        await asyncio.wait([running])
    assert running.cancelled()
    assert work.begun == 1


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_process_ends_it_also_out_of_a_bell(ends: type[BaseException]) -> None:
    def tell(_surprise: BaseException) -> None:
        raise ends

    steps = run_steadily(Work(ValueError), tell)
    with pytest.raises(ends):
        steps.send(None)
