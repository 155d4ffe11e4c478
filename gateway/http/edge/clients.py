"""Which client a request comes from, where trusted proxies stand between.

Lives here, pure: reading `X-Forwarded-For` and `Forwarded`, which anybody can write, only as far as trusted proxies wrote
them; and by what part of an address a client is counted. Does not live here: the setting (`[http] trusted_proxies`), what
is counted (`limits`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

HOP_CHARACTERS_MAX = 64
IPV6_PREFIX_BITS = 64
"""One home or one machine has that many addresses; counting each would count nothing."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def find_client(
    peer: str, forwarded_for: Sequence[str], forwarded: Sequence[str], trusted: Sequence[Network]
) -> str:
    """The rightmost hop that is no trusted proxy; the peer itself where it is none, or where a header can not be read.

    With both headers, of which a proxy may write one and pass the other on, they must name the same client.
    """
    address = parse_hop(peer)
    if address is None or not is_trusted(address, trusted):
        return peer if address is None else str(address)
    hops = (
        [hop for line in forwarded_for for hop in line.split(",")],
        [_for_of(element) for line in forwarded for element in line.split(",")],
    )
    named = {_rightmost_stranger(one, trusted) for one in hops if one}
    found = named.pop() if len(named) == 1 else None
    return str(address if found is None else found)


def parse_hop(text: str) -> Address | None:
    """An address as proxies write it, with a port or without; None for anything else."""
    text = text.strip()
    if not 0 < len(text) <= HOP_CHARACTERS_MAX:
        return None
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text.partition("%")[0], ""
    if port and not (port.isascii() and port.isdigit()):
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_trusted(address: Address, trusted: Iterable[Network]) -> bool:
    """Whether a proxy of ours has this address."""
    return any(address in network for network in trusted)


def share_of(place: str) -> str:
    """Who shares a client's share: an IPv4 address alone, an IPv6 address with its network."""
    address = parse_hop(place)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), IPV6_PREFIX_BITS), strict=False))
    return place if address is None else str(address)


def _rightmost_stranger(hops: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    found: Address | None = None
    for hop in reversed(hops):
        found = parse_hop(hop)
        if found is None or not is_trusted(found, trusted):
            return found
    return found


def _for_of(element: str) -> str:
    """The `for` of one element; commas in quotes can only be a stranger's, and what follows them is read first."""
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""
