"""What addresses of other chains look like, so that one is refused by the name of its own.  Pure.

Forms only: nothing is checked here, and a form is not proof.  So a family asks
when its own reading has failed, and leaves out the names that are its own.
What only one family's people mix up stands beside that family's addresses.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

EVM: Final = "an EVM address"
TRON: Final = "a Tron address"
BITCOIN: Final = "a Bitcoin address"
LITECOIN: Final = "a Litecoin address"
DOGECOIN: Final = "a Dogecoin address"
SOLANA: Final = "a Solana address"

_B58: Final = "[1-9A-HJ-NP-Za-km-z]"

# Ordered: the first form that fits names the stranger.
_FORMS: Final = (
    (EVM, re.compile(r"0[xX][0-9a-fA-F]{40}")),
    (TRON, re.compile(rf"T{_B58}{{33}}|41[0-9a-fA-F]{{40}}")),
    (BITCOIN, re.compile(r"(?:bc1|BC1|tb1|TB1|bcrt1|BCRT1)[0-9a-zA-Z]{6,87}")),
    (LITECOIN, re.compile(rf"(?:ltc1|LTC1|ltcmweb1)[0-9a-zA-Z]{{6,130}}|[LM]{_B58}{{25,34}}")),
    (DOGECOIN, re.compile(rf"D{_B58}{{25,34}}")),
    (BITCOIN, re.compile(rf"[13mn2]{_B58}{{25,34}}")),
    ("a TON address", re.compile(r"[EUk0][Qf][0-9A-Za-z_+/-]{46}|-?[0-9]+:[0-9a-fA-F]{64}")),
    ("a transaction or block hash", re.compile(r"(?:0[xX])?[0-9a-fA-F]{64}")),
    (SOLANA, re.compile(rf"{_B58}{{32,44}}")),
)


def name_stranger(text: str, *, own: Collection[str]) -> str | None:
    """What the text looks like, with its article; None where it is like nothing but the names in `own`."""
    return next((name for name, form in _FORMS if name not in own and form.fullmatch(text)), None)
