"""Work that must not end because something surprised it: told, and begun again after a longer and longer wait.

For loops that stand beside others in one TaskGroup, where what one of them
raises would end them all (Law 8).  Weather is the loops' own business; what
reaches this place nobody expected.  Cancelling still cancels, and what
is no `Exception` still ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

WAIT_FIRST_S = 0.5
WAIT_MAX_S = 10.0
CALM_S = 60.0
"""Work that went on for so long was well: its next surprise is a first one."""

Tell = Callable[[BaseException], None]


async def run_steadily(work: Callable[[], Awaitable[object]], tell: Tell) -> None:
    """Run `work` until it returns; what it raises is handed to `tell`, and it begins again."""
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        began_s = loop.time()
        try:
            await work()
        except asyncio.CancelledError as error:
            if _is_asked_to_end():
                raise
            surprise: BaseException = error
        except Exception as error:  # noqa: BLE001  # whatever it is: the others go on
            surprise = error
        else:
            return
        failures = 1 if loop.time() - began_s >= CALM_S else failures + 1
        _tell_safely(tell, surprise)
        await asyncio.sleep(min(WAIT_FIRST_S * 2 ** min(failures - 1, 10), WAIT_MAX_S))


def _is_asked_to_end() -> bool:
    """Whether somebody cancelled this task, rather than something cancelled that it waited for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _tell_safely(tell: Tell, surprise: BaseException) -> None:
    """Telling must not end what it tells of; nothing waits here, so that no cancelling of this task is met and lost."""
    try:
        tell(surprise)
    except (Exception, asyncio.CancelledError):
        log.exception("surprise-not-told", surprise=repr(surprise))
