"""Bodies of requests: read once it is known who asks, as they are, within bounds of size and pace.

Lives here: which bodies are read at all, and how slowly they may come. Does not live here: what is in them (`decoding`),
how many calls may wait for theirs (`limits`).
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from gateway.http.edge.problem import Problem
from gateway.http.edge.sending import ClientGone

BODY_BYTES_MAX = 1024 * 1024
BODY_GRACE_S = 10.0
"""How long a body may take beyond its pace: a round trip and a stall of a bad line."""
BODY_PACE_BYTES_PER_S = 32 * 1024
"""The least that comes in a second after that. The largest body takes 42 s at most, an empty one that never ends 10 s."""
CHUNK_BYTES_MIN = 32
"""On average, after the first CHUNKS_MIN: each costs far more than its bytes. Whoever sends crumbs is cut off, not answered:
an answer would wait for the rest of them."""
CHUNKS_MIN = 1_024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def expect_bytes(request: web.Request) -> int:
    """How much memory a body may take; one that does not say its length, the most there can be."""
    length = BODY_BYTES_MAX if request.content_length is None else request.content_length
    return min(length, BODY_BYTES_MAX) if request.body_exists else 0


async def read_body(request: web.Request) -> bytes:
    """The whole body. Problem 413, 415, 417, 408; ClientGone."""
    codings = ",".join(request.headers.getall("Content-Encoding", [])).strip().lower()
    if codings not in ("", "identity"):
        raise Problem(415, "a body is sent without Content-Encoding")
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise _too_large()
    await _ask_for_it(request)
    started_s = asyncio.get_running_loop().time()
    body, chunks = bytearray(), 0
    try:
        while not request.content.at_eof():
            late_s = started_s + BODY_GRACE_S + len(body) / BODY_PACE_BYTES_PER_S
            async with asyncio.timeout_at(late_s):
                piece, ends_chunk = await request.content.readchunk()
            body += piece
            chunks += ends_chunk
            if chunks > CHUNKS_MIN + len(body) // CHUNK_BYTES_MIN:
                raise ClientGone
            if len(body) > BODY_BYTES_MAX:
                raise _too_large()
    except TimeoutError:
        raise Problem(408, f"the body comes slower than {BODY_PACE_BYTES_PER_S} bytes a second") from None
    except ConnectionError as error:
        raise ClientGone from error
    except RequestPayloadError as error:
        raise Problem(400, "the body is not framed as HTTP says") from error
    return bytes(body)


def _too_large() -> Problem:
    return Problem(413, "a body has at most 1 MiB")


async def _ask_for_it(request: web.Request) -> None:
    """Tell a client that waits for leave to send its body that it may: now, and not before we know who it is."""
    expected = request.headers.get("Expect")
    if expected is None or request.version < (1, 1):
        return
    if expected.strip().lower() != "100-continue":
        raise Problem(417, "Expect can only be 100-continue")
    try:
        await request.writer.write(CONTINUE)
    except ConnectionError as error:
        raise ClientGone from error
    request.writer.output_size = 0


async def wait_to_be_asked(_request: web.Request) -> None:
    """In place of aiohttp's own answer to `Expect`, which would invite a stranger's body."""
