"""Answers on their way: sent within bounds of time, and given up when nobody is there to take them.

Lives here: sending one answer, or a stream until it ends. Does not live here: what is answered (`app`). A client that hangs
up is no mistake of ours, so it is an exception of its own, which nobody logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

from aiohttp import web

from gateway.http.edge.calls import Stream

SEND_GRACE_S = 30.0
"""A reader that takes nothing for so long has gone."""
SEND_PACE_BYTES_PER_S = 32 * 1024


class ClientGone(Exception):
    """Whoever asked has hung up, or takes nothing; there is nobody to answer."""


async def send(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send an answer until hardly anything of it is left. Raises ClientGone."""
    if request.writer.output_size > 0:
        raise ClientGone  # another answer has begun; it can only be broken off
    size = len(response.body) if isinstance(response.body, bytes) else 0
    try:
        async with asyncio.timeout(SEND_GRACE_S + size / SEND_PACE_BYTES_PER_S):
            await response.prepare(request)
            await response.write_eof()
            await request.writer.drain()
    except (ConnectionError, TimeoutError) as error:
        raise ClientGone from error
    return response


async def send_stream(request: web.Request, answer: Stream, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send what comes until it ends. Raises ClientGone when nobody reads any more."""
    response = web.StreamResponse(
        headers={**headers, "Content-Type": answer.content_type, "X-Accel-Buffering": "no"}
    )
    async with aclosing(answer.chunks) as chunks:
        chunk = await anext(chunks, None)  # a refusal comes here, while it can still be the answer
        await response.prepare(request)
        while chunk is not None and request.method != "HEAD":
            await _write(response, chunk)
            chunk = await anext(chunks, None)
        try:
            await response.write_eof()
        except ConnectionError as error:
            raise ClientGone from error
    return response


async def _write(response: web.StreamResponse, chunk: bytes) -> None:
    try:
        async with asyncio.timeout(SEND_GRACE_S):
            await response.write(chunk)
    except (ConnectionError, TimeoutError) as error:
        raise ClientGone from error
