"""Calls in batches as large as one endpoint takes, whatever it answers when one is too large.

A limit is told as a status, one error for all, an error a call, or by leaving
calls out; a refused method may take a whole batch with it.  What is meant shows
when the calls are asked apart: fine alone and refused together is the batch,
refused alone is the call's own.  What was answered is kept meanwhile, also
where the rate is refused in between.  Identity and meaning are the family's.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chains.errors import ChainError, Refused, Throttled, Unreachable
from chains.rpc.client import Client
from chains.rpc.jsonrpc import Call, Reply, decode_batch, encode_batch, read_status
from chains.rpc.refusals import NoBatches, TooLarge, Unanswered
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport, Request

BATCH_CALLS_MAX = 100
"""Geth's own default limit is 1,000; hosted nodes allow 100 or fewer."""

WIDEN_AFTER_BATCHES = 200
"""One refusal may have been a bad day; one in so many batches costs nothing."""

FAILED_BATCHES_MAX = 2
"""After so many that failed in a row a single call is tried: some answer a batch they dislike with 500."""

REFUSED_ALONE_MAX = 2
"""After so many calls refused alone, and none answered, it is no matter of batches."""

SUSPECTS_MAX = 4
"""So few calls that may break an exchange are tried one by one; what breaks in numbers is the caller's to ask otherwise."""

OWN_WORDS_MAX = 64
PAUSES_MAX = 5
PAUSE_S = 1.0
PAUSE_MAX_S = 5.0
"""Rates are counted per second, so the next one is worth waiting for; a longer wait is the follower's to decide."""

ID_MAX = 1_000_000_000

_CHANGING = re.compile(r"0x[0-9a-fA-F]+|[0-9]+")


@dataclass(slots=True)
class _Doubt:
    """A batch that was refused as a whole: too large, unless one of its calls is refused alone."""

    size: int
    unsettled: set[int]
    is_excused: bool = False


class BatchSize:
    """How many calls an endpoint takes at once; learnt from refusals, tried larger again."""

    def __init__(self) -> None:
        self.calls_max = BATCH_CALLS_MAX
        self.full_batches_taken = 0

    def narrow(self, calls_max: int) -> None:
        """The node, or our own limit, refused a batch larger than this."""
        self.calls_max = max(1, min(calls_max, self.calls_max))
        self.full_batches_taken = 0

    def note_taken(self, calls_count: int) -> None:
        """A batch went through; after many full ones a larger one is tried again."""
        if calls_count < self.calls_max or self.calls_max >= BATCH_CALLS_MAX:
            return
        self.full_batches_taken += 1
        if self.full_batches_taken >= WIDEN_AFTER_BATCHES:
            self.calls_max = min(BATCH_CALLS_MAX, 2 * self.calls_max)
            self.full_batches_taken = 0


class Batches:
    """The way one endpoint is asked many things."""

    def __init__(
        self,
        transport: HttpTransport,
        budget: Budget,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.size = BatchSize()
        self.budget = budget
        self._client = Client(transport, budget, clock=clock)
        self.meter = self._client.meter
        self._id_next = 1
        self._failed_in_a_row = self._failed_calls = 0
        self._own_words: set[str] = set()
        self.asked_apart: set[tuple[str, str]] = set()

    async def ask(
        self,
        calls: Sequence[Call],
        priority: Priority,
        *,
        deadline_s: float | None = None,
        patient: bool = False,
    ) -> list[Reply]:
        """One outcome a call, in the order of `calls`.

        Raises what makes every exchange fail.  `patient`: a refused rate is
        waited out for some seconds, so that a window of blocks is not lost to it.
        """
        asking = _Asking(self, calls, priority, deadline_s, patient=patient)
        while asking.parts:
            await asking.step()
        return asking.collect()

    async def exchange(
        self, calls: Sequence[Call], priority: Priority, deadline_s: float | None
    ) -> list[Reply]:
        """One request and its answer; a batch that can not be taken raises."""
        id_first, self._id_next = self._id_next, (self._id_next + len(calls)) % ID_MAX
        outcomes = await self._client.exchange(
            Request(encode_batch(calls, id_first), read_status=read_status),
            lambda answer: decode_batch(answer, calls, id_first),
            priority,
            calls_count=len(calls),
            deadline_s=deadline_s,
            refuses_rate=lambda found: any(isinstance(one, Throttled) for one in found),
        )
        if len(calls) >= self._failed_calls:
            self._failed_in_a_row = self._failed_calls = 0
        return outcomes

    async def is_batch_to_blame(self, calls: Sequence[Call], priority: Priority) -> bool:
        """Whether a call is answered alone after batches of such a size failed again and again."""
        self._failed_in_a_row += 1
        self._failed_calls = max(self._failed_calls, len(calls))
        if self._failed_in_a_row <= FAILED_BATCHES_MAX:
            return False
        try:
            await self.exchange(calls[:1], priority, None)
        except ChainError:
            return False
        return True

    def is_own(self, outcome: Reply | None) -> bool:
        """Whether a refusal was heard before of a call alone: then it is no batch's."""
        return isinstance(outcome, ChainError) and _words_of(outcome) in self._own_words

    def note_own(self, error: ChainError) -> None:
        """A call was refused alone with these words."""
        if len(self._own_words) >= OWN_WORDS_MAX:
            self._own_words.clear()
        self._own_words.add(_words_of(error))


class _Asking:
    """The calls of one `ask` on their way: what is answered, and what is still to be asked in which parts."""

    def __init__(
        self,
        batches: Batches,
        calls: Sequence[Call],
        priority: Priority,
        deadline_s: float | None,
        *,
        patient: bool,
    ) -> None:
        self._batches = batches
        self._calls = calls
        self._priority = priority
        self._deadline_s = deadline_s
        self._pauses_max = PAUSES_MAX if patient else 0
        self._pauses_left = self._pauses_max
        self._answered = 0
        self._refused_alone = 0
        self._doubts: list[_Doubt] = []
        self._outcomes: list[Reply | None] = [None] * len(calls)
        together = [index for index, call in enumerate(calls) if _tag_of(call) not in batches.asked_apart]
        apart = [[index] for index, call in enumerate(calls) if _tag_of(call) in batches.asked_apart]
        self.parts: deque[Sequence[int]] = deque(part for part in (together, *apart) if part)

    def collect(self) -> list[Reply]:
        """All outcomes, when no part is left."""
        assert all(outcome is not None for outcome in self._outcomes), "every call has its outcome"
        return [outcome for outcome in self._outcomes if outcome is not None]

    async def step(self) -> None:
        """One exchange, and what follows from it."""
        part = self._take_part()
        if not part:
            return
        calls = [self._calls[index] for index in part]
        try:
            outcomes = await self._batches.exchange(calls, self._priority, self._deadline_s)
        except Throttled as error:
            await self._pause(part, error)
        except Refused as error:
            self._note_refused_whole(part, error)
        except Unreachable as error:
            await self._note_unreached(part, error)
        else:
            await self._settle(part, outcomes)

    def _take_part(self) -> Sequence[int]:
        """The next calls, as many as fit; without those whose refusal was found to be their own."""
        waiting = self.parts.popleft()
        waiting = [index for index in waiting if not self._batches.is_own(self._outcomes[index])]
        size = min(self._batches.size.calls_max, self._batches.budget.batch_calls_max)
        if len(waiting) > size:
            self.parts.appendleft(waiting[size:])
        return waiting[:size]

    async def _pause(self, part: Sequence[int], error: Throttled) -> None:
        """The rate was refused: wait for the next second, and ask on where it was refused."""
        wait_s = max(PAUSE_S, error.retry_after_s or 0.0)
        if self._pauses_left == 0 or wait_s > PAUSE_MAX_S:
            raise error
        self._pauses_left -= 1
        self.parts.appendleft(part)
        await asyncio.sleep(wait_s)

    async def _note_unreached(self, part: Sequence[int], error: Unreachable) -> None:
        """No answer: the network's fault, the batch's, or of one call that breaks whatever it is asked with."""
        calls = [self._calls[index] for index in part]
        if len(part) == 1:
            is_apart = _tag_of(calls[0]) in self._batches.asked_apart
            if not self._answered or not (self._doubts or is_apart):
                raise error
            self._put_apart(part[0], error)
        elif self._is_narrowed_down(part) or await self._batches.is_batch_to_blame(calls, self._priority):
            self._split(part)
        else:
            raise error

    def _is_narrowed_down(self, part: Sequence[int]) -> bool:
        """Few are left of what broke together, and the rest was answered: each can be tried alone."""
        return len(part) <= SUSPECTS_MAX and self._answered > 0 and bool(self._doubts)

    def _put_apart(self, index: int, error: ChainError) -> None:
        """A call that failed alone; one by tag, as every head has it, is asked apart from then on."""
        tag = _tag_of(self._calls[index])
        if self._doubts and tag[1]:
            self._batches.asked_apart.add(tag)
        self._put(index, error)

    def _note_refused_whole(self, part: Sequence[int], error: Refused) -> None:
        if len(part) == 1:
            self._refused_alone += 1
            if self._refused_alone >= min(REFUSED_ALONE_MAX, len(self._calls)) and not self._answered:
                raise error
            self._put_apart(part[0], error)
        elif isinstance(error, NoBatches | TooLarge):
            self._shrink(part, 1 if isinstance(error, NoBatches) else len(part) // 2)
        else:
            self._split(part)

    def _shrink(self, part: Sequence[int], calls_max: int) -> None:
        self._batches.size.narrow(calls_max)
        self.parts.appendleft(part)

    def _split(self, part: Sequence[int]) -> None:
        """A method that is refused takes the whole batch with it: each apart; one method alone, in halves."""
        self._doubts.append(_Doubt(len(part), set(part)))
        by_method: dict[str, list[int]] = {}
        for index in part:
            by_method.setdefault(self._calls[index].method, []).append(index)
        halves: list[Sequence[int]] = [part[: len(part) // 2], part[len(part) // 2 :]]
        self.parts.extendleft(reversed(list(by_method.values()) if len(by_method) > 1 else halves))

    async def _settle(self, part: Sequence[int], outcomes: Sequence[Reply]) -> None:
        """Keep what was answered; what the batch is to blame for is asked again."""
        again: list[int] = []
        throttled: Throttled | None = None
        for index, outcome in zip(part, outcomes, strict=True):
            if isinstance(outcome, Throttled):
                throttled = outcome
                again.append(index)
            elif len(part) > 1 and self._may_be_the_batch(outcome):
                self._outcomes[index] = outcome
                again.append(index)
            else:
                self._put(index, outcome)
        if throttled is not None and self._pauses_left == 0 and self._are_extras(again, outcomes):
            for index, outcome in zip(part, outcomes, strict=True):
                if isinstance(outcome, Throttled):
                    self._put(index, outcome)
        elif throttled is not None:
            await self._pause(again, throttled)
        elif again:
            self._ask_again(part, again)
        else:
            self._batches.size.note_taken(len(part))

    def _are_extras(self, again: Sequence[int], outcomes: Sequence[Reply]) -> bool:
        """Whether only blocks by tag were refused beside what was answered: some plans count those apart."""
        answered = len(again) < len(outcomes)
        return answered and all(_tag_of(self._calls[index])[1] for index in again)

    def _may_be_the_batch(self, outcome: Reply) -> bool:
        if isinstance(outcome, NoBatches | TooLarge | Unanswered):
            return True
        return type(outcome) is Refused and not self._batches.is_own(outcome)

    def _ask_again(self, part: Sequence[int], again: list[int]) -> None:
        """One of them alone shows whether it was the batch; then the others."""
        taken = len(part) - len(again)
        self.parts.extendleft(one for one in (again[1:], again[:1]) if one)
        self._doubts.append(_Doubt(2 * (taken or len(part) // 2), {again[0]}))

    def _put(self, index: int, outcome: Reply) -> None:
        if isinstance(outcome, ChainError):
            if type(outcome) is Refused:
                self._batches.note_own(outcome)
        else:
            self._answered += 1
            self._pauses_left = self._pauses_max
        self._outcomes[index] = outcome
        for doubt in list(self._doubts):
            if index not in doubt.unsettled:
                continue
            doubt.unsettled.remove(index)
            doubt.is_excused |= isinstance(outcome, ChainError)
            if not doubt.unsettled:
                self._doubts.remove(doubt)
                if not doubt.is_excused:
                    self._batches.size.narrow(doubt.size // 2)


def _tag_of(call: Call) -> tuple[str, str]:
    """A call for a block by tag, as every head is: one that costs a whole batch is asked apart from then on."""
    first = call.params[0] if call.params else ""
    return call.method, first if isinstance(first, str) and not first.startswith("0x") else ""


def _words_of(error: ChainError) -> str:
    """A refusal without what changes from call to call."""
    return _CHANGING.sub("#", error.detail)
