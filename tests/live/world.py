"""A follower over a real anvil and a real PostgreSQL, stepped by the test itself.

No loop and no sleep: a test mines, calls `settle`, and reads what was told.
Whole processes are tested in `tests/processes`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from web3 import Web3

from chains.errors import ChainError
from chains.evm.address import parse_address
from chains.evm.source import EvmSource
from chains.evm.verify.profiles import PROFILES
from chains.evm.verify.verifier import BlockVerifier
from chains.model import Asset, AssetId, ChainId
from chains.rpc.transport import Endpoint
from chains.traits import ChainTraits, Family, FinalAtDepth, FinalityRule
from indexer.follow.outcomes import Idle, Lagging, NotYet, Outcome
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from indexer.move.desk import build_desk
from indexer.move.registration import RegistrationRequest, WatchedAddress, register
from indexer.rows.store import PostgresFollowStore
from indexer.rules.identity import MerchantId
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from migrations.connect import open_pool
from migrations.handles import Connection, Pool
from migrations.ids import new_id
from relay.log import eventlog as relay_log
from tests.devnet.anvil import AnvilNode, start_anvil
from tests.faultproxy.proxy import FaultProxy, start_proxy

SHOP = MerchantId(UUID(int=0x5109))
OTHER_SHOP = MerchantId(UUID(int=0x5110))
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
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
        chain_number=31337,
        native=Asset(ETHER, "ETH", 18, None),
        assets=assets,
        block_time_s=1.0,
        finality=finality,
        reorg_window_blocks=128,
        safe_tag=True,
        excluded_emitters=(),
        verification_profile="full",
    )


@dataclass(slots=True)
class World:
    """One followed chain and the logs of its merchants."""

    node: AnvilNode
    pool: Pool
    source: EvmSource
    settings: FollowSettings
    store: PostgresFollowStore
    desk: ChainDesk = field(init=False)
    follower: Follower = field(init=False)
    now: datetime = EPOCH
    proxies: list[FaultProxy] = field(default_factory=list)
    token: str = ""
    contracts: list[str] = field(default_factory=list)
    clock_s: list[float] = field(default_factory=lambda: [EPOCH.timestamp()])

    @property
    def chain(self) -> ChainId:
        """The followed chain."""
        return self.settings.traits.chain

    def restart(self) -> None:
        """Forget everything that is in memory, as after kill -9."""
        self.desk = build_desk(self.settings, self.store)
        self.follower = Follower(self.desk, self.source)

    async def step(self) -> Outcome:
        """One step, a second after the last."""
        self.now += timedelta(seconds=1)
        self.clock_s[0] = self.now.timestamp()
        if await self.store.load_chain(self.chain) is not None and self.desk.lease_epoch == 0:
            epoch = await self.store.acquire_lease(self.chain, holder="test", lease_s=3600)
            assert epoch is not None
            self.desk.lease_epoch = epoch
        return await self.follower.step(self.now)

    async def settle(self, *, steps_max: int = 200) -> list[Outcome]:
        """Step until nothing is left to do; returns what the steps were."""
        outcomes: list[Outcome] = []
        for _ in range(steps_max):
            outcome = await self.step()
            outcomes.append(outcome)
            if isinstance(outcome, Idle | Lagging | NotYet):
                return outcomes
        raise AssertionError(f"not settled after {steps_max} steps: {outcomes[-3:]}")

    async def step_in_weather(self) -> Outcome | ChainError:
        """One step, with weather as a value."""
        try:
            return await self.step()
        except ChainError as error:
            return error

    async def watch(
        self,
        address: str,
        *,
        merchant: MerchantId = SHOP,
        from_height: int | None = None,
        reference: str | None = None,
    ) -> WatchedAddress:
        """Register one address."""
        request = RegistrationRequest(
            new_id=new_id(int(self.now.timestamp() * 1000)),
            merchant_id=merchant,
            chain=self.chain,
            address=parse_address(address),
            reference=reference,
            from_height=from_height,
        )
        return (await register(self.pool, [request], now=self.now))[0].address

    async def told(self, merchant: MerchantId = SHOP) -> list[dict[str, Any]]:
        """The merchant's whole log, as the bodies say it."""
        rows = await self.pool.fetch(
            "select body from events where merchant_id = $1 order by sequence", merchant
        )
        return [msgspec.json.decode(row["body"]) for row in rows]

    async def told_types(self, merchant: MerchantId = SHOP) -> list[str]:
        """Only the types, in order."""
        return [event["type"] for event in await self.told(merchant)]


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
        endpoints = [
            Endpoint(proxy.url, operator=f"operator-{number}") for number, proxy in enumerate(proxies)
        ]
        pool = await open_pool(database_url, size=6, application_name="test")
        settings = FollowSettings(
            traits=adapt(list_tokens(local_traits(contract, finality=finality), contracts)),
            confirm_rules=tuple(rules) if rules is not None else after(confirmations),
            finality=finality,
            poll_interval_s=0.05,
        )
        world: World
        clock_s = [EPOCH.timestamp()]
        source = EvmSource(
            settings.traits,
            endpoints or [Endpoint(node.url)],
            verifier=BlockVerifier(PROFILES[settings.traits.verification_profile]),
            clock=lambda: clock_s[0],
        )
        async with source:

            async def publish(conn: Connection, facts: Sequence[Any]) -> None:
                await relay_log.append(conn, facts, now=world.now)

            world = World(
                node,
                pool,
                source,
                settings,
                PostgresFollowStore(pool, publish),
                proxies=proxies,
                token=contract or "",
                contracts=contracts,
            )
            world.clock_s = clock_s
            world.restart()
            try:
                await world.settle()
                yield world
            finally:
                await pool.close()


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
