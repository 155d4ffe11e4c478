"""What a node's error object means: the weather behind codes and wordings.

Codes are few and used loosely, so the message decides first and the code only
where no wording is known.  New wordings are a line in `_WORDINGS` and one in
its test.  What HTTP itself says is read here too.  Pairing answers with calls
is `chains.rpc.jsonrpc`.
"""

from __future__ import annotations

import re

from chains.errors import ChainError, Missing, Refused, Throttled, Unreachable

DETAIL_LENGTH_MAX = 200
"""How much of a stranger's message is kept in ours."""


class UnknownMethod(Refused):
    """The node does not have the method: another way must be found."""


class TooLarge(Refused):
    """The batch or its answer is larger than the provider, or we, allow."""


class NoBatches(Refused):
    """The provider does not take several calls at once."""


class Unanswered(Unreachable):
    """A call of a batch was left out of its answer; alone it may well be answered."""


_Kind = type[ChainError]

# Ordered: the first that matches decides, so the narrow stand before the wide.
_WORDINGS: tuple[tuple[_Kind, str], ...] = (
    (TooLarge, r"batch.{0,40}(?:more than|over|above|greater)"),
    (NoBatches, r"batch.*(?:not (?:supported|allowed|enabled)|disabled)"),
    (TooLarge, r"batch.*(?:too (?:large|many|big|long)|limit|exceed|maximum|max)"),
    (
        TooLarge,
        r"(?:too many|maximum|max).{0,40}(?:calls|requests|items|batch).{0,20}(?:batch|array|payload|at once)",
    ),
    (TooLarge, r"(?:response|result|content|payload|body).{0,30}(?:too large|too big|size exceed|exceeds)"),
    (TooLarge, r"query returned more than|(?:max|maximum) response size|request entity too large"),
    (Throttled, r"too many requests|rate.?limit|requests? per (?:second|minute|day)"),
    (
        Throttled,
        r"throughput|compute units|\brps\b|(?:calls?|requests?|req) ?(?:/|per) ?(?:s|sec|second|min)\b",
    ),
    (Throttled, r"work queue depth exceeded"),
    (Throttled, r"(?:rate|requests?) (?:limit )?(?:limit|exceeded|reached)|/ ?second"),
    (Throttled, r"(?:quota|capacity|credits?|daily|monthly).{0,40}(?:exceed|exhaust|reach|limit)"),
    (UnknownMethod, r"method.{0,80}(?:not found|not supported|unsupported|does not exist)"),
    (UnknownMethod, r"method.{0,80}(?:not available|not allowed)"),
    (UnknownMethod, r"(?:unsupported|unknown|unavailable|no such) method|not (?:yet )?implemented"),
    (UnknownMethod, r"method.{0,80}(?:white|allow)-?list"),
    (
        Refused,
        r"(?:not (?:available|supported|allowed|included|enabled)|requires).{0,60}(?:tier|plan|add-?on)",
    ),
    (Refused, r"pruned|history.{0,30}(?:unavailable|not available)|missing trie node|archive"),
    (Refused, r"state.{0,40}(?:not available|unavailable)|old data not available"),
    (Missing, r"(?:header|block|receipts?|resource|transaction).{0,90}not (?:be )?found"),
    (Missing, r"unknown block|no (?:such )?block|block does not exist|invalid block hash"),
    (Missing, r"block height out of range"),
    (Missing, r"beyond (?:the )?(?:current )?head|(?:block|height).{0,60}in the future"),
    (Missing, r"(?:block|height).{0,60}not (?:yet )?(?:available|imported|mined)"),
    (Unreachable, r"time[d ]?-?\s?out|deadline|overloaded|temporar|try again|unavailable"),
    (Unreachable, r"upstream|connection|no (?:healthy|available) (?:node|backend)"),
    (Refused, r"unauthori[sz]ed|forbidden|invalid (?:api|project) ?(?:key|id)|denied"),
)

_FORMS = tuple((re.compile(form, re.IGNORECASE), kind) for kind, form in _WORDINGS)

_KIND_BY_CODE: dict[int, _Kind] = {
    -28: Unreachable,
    429: Throttled,
    -32001: Missing,
    -32002: Unreachable,
    -32004: UnknownMethod,
    -32005: Throttled,
    -32007: Throttled,
    -32029: Throttled,
    -32601: UnknownMethod,
    -32603: Unreachable,
}


def classify_error(method: str, code: int, message: str) -> ChainError:
    """Which weather a node's error object means; unknown ones are `Refused`.

    Codes: JSON-RPC 2.0, EIP-1474, execution-apis; messages: as geth, erigon,
    nethermind, besu, reth, anvil, bitcoind and the large hosting providers word them.
    """
    text = " ".join(message.split())[:DETAIL_LENGTH_MAX]
    detail = f"{method}: {text} ({code})"
    for form, kind in _FORMS:
        if form.search(text) is not None:
            return kind(detail)
    return _KIND_BY_CODE.get(code, Refused)(detail)


def read_http_status(status: int, content: bytes) -> ChainError | None:
    """What a status means by itself, with the words beside it; None where the exchange went well.

    For protocols whose answers say no more under an error; one that does reads
    them first.
    """
    if 200 <= status < 300:
        return None
    if status == 413:
        return TooLarge("HTTP 413")
    kind = Unreachable if status >= 500 or status in (408, 425) else Refused
    words = b"" if content.lstrip()[:1] == b"<" else content[: 4 * DETAIL_LENGTH_MAX]
    return classify_text(f"HTTP {status}", words, kind)


def classify_text(detail: str, body: bytes, otherwise: _Kind) -> ChainError:
    """Which weather words outside of JSON-RPC mean: a page, a line, a gateway's own JSON.

    Only what is about our manner of asking is taken from them, since nothing
    says which call they are about; else it is `otherwise`.
    """
    text = " ".join(body.decode("utf-8", "replace").split())[:DETAIL_LENGTH_MAX]
    shown = "".join(character if character.isprintable() else "?" for character in text)
    for form, kind in _FORMS:
        if kind in (NoBatches, TooLarge, Throttled) and form.search(text) is not None:
            return kind(f"{detail}: {shown}")
    return otherwise(f"{detail}: {shown}" if shown else detail)
