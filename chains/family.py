"""What one family of chains brings, as one value: how it spells what the model keeps as bytes, and how its nodes are asked.

The families' own values are in their folders (`evm.family`); which there are is
`chains.families`.  What is true of one chain only is `chains.traits`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chains.model import Address, BlockHash, ChainId, TxHash
from chains.port import OpenedSource
from chains.rpc.throttle import SharedBudget
from chains.rpc.transport import Endpoint
from chains.traits import ChainTraits

ShareBudget = Callable[[Endpoint], SharedBudget]
"""Gives the budget that an endpoint has in common with other processes."""


class OpenSource(Protocol):
    """Makes one chain's providers of its configured endpoints; the caller closes them."""

    def __call__(
        self, traits: ChainTraits, endpoints: Sequence[Endpoint], *, share_budget: ShareBudget | None = None
    ) -> OpenedSource:
        """Raises `ValueError` where no endpoint can be asked."""
        ...


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """What a node says of a height: its block there, and how deep that is; None for what it does not know."""

    node: str
    block_hash: BlockHash | None
    head_height: int | None
    final_height: int | None


@dataclass(frozen=True, slots=True)
class FamilyRules:
    """One family's spelling, and its ways to nodes.

    `namespace` is CAIP-2's, `contract_namespace` that of its tokens in CAIP-19.
    `shares_addresses`: an address is its owner's on every chain of the family.
    `parse_*` take what a person wrote and raise `ValueError` saying what is
    wrong; `format_*` give what people are shown; `encode_identity` is an
    address as deposits' identities and CAIP-19 spell it.  `fetch_block_seen`
    asks a node at a URL, which nobody configured, for its block at a height;
    raises `ChainError`, and ValueError for a URL that is none.
    """

    namespace: str
    contract_namespace: str
    shares_addresses: bool
    parse_address: Callable[[str], Address]
    format_address: Callable[[Address], str]
    encode_identity: Callable[[Address], str]
    parse_tx_hash: Callable[[str], TxHash]
    format_tx_hash: Callable[[TxHash], str]
    parse_block_hash: Callable[[str], BlockHash]
    format_block_hash: Callable[[BlockHash], str]
    open_source: OpenSource
    fetch_block_seen: Callable[[ChainId, str, int], Awaitable[BlockSeen]]
