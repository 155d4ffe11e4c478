"""Opaque cursors of lists: where the last page ended, as one short text.

Lives here, pure: (created_at, id) to text and back, with a checksum so that a mistyped or invented one is refused, and one of
another list. Does not live here: what is listed. A cursor is no secret and no permission.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from gateway.http.edge.problem import unprocessable

NUMBER_MAX = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_BYTES = 8
_ID_BYTES = 16
_SUM_BYTES = 4
Item = TypeVar("Item")


def encode_cursor(of: str, at: datetime, last: UUID | int) -> str:
    """The cursor behind an item of the list `of`, which has an id or a number of its own: a sequence, a line of the trail."""
    content = ((at - _EPOCH) // _MICROSECOND).to_bytes(_TIME_BYTES, "big", signed=True) + (
        UUID(int=last) if isinstance(last, int) else last
    ).bytes
    return base64.urlsafe_b64encode(content + _checksum(of, content)).rstrip(b"=").decode()


def decode_cursor(of: str, text: str) -> tuple[datetime, UUID]:
    """Where a cursor points; Problem 422 for one that we did not write."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        content, checksum = data[:-_SUM_BYTES], data[-_SUM_BYTES:]
        since = int.from_bytes(content[:_TIME_BYTES], "big", signed=True)
        place = _EPOCH + since * _MICROSECOND, UUID(bytes=content[_TIME_BYTES:])
    except (binascii.Error, ValueError, OverflowError):
        raise unprocessable("/query/after", "is not a cursor of this list") from None
    if len(content) != _TIME_BYTES + _ID_BYTES or _checksum(of, content) != checksum:
        raise unprocessable("/query/after", "is not a cursor of this list")
    return place


def decode_after(of: str, text: str | None) -> tuple[datetime, UUID] | None:
    """The `after` parameter, which may be left out."""
    return None if text is None else decode_cursor(of, text)


def decode_numbered(of: str, text: str | None) -> int:
    """The number to go on behind, 0 where none is given; Problem 422 for another list's cursor."""
    if text is None:
        return 0
    number = decode_cursor(of, text)[1].int
    if number > NUMBER_MAX:
        raise unprocessable("/query/after", "is not a cursor of this list")
    return number


def page(
    of: str,
    items: Sequence[Item],
    limit: int,
    *,
    place: Callable[[Item], tuple[datetime, UUID | int]],
    view: Callable[[Item], Any],
) -> dict[str, Any]:
    """One page from up to `limit` + 1 items: the one too many says that there is a next page."""
    shown = items[:limit]
    more = len(items) > limit
    return {
        "items": [view(item) for item in shown],
        "next": encode_cursor(of, *place(shown[-1])) if more else None,
    }


def _checksum(of: str, content: bytes) -> bytes:
    return zlib.crc32(b"chainbell-cursor-1" + of.encode() + content).to_bytes(_SUM_BYTES, "big")
