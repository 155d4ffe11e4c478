"""One endpoint asked within its budget, whatever the protocol: admitted, counted, timed, and told without secrets.

A protocol makes `Request`s and reads the answers (`jsonrpc` in `batches`; a family whose nodes speak another brings its
own).  The bytes are `transport`, how much may be asked is `throttle`, what it adds up to is `meter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from chains.errors import ChainError, Throttled
from chains.rpc.meter import CallMeter
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport, Request

T = TypeVar("T")


class Client:
    """The way one endpoint is asked one thing at a time."""

    def __init__(
        self, transport: HttpTransport, budget: Budget, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget = budget
        self.meter = CallMeter(clock())
        self._transport = transport
        self._clock = clock

    async def exchange(
        self,
        request: Request,
        read: Callable[[bytes], T],
        priority: Priority,
        *,
        calls_count: int = 1,
        deadline_s: float | None = None,
        refuses_rate: Callable[[T], bool] = lambda _: False,
    ) -> T:
        """What `read` makes of the answer; raises what it and the transport raise.

        `calls_count` is how many calls the request is, for budget and bill.
        `refuses_rate` tells an answer in which the rate was refused though it
        was read; a `Throttled` that is raised counts as one anyway.
        """
        async with self.budget.admit(priority, calls_count):
            began = self._clock()
            self.meter.note(calls_count, began)
            try:
                found = read(await self._transport.send(request, deadline_s=deadline_s))
            except ChainError as error:
                if isinstance(error, Throttled):
                    self.budget.record_throttled()
                error.detail = self._transport.redact(error.detail)
                raise
            duration_s = self._clock() - began
        if refuses_rate(found):
            self.budget.record_throttled()
        else:
            self.budget.record_success(duration_s, calls_count)
        return found
