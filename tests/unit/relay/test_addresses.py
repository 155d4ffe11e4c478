"""Where a webhook may go: literals in every spelling, carriers of IPv4, names."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.out.addresses import host_of, judge_address, judge_url, names_this_machine

FORBIDDEN = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "192.31.196.1", "192.52.193.1", "192.175.48.1",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1", "2620:4f:8000::1", "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1", "name", "",
]  # fmt: skip
ALLOWED = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.1", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "64:ff9b::808:808",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_ours_or_nobodys_is_forbidden(address: str) -> None:
    assert judge_address(address) is not None


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_is_allowed(address: str) -> None:
    assert judge_address(address) is None


@given(st.ip_addresses())
def test_whatever_python_calls_private_is_forbidden(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    risky = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
    )
    nat64 = isinstance(address, ipaddress.IPv6Address) and address in ipaddress.IPv6Network("64:ff9b::/96")
    if risky and not nat64:
        assert judge_address(str(address)) is not None


@given(st.ip_addresses(v=4))
def test_an_address_inside_nat64_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    carried = str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address)))
    assert (judge_address(carried) is None) == (judge_address(str(address)) is None)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook", "https://example.com", "https://example.com:443/a?b=c", "https://EXAMPLE.com.",
        "https://xn--bcher-kva.example/", "https://1.1.1.1/", "https://[2606:4700:4700::1111]/x", "https://a_b.example.com",
        "HTTPS://example.com",
    ],
)  # fmt: skip
def test_a_url_of_a_stranger_is_accepted(url: str) -> None:
    assert judge_url(url, allow_private_networks=False) is None


LITERALS = [
    "https://127.0.0.1/", "https://10.1.2.3/", "https://169.254.169.254/latest/meta-data", "https://[::1]/",
    "https://[::ffff:127.0.0.1]/", "https://[fd00:ec2::254]/", "https://localhost/", "https://a.localhost/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://LOCALHOST./", "https://100.64.0.1/",
    "https://[::7f00:1]/", "https://[2001::1]/", "https://[ff02::1]/", "https://224.0.0.1/", "https://[fe80::1]/",
]  # fmt: skip
NEVER = [
    "http://2130706433/", "http://0177.0.0.1/", "http://127.1/", "http://0x7f000001/", "http://0x7f.0.0.1/",
    "http://127.0.0.1./", "http://017700000001", "http://1.2.3.4.5/", "http://256.1.1.1/", "http://127.0.0.0x1",
    "ftp://example.com/", "//example.com", "example.com", "https://", "https:///path", "https://user@example.com/",
    "https://user:pw@example.com/", "https://example.com/#x", "https://example.com/#", "https://example.com:0/",
    "https://example.com:99999/", "https://example.com:/", "https://exa mple.com/", "https://example.com/\r\nx: y",
    "https://example.com/\x00", "https://bücher.example/", "https://example.com\\@127.0.0.1/", "https://[::1%25eth0]/",
    "https://[::1/", "https://-a.example/", "https://a..example/", "https://" + "a" * 64 + ".example/",
    "https://example.com/" + "a" * 2048, "file:///etc/passwd", "https://exa%6dple.com/", "https://[fe80::1%25lo]/",
]  # fmt: skip


@pytest.mark.parametrize("url", LITERALS)
def test_a_literal_private_address_needs_the_setting(url: str) -> None:
    assert judge_url(url, allow_private_networks=False) is not None
    assert judge_url(url, allow_private_networks=True) is None


@pytest.mark.parametrize(
    "url, ports, allowed",
    [
        ("https://example.com/", {443}, True),
        ("https://example.com:8443/", {443}, False),
        ("https://example.com:8443/", {443, 8443}, True),
        ("https://example.com/", {8443}, False),
        ("https://example.com:22/", {443}, False),
        ("http://example.com/", {443}, False),
        ("http://example.com/", {80, 443}, False),
        ("http://example.com:443/", {443}, False),
    ],
)
def test_strangers_are_called_by_https_at_allowed_ports_only(
    url: str, ports: set[int], allowed: bool
) -> None:
    assert (judge_url(url, allow_private_networks=False, allowed_ports=ports) is None) == allowed
    assert judge_url(url, allow_private_networks=True, allowed_ports=ports) is None


@pytest.mark.parametrize(
    "url, host, ours",
    [
        ("https://Shop.Example./hook", "shop.example", False),
        ("https://shop.example:8443", "shop.example", False),
        ("https://[2606:4700::1111]/", "2606:4700::1111", False),
        ("http://127.0.0.1:1/", "127.0.0.1", True),
        ("http://[::1]/", "::1", True),
        ("http://LOCALHOST./", "localhost", True),
        ("http://shop.localhost/", "shop.localhost", True),
        ("http://10.0.0.1/", "10.0.0.1", False),
        ("http://notlocalhost/", "notlocalhost", False),
    ],
)
def test_a_host_is_compared_without_case_and_root_and_known_as_this_machine(
    url: str, host: str, ours: bool
) -> None:
    assert host_of(url) == host
    assert names_this_machine(host) == ours


@pytest.mark.parametrize("url", NEVER)
def test_what_is_no_plain_url_is_never_accepted(url: str) -> None:
    for allowed in (False, True):
        assert judge_url(url, allow_private_networks=allowed) is not None


@given(st.text(max_size=60))
def test_judging_any_text_is_an_answer_not_an_accident(text: str) -> None:
    judge_url(text, allow_private_networks=False)
    judge_url("https://" + text, allow_private_networks=True)
    judge_address(text)
