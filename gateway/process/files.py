"""The files a process may open, and how they are shared: clients must not take those that webhooks and nodes need.

Lives here: raising the limit as far as the system lets us, and the shares, which are pure. Does not live here: counting
connections (`http.edge.connections`).
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

FILES_MAX = 65_536
"""What the service units ask for; more would only be memory."""
CONNECTIONS_MAX = 4_096
"""Of clients, some 30 kB each; far above the calls that run at once."""
BACKLOG_MAX = 128
"""Connections that are accepted in one go, before one of them can be turned away."""
CONNECTIONS_MIN = 8


@dataclass(frozen=True, slots=True)
class FileShares:
    """How many of the process's files clients may have, and how many more for a moment, until they are turned away."""

    connections: int = CONNECTIONS_MAX
    backlog: int = BACKLOG_MAX


def decide_shares(files_max: int) -> FileShares:
    """Half for clients; the other half for webhooks, nodes, the database and what the program itself opens."""
    half = files_max // 2
    backlog = max(1, min(BACKLOG_MAX, half // 8))
    return FileShares(max(CONNECTIONS_MIN, min(CONNECTIONS_MAX, half - backlog)), backlog)


def raise_file_limit() -> int:
    """Take what the system allows, up to FILES_MAX; how many files may be open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return FILES_MAX if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # a system with a lower limit of its own
        return soft
    return most
