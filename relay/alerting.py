"""How this room rings the operator's bell: a kind and its detail, told to whoever was handed in.

Lives here: the type, and one for nobody. Does not live here: the bell (the gateway's), or what is worth an alert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

OnAlert = Callable[[str, Mapping[str, object]], None]


def no_alert(_kind: str, _detail: Mapping[str, object]) -> None:
    """For tests and tools that have nobody to tell."""
