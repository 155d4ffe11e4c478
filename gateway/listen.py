"""A merchant's events on the merchant's own machine: pulled from the server, signed here, posted as a webhook.

What is posted is what the relay would post: the same bytes, the same headers, by the same way out; only the secret is
another one, made or given where this runs. One event after the other. Whoever answers, whatever the answer, has had its
event; while nobody answers at all, the event waits, and so does everything behind it.

Lives here: `Listener`. Does not live here: reading the log (`pull`), sending (relay.out.egress), the command and what it prints
(`gateway.commands.listen`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat
from typing import TypeVar

from gateway.pull import LogReader, PulledEvent, PulledPage, ServerAway
from relay.model import Outcome, OutcomeKind
from relay.out.egress import Egress
from relay.out.targets import Target

WAIT_S = 25
"""A long poll; the API allows 30 s, and proxies on the way often 30 s altogether."""
PAUSES_S = (0.5, 1.0, 2.0, 5.0)
"""Between tries while somebody is away; the last one repeats."""
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """One event that somebody answered."""

    event: PulledEvent
    outcome: Outcome


@dataclass(slots=True)
class Listener:
    """Forwards what follows `place`, the last sequence that needs no forwarding any more.

    `told` gets each forwarded event, `say` a line for a person; `now` is the clock of signatures.
    """

    reader: LogReader
    egress: Egress
    target: Target
    types: str | None
    now: Callable[[], datetime]
    told: Callable[[Forwarded], None]
    say: Callable[[str], None]
    place: int = 0
    forwarded_count: int = 0
    _matched: int = 0

    async def run(self, from_sequence: int | None) -> None:
        """Forward from an event of the log on, or what comes from now on; until cancelled. Raises ServerRefuses."""
        self.place = await self._load_head() if from_sequence is None else from_sequence - 1
        self.say(f"waiting for events after sequence {self.place}")
        while True:
            page = await self._load_page()
            for event in page.events:
                await self._forward(event)
            self._note_head(page)

    async def _load_head(self) -> int:
        return await self._ask(self.reader.fetch_head)

    async def _load_page(self) -> PulledPage:
        return await self._ask(lambda: self.reader.fetch_after(self.place, types=self.types, wait_s=WAIT_S))

    async def _ask(self, fetch: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask the server until it answers; say once that it does not, and once that it does again."""
        pauses = make_pauses()
        said = ""
        while True:
            try:
                answer = await fetch()
            except ServerAway as away:
                if str(away) != said:
                    said = str(away)
                    self.say(f"{said}; asking again until it does")
                await asyncio.sleep(max(next(pauses), away.retry_after_s or 0))
                continue
            if said:
                self.say("the server answers again")
            return answer

    async def _forward(self, event: PulledEvent) -> None:
        """Post one event until somebody answers, whatever the answer is."""
        pauses = make_pauses()
        is_waiting = False
        while True:
            now = self.now()
            headers = self.target.headers_for(
                event.event_id, event.body, prev_sequence=self._matched, now=now
            )
            outcome = await self.egress.post(
                self.target.url, headers, event.body, now=now, owner=self.target.endpoint_id
            )
            if outcome.kind is not OutcomeKind.UNREACHABLE:
                break
            if not is_waiting:
                self.say(f"nobody answers at {self.target.url}; trying until somebody does")
                is_waiting = True
            await asyncio.sleep(next(pauses))
        self.place = self._matched = event.sequence
        self.forwarded_count += 1
        self.told(Forwarded(event, outcome))

    def _note_head(self, page: PulledPage) -> None:
        if page.head_sequence < self.place:
            self.say(f"the log ends at {page.head_sequence}: a backup was restored, or it never came so far")
            self.place, self._matched = page.head_sequence, 0
        elif not page.events:  # nothing up to there is of these types
            self.place = page.head_sequence


def make_pauses() -> Iterator[float]:
    """Seconds to wait before each try."""
    return chain(PAUSES_S, repeat(PAUSES_S[-1]))
