"""What a stranger answers, read as it comes: the status, a few bytes of the body, and whether it ended cleanly.

The status decides, so this reads a status line and is patient with everything behind it: headers that are none, lengths that
contradict each other, an answer that is cut. It stands as soon as its line is complete, or the connection ended behind its
three digits. What was odd only makes the connection unfit for another request. Lives here, pure: `AnswerReader`, one pass
over bounded bytes. Does not live here: sockets and time (`wire`), what a status means (`egress`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

EXCERPT_BYTES_MAX = 4_096
HEAD_BYTES_MAX = 131_072
"""Of interim answers and headers together; what is longer is not read, and the status holds."""
CHUNK_LINE_BYTES_MAX = 256
LENGTH_DIGITS_MAX = 18

_STATUS_LINE = re.compile(rb"HTTP/[0-9](?:\.[0-9])?[ \t]+([0-9]{3})(?:[ \t].*)?", re.IGNORECASE | re.DOTALL)
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_WITHOUT_BODY = frozenset({101, 204, 304})


class AnswerReader:
    """One exchange's answer. Feed it what comes, then `end` if the connection ends; it never raises."""

    __slots__ = (
        "_codings",
        "_excerpt",
        "_feed",
        "_head",
        "_interim",
        "_left",
        "_lengths",
        "_line",
        "_line_ends",
        "_odd",
        "_searched",
        "_taken",
        "begun",
        "finished",
        "overlong",
        "retry_after",
        "status",
    )

    def __init__(self) -> None:
        self.begun = False
        self.status: int | None = None  # of the answer itself, never an interim one
        self.finished = False  # nothing more is waited for
        self.overlong = False  # something came behind the answer's end
        self.retry_after: str | None = None
        self._odd = False
        self._feed: Callable[[bytes], None] = self._feed_head
        self._head = bytearray()
        self._taken = 0  # of the head, up to the end of its last whole line
        self._searched = 0
        self._interim = False
        self._lengths: list[bytes] = []
        self._codings: list[bytes] = []
        self._excerpt = bytearray()
        self._left = 0  # of the body, or of a chunk
        self._line = bytearray()  # the beginning of a line between chunks
        self._line_ends = b""  # what such a line is: "" behind a chunk's bytes, "size", or "last"

    @property
    def reusable(self) -> bool:
        """The connection may carry another request: this answer has ended where it said it would."""
        return self.finished and not self._odd and not self.overlong

    @property
    def excerpt(self) -> bytes:
        """The body's first bytes."""
        return bytes(self._excerpt[:EXCERPT_BYTES_MAX])

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.begun = True
        if self.finished:
            self.overlong = True
        else:
            self._feed(data)

    def end(self) -> None:
        """The connection has ended, in whatever way; a status whose three digits are here counts."""
        if not self.finished and self.status is None and not self._interim:
            self._take_status(bytes(self._head[self._taken :]).removesuffix(b"\r"))
        self._finish(odd=True)

    def _finish(self, *, odd: bool) -> None:
        self.finished = True
        self._odd = self._odd or odd

    # --- the head --------------------------------------------------------------------------------------------------

    def _feed_head(self, data: bytes) -> None:
        self._head += data[: HEAD_BYTES_MAX - len(self._head)]
        while not self.finished and self._feed == self._feed_head:
            line_end = self._head.find(b"\n", self._searched)
            if line_end < 0:
                self._searched = len(self._head)
                if self._searched >= HEAD_BYTES_MAX:
                    self._finish(odd=True)
                return
            line = bytes(self._head[self._taken : line_end])
            self._taken = self._searched = line_end + 1
            self._take_line(line.removesuffix(b"\r"))
        if rest := bytes(self._head[self._taken :]) + data[HEAD_BYTES_MAX:]:
            self.feed(rest)

    def _take_line(self, line: bytes) -> None:
        if self._interim:
            self._interim = bool(line)
        elif self.status is None:
            if line:  # blank lines before the answer are nothing
                self._take_status(line)
        elif line:
            self._take_field(line)
        else:
            self._begin_body()

    def _take_status(self, line: bytes) -> None:
        found = _STATUS_LINE.fullmatch(line)
        status = 0 if found is None else int(found[1])
        if status < 100:
            self._finish(odd=True)
        elif status < 200 and status != 101:
            self._interim = True
        else:
            self.status = status
            self._odd = status == 101 or not line.startswith(b"HTTP/1.1 ")

    def _take_field(self, line: bytes) -> None:
        self._odd = self._odd or not _FIELD.fullmatch(line)
        name, _, value = line.partition(b":")
        value = value.strip()
        match name.strip().lower():
            case b"content-length":
                self._lengths.append(value)
            case b"transfer-encoding":
                self._codings.append(value.lower())
            case b"connection":
                self._odd = self._odd or value.lower() != b"keep-alive"
            case b"retry-after" if self.retry_after is None:
                self.retry_after = value.decode("latin-1")
            case _:
                pass

    # --- the body --------------------------------------------------------------------------------------------------

    def _begin_body(self) -> None:
        lengths, codings = self._lengths, self._codings
        self._feed = self._feed_until_closed
        if self.status in _WITHOUT_BODY:
            self._feed = self._feed_length
            self._finish(odd=False)
        elif codings:
            self._odd = self._odd or codings != [b"chunked"] or bool(lengths)
            if codings[-1].endswith(b"chunked"):
                self._feed, self._line_ends = self._feed_chunks, b"size"
        elif lengths:
            readable = lengths[0].isdigit() and len(lengths[0]) <= LENGTH_DIGITS_MAX
            self._odd = self._odd or len(lengths) != 1 or not readable
            if readable:
                self._feed, self._left = self._feed_length, int(lengths[0])
                if not self._left:
                    self._finish(odd=False)

    def _keep(self, data: bytes) -> bool:
        """Keep what is still of interest; False when that is enough."""
        self._excerpt += data[: EXCERPT_BYTES_MAX + 1 - len(self._excerpt)]
        return len(self._excerpt) <= EXCERPT_BYTES_MAX

    def _feed_until_closed(self, data: bytes) -> None:
        if not self._keep(data):
            self._finish(odd=True)

    def _feed_length(self, data: bytes) -> None:
        wants_more = self._keep(data[: self._left])
        self.overlong = len(data) > self._left
        self._left = max(0, self._left - len(data))
        if not self._left or not wants_more:
            self._finish(odd=bool(self._left))

    def _feed_chunks(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.finished:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                if not self._keep(piece):
                    self._finish(odd=True)
                continue
            line_end = data.find(b"\n", at) + 1 or len(data)
            self._line += data[at : min(line_end, at + CHUNK_LINE_BYTES_MAX)]
            at = line_end
            if self._line.endswith(b"\r\n"):
                line, self._line = bytes(self._line[:-2]), bytearray()
                self._take_chunk_line(line)
            elif self._line.endswith(b"\n") or len(self._line) >= CHUNK_LINE_BYTES_MAX:
                self._finish(odd=True)
        self.overlong = self.overlong or at < len(data)

    def _take_chunk_line(self, line: bytes) -> None:
        if self._line_ends == b"size":
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                self._finish(odd=True)
                return
            self._left = int(size[1], 16)
            self._line_ends = b"" if self._left else b"last"
        elif line:  # a chunk that is longer than it said, or a trailer
            self._finish(odd=True)
        elif self._line_ends == b"last":
            self._finish(odd=False)
        else:
            self._line_ends = b"size"
