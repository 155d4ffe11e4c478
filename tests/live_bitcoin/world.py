"""A follower over a real bitcoind and a real PostgreSQL, stepped by the test itself.

What holds for any node is `tests.live.followed`; the node is `tests.devnet.bitcoind`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from chains import catalog
from chains.families import rules_of
from chains.model import Address
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits, FinalAtDepth
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from tests.devnet.bitcoind import BitcoinNode, start_bitcoind
from tests.live.followed import Followed, following

TILL = b"\x00\x14" + b"\x71" * 20
"""A script as wallets have it: P2WPKH."""


def regtest_traits() -> ChainTraits:
    """The catalogue's own regtest."""
    entry = catalog.entry("bitcoin-regtest")
    assert entry is not None
    return entry.traits


def spell(script: bytes) -> str:
    """The address of a script on regtest."""
    traits = regtest_traits()
    return rules_of(traits.family).format_address(traits.chain, Address(script))


async def wait_until(holds: Callable[[], bool]) -> None:
    """Return when a stranger's doing shows; the caller says how long that may take."""
    while not holds():  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.02)


@dataclass(slots=True, kw_only=True)
class BitcoinWorld(Followed):
    """A followed bitcoind."""

    node: BitcoinNode

    async def told_briefly(self) -> list[tuple[str, str, int]]:
        """Type, credit and confirmations of every deposit event."""
        return [
            (event["type"].removeprefix("deposit."), d["credited_base_units"], d["confirmations"])
            for event in await self.told()
            if (d := event["data"].get("deposit"))
        ]

    async def newest(self) -> dict[str, dict[str, Any]]:
        """The newest version of each deposit by its transaction and ordinal."""
        return {
            f"{d['tx_hash']}:{d['n']}": d
            for event in await self.told()
            if (d := event["data"].get("deposit"))
        }


@asynccontextmanager
async def open_world(
    database_url: str,
    *,
    confirmations: int = 2,
    final: int = 4,
    others: Sequence[BitcoinNode] = (),
    min_base_units: int = 1,
) -> AsyncIterator[BitcoinWorld]:
    """A fresh bitcoind and the given database, followed from its head; `others` are further operators' nodes."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(start_bitcoind())
        for other in others:
            await node.connect(other)
            await other.wait_for(await node.call("getbestblockhash"))
        traits = regtest_traits()
        settings = FollowSettings(
            traits=replace(traits, native=replace(traits.native, min_base_units=min_base_units)),
            confirm_rules=(ConfirmRule(Requirement(ConfirmedBy.DEPTH, confirmations)),),
            finality=FinalAtDepth(final),
            poll_interval_s=0.05,
        )
        world = BitcoinWorld(settings=settings, proxies=[], node=node)
        endpoints = [
            NodeEndpoint(one.url, operator=f"operator-{number}", cookie_file=one.cookie_file)
            for number, one in enumerate((node, *others))
        ]
        await stack.enter_async_context(following(world, database_url, endpoints))
        yield world
