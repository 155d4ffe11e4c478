"""What is kept of a stranger's answer, without the secrets that we sent there.

A receiver that fails may print the request it got, and with it the merchant's own headers, which are sealed here and shown
to nobody. Lives here, pure: taking their values out of an answer, and an answer's beginning as text that does nothing to
whoever looks at it. Does not live here: reading the answer (`egress`), keeping it (`settle`). Only what stands there as we
sent it is found; what a receiver encodes in its own way is its own affair.
"""

from __future__ import annotations

import unicodedata
from codecs import getincrementaldecoder
from collections.abc import Mapping

from relay.out.targets import is_ours

SHOWN_BYTES_MAX = 1_024
SECRET_LENGTH_MIN = 6
"""A shorter value guards nothing, and would take letters out of every answer."""
CUT_LENGTH_MIN = 4
"""Of a secret that the end of the excerpt cuts off, this much must be there to be taken for one."""
HIDDEN = b"[hidden]"
_KEPT_CONTROLS = frozenset("\t\n")


def hide_secrets(excerpt: bytes, headers: Mapping[str, str]) -> bytes:
    """The excerpt without the values of those of the sent `headers` that are the merchant's own."""
    if not excerpt:
        return excerpt
    secrets: set[bytes] = set()
    for name, value in headers.items():
        if not is_ours(name):  # a scheme before the secret (`Bearer …`) may be left out where it is repeated
            secrets.update(
                part.encode() for part in (value, *value.split()) if len(part) >= SECRET_LENGTH_MIN
            )
    hidden = excerpt
    for secret in sorted(secrets, key=len, reverse=True):
        hidden = _without_cut(hidden.replace(secret, HIDDEN), secret)
    return hidden


def _without_cut(excerpt: bytes, secret: bytes) -> bytes:
    for length in range(len(secret) - 1, CUT_LENGTH_MIN - 1, -1):
        if excerpt.endswith(secret[:length]):
            return excerpt[:-length] + HIDDEN
    return excerpt


def show_excerpt(excerpt: bytes) -> str:
    """The first KiB as text: no broken character at its end, nothing that moves a cursor or turns the reading around."""
    text = getincrementaldecoder("utf-8")("replace").decode(excerpt[:SHOWN_BYTES_MAX])
    return "".join(
        one if one in _KEPT_CONTROLS or unicodedata.category(one) not in {"Cc", "Cf"} else "\ufffd"
        for one in text
    )
