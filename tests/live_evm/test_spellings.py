"""A node that spells its rows its own way is understood, or refused out loud: a real node behind a proxy that respells.

With `agreement`, where no hash would notice; the shapes one by one are in `tests/unit/chains/test_evm_spellings.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account

from chains.errors import Inconsistent
from chains.evm.provider import EvmProvider
from chains.model import Block, VerificationLevel
from tests.faultproxy.faults import Answer
from tests.faultproxy.proxy import start_proxy
from tests.live_evm.conftest import ACCOUNTS, SHOP, Faulty, LocalChain, MakeSource, paid_to
from tests.live_evm.test_transfers import run

pytestmark = pytest.mark.live

PAYER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
SPONSOR_KEY = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"
QUANTITIES = {
    "number", "blockNumber", "transactionIndex", "logIndex", "status", "type", "value", "timestamp", "gas",
}  # fmt: skip


def respell(value: Any, name: str = "") -> Any:
    """Small quantities as numbers, others with zeros in front."""
    match value:
        case dict():
            return {key: respell(member, key) for key, member in value.items()}
        case list():
            return [respell(item, name) for item in value]
        case str() if name in QUANTITIES:
            number = int(value, 16)
            return number if number < 2**32 and len(name) % 2 else f"0X00{number:X}"
        case _:
            return value


async def newest(chain: LocalChain, provider: EvmProvider) -> Block:
    """The node's newest block as this provider tells it."""
    (block,) = await provider.fetch_blocks_at([await chain.node.block_ref(await chain.node.height())])
    return block


def respelled(_params: list[Any], answer: Answer) -> Answer:
    return {"result": respell(answer["result"])}


@pytest.mark.parametrize("profile", ["full", "agreement"])
async def test_a_node_with_its_own_spelling_of_numbers_is_understood(
    faulty: Faulty, make_source: MakeSource, profile: str
) -> None:
    await faulty.chain.node.send(to=SHOP, value=7)
    await faulty.chain.pay(500)
    for method in ("eth_getBlockByHash", "eth_getBlockByNumber", "eth_getBlockReceipts"):
        faulty.proxy.bend(method, respelled)
    provider = make_source(faulty.chain.traits(profile=profile), faulty.proxy.url).choose_provider()
    assert paid_to(await newest(faulty.chain, provider)) == [("native", 7), ("token", 500)]
    height = await faulty.chain.node.height()
    (by_height,) = await provider.fetch_blocks(height, height)
    assert paid_to(by_height) == [("native", 7), ("token", 500)]


async def test_an_amount_without_its_padding_is_read_where_no_root_is_checked(
    faulty: Faulty, make_source: MakeSource
) -> None:
    await faulty.chain.pay(500)

    def shorten(_params: list[Any], answer: Answer) -> Answer:
        for receipt in answer["result"]:
            for log in receipt["logs"]:
                log["data"] = hex(int(log["data"], 16))
        return answer

    faulty.proxy.bend("eth_getBlockReceipts", shorten)
    provider = make_source(faulty.chain.traits(profile="agreement"), faulty.proxy.url).choose_provider()
    assert paid_to(await newest(faulty.chain, provider)) == [("token", 500)]


async def test_a_listed_transfer_in_another_shape_is_told_with_its_block(
    faulty: Faulty, make_source: MakeSource
) -> None:
    await faulty.chain.pay(500)

    def index_the_amount(_params: list[Any], answer: Answer) -> Answer:
        for receipt in answer["result"]:
            for log in receipt["logs"]:
                log["topics"].append(log["data"])
                log["data"] = "0x"
        return answer

    faulty.proxy.bend("eth_getBlockReceipts", index_the_amount)
    provider = make_source(faulty.chain.traits(profile="agreement"), faulty.proxy.url).choose_provider()
    block = await newest(faulty.chain, provider)
    assert paid_to(block) == []
    assert [doubt.check for doubt in block.doubts] == ["transfers"]
    assert faulty.chain.token.lower() in block.doubts[0].reason


async def test_rows_without_what_only_checks_use_are_understood_where_nothing_is_checked(
    faulty: Faulty, make_source: MakeSource
) -> None:
    await faulty.chain.node.send(to=SHOP, value=7)
    await faulty.chain.pay(500)
    kept = {"hash", "number", "parentHash", "timestamp", "transactions"}

    def strip(_params: list[Any], answer: Answer) -> Answer:
        return {"result": {name: member for name, member in answer["result"].items() if name in kept}}

    faulty.proxy.bend("eth_getBlockByHash", strip)
    provider = make_source(faulty.chain.traits(profile="agreement"), faulty.proxy.url).choose_provider()
    block = await newest(faulty.chain, provider)
    assert (block.level, paid_to(block)) == (VerificationLevel.CONSISTENT, [("native", 7), ("token", 500)])
    with pytest.raises(Inconsistent):
        await faulty.fetch_newest()


async def test_a_tracer_in_small_letters_is_understood(chain: LocalChain, make_source: MakeSource) -> None:
    at = await chain.deploy("Multi")
    await run(chain, "Multi", at, "send", [SHOP], value=9)

    def lower(value: Any) -> Any:
        if isinstance(value, list):
            return [lower(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind = {"type": value["type"].lower()} if "type" in value else {}
        return {name: lower(member) for name, member in value.items()} | kind

    async with start_proxy(chain.node.url) as proxy:
        proxy.bend("debug_traceBlockByHash", lambda _params, answer: {"result": lower(answer["result"])})
        provider = make_source(chain.traits(traces=True), proxy.url).choose_provider()
        assert paid_to(await newest(chain, provider)) == [("internal", 9)]


async def test_case_047_an_authorisation_takes_its_authoritys_nonce(faulty: Faulty) -> None:
    """EIP-7702: a payer's nonce may be used up inside somebody else's transaction."""
    node, payer = faulty.chain.node, ACCOUNTS[1]
    paid = await node.send(sender=payer, to=SHOP, value=5)
    await node.mine()
    block = await faulty.fetch_newest()
    (key,) = block.transfers.at(0).conflict_keys
    nonce = int.from_bytes(key[20:], "big")
    await node.call("anvil_reorg", 1, [])
    chain_id = int(await node.call("eth_chainId"), 16)
    sponsor = Account.from_key(SPONSOR_KEY)
    authorization = Account.from_key(PAYER_KEY).sign_authorization(
        {"chainId": chain_id, "address": faulty.chain.token, "nonce": nonce}
    )
    signed = sponsor.sign_transaction(
        {
            "chainId": chain_id, "nonce": 0, "to": sponsor.address, "value": 0, "gas": 100_000,
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "authorizationList": [authorization],
        }
    )  # fmt: skip
    rival = await node.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
    await node.mine()
    assert int(await node.call("eth_getTransactionCount", payer, "latest"), 16) == nonce + 1
    spender = (await faulty.fetch_newest()).transfers.spent_by(key)
    assert spender is not None
    assert spender.hex() == rival[2:] != paid[2:]
