"""Whose request it is: a proxy is believed exactly as far as it is trusted, and nobody else is."""

from __future__ import annotations

import ipaddress

import pytest

from gateway.http.edge.clients import find_client, share_of

TRUSTED = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8"))
PROXY = "10.0.0.1"
CASES = [
    # peer, X-Forwarded-For, Forwarded, client
    ("203.0.113.7", ["198.51.100.1"], [], "203.0.113.7"),
    (PROXY, [], [], PROXY),
    (PROXY, ["198.51.100.1"], [], "198.51.100.1"),
    (PROXY, ["6.6.6.6, 198.51.100.1"], [], "198.51.100.1"),
    (PROXY, ["6.6.6.6", "198.51.100.1"], [], "198.51.100.1"),
    (PROXY, ["198.51.100.1, 10.0.0.2"], [], "198.51.100.1"),
    (PROXY, ["10.0.0.3, 10.0.0.2"], [], "10.0.0.3"),
    (PROXY, ["198.51.100.1:4711"], [], "198.51.100.1"),
    (PROXY, ["[2001:db8::1]:4711"], [], "2001:db8::1"),
    (PROXY, ["2001:db8::1"], [], "2001:db8::1"),
    (PROXY, ["::ffff:198.51.100.1"], [], "198.51.100.1"),
    ("::ffff:10.0.0.1", ["198.51.100.1"], [], "198.51.100.1"),
    (PROXY, ["6.6.6.6, nonsense"], [], PROXY),
    (PROXY, ["6.6.6.6, "], [], PROXY),
    (PROXY, ["6.6.6.6, unknown"], [], PROXY),
    (PROXY, ["6.6.6.6,1.2.3.4:x"], [], PROXY),
    (PROXY, [",".join(["6.6.6.6"] * 2_000)], [], "6.6.6.6"),
    (PROXY, ["9" * 10_000], [], PROXY),
    (PROXY, [], ["for=198.51.100.1;proto=https"], "198.51.100.1"),
    (PROXY, [], ['For="[2001:db8::1]:4711"'], "2001:db8::1"),
    (PROXY, [], ["for=6.6.6.6, for=198.51.100.1"], "198.51.100.1"),
    (PROXY, [], ['for="6.6.6.6, for=198.51.100.1'], "198.51.100.1"),
    (PROXY, [], ["for=6.6.6.6, for=_hidden"], PROXY),
    (PROXY, [], ["by=6.6.6.6"], PROXY),
    (PROXY, ["198.51.100.1"], ["for=198.51.100.1"], "198.51.100.1"),
    (PROXY, ["198.51.100.1"], ["for=6.6.6.6"], PROXY),
]


@pytest.mark.parametrize(("peer", "forwarded_for", "forwarded", "client"), CASES)
def test_the_client_is_the_rightmost_hop_that_is_not_ours(
    peer: str, forwarded_for: list[str], forwarded: list[str], client: str
) -> None:
    assert find_client(peer, forwarded_for, forwarded, TRUSTED) == client


def test_without_trusted_proxies_nothing_that_is_said_counts() -> None:
    assert find_client(PROXY, ["198.51.100.1"], ["for=198.51.100.1"], ()) == PROXY


def test_an_ipv6_network_is_one_share_and_an_ipv4_address_is() -> None:
    assert share_of("2001:db8::1") == share_of("2001:db8::ffff:1") != share_of("2001:db8:0:1::1")
    assert share_of("198.51.100.1") != share_of("198.51.100.2")
