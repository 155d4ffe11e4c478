"""A follower over made Tron blocks and a real PostgreSQL, stepped by the test itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chains.model import Asset
from chains.tron.address import format_address
from chains.tron.source import TronSource
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from tests.devnet.tron_chain import TronChain, account
from tests.devnet.tron_node import TronNode, start_tron_node
from tests.live.followed import Followed, following

SHOP_ADDRESS = account("shop")


@dataclass(slots=True, kw_only=True)
class TronWorld(Followed):
    """A followed chain; each node is an operator of its own."""

    made: TronChain
    nodes: list[TronNode]

    @property
    def node(self) -> TronNode:
        return self.nodes[0]

    async def watch_shop(self, **more: Any) -> None:
        """The shop's address is watched from the next block on."""
        await self.watch(format_address(SHOP_ADDRESS), **more)

    async def deposits(self) -> list[tuple[str, str, int]]:
        """Kind, state and amount of everything recorded, in order."""
        rows = await self.pool.fetch(
            "select kind, state, amount_base_units from deposits order by height, position, amount_base_units"
        )
        return [(row["kind"], row["state"], int(row["amount_base_units"])) for row in rows]


def after(count: int) -> tuple[ConfirmRule, ...]:
    return (ConfirmRule(Requirement(ConfirmedBy.DEPTH, count)),)


@asynccontextmanager
async def open_tron_world(
    database_url: str,
    *,
    confirmations: int = 2,
    operators: int = 1,
    tokens: Sequence[Asset] = (),
    **limits: Any,
) -> AsyncIterator[TronWorld]:
    """A fresh made chain, followed from its first block."""
    chain = TronChain()
    chain.mine()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(start_tron_node(chain)) for _ in range(operators)]
        traits = chain.traits(tokens=tokens)
        settings = FollowSettings(
            traits=traits,
            confirm_rules=after(confirmations),
            finality=traits.finality,
            poll_interval_s=0.05,
            **limits,
        )
        world = TronWorld(settings=settings, proxies=[], made=chain, nodes=nodes)
        endpoints = [node.endpoint(f"operator-{at}") for at, node in enumerate(nodes)]

        def open_source(clock: Any) -> TronSource:
            return TronSource(traits, endpoints, clock=clock)

        await stack.enter_async_context(following(world, database_url, endpoints, open_source=open_source))
        yield world
