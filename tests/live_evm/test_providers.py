"""Several providers, or one that turns into another: who is asked, and who is refused.

Real nodes behind fault proxies.  How long a provider rests is decided in
`chains.rpc.endpoints` and tested with it.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from chains.errors import Missing, Throttled, Unreachable, WrongNetwork
from chains.evm.source import EvmSource
from chains.rpc import node
from chains.rpc.node_endpoint import NodeEndpoint
from tests.devnet.anvil import start_anvil
from tests.faultproxy import faults
from tests.faultproxy.faults import Delay, Reset, Status
from tests.faultproxy.proxy import start_proxy
from tests.live_evm.conftest import Faulty, LocalChain, MakeSource

pytestmark = pytest.mark.live


async def test_a_slow_head_is_asked_of_somebody_else_too(chain: LocalChain, make_source: MakeSource) -> None:
    async with start_proxy(chain.node.url) as slow, start_proxy(chain.node.url) as quick:
        source = make_source(chain.traits(), slow.url, quick.url)
        source._hedge.record(0.01)
        first, _ = await source.fetch_head_hedged()
        assert first.name.endswith(str(slow.port))
        slow.next_exchange(Delay(10))
        began = time.monotonic()
        provider, report = await source.fetch_head_hedged()
        assert provider.name.endswith(str(quick.port))
        assert report.head.height == 1
        assert time.monotonic() - began < 8


async def test_a_failed_head_is_asked_of_somebody_else_and_reported(
    chain: LocalChain, make_source: MakeSource
) -> None:
    async with start_proxy(chain.node.url) as broken, start_proxy(chain.node.url) as sound:
        source = make_source(chain.traits(), broken.url, sound.url)
        broken.next_exchange(Status(502))
        provider, _ = await source.fetch_head_hedged()
        assert provider.name.endswith(str(sound.port))
        assert source.choose_provider().name == provider.name
        assert [health.failures for health in source.healths] == [1, 0]


async def test_a_failed_head_nobody_else_can_answer_raises_what_happened(faulty: Faulty) -> None:
    faulty.proxy.next_exchange(Status(429, headers={"retry-after": "30"}))
    with pytest.raises(Throttled):
        await faulty.source.fetch_head_hedged()
    with pytest.raises(Unreachable, match="rest"):
        faulty.source.choose_provider()


async def test_two_providers_at_once_are_never_mixed_up(faulty: Faulty) -> None:
    await faulty.chain.pay(5)
    provider = faulty.provider
    async with asyncio.TaskGroup() as group:
        heads = [group.create_task(provider.fetch_head_report()) for _ in range(5)]
        history = [group.create_task(provider.for_backfill().fetch_blocks(0, 2)) for _ in range(5)]
    assert {task.result().head.height for task in heads} == {2}
    assert {len(task.result()) for task in history} == {3}


async def test_case_103_a_wrong_chain_id_is_found_once_it_is_asked_again(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    await faulty.provider.fetch_head_report()
    faulty.proxy.bend("eth_chainId", faults.constant("0x38"))
    await faulty.provider.fetch_head_report()
    monkeypatch.setattr(node, "IDENTITY_MAX_AGE_S", 0.0)
    with pytest.raises(WrongNetwork, match="serves chain 56, not 31337"):
        await faulty.provider.fetch_head_report()


async def test_case_103_a_node_that_changes_its_chain_is_refused(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    await faulty.paid_block()
    await faulty.chain.node.call("anvil_setChainId", 56)
    monkeypatch.setattr(node, "IDENTITY_MAX_AGE_S", 0.0)
    with pytest.raises(WrongNetwork):
        await faulty.provider.fetch_head_report()
    with pytest.raises(WrongNetwork):
        await faulty.provider.fetch_headers(0, 1)


async def test_case_103_an_upstream_swapped_behind_the_url_is_found_at_the_next_connection(
    faulty: Faulty,
) -> None:
    await faulty.provider.fetch_head_report()
    async with start_anvil("--timestamp", "1600000000") as impostor:
        await impostor.mine(3)
        faulty.proxy.upstream = impostor.url
        faulty.proxy.next_exchange(Reset())
        with pytest.raises(Unreachable):
            await faulty.provider.fetch_headers(0, 1)
        with pytest.raises(WrongNetwork, match="genesis"):
            await faulty.provider.fetch_headers(0, 1)


async def test_case_103_a_connection_renewed_in_silence_is_asked_who_it_is(faulty: Faulty) -> None:
    provider = faulty.provider
    await provider.fetch_head_report()
    async with start_anvil("--timestamp", "1600000000") as impostor:
        await impostor.mine(3)
        faulty.proxy.upstream = impostor.url
        faulty.proxy.drop_connections()
        await asyncio.sleep(0.05)
        with pytest.raises(WrongNetwork, match="genesis"):
            await provider.fetch_headers(0, 1)


async def test_case_103_the_first_provider_to_answer_does_not_decide_for_the_others(
    chain: LocalChain, make_source: MakeSource
) -> None:
    async with start_anvil("--timestamp", "1600000000") as impostor:
        source = make_source(chain.traits(), impostor.url, chain.node.url)
        wrong = source.choose_provider()
        await wrong.fetch_head_report()
        source.report_failure(wrong, Unreachable("gone"))
        right = source.choose_provider()
        source.pin_network(await right.fetch_network_id())
        assert (await right.fetch_head_report()).head.height == 1
        with pytest.raises(WrongNetwork):
            await wrong.fetch_head_report()


async def test_one_connection_is_asked_who_it_is_once(faulty: Faulty) -> None:
    for _ in range(5):
        await faulty.provider.fetch_headers(0, 1)
        await faulty.provider.fetch_head_report()
    assert faulty.proxy.calls["eth_chainId"] == 1


async def test_an_identity_that_grew_old_costs_one_call(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    await faulty.provider.fetch_head_report(safe=False, final=False)
    monkeypatch.setattr(node, "IDENTITY_MAX_AGE_S", 0.0)
    faulty.proxy.calls.clear()
    await faulty.provider.fetch_head_report(safe=False, final=False)
    assert faulty.proxy.calls["eth_getBlockByNumber"] == 1, "the head, and block 0 is known"
    assert faulty.proxy.calls["eth_chainId"] == 2, "before, and after it"


async def test_case_103_an_upstream_swapped_in_the_middle_of_a_step_gives_no_block(faulty: Faulty) -> None:
    await faulty.chain.pay(5)
    await faulty.provider.fetch_head_report()
    async with start_anvil("--timestamp", "1600000000") as impostor:
        await impostor.mine(3)

        def swap() -> None:
            faulty.proxy.upstream = impostor.url

        faulty.proxy.after("eth_getBlockByHash", swap)
        with pytest.raises(Missing):
            await faulty.fetch_newest()


async def test_what_a_provider_is_asked_in_a_day_is_what_it_was_sent(faulty: Faulty) -> None:
    now_s = 0.0
    endpoint = NodeEndpoint(faulty.proxy.url)
    async with EvmSource(faulty.chain.traits(), [endpoint], clock=lambda: now_s) as source:
        provider = source.choose_provider()
        faulty.proxy.calls.clear()
        await provider.fetch_head_report()
        await provider.fetch_blocks(0, 1)
        assert source.calls_per_day(provider.name) is None
        now_s = 3_600.0
        assert source.calls_per_day(provider.name) == 24 * sum(faulty.proxy.calls.values())
        assert source.calls_per_day("another.test") is None
