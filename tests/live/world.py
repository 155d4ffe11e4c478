"""A follower over a real anvil and a real PostgreSQL, stepped by the test itself.

No loop and no sleep: a test mines, calls `settle`, and reads what was told.
What holds for any node is `followed`; whole processes are tested in
`tests/processes`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

from web3 import Web3

from chains.evm.address import parse_address
from chains.evm.facts import EvmFacts
from chains.model import Asset, AssetId, ChainId
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits, Family, FinalAtDepth, FinalityRule
from indexer.rules.identity import MerchantId
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from tests.devnet.anvil import AnvilNode, start_anvil
from tests.faultproxy.proxy import start_proxy
from tests.live.followed import Followed, following, list_endpoints

OTHER_SHOP = MerchantId(UUID(int=0x5110))
CHAIN = ChainId("eip155:31337")
ETHER = AssetId("eip155:31337/slip44:60")
TWELVE_DEEP = FinalAtDepth(12)


def local_traits(token: str | None = None, *, finality: FinalityRule = TWELVE_DEEP) -> ChainTraits:
    """The local chain's traits, with one listed token where given."""
    assets: tuple[Asset, ...] = ()
    if token is not None:
        assets = (Asset(AssetId(f"{CHAIN}/erc20:{token.lower()}"), "USDT", 6, parse_address(token)),)
    return ChainTraits(
        chain=CHAIN,
        alias="local",
        family=Family.EVM,
        native=Asset(ETHER, "ETH", 18, None),
        assets=assets,
        block_time_s=1.0,
        finality=finality,
        reorg_window_blocks=128,
        facts=EvmFacts(),
    )


@dataclass(slots=True, kw_only=True)
class World(Followed):
    """A followed anvil."""

    node: AnvilNode
    token: str = ""
    contracts: list[str] = field(default_factory=list)


def unchanged(traits: ChainTraits) -> ChainTraits:
    """The local chain as it is."""
    return traits


def after(count: int) -> tuple[ConfirmRule, ...]:
    """A policy of so many confirmations for everything."""
    return (ConfirmRule(Requirement(ConfirmedBy.DEPTH, count)),)


@asynccontextmanager
async def open_world(
    database_url: str,
    *,
    token: bool = False,
    confirmations: int = 3,
    finality: FinalityRule = TWELVE_DEEP,
    rules: Sequence[ConfirmRule] | None = None,
    operators: int = 0,
    deploys: Sequence[str] = (),
    adapt: Callable[[ChainTraits], ChainTraits] = unchanged,
    anvil: Sequence[str] = (),
) -> AsyncIterator[World]:
    """A fresh anvil and the given database, followed from its head.

    With `operators`, so many fault proxies stand in front of the node, each
    as an operator of its own; without, the node is asked directly.  `deploys`
    are creation bytecodes of further listed tokens, found in `contracts`;
    `adapt` changes the traits, `anvil` the node's options.
    """
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(start_anvil(*anvil))
        await node.mine()
        contract = await deploy_token(node) if token else None
        contracts = [await node.deploy(bytecode) for bytecode in deploys]
        proxies = [await stack.enter_async_context(start_proxy(node.url)) for _ in range(operators)]
        settings = FollowSettings(
            traits=adapt(list_tokens(local_traits(contract, finality=finality), contracts)),
            confirm_rules=tuple(rules) if rules is not None else after(confirmations),
            finality=finality,
            poll_interval_s=0.05,
        )
        world = World(
            settings=settings, proxies=proxies, node=node, token=contract or "", contracts=contracts
        )
        endpoints = list_endpoints(proxies) or [NodeEndpoint(node.url)]
        await stack.enter_async_context(following(world, database_url, endpoints))
        yield world


def list_tokens(traits: ChainTraits, contracts: Sequence[str]) -> ChainTraits:
    """The traits with these tokens of 6 decimals listed as well."""
    further = tuple(
        Asset(AssetId(f"{traits.chain}/erc20:{at.lower()}"), f"T{number}", 6, parse_address(at))
        for number, at in enumerate(contracts)
    )
    return replace(traits, assets=traits.assets + further)


async def deploy_token(node: AnvilNode) -> str:
    """The demo token, deployed as USDT with 6 decimals; returns its address."""
    artifact = json.loads((Path(__file__).parents[2] / "gateway" / "demo" / "token.json").read_text())
    contract = Web3().eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    return await node.deploy(contract.constructor("Tether USD", "USDT", 6).data_in_transaction)


def transfer_data(to: str, amount_base_units: int) -> str:
    """Calldata of ERC-20 `transfer`."""
    return "0xa9059cbb" + to[2:].lower().rjust(64, "0") + f"{amount_base_units:064x}"


def mint_data(to: str, amount_base_units: int) -> str:
    """Calldata of the demo token's `mint`."""
    return "0x40c10f19" + to[2:].lower().rjust(64, "0") + f"{amount_base_units:064x}"
