"""How often Python looks for cyclic garbage: rarely, in a process that makes and drops objects all the time.

By default every 700 surviving allocations start a search, and the longer ones walk everything that lives: with a
thousand endpoints a third of a delivery's time. Almost all we make is freed by counting references; what is left in
cycles waits a little longer, for some megabytes. Lives here: the thresholds. Does not live here: when they are set
(`compose`, and benches that run a part of the program without it).
"""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 10, 10)
"""Objects that survive before the youngest are searched; searches of the young before one of the older, and so on."""


def collect_rarely() -> None:
    """Call once everything that lives as long as the process is there: it is never walked again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
