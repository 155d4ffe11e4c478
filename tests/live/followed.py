"""A chain that is followed over a real PostgreSQL, stepped by the test itself, whatever node stands behind it.

No loop and no sleep: a test calls `settle`, and reads what was told. Which node
it is, is `world` (an anvil), `test_played_networks` (made blocks) and
`tests.live_bitcoin.world` (a bitcoind).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from chains.bitcoin.source import BitcoinSource
from chains.errors import ChainError
from chains.evm.facts import facts_of
from chains.evm.rows.structs import Verifier
from chains.evm.source import EvmSource
from chains.evm.verify.profiles import PROFILES
from chains.evm.verify.verifier import BlockVerifier
from chains.families import rules_of
from chains.model import ChainId
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import Family
from indexer.follow.outcomes import Idle, Lagging, NotYet, StepOutcome
from indexer.follow.step import Follower
from indexer.move.commit import ChainDesk
from indexer.move.desk import build_desk
from indexer.move.registration import RegistrationRequest, WatchedAddress, register
from indexer.rows.store import PostgresFollowStore
from indexer.rules.identity import MerchantId
from indexer.settings import FollowSettings
from migrations.connect import open_pool
from migrations.handles import Connection, Pool
from migrations.ids import new_id
from relay.log import eventlog as relay_log
from tests.faultproxy.proxy import FaultProxy

SHOP = MerchantId(UUID(int=0x5109))
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(slots=True)
class Followed:
    """One followed chain and the logs of its merchants; `following` opens it."""

    settings: FollowSettings
    proxies: list[FaultProxy]
    pool: Pool = field(init=False)
    source: EvmSource | BitcoinSource = field(init=False)
    store: PostgresFollowStore = field(init=False)
    desk: ChainDesk = field(init=False)
    follower: Follower = field(init=False)
    now: datetime = EPOCH
    clock_s: list[float] = field(default_factory=lambda: [EPOCH.timestamp()])

    @property
    def chain(self) -> ChainId:
        """The followed chain."""
        return self.settings.traits.chain

    def restart(self) -> None:
        """Forget everything that is in memory, as after kill -9."""
        self.desk = build_desk(self.settings, self.store)
        self.follower = Follower(self.desk, self.source)

    async def step(self) -> StepOutcome:
        """One step, a second after the last."""
        self.now += timedelta(seconds=1)
        self.clock_s[0] = self.now.timestamp()
        if await self.store.load_chain(self.chain) is not None and self.desk.lease_epoch == 0:
            epoch = await self.store.acquire_lease(self.chain, holder="test", lease_s=3600)
            assert epoch is not None
            self.desk.lease_epoch = epoch
        return await self.follower.step(self.now)

    async def settle(self, *, steps_max: int = 200) -> list[StepOutcome]:
        """Step until nothing is left to do; returns what the steps were."""
        outcomes: list[StepOutcome] = []
        for _ in range(steps_max):
            outcome = await self.step()
            outcomes.append(outcome)
            if isinstance(outcome, Idle | Lagging | NotYet):
                return outcomes
        raise AssertionError(f"not settled after {steps_max} steps: {outcomes[-3:]}")

    async def step_in_weather(self) -> StepOutcome | ChainError:
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
        memo: bytes | None = None,
    ) -> WatchedAddress:
        """Register one address."""
        request = RegistrationRequest(
            new_id=new_id(int(self.now.timestamp() * 1000)),
            merchant_id=merchant,
            chain=self.chain,
            address=rules_of(self.settings.traits.family).parse_address(self.chain, address),
            reference=reference,
            from_height=from_height,
            memo=memo,
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


@asynccontextmanager
async def following(
    followed: Followed,
    database_url: str,
    endpoints: Sequence[NodeEndpoint],
    *,
    verifier: Verifier | None = None,
    open_source: Callable[[Callable[[], float]], Any] | None = None,
) -> AsyncIterator[None]:
    """The given database, and the chain followed from its nodes' head on; `open_source` is another family's, by its clock."""
    traits = followed.settings.traits
    followed.pool = await open_pool(database_url, size=6, application_name="test")
    if open_source is not None:
        followed.source = open_source(lambda: followed.clock_s[0])
    elif traits.family is Family.BITCOIN:
        followed.source = BitcoinSource(traits, endpoints, clock=lambda: followed.clock_s[0])
    else:
        followed.source = EvmSource(
            traits,
            endpoints,
            verifier=verifier or BlockVerifier(PROFILES[facts_of(traits).verification_profile]),
            clock=lambda: followed.clock_s[0],
        )

    async def publish(conn: Connection, facts: Sequence[Any]) -> None:
        await relay_log.append(conn, facts, now=followed.now)

    async with followed.source:
        followed.store = PostgresFollowStore(followed.pool, publish)
        followed.restart()
        try:
            await followed.settle()
            yield
        finally:
            await followed.pool.close()


def list_endpoints(proxies: Sequence[FaultProxy]) -> list[NodeEndpoint]:
    """Each proxy as an operator of its own."""
    return [NodeEndpoint(proxy.url, operator=f"operator-{number}") for number, proxy in enumerate(proxies)]
