"""One configured URL of a node: whose it is, how it is shown, how much may be asked of it.

Free of any client: reading a configuration needs none.  Asking it is `transport`; what is remembered of
its node is `endpoints`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL


@dataclass(frozen=True, slots=True)
class NodeEndpoint:
    """One configured URL of a node; its secrets stay out of `repr`.

    `operator` empty means: derived from the host.  `requests_per_s` None
    means: no budget known, learn it from refusals.  `cookie_file` holds
    "user:password" as the node last wrote it, and is read again when the node
    refuses what it held.
    """

    url: str = field(repr=False)
    operator: str = ""
    requests_per_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookie_file: Path | None = None

    @property
    def host(self) -> str:
        """Host and, where it is not the scheme's own, port: the name people see."""
        url = URL(self.url)
        host = url.host or "unnamed"
        shown = f"[{host}]" if ":" in host else host
        default_port = {"http": 80, "ws": 80, "https": 443, "wss": 443}.get(url.scheme)
        return shown if url.port in (None, default_port) else f"{shown}:{url.port}"

    @property
    def scheme(self) -> str:
        """Of the URL, in lower case."""
        return URL(self.url).scheme

    @property
    def only_hints(self) -> bool:
        """Whether it announces heads and answers nothing (which schemes do: `FamilyRules.hint_schemes`)."""
        return self.scheme not in ("http", "https")

    @property
    def operator_name(self) -> str:
        """Who runs it: as configured, else the host's last two labels.

        Two names under one registered domain count as one voice, which errs
        towards trusting less; an IP address is its own operator.
        """
        if self.operator:
            return self.operator
        host = URL(self.url).host or "unnamed"
        if ":" in host or host.replace(".", "").isdigit():
            return host
        return ".".join(host.split(".")[-2:])
