"""The port: what the indexer may ask of any chain, one sentence a method.

The indexer is its only consumer and its owner; families implement it
(`evm.source`), and so does the scripted chain of the tests.  All methods raise
`chains.errors` only.  Everything one step uses comes from one `Provider`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chains.errors import ChainError
from chains.model import (
    Address,
    Block,
    BlockHash,
    BlockRef,
    DepositProof,
    Header,
    HeadReport,
    TransactionStory,
    TxHash,
    Unprovable,
)


class Provider(Protocol):
    """One operator's node, or a load balancer in front of several."""

    @property
    def name(self) -> str:
        """The host as shown to people: no path, no query, no credentials."""
        ...

    @property
    def operator(self) -> str:
        """Who runs it; two providers of one operator are one voice."""
        ...

    def for_backfill(self) -> Provider:
        """The same provider, asked behind the head's requests: its lane for history."""
        ...

    async def fetch_genesis_hash(self) -> BlockHash:
        """The hash of block 0, or of the configured identity block: with the network's number, which chain this is."""
        ...

    async def fetch_head_report(self, *, safe: bool = True, final: bool = True) -> HeadReport:
        """The newest block it claims, and its `safe` and `finalized` blocks where they are wanted."""
        ...

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        """Headers it calls canonical at these heights, ascending, both ends included.

        Raises `Missing` when it holds fewer.  Not necessarily linked: a load
        balancer may answer from two forks, and the caller checks.
        """
        ...

    async def fetch_blocks_by_hash(self, hashes: Sequence[BlockHash]) -> list[Block]:
        """These blocks with their transfers, verified, in the order asked."""
        ...

    async def fetch_blocks(self, height_first: int, height_last: int) -> list[Block]:
        """Blocks it calls canonical at these heights, verified and parent-linked."""
        ...

    async def fetch_transaction(self, tx_hash: TxHash) -> TransactionStory | None:
        """One transaction and what it claims to have moved; None where the provider does not know it."""
        ...

    async def fetch_balances(
        self, wanted: Sequence[tuple[Address, Address | None]], block: BlockRef
    ) -> list[int]:
        """Balances after `block`, in base units: of an address in a token's contract, or None for native.

        Raises `Missing` for a block it does not call canonical, `Pruned` where
        it keeps no state of it.
        """
        ...

    async def fetch_deposit_proof(self, block: BlockRef, tx_hash: TxHash) -> DepositProof | Unprovable:
        """What shows a transaction and its outcome to whoever knows the block's hash, from rows verified just now.

        Raises `Missing` for a block it does not call canonical.
        """
        ...


class ChainSource(Protocol):
    """All providers of one chain: who is asked next, and who is believed less."""

    def choose_provider(self) -> Provider:
        """The provider for the next step; raises `Unreachable` when all rest."""
        ...

    async def fetch_head_hedged(
        self, *, safe: bool = True, final: bool = True
    ) -> tuple[Provider, HeadReport]:
        """The chosen provider's head; when it is slow today, whoever of the next two answers first.

        The provider that answered serves the whole step.  One that failed is
        reported already; raises its error when nobody answers.
        """
        ...

    def second_opinions(self, first: Provider) -> Sequence[Provider]:
        """Usable providers of other operators than `first`, best first."""
        ...

    def operator_of(self, host: str) -> str | None:
        """Who runs the provider of this name; None where it is not configured any more."""
        ...

    @property
    def operators_count(self) -> int:
        """How many different operators are configured; 1 means trust in one."""
        ...

    def report_failure(self, provider: Provider, error: ChainError) -> None:
        """Tell what a provider did, so that it rests or shrinks its budget."""
        ...

    def pin_genesis(self, genesis_hash: BlockHash) -> None:
        """From now on a provider with another identity block is refused as `WrongNetwork`."""
        ...

    def report_success(self, provider: Provider) -> None:
        """Tell that a step with this provider went through."""
        ...

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        """Tell that a provider's head is behind what another one served."""
        ...

    async def run_hints(self) -> None:
        """Listen for new heads until cancelled; returns at once where only a timer wakes."""
        ...

    @property
    def are_hints_live(self) -> bool:
        """Whether new heads are hinted at in time, so that a timer is a watchdog only."""
        ...

    def wake(self) -> None:
        """Make `wait_for_hint` return: there is something to do without a new head."""
        ...

    async def wait_for_hint(self, timeout_s: float) -> bool:
        """Return at a hint of a new head, when woken, or after `timeout_s`; True for a hint."""
        ...
