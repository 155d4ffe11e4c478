"""Dialects: how nodes and hosting providers word the same few things, as fronts for the proxy.

A front answers whole exchanges, so that it can refuse batches, methods and
rates the way each kind of node does.  It stays until the proxy heals; nothing
it says about a block is a lie.  Lies and accidents are `faults.py`.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One exchange: its calls, whether they came as a batch, and how the node behind answers one."""

    calls: list[dict[str, Any]]
    batched: bool
    answer_one: Callable[[dict[str, Any]], Awaitable[Answer | None]]

    async def answer_all(self) -> list[Answer]:
        """What the node says, in order."""
        found = [await self.answer_one(call) for call in self.calls]
        return [answer for answer in found if answer is not None]


Front = Callable[[Asked], Awaitable[web.StreamResponse]]
PerCall = Callable[[dict[str, Any]], Any]
"""What a call is answered instead, without its id; None: what the node says."""


def say(body: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    """An answer: JSON of a value, or a text as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    return web.Response(status=status, text=text, content_type=content_type)


def error(code: object, message: object, **others: object) -> Answer:
    """An error object, in whatever types."""
    return {"error": {"code": code, "message": message, **others}}


async def plain(asked: Asked) -> web.Response:
    """As a node of the books answers."""
    answers = await asked.answer_all()
    return say(answers if asked.batched else answers[0])


def per_call(instead: PerCall) -> Front:
    """Some calls are answered otherwise, each on its own."""

    async def front(asked: Asked) -> web.Response:
        answers: list[Answer] = []
        for call in asked.calls:
            other = instead(call)
            if other is None:
                answers += [one for one in [await asked.answer_one(call)] if one is not None]
            else:
                answers.append({"jsonrpc": "2.0", "id": call["id"]} | other)
        return say(answers if asked.batched else answers[0])

    return front


def refusing(method: str, answer: Answer) -> Front:
    """One method is refused, call by call."""
    return per_call(lambda call: answer if call["method"] == method else None)


def barring(method: str, body: object, status: int) -> Front:
    """One method in it, and the whole exchange is refused."""

    async def front(asked: Asked) -> web.Response:
        if any(call["method"] == method for call in asked.calls):
            return say(body, status)
        return await plain(asked)

    return front


def allowing(calls_max: int, refuse: Callable[[Asked], web.Response]) -> Front:
    """Batches up to a size."""

    async def front(asked: Asked) -> web.Response:
        if asked.batched and len(asked.calls) > calls_max:
            return refuse(asked)
        return await plain(asked)

    return front


def answering_the_first(calls_max: int, rest: Answer | None) -> Front:
    """A batch is answered as far as its limit; the rest gets an error each, or nothing."""

    async def front(asked: Asked) -> web.Response:
        if not asked.batched:
            return await plain(asked)
        answers = [await asked.answer_one(call) for call in asked.calls[:calls_max]]
        if rest is not None:
            answers += [{"jsonrpc": "2.0", "id": call["id"]} | rest for call in asked.calls[calls_max:]]
        return say([answer for answer in answers if answer is not None])

    return front


def reshaped(shape: Callable[[list[Answer]], object]) -> Front:
    """The right answers of a batch, written otherwise."""

    async def front(asked: Asked) -> web.Response:
        answers = await asked.answer_all()
        return say(shape(answers) if asked.batched else answers[0])

    return front


def rewritten(change: Callable[[Answer], Answer]) -> Front:
    """Every answer, single or not, written otherwise."""

    async def front(asked: Asked) -> web.Response:
        answers = [change(answer) for answer in await asked.answer_all()]
        return say(answers if asked.batched else answers[0])

    return front


@dataclass(slots=True)
class Metered:
    """So many calls a second, counted in a sliding window; beyond that, a refusal. Batches too, where `batches` is False."""

    calls_per_s: int
    refuse: Callable[[Asked], web.Response]
    batches: bool = False
    refused: int = 0
    times_s: deque[float] = field(default_factory=deque)

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        now_s = time.monotonic()
        while self.times_s and now_s - self.times_s[0] > 1.0:
            self.times_s.popleft()
        if asked.batched and not self.batches:
            return say(error(-32600, "batch requests are not supported") | {"id": None}, 400)
        if len(self.times_s) + len(asked.calls) > self.calls_per_s:
            self.refused += 1
            return self.refuse(asked)
        self.times_s.extend([now_s] * len(asked.calls))
        return await plain(asked)
