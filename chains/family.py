"""What one family of chains brings, as one value: how it spells what the model keeps as bytes, which facts a chain of
it has, and how its nodes are asked.

The families' own values are in their folders (`evm.family`); which there are is
`chains.families`.  What is true of one chain only is `chains.traits`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from chains.model import Address, AssetId, BlockHash, ChainId, ConflictKey, TxHash
from chains.port import CheckState, OpenedSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.throttle import SharedBudget
from chains.traits import ChainTraits
from chains.trial import TrialRules

ShareBudget = Callable[[NodeEndpoint], SharedBudget]
"""Gives the budget that an endpoint has in common with other processes."""


class OpenSource(Protocol):
    """Makes one chain's providers of its configured endpoints; the caller closes them."""

    def __call__(
        self,
        traits: ChainTraits,
        endpoints: Sequence[NodeEndpoint],
        *,
        share_budget: ShareBudget | None = None,
    ) -> OpenedSource:
        """Raises `ValueError` where no endpoint can be asked."""
        ...


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """What a node says of a height: its block there, as the family spells it, and how deep that is; None for what it
    does not know.
    """

    node: str
    block_hash: str | None
    head_height: int | None
    final_height: int | None


@dataclass(frozen=True, slots=True)
class Verification:
    """How a chain's blocks are checked before anything was learnt: the name of the whole, and each check.

    `may_prove`: every check that a block needs to count as fully verified is tried.
    """

    profile: str
    checks: tuple[CheckState, ...]
    may_prove: bool


@dataclass(frozen=True, slots=True)
class FactsRules:
    """What only a family knows of a chain (`ChainTraits.facts`), and how pages and operators say it.

    `keys` is the shape of the keys in `[chains.*]` that only this family has,
    each with a default.  `parse_chain` takes what an operator wrote as
    `chain_id`; raises `ValueError` saying what is wanted.  `suppose` gives the
    traits of a chain that nobody described, `override` those an operator
    changed by `keys`.  `parse_page` takes what is left of a catalogue page
    when the keys of every family are read, and the contracts it lists as they are spelled there; raises
    `ValueError` and msgspec's naming the key.  `tells_safe`: the chain has
    `safe` blocks below its head.
    """

    keys: type[Struct]
    parse_chain: Callable[[object], ChainId]
    suppose: Callable[[ChainId, str], ChainTraits]
    override: Callable[[ChainTraits, Struct], ChainTraits]
    parse_page: Callable[[Mapping[str, object], Collection[str]], tuple[ChainId, object]]
    tells_safe: Callable[[ChainTraits], bool]
    describe_verification: Callable[[ChainTraits], Verification]


@dataclass(frozen=True, slots=True)
class FamilyRules:
    """One family's spelling, its facts, and its ways to nodes.

    `namespace` is CAIP-2's.  `shares_addresses`: an address is its owner's on
    every chain of the family, in whatever of its chains `*` was asked for.
    `hint_schemes` are those of endpoints that only announce heads.
    `parse_*` take what a person wrote and raise `ValueError` saying what is
    wrong; `format_*` give what people are shown; `encode_identity` is an
    address as deposits' identities spell it.  Addresses are spelled for a
    chain: of some families one owner has another on each.  What a listed token
    is found by (`Asset.contract`) is read by `parse_contract`, shown by
    `format_address`, and named with its namespace as CAIP-19 has it by
    `name_contract`; `parse_asset_id` brings an asset's id into the one spelling
    that is kept, and leaves what it does not know as it is.  `parse_memo` is None
    where payments carry none by which customers of one address could be told
    apart; what it gives has 1 to 1,024 bytes.  `fetch_block_seen`
    asks a node at a URL, which nobody configured, for its block at a height;
    raises `ChainError`, and ValueError for a URL that is none.  `read_spent` says
    which transfer a conflict key uses up: its transaction, and its ordinal there;
    None where keys are no transfers, and who paid is told by the transfer itself.
    """

    namespace: str
    shares_addresses: bool
    hint_schemes: tuple[str, ...]
    parse_address: Callable[[ChainId, str], Address]
    format_address: Callable[[ChainId, Address], str]
    encode_identity: Callable[[ChainId, Address], str]
    parse_contract: Callable[[str], Address]
    name_contract: Callable[[Address], str]
    parse_asset_id: Callable[[str], AssetId]
    parse_tx_hash: Callable[[str], TxHash]
    format_tx_hash: Callable[[TxHash], str]
    parse_block_hash: Callable[[str], BlockHash]
    format_block_hash: Callable[[BlockHash], str]
    parse_memo: Callable[[str], bytes] | None
    facts: FactsRules
    open_source: OpenSource
    load_trial: Callable[[], TrialRules]
    fetch_block_seen: Callable[[ChainId, str, int], Awaitable[BlockSeen]]
    read_spent: Callable[[ConflictKey], tuple[TxHash, int]] | None = None
