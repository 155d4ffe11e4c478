"""What schemathesis loads before it calls anybody (SCHEMATHESIS_HOOKS): no two of its calls share an Idempotency-Key.

It invents few and short keys, and would take a replayed answer, whose object was deleted since, for a lost one. That keys
replay is tested in `test_idempotency`.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import schemathesis

HEADER = "Idempotency-Key"
KEY_CHARACTERS_MAX = 200
_numbers = count()


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """The same call under a key of its own; a key that is refused anyway stays as it is."""
    key = (case.headers or {}).get(HEADER)
    if isinstance(key, str) and 0 < len(key) < KEY_CHARACTERS_MAX and key.isascii() and key.isprintable():
        case.headers[HEADER] = f"{key}{next(_numbers)}"
    return case
