"""One Tron provider over one node of made blocks, and answers that are put in the place of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from chains.model import Block, TransferKind
from chains.tron.provider import TronProvider
from chains.tron.source import TronSource
from tests.devnet.tron_chain import (
    TronChain,
    account,
)
from tests.devnet.tron_node import TronNode, start_tron_node

SHOP = account("shop")

Bend = Callable[[str, dict[str, Any], Any], Any]


@asynccontextmanager
async def asked(
    chain: TronChain | None = None, **options: Any
) -> AsyncIterator[tuple[TronNode, TronProvider]]:
    """One provider over one node."""
    chain = chain or TronChain()
    facts = options.pop("facts", None)
    identity = options.pop("identity", None)
    async with start_tron_node(chain, **options) as node:
        traits = replace(chain.traits(facts=facts), identity=identity)
        async with TronSource(traits, [node.endpoint()]) as source:
            yield node, source.choose_provider()


def only(path: str, answer: Any) -> Bend:
    """This answer to one call, whatever else is asked."""
    return lambda at, _body, honest: answer if at == path else honest


def of_height(height: str, answer: Any) -> Bend:
    """This answer wherever the block of a height is asked for."""
    return lambda _path, body, honest: answer if body.get("id_or_num") == height else honest


async def fetch_one(provider: TronProvider, height: int = 1) -> Block:
    (block,) = await provider.fetch_blocks(height, height)
    return block


def paid(block: Block) -> list[tuple[TransferKind, int]]:
    table = block.transfers
    return [(table.at(at).kind, table.at(at).amount_base_units) for at in range(len(table.recipients))]
