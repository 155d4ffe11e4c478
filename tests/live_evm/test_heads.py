"""Hints over a websocket: they wake, they mislead nobody, and silence is noticed.

A real node behind the fault proxy.  What a woken follower does is not asked
here; that it need not be woken at all is the follower's own test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from chains.evm.heads import HeadsLost, HeadWatch, read_head
from chains.rpc.transport import Endpoint
from tests.faultproxy.proxy import FaultProxy, start_proxy
from tests.live_evm.conftest import Faulty, LocalChain

pytestmark = pytest.mark.live


@asynccontextmanager
async def watching(*urls: str, silence_s: float = 5.0) -> AsyncIterator[tuple[HeadWatch, asyncio.Event]]:
    """A running watch and the event its hints set."""
    hinted = asyncio.Event()
    watch = HeadWatch("local", [Endpoint(url) for url in urls], 1.0, hinted.set, silence_s=silence_s)
    task = asyncio.create_task(watch.run())
    try:
        yield watch, hinted
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def hear_one(chain: LocalChain, hinted: asyncio.Event, *, within_s: float = 10.0) -> None:
    """Mine until a hint comes: a subscription may take a moment to stand."""
    hinted.clear()
    async with asyncio.timeout(within_s):
        while not hinted.is_set():
            await chain.node.mine()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await hinted.wait()


async def test_a_new_head_wakes_whoever_waits(faulty: Faulty) -> None:
    task = asyncio.create_task(faulty.source.run_hints())
    try:
        async with asyncio.timeout(10):
            while not await faulty.source.wait_for_hint(0.2):
                await faulty.chain.node.mine()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_without_a_websocket_there_is_only_the_timer(chain: LocalChain) -> None:
    async with watching() as (watch, hinted):
        await asyncio.sleep(0)
        assert watch.subscribed_to == ""
        assert not hinted.is_set()


async def test_case_051_a_silent_subscription_is_left_for_another_provider(chain: LocalChain) -> None:
    async with start_proxy(chain.node.url) as silent, start_proxy(chain.node.url) as sound:
        silent.sockets.silent = True
        async with watching(silent.ws_url, sound.ws_url, silence_s=0.4) as (watch, hinted):
            await hear_one(chain, hinted)
            assert watch.subscribed_to.endswith(str(sound.port))
        assert silent.sockets.connections >= 1


async def test_case_051_a_closed_subscription_is_opened_again(faulty: Faulty) -> None:
    async with watching(faulty.proxy.ws_url) as (_, hinted):
        await hear_one(faulty.chain, hinted)
        await faulty.proxy.sockets.cut()
        await hear_one(faulty.chain, hinted)
    assert faulty.proxy.sockets.connections >= 2


async def test_case_051_a_provider_that_refuses_is_retried_with_growing_pauses(faulty: Faulty) -> None:
    faulty.proxy.sockets.refuses = True
    async with watching(faulty.proxy.ws_url) as (_, hinted):
        await asyncio.sleep(1.5)
        refused = faulty.proxy.sockets.connections
        assert 1 <= refused <= 8, "a refusal must not become a busy loop"
        faulty.proxy.sockets.refuses = False
        await hear_one(faulty.chain, hinted)


@pytest.mark.parametrize("trick", ["repeats", "reorders", "drops"])
async def test_case_051_repeated_reordered_and_lost_heads_still_wake(faulty: Faulty, trick: str) -> None:
    bend(faulty.proxy, trick)
    async with watching(faulty.proxy.ws_url) as (watch, hinted):
        await hear_one(faulty.chain, hinted)
        before = watch.hints_count
        await faulty.chain.node.mine(6)
        await asyncio.sleep(0.5)
        # Two more may have been under way; with five repeats there would be thirty.
        assert 0 < watch.hints_count - before <= 8, "one hint a head at most, none needed for each"


def bend(proxy: FaultProxy, trick: str) -> None:
    if trick == "repeats":
        proxy.sockets.repeats = 5
    elif trick == "reorders":
        proxy.sockets.reorders = True
    else:
        proxy.sockets.drops_every = 3


async def test_case_050_a_removed_log_on_the_wire_is_not_even_a_hint(faulty: Faulty) -> None:
    async with watching(faulty.proxy.ws_url) as (watch, hinted):
        await hear_one(faulty.chain, hinted)
        before = watch.hints_count
        await faulty.proxy.sockets.inject({"removed": True, "address": "0x1", "topics": [], "data": "0x"})
        await asyncio.sleep(0.2)
        assert watch.hints_count == before


async def test_a_gone_provider_does_not_stop_the_watch(faulty: Faulty) -> None:
    async with watching("ws://127.0.0.1:9", faulty.proxy.ws_url) as (watch, hinted):
        await hear_one(faulty.chain, hinted)
        assert watch.subscribed_to.endswith(str(faulty.proxy.port))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        "not JSON",
        b"\xff",
        "[" * 5000,
        '{"jsonrpc":"2.0","id":1,"result":"0x1"}',
        '{"method":"eth_subscription"}',
        '{"method":"eth_subscription","params":{"result":"0x1"}}',
        '{"method":"other","params":{"result":{"hash":"0x1"}}}',
    ],
)
def test_messages_that_are_no_heads_are_nothing(message: str | bytes) -> None:
    assert read_head(message) is None


def test_a_refused_subscription_is_lost() -> None:
    with pytest.raises(HeadsLost):
        read_head('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"notifications not supported"}}')
