"""Answers of java-tron's HTTP API, and what they mean where they are none.  Pure.

Errors come with status 200: as `{"Error": …}`, as plain text, as `{}` for what
is not there; gateways in front have words of their own.  Each is a typed
outcome here, so that none is ever taken for an empty block.  Sources:
tronprotocol/documentation-en, "Error responses"; java-tron `Util.printErrorMsg`
and `LiteFnQueryHttpFilter`.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, field

from chains.errors import ChainError, Inconsistent, Missing, Refused, Throttled, Unreachable
from chains.rpc.refusals import UnknownMethod, classify_text, read_http_status

LITE: Final = "lite fullnode"
SPOKEN_BYTES_MAX: Final = 64 * 1024
"""An error is shorter than this; what is longer must pass for what was asked."""

_QUIET: Final = 200

# Ordered, as `chains.rpc.refusals` has it for JSON-RPC.
_WORDINGS: Final[tuple[tuple[type[ChainError], re.Pattern[str]], ...]] = (
    (
        Throttled,
        re.compile(r"lack of computing resources|frequency limit|suspended for|daily usage", re.IGNORECASE),
    ),
    (Refused, re.compile(LITE, re.IGNORECASE)),
    (UnknownMethod, re.compile(r"unavailable due to config|does not support|not implemented", re.IGNORECASE)),
    (
        Missing,
        re.compile(r"ItemNotFound|BlockNotFound|(?:block|item).{0,40}not (?:found|exist)", re.IGNORECASE),
    ),
    (
        Unreachable,
        re.compile(r"time[d ]?-?\s?out|interrupted|overloaded|unavailable|RejectedExecution", re.IGNORECASE),
    ),
)

T = TypeVar("T")


class _Spoken(Struct):
    """The forms in which an error is said; anything else is an answer."""

    java: object = field(name="Error", default=None)
    gateway: object = field(name="error", default=None)
    message: object = None
    code: object = None
    result: object = None


_SPOKEN: Final = msgspec.json.Decoder(_Spoken)


def read_answer(asked: str, content: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """What was answered; None for `{}`, which means that nothing is there.

    Raises what an error says, and `Inconsistent` for an answer of another shape.
    """
    opening = content.lstrip()[:1]
    if opening not in {b"{", b"["}:
        raise classify(asked, content.decode("utf-8", "replace"), Unreachable)
    try:
        if opening == b"{":
            if not content.strip()[1:-1].strip() and content.rstrip().endswith(b"}"):
                return None
            if len(content) <= SPOKEN_BYTES_MAX:
                _raise_spoken(asked, _SPOKEN.decode(content))
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not content.rstrip().endswith((b"}", b"]")):
            raise Unreachable(f"{asked}: an answer that is cut off") from None
        raise Inconsistent(f"{asked}: an answer that cannot be read: {error}") from None


def _raise_spoken(asked: str, said: _Spoken) -> None:
    told = said.java if said.java is not None else said.gateway
    if told is None and said.code is not None and said.message is not None:
        told = said.message
    if told is None and isinstance(said.result, dict) and "code" in said.result:
        told = said.result.get("message", said.result["code"])
    if told is not None:
        raise classify(asked, str(told), Refused)


def classify(asked: str, words: str, otherwise: type[ChainError]) -> ChainError:
    """Which weather a node's or a gateway's words mean."""
    text = " ".join(words[: 4 * _QUIET].split())[:_QUIET]
    shown = "".join(one if one.isprintable() else "?" for one in text)
    for kind, form in _WORDINGS:
        if form.search(text) is not None:
            return kind(f"{asked}: {shown}")
    return classify_text(asked, text.encode(), otherwise)


def read_status(status: int, content: bytes) -> ChainError | None:
    """What a status means; a node that has an API switched off says 404, and 405 for one that it never had."""
    if status in {404, 405}:
        return UnknownMethod(f"HTTP {status}")
    if status in {403, 503} and (text := content[: 4 * _QUIET].decode("utf-8", "replace")):
        for kind, form in _WORDINGS[:1]:
            if form.search(text) is not None:
                return kind(f"HTTP {status}: the rate is refused")
    return read_http_status(status, content)
