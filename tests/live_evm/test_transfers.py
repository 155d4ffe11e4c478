"""What counts as a deposit on a real EVM node, case by case (chains-and-cases B1, B2).

Contracts that break each habit are deployed on anvil and followed with every
check on, with and without traces.  The same rules on built rows are in
`tests/unit/chains/test_evm_decode.py`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.errors import Inconsistent, Missing, Refused
from chains.evm.facts import facts_of
from chains.evm.provider import EvmProvider
from chains.model import Address, Block, TransferKind, VerificationLevel
from tests.devnet.anvil import ACCOUNTS
from tests.devnet.compiled import load_contract
from tests.devnet.local import payee
from tests.faultproxy import faults
from tests.faultproxy.proxy import start_proxy
from tests.live_evm.conftest import SHOP, LocalChain, MakeSource, paid_to, transfers_of

pytestmark = pytest.mark.live

ETHER = 10**18


async def newest(chain: LocalChain, provider: EvmProvider) -> Block:
    (block,) = await provider.fetch_blocks_at([await chain.node.block_ref(await chain.node.height())])
    assert block.level is VerificationLevel.FULL
    return block


async def run(
    chain: LocalChain, contract: str, at: str, function: str, *arguments: object, value: int = 0
) -> None:
    """Call a test contract in a block of its own."""
    data = load_contract(contract).call(function, *arguments)
    await chain.node.send(to=at, data=data, value=value, gas=hex(25_000_000))
    await chain.node.mine()


async def test_case_001_a_failed_transfer_is_not_a_deposit(
    chain: LocalChain, make_source: MakeSource
) -> None:
    provider = make_source(chain.traits(), chain.node.url).choose_provider()
    await run(chain, "DemoToken", chain.token, "transfer", SHOP, 10**30)
    block = await newest(chain, provider)
    assert (block.tx_count, transfers_of(block)) == (1, [])


async def test_case_002_a_token_that_says_no_politely_pays_nothing(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("FalseReturningToken")
    provider = make_source(chain.traits(at), chain.node.url).choose_provider()
    await run(chain, "FalseReturningToken", at, "transfer", SHOP, 5)
    assert transfers_of(await newest(chain, provider)) == []
    await run(chain, "FalseReturningToken", at, "mint", SHOP, 5)
    assert paid_to(await newest(chain, provider)) == [("token", 5)]


async def test_case_003_a_listed_token_is_believed_by_its_logs(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("LyingToken")
    unlisted = make_source(chain.traits(), chain.node.url).choose_provider()
    await run(chain, "LyingToken", at, "lie", SHOP, 5)
    block = await newest(chain, unlisted)
    assert (transfers_of(block), block.unlisted_transfer_count) == ([], 1)
    listed = make_source(chain.traits(at), chain.node.url).choose_provider()
    assert paid_to(await newest(chain, listed)) == [("token", 5)]


async def test_case_009_an_nft_transfer_is_not_a_deposit(chain: LocalChain, make_source: MakeSource) -> None:
    at = await chain.deploy("NftLike")
    provider = make_source(chain.traits(at), chain.node.url).choose_provider()
    for function in ("give", "giveUnindexed", "giveWide"):
        await run(chain, "NftLike", at, function, SHOP, 10**6)
        block = await newest(chain, provider)
        assert (block.log_count, transfers_of(block)) == (1, [])


async def test_case_010_a_fee_is_not_credited(chain: LocalChain, make_source: MakeSource) -> None:
    at = await chain.deploy("FeeToken")
    provider = make_source(chain.traits(at), chain.node.url).choose_provider()
    await run(chain, "FeeToken", at, "mint", ACCOUNTS[0], 10_000)
    await run(chain, "FeeToken", at, "transfer", SHOP, 10_000)
    assert paid_to(await newest(chain, provider)) == [("token", 9_900)]


async def test_case_012_a_mint_is_a_deposit_without_a_payer(
    chain: LocalChain, make_source: MakeSource
) -> None:
    provider = make_source(chain.traits(), chain.node.url).choose_provider()
    await chain.pay(5)
    (one,) = transfers_of(await newest(chain, provider))
    assert (one.senders, one.amount_base_units) == ((), 5)


async def test_case_013_transfers_of_nothing_are_nothing(chain: LocalChain, make_source: MakeSource) -> None:
    provider = make_source(chain.traits(), chain.node.url).choose_provider()
    await run(chain, "DemoToken", chain.token, "transfer", SHOP, 0)
    assert transfers_of(await newest(chain, provider)) == []


async def test_case_016_a_pulled_payment_names_its_payer(chain: LocalChain, make_source: MakeSource) -> None:
    provider = make_source(chain.traits(), chain.node.url).choose_provider()
    await chain.pay(50, ACCOUNTS[0])
    token = load_contract("DemoToken")
    await chain.node.send(to=chain.token, data=token.call("approve", ACCOUNTS[1], 50))
    await chain.node.mine()
    pull = token.call("transferFrom", ACCOUNTS[0], SHOP, 50)
    await chain.node.send(sender=ACCOUNTS[1], to=chain.token, data=pull)
    await chain.node.mine()
    (one,) = transfers_of(await newest(chain, provider))
    assert [sender.hex() for sender in one.senders] == [ACCOUNTS[0][2:]]
    assert one.conflict_keys[0][:20].hex() == ACCOUNTS[1][2:]


async def test_case_017_three_transfers_in_one_transaction_are_three(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("TokenSprayer")
    provider = make_source(chain.traits(at), chain.node.url).choose_provider()
    await run(chain, "TokenSprayer", at, "spray", [SHOP, SHOP, payee(2), SHOP], 7)
    found = [one for one in transfers_of(await newest(chain, provider)) if one.recipient.hex() == SHOP[2:]]
    assert [(one.n, one.amount_base_units) for one in found] == [(0, 7), (1, 7), (2, 7)]
    assert len({one.tx_hash for one in found}) == 1


async def test_case_023_the_largest_amount_is_exact(chain: LocalChain, make_source: MakeSource) -> None:
    provider = make_source(chain.traits(), chain.node.url).choose_provider()
    await chain.pay(2**256 - 1)
    assert paid_to(await newest(chain, provider)) == [("token", 2**256 - 1)]


async def test_case_034_a_mirror_of_the_native_coin_pays_once(
    chain: LocalChain, make_source: MakeSource
) -> None:
    mirror = "0x" + "00" * 18 + "1010"
    sprayer = await chain.deploy("TokenSprayer")
    await chain.node.call("anvil_setCode", mirror, await chain.node.call("eth_getCode", sprayer, "latest"))
    traits = chain.traits(mirror)
    excluding = make_source(
        replace(
            traits, facts=replace(facts_of(traits), excluded_emitters=(Address(bytes.fromhex(mirror[2:])),))
        ),
        chain.node.url,
    ).choose_provider()
    spray = load_contract("TokenSprayer").call("spray", [SHOP], 5)
    await chain.node.send(to=mirror, data=spray)
    await chain.node.send(to=SHOP, value=5)
    await chain.node.mine()
    assert paid_to(await newest(chain, excluding)) == [("native", 5)]


async def test_case_115_a_block_of_two_thousand_transfers_is_read_whole(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("TokenSprayer")
    provider = make_source(chain.traits(at), chain.node.url).choose_provider()
    flood = load_contract("TokenSprayer").call("flood", 1000, 1)
    for _ in range(2):
        await chain.node.send(to=at, data=flood, gas=hex(14_000_000))
    await chain.node.mine()
    block = await newest(chain, provider)
    assert len(block.transfers.recipients) == block.log_count == 2000


async def test_native_value_and_creation_endowments_are_deposits(
    chain: LocalChain, make_source: MakeSource
) -> None:
    provider = make_source(chain.traits(), chain.node.url).choose_provider()
    await chain.node.send(to=SHOP, value=3 * ETHER)
    await chain.node.mine()
    assert paid_to(await newest(chain, provider)) == [("native", 3 * ETHER)]
    endowed = await chain.deploy("Endowed", value=ETHER)
    assert paid_to(await newest(chain, provider), endowed) == [("native", ETHER)]


async def test_case_024_coins_sent_by_a_contract_are_seen_with_traces_only(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("Multi")
    traced = make_source(chain.traits(traces=True), chain.node.url).choose_provider()
    blind = make_source(chain.traits(), chain.node.url).choose_provider()
    await run(chain, "Multi", at, "send", [SHOP, SHOP, SHOP], value=3 * ETHER)
    block = await newest(chain, traced)
    assert paid_to(block) == [("internal", ETHER)] * 3
    found = [one for one in transfers_of(block) if one.kind is TransferKind.INTERNAL]
    assert [(one.n, *(sender.hex() for sender in one.senders)) for one in found] == [
        (n, at[2:]) for n in range(3)
    ]
    assert paid_to(block, at) == [("native", 3 * ETHER)]
    assert paid_to(await newest(chain, blind)) == []


async def test_case_025_value_under_a_reverted_frame_never_arrived(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("Multi")
    provider = make_source(chain.traits(traces=True), chain.node.url).choose_provider()
    await run(chain, "Multi", at, "swallow", SHOP, value=ETHER)
    block = await newest(chain, provider)
    assert (paid_to(block), paid_to(block, at)) == ([], [("native", ETHER)])
    await run(chain, "Multi", at, "revertAll", SHOP, value=ETHER)
    assert transfers_of(await newest(chain, provider)) == []


async def test_case_026_a_delegated_call_moves_its_value_once(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("Multi")
    provider = make_source(chain.traits(traces=True), chain.node.url).choose_provider()
    await run(chain, "Multi", at, "dele", SHOP, value=ETHER)
    block = await newest(chain, provider)
    assert paid_to(block) == [("internal", ETHER)]
    assert len(transfers_of(block)) == 2


async def test_case_027_self_destruction_and_endowments_move_value(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("Multi")
    provider = make_source(chain.traits(traces=True), chain.node.url).choose_provider()
    await run(chain, "Multi", at, "boom", SHOP, value=ETHER)
    assert paid_to(await newest(chain, provider)) == [("internal", ETHER)]
    await run(chain, "Multi", at, "endow", b"\x01" * 32, value=2 * ETHER)
    created = [
        one for one in transfers_of(await newest(chain, provider)) if one.kind is TransferKind.INTERNAL
    ]
    assert [one.amount_base_units for one in created] == [ETHER, ETHER]
    assert len({one.recipient for one in created}) == 2


async def test_case_028_nobody_can_stop_us_with_a_deep_trace(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("Multi")
    provider = make_source(chain.traits(traces=True), chain.node.url).choose_provider()
    await chain.node.call("evm_setBlockGasLimit", hex(10**12))
    dive = load_contract("Multi").call("dive", 1000, SHOP, 7)
    await chain.node.send(to=at, data=dive, value=7, gas=hex(9 * 10**11))
    await chain.node.mine()
    assert paid_to(await newest(chain, provider)) == [("internal", 7)]


async def test_case_028_a_block_without_its_trace_is_not_complete(
    chain: LocalChain, make_source: MakeSource
) -> None:
    await chain.node.send(to=SHOP, value=5)
    await chain.node.send(to=SHOP, value=6)
    await chain.node.mine()
    async with start_proxy(chain.node.url) as proxy:
        provider = make_source(chain.traits(traces=True), proxy.url).choose_provider()
        for bend, kind in (
            (faults.failing(-32601, "the method debug_traceBlockByHash does not exist"), Refused),
            (faults.failing(-32000, "required historical state unavailable"), Refused),
            (faults.nothing, Missing),
            (faults.constant([]), Missing),
            (faults.short_receipts, Missing),
            (
                lambda _params, answer: {
                    "result": [{"error": "timeout", "txHash": one["txHash"]} for one in answer["result"]]
                },
                Refused,
            ),
            (
                lambda _params, answer: {
                    "result": [one | {"txHash": "0x" + "01" * 32} for one in answer["result"]]
                },
                Inconsistent,
            ),
            (
                lambda _params, answer: {
                    "result": [one | {"result": one["result"] | {"value": "0x9"}} for one in answer["result"]]
                },
                Inconsistent,
            ),
            (
                lambda _params, answer: {
                    "result": [
                        one | {"result": one["result"] | {"error": "reverted"}} for one in answer["result"]
                    ]
                },
                Inconsistent,
            ),
        ):
            proxy.bend("debug_traceBlockByHash", bend)
            with pytest.raises(kind):
                await newest(chain, provider)
            proxy.heal()
        assert paid_to(await newest(chain, provider)) == [("native", 5), ("native", 6)]


async def test_traces_are_fetched_by_hash_also_when_blocks_are_asked_by_height(
    chain: LocalChain, make_source: MakeSource
) -> None:
    at = await chain.deploy("Multi")
    await run(chain, "Multi", at, "send", [SHOP], value=ETHER)
    provider = make_source(chain.traits(traces=True), chain.node.url).choose_provider()
    blocks = await provider.fetch_blocks(0, await chain.node.height())
    assert paid_to(blocks[-1]) == [("internal", ETHER)]
