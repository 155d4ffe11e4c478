"""`/v1/events`: a merchant's log by pull, by long poll and as a stream; always the bytes that were written once.

Lives here: paging, waiting, and the form of server-sent events. Does not live here: the log (relay.log.eventlog), who wakes
whoever waits (`gateway.live`).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Sequence

import msgspec

from gateway import store
from gateway.event_types import check_event_type
from gateway.http.edge.calls import Answer, Call, Services, Stream, json_answer
from gateway.http.edge.problem import Problem, not_found, unprocessable
from gateway.http.shapes.forms import shown
from gateway.http.shapes.relay import EventHead
from indexer.rules.identity import MerchantId
from migrations.errors import DatabaseProblem
from relay.errors import SequenceAhead, SequencePruned
from relay.log import eventlog as log
from relay.log.eventlog import StoredEvent

STREAM_BATCH = 100
COMMENT_EVERY_S = 15.0
RECONNECT_MS = 2_000
_SEQUENCE = re.compile(r"[0-9]{1,15}")


async def get_events(call: Call) -> Answer:
    """What follows a sequence; waits for it if asked to."""
    query = call.query
    types = read_types(query.types)
    deadline_s = asyncio.get_running_loop().time() + query.wait
    with call.services.streams.hold(call.merchant_id) if query.wait else contextlib.nullcontext():
        while True:
            events, head = await _read(
                call.services, call.merchant_id, query.after_sequence, types, query.limit
            )
            left_s = deadline_s - asyncio.get_running_loop().time()
            if events or left_s <= 0 or call.is_over:
                break
            await call.services.live.wait(call.merchant_id, left_s, gone=call.gone)
    page = {
        "items": [msgspec.Raw(event.body) for event in events],
        "next": events[-1].sequence if events else None,
        "head_sequence": head,
    }
    return Answer(200, msgspec.json.encode(page))


async def get_head(call: Call) -> Answer:
    """Where the log ends: what a receiver compares its own place with."""
    async with call.pool.acquire() as conn:
        head = await log.load_head(conn, call.merchant_id)
    return json_answer(shown(EventHead, head, head_hash=head.head_hash.hex()))


async def get_event(call: Call) -> Answer:
    """One event's exact bytes."""
    async with call.pool.acquire() as conn:
        event = await log.load_event(conn, call.merchant_id, call.id("event_id"))
    if event is None:
        raise not_found("event")
    return Answer(200, event.body)


async def get_stream(call: Call) -> Stream:
    """The log as server-sent events, from a sequence or from now on."""
    types = read_types(call.query.types)
    after = _read_last_event_id(call.headers.get("Last-Event-ID"))
    if after is None:
        after = call.query.after_sequence
    _, head = await _read(call.services, call.merchant_id, after, types, 1)
    held = call.services.streams.hold(call.merchant_id)
    return Stream("text/event-stream", _stream(call, types, head if after is None else after, held))


async def _stream(
    call: Call, types: Sequence[str] | None, after: int, held: contextlib.AbstractContextManager[None]
) -> AsyncGenerator[bytes, None]:
    services, loop = call.services, asyncio.get_running_loop()
    with held:
        yield b"retry: %d\n\n" % RECONNECT_MS
        comment_at_s = loop.time() + COMMENT_EVERY_S
        while not call.is_over:
            if loop.time() >= comment_at_s:
                if not await _is_still_welcome(call):
                    return
                yield b": still here\n\n"
                comment_at_s = loop.time() + COMMENT_EVERY_S
            try:
                events, head = await _read(services, call.merchant_id, after, types, STREAM_BATCH)
            except (SequenceAhead, SequencePruned, DatabaseProblem):
                return
            if events:
                yield b"".join(format_event(event) for event in events)
                after = events[-1].sequence
                continue
            after = max(after, head) if types is not None else after
            await services.live.wait(call.merchant_id, comment_at_s - loop.time(), gone=call.gone)


def format_event(event: StoredEvent) -> bytes:
    """One server-sent event: its sequence, its type, and its exact bytes in one data line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, event.type.encode(), event.body)


def read_types(text: str | None) -> list[str] | None:
    """The event types of a filter; Problem 422 for one that does not exist."""
    if text is None:
        return None
    types = [part.strip() for part in text.split(",")]
    for one in types:
        if complaint := check_event_type(one):
            raise unprocessable("/query/types", complaint)
    return types


def _read_last_event_id(text: str | None) -> int | None:
    if text is None:
        return None
    if not _SEQUENCE.fullmatch(text):
        raise Problem(400, "Last-Event-ID is the sequence of an event")
    return int(text)


async def _read(
    services: Services, merchant_id: MerchantId, after: int | None, types: Sequence[str] | None, limit: int
) -> tuple[list[StoredEvent], int]:
    """Events behind `after`, and the head. SequencePruned where some of them are kept no longer, and SequenceAhead."""
    async with services.pool.acquire() as conn:
        log_head = await log.load_head(conn, merchant_id)
        head = log_head.sequence
        if after is not None and after > head:
            raise SequenceAhead(head, log_head.log_epoch)
        if after is None or after == head:
            return [], head
        events = await log.load_events_after(
            conn, merchant_id, after_sequence=after, types=types, limit=limit
        )
        # Asked last: what was dropped while we read must not look like a log without it.
        oldest = await log.load_oldest_sequence(conn, merchant_id)
        if after + 1 < oldest:
            raise SequencePruned(oldest)
    return events, head


async def _is_still_welcome(call: Call) -> bool:
    """Whether the key that opened the stream is still accepted."""
    try:
        found = await store.load_api_key(call.services.pool, call.caller.key_id)
    except DatabaseProblem:
        return True
    return found is not None and found.key.revoked_at is None and not found.merchant_disabled
