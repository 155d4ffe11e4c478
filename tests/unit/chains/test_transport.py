"""Endpoints show their host and nothing else; waits are read with a bound.

The exchange itself is tested against a real node behind the fault proxy
(`tests/live_evm/test_weather.py`).
"""

from __future__ import annotations

import pytest

from chains.evm.source import EvmSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.transport import parse_retry_after
from tests.devnet.local import local_traits


@pytest.mark.parametrize(
    ("url", "host", "operator"),
    [
        ("https://user:secret@mainnet.example.org/v3/secret?k=secret", "mainnet.example.org", "example.org"),
        ("https://base.example.org:443/x", "base.example.org", "example.org"),
        ("http://localhost:8545", "localhost:8545", "localhost"),
        ("ws://127.0.0.1:8546", "127.0.0.1:8546", "127.0.0.1"),
        ("http://[::1]:8545", "[::1]:8545", "::1"),
        ("http://10.0.0.1", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_an_endpoint_is_known_by_its_host_only(url: str, host: str, operator: str) -> None:
    endpoint = NodeEndpoint(url, headers={"authorization": "secret"})
    assert (endpoint.host, endpoint.operator_name) == (host, operator)
    assert "secret" not in repr(endpoint)


def test_a_named_operator_is_the_operator() -> None:
    assert NodeEndpoint("http://a.example.org", operator="me").operator_name == "me"


async def test_two_endpoints_of_one_host_get_two_names() -> None:
    urls = ["http://node.test/a", "http://node.test/b", "wss://node.test/ws", "http://other.test"]
    async with EvmSource(local_traits(), [NodeEndpoint(url) for url in urls]) as source:
        assert [health.name for health in source.healths] == ["node.test", "node.test#2", "other.test"]
        assert source.operators_count == 2


async def test_a_chain_without_an_http_endpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one http"):
        EvmSource(local_traits(), [NodeEndpoint("ws://node.test")])


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        (None, None, None),
        ("7", None, 7),
        (" 7 ", None, 7),
        ("999999", None, 3600),
        ("soon", None, None),
        ("-1", None, None),
        ("Fri, 20 Nov 2026 10:00:30 GMT", "Fri, 20 Nov 2026 10:00:00 GMT", 30),
        ("Fri, 20 Nov 2026 09:00:00 GMT", "Fri, 20 Nov 2026 10:00:00 GMT", 0),
        ("Fri, 20 Nov 2026 10:00:30 GMT", None, None),
    ],
)
def test_how_long_to_wait_is_read_without_a_clock_of_our_own(
    text: str | None, date: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(text, date) == seconds
