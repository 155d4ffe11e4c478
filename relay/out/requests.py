"""The bytes of one request: the URL as it was given, and a header that is one header.

What goes over the wire is cut out of the URL's text, byte for byte; nothing between an endpoint's URL and its receiver has an
opinion about dots, slashes or percent signs. Lives here, pure: `parse_place` and `encode_request`. Does not live here:
which URLs are accepted (`addresses.judge_url`, always asked first), connecting (`dial`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.out.addresses import HTTPS_PORT

_HTTP_PORT = 80
_REST = re.compile(r"[^:/?#]+://[^/?#]*")
_FIELDS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e]*\r\n)*")


class HeaderUnsendable(ValueError):
    """A header that would not be one header on the wire."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads. `host` is for names, addresses and certificates; `authority` is what the Host header says."""

    secure: bool
    host: str
    port: int
    authority: str
    target: str


def parse_place(url: str) -> Place:
    """The parts of a URL that was judged. The target is the rest of its text, as it is, with a "/" where none begins it."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    default_port = HTTPS_PORT if secure else _HTTP_PORT
    port = default_port if parts.port is None else parts.port
    host = (parts.hostname or "").rstrip(".")
    shown = f"[{host}]" if ":" in host else host
    found = _REST.match(url)
    assert found is not None, "a URL that was judged has a host"
    rest = url[found.end() :]
    return Place(
        secure=secure,
        host=host,
        port=port,
        authority=shown if port == default_port else f"{shown}:{port}",
        target=rest if rest.startswith("/") else "/" + rest,
    )


def encode_request(place: Place, headers: Mapping[str, str], body: bytes) -> bytes:
    """One POST. HeaderUnsendable if a header does not fit into one line."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not _FIELDS.fullmatch(fields) or fields.count("\r\n") != len(headers):
        raise HeaderUnsendable("a header does not fit into one line")
    head = f"POST {place.target} HTTP/1.1\r\nHost: {place.authority}\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body
