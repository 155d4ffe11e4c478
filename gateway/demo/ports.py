"""A port for a program that is about to be started.

The kernel gives the ports of its own range to whatever connects or binds next, so one that was free when it was chosen
may be somebody's source port when the program comes to bind it.  Those below the range are nobody's who did not ask.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOWEST: Final = 10_240
HIGHEST_USUAL: Final = 32_767
"""Linux's own range begins above it, unless somebody configured another."""

PORT_COUNT_MIN: Final = 4_096
_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _list_ports() -> Iterator[int]:
    """Those below the kernel's range, over and over, from a place of this process's own."""
    try:
        highest = int(_RANGE_FILE.read_text(encoding="ascii").split()[0]) - 1
    except (OSError, ValueError, IndexError):
        highest = HIGHEST_USUAL
    if highest - LOWEST < PORT_COUNT_MIN:
        highest = HIGHEST_USUAL
    count = highest - LOWEST + 1
    first = int.from_bytes(os.urandom(4), "big") % count
    return (LOWEST + (first + step) % count for step in itertools.count())


_PORTS: Final = _list_ports()


def choose_port() -> int:
    """A loopback port that is free now, another one with each call."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
