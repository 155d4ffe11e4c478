"""Where a webhook may go: which addresses are strangers on the public internet, and which are ours or nobody's.

Lives here, pure: the deny list (`judge_address`, for every address at connect time), what a URL may look like
(`judge_url`, when an endpoint is made and at every attempt: a literal is judged, a name is judged when connecting), and
whose host it names. Our own list, because `ipaddress.is_global` passes NAT64, 6to4 and IPv4-compatible forms on
Python 3.11. Does not live here: connecting (`egress`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

URL_LENGTH_MAX = 2048
HTTPS_PORT = 443

_FORBIDDEN_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; cloud metadata lives here too
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "168.63.129.16/32",  # a cloud's host agent, reachable from its machines only
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_PUBLIC_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries an IPv4 address we would not see
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_UNSENDABLE = re.compile(r"[^!-~]|\\")
"""Everything else goes over the wire as it was given."""
_ISATAP = re.compile(rb"[\x00\x02]\x00\x5e\xfe")
_NUMERIC_LABEL = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)")
_NAME = re.compile(
    r"(?=.{1,253}\.?$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)


def judge_address(text: str) -> str | None:
    """Why a connection to this address (as the socket layer spells it) is refused; None when it is allowed."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return "not an address"
    if isinstance(address, IPv4Address):
        return _judge_v4(address)
    if address in _NAT64:
        return _judge_v4(IPv4Address(address.packed[-4:]))
    return _judge_v6(address)


def judge_url(
    url: str, *, allow_private_networks: bool, allowed_ports: Collection[int] = (HTTPS_PORT,)
) -> str | None:
    """Why an endpoint may not have this URL, as a sentence; None when it may. A name is not resolved here.

    With `allow_private_networks` plain http and every port are accepted, too: it is for development.
    """
    if len(url) > URL_LENGTH_MAX:
        return f"a URL has at most {URL_LENGTH_MAX} characters"
    if unsendable := _UNSENDABLE.search(url):
        return (
            f"character {unsendable.start() + 1}, U+{ord(unsendable[0]):04X}, cannot be sent as it is: "
            "write it percent-encoded, and a name in its xn-- form"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "this is not a URL"
    if parts.scheme not in ("http", "https"):
        return "the URL must start with https:// or http://"
    if "@" in parts.netloc:
        return "a URL with a user name or password is not accepted: use a header"
    if parts.fragment or url.endswith("#"):
        return "a URL for requests has no fragment"
    if port == 0 or parts.netloc.endswith(":"):
        return "the port is missing or zero"
    if not allow_private_networks:
        if parts.scheme != "https":
            return "the URL must start with https://"
        if (port or HTTPS_PORT) not in allowed_ports:
            return f"port {port or HTTPS_PORT} is not among those that may be called"
    return _judge_host(parts, allow_private_networks=allow_private_networks)


def host_of(url: str) -> str:
    """The host of a URL that was judged, as it compares: lower case, without the dot of the root."""
    return (urlsplit(url).hostname or "").rstrip(".")


def names_this_machine(host: str) -> bool:
    """Whether this host, as `host_of` gives it, can only be the machine itself: loopback, by address or by name."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_numeric(host: str) -> bool:
    """Whether resolvers may read this host as an IPv4 address, in whatever spelling; a name it is not."""
    return _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None


def _judge_host(parts: SplitResult, *, allow_private_networks: bool) -> str | None:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        if "%" in host:
            return "an address with a zone is not accepted"
        return None if allow_private_networks else _as_sentence(judge_address(host))
    if is_numeric(host):
        if not _is_canonical_v4(host):
            return "an IPv4 address is written as four decimal numbers"
        return None if allow_private_networks else _as_sentence(judge_address(host))
    if not _NAME.fullmatch(host):
        return "the host is not a name or an address"
    if names_this_machine(host.rstrip(".")):
        return None if allow_private_networks else "the host is this machine"
    return None


def _as_sentence(reason: str | None) -> str | None:
    return None if reason is None else f"the address is not on the public internet ({reason})"


def _is_canonical_v4(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except ValueError:
        return False


def _judge_v4(address: IPv4Address) -> str | None:
    for network in _FORBIDDEN_V4:
        if address in network:
            return f"in {network}"
    return None


def _judge_v6(address: IPv6Address) -> str | None:
    if address not in _PUBLIC_V6:
        return "outside 2000::/3"
    for network in _FORBIDDEN_V6:
        if address in network:
            return f"in {network}"
    if _ISATAP.fullmatch(address.packed[8:12]):
        return "ISATAP"
    return None
