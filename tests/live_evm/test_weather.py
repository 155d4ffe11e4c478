"""Broken exchanges become the right weather, and what a provider cannot take is split.

A real node behind the fault proxy; every fault names the error it must turn
into.  Lies inside sound exchanges are `test_lies.py`.
"""

from __future__ import annotations

import resource
import time

import pytest

from chains.errors import Inconsistent, Refused, Throttled, Unreachable
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.refusals import TooLarge
from chains.rpc.transport import Request
from tests.faultproxy import faults
from tests.faultproxy.faults import Delay, Exchange, Flood, Raw, Reset, Shuffled, Status, Truncate, WebPage
from tests.live_evm.conftest import Faulty, MakeSource, paid_to

pytestmark = pytest.mark.live

CHAIN_ID_CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'


WEATHER: dict[str, tuple[Exchange, type[Exception]]] = {
    "reset": (Reset(), Unreachable),
    "cut": (Truncate(0.5), Unreachable),
    "cut politely": (Truncate(0.5, honest=True), Unreachable),
    "cut to nothing": (Truncate(0.0, honest=True), Unreachable),
    "throttled": (Status(429), Throttled),
    "bad gateway": (Status(502), Unreachable),
    "overloaded": (Status(503, "busy"), Unreachable),
    "overloaded, in JSON": (Status(503, '{"message":"no server is available"}'), Unreachable),
    "a greeting in JSON": (Raw(b'{"hello":"world"}'), Unreachable),
    "timed out upstream": (Status(504), Unreachable),
    "a web page": (WebPage(), Unreachable),
    "a web page with an error status": (WebPage(503), Unreachable),
    "key refused": (Status(401), Refused),
    "forbidden": (Status(403, '{"jsonrpc":"2.0","error":{}}'), Refused),
    "no such path": (Status(404), Refused),
    "moved elsewhere": (Status(301, headers={"location": "http://127.0.0.2:1/"}), Refused),
    "moved to another host": (Status(307, headers={"location": "http://localhost:1/"}), Refused),
    "not JSON": (Raw(b"hello"), Unreachable),
    "JSON of another kind": (Raw(b'[1, 2, "three"]'), Unreachable),
    "an empty list": (Raw(b"[]"), Unreachable),
    "broken UTF-8": (Raw(b'{"result":"\xff\xfe"}'), Inconsistent),
    "endless nesting": (Raw(b"[" * 100_000), Unreachable),
    "a throttle for the batch": (
        Raw(b'[{"id":null,"error":{"code":-32005,"message":"rate limit exceeded"}}]'),
        Throttled,
    ),
}


@pytest.mark.parametrize("name", WEATHER)
async def test_case_108_broken_exchanges_are_weather(faulty: Faulty, name: str) -> None:
    exchange, kind = WEATHER[name]
    assert (await faulty.provider.fetch_head_report()).head.height > 0
    # For long: what one exchange refuses may be a batch only, and is asked again otherwise.
    faulty.proxy.next_exchange(*[exchange] * 20)
    with pytest.raises(kind) as caught:
        await faulty.provider.fetch_head_report()
    assert str(caught.value).startswith(f"127.0.0.1:{faulty.proxy.port}: ")
    faulty.proxy.heal()
    assert (await faulty.provider.fetch_head_report()).head.height > 0, "the next exchange is sound again"


async def test_a_throttled_provider_says_for_how_long(faulty: Faulty) -> None:
    faulty.proxy.next_exchange(Status(429, headers={"retry-after": "7"}))
    with pytest.raises(Throttled) as caught:
        await faulty.provider.fetch_head_report()
    assert caught.value.retry_after_s == 7.0


async def test_a_node_that_is_gone_is_unreachable(make_source: MakeSource, faulty: Faulty) -> None:
    source = make_source(faulty.chain.traits(), "http://user:secret@127.0.0.1:9/key-in-the-path?k=secret")
    with pytest.raises(Unreachable) as caught:
        await source.choose_provider().fetch_head_report()
    assert "secret" not in str(caught.value) + repr(caught.value) + repr(source.choose_provider())
    assert "key-in-the-path" not in str(caught.value) + repr(source.healths)


@pytest.mark.parametrize("bomb", [False, True], ids=["streamed", "compressed"])
async def test_an_endless_answer_is_cut_and_its_memory_bounded(faulty: Faulty, bomb: bool) -> None:
    await faulty.provider.fetch_head_report()
    transport = faulty.provider.node._transport
    transport._response_bytes_max = 1024 * 1024
    faulty.proxy.next_exchange(Flood(64 * 1024 * 1024, bomb=bomb))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        await transport.send(Request(CHAIN_ID_CALL))
    # The proxy of this same process holds what it sends; the client must add little to it.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 160 * 1024


async def test_a_slow_answer_is_given_up_at_the_deadline(faulty: Faulty) -> None:
    provider = faulty.provider
    await provider.fetch_head_report()
    provider.node._transport._deadline_s = 0.2
    faulty.proxy.next_exchange(Delay(5))
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        await provider.fetch_headers(0, 1)
    assert time.monotonic() - began < 4.5


async def test_answers_out_of_order_and_twice_do_no_harm(faulty: Faulty) -> None:
    await faulty.provider.fetch_head_report()
    await faulty.chain.pay(7)
    faulty.proxy.next_exchange(Shuffled())
    assert paid_to(await faulty.fetch_newest()) == [("token", 7)]


async def test_a_call_left_unanswered_spoils_the_fetch(faulty: Faulty) -> None:
    faulty.proxy.bend("eth_getBlockByHash", faults.unanswered)
    with pytest.raises(Unreachable, match="lost"):
        await faulty.paid_block()


async def test_a_provider_that_takes_no_batches_is_asked_one_by_one(faulty: Faulty) -> None:
    refusal = Raw(
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not supported"}}'
    )
    faulty.proxy.next_exchange(refusal)
    assert paid_to(await faulty.paid_block()) == [("token", 1_500_000)]
    assert faulty.provider.node.batches.size.calls_max == 1


async def test_a_provider_with_small_batches_gets_small_ones(faulty: Faulty) -> None:
    await faulty.chain.node.mine(12)
    await faulty.provider.fetch_head_report()
    faulty.proxy.next_exchange(Status(413), Status(413))
    headers = await faulty.provider.fetch_headers(0, 12)
    assert [header.height for header in headers] == list(range(13))
    assert faulty.provider.node.batches.size.calls_max < 13


async def test_a_batch_too_large_for_us_is_split_not_lost(faulty: Faulty) -> None:
    for amount in range(1, 9):
        await faulty.chain.pay(amount)
    provider = faulty.provider
    await provider.fetch_head_report()
    provider.node._transport._response_bytes_max = 12_000
    blocks = await provider.fetch_blocks(1, 9)
    assert [paid_to(block) for block in blocks[1:]] == [[("token", amount)] for amount in range(1, 9)]


async def test_a_bad_day_does_not_make_us_ask_one_by_one_for_ever(faulty: Faulty) -> None:
    size = faulty.provider.node.batches.size
    await faulty.provider.fetch_head_report()
    for exchange in (Status(503, '{"message":"no server is available"}'), Raw(b"{}")):
        faulty.proxy.next_exchange(exchange)
        with pytest.raises(Unreachable):
            await faulty.provider.fetch_head_report()
        assert size.calls_max == 100
    size.narrow(1)
    size.full_batches_taken = 198
    await faulty.provider.fetch_headers(0, 1)
    assert size.calls_max == 2


async def test_a_batch_is_no_larger_than_a_second_of_the_budget(
    faulty: Faulty, make_source: MakeSource
) -> None:
    await faulty.chain.node.mine(9)
    slow = NodeEndpoint(faulty.proxy.url, requests_per_s=4)
    provider = make_source(faulty.chain.traits(), slow).choose_provider()
    before = faulty.proxy.http_exchanges
    assert len(await provider.fetch_headers(0, 9)) == 10
    assert faulty.proxy.http_exchanges - before == 4, "one for the identity, then 4, 4 and 2 calls"
