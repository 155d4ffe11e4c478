"""The one reader of quantities: numbers as nodes spell them.

The specification wants "0x1a" without leading zeros; nodes also write "0x01",
"0x", "0X1A" and plain JSON numbers, and all of them mean what they say.  What
could mean two numbers ("10"), or may have lost digits on its way (a JSON
number above 2^53, a fraction), is refused.  What a quantity is of is `rows`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

NUMBER_MAX: Final = 2**53 - 1
"""Above it a JSON number may already have been rounded by whoever wrote it."""

DIGITS_MAX: Final = 128
"""Of one quantity, leading zeros included; 64 of them may count."""

_QUANTITY: Final = re.compile(rf"0[xX]([0-9a-fA-F]{{0,{DIGITS_MAX}}})")


def read_quantity(text: str) -> int:
    """A non-negative integer of up to 256 bits; raises ValueError."""
    found = _QUANTITY.fullmatch(text)
    value = -1 if found is None else int(found[1] or "0", 16)
    if value < 0 or value >> 256:
        raise ValueError(f"not a quantity: {text[:80]!r}")
    return value


def spell_numbers(raw: bytes | msgspec.Raw) -> bytes:
    """The same JSON with its whole numbers as quantities; others stay, for the decoder to refuse.

    Raises `msgspec.MsgspecError` and RecursionError on what is no JSON.
    """
    return msgspec.json.encode(_spell(msgspec.json.decode(raw)))


def _spell(value: Any) -> Any:
    match value:
        case dict():
            return {name: _spell(member) for name, member in value.items()}
        case list():
            return [_spell(item) for item in value]
        case bool():
            return value
        case int() if 0 <= value <= NUMBER_MAX:
            return hex(value)
        case _:
            return value
