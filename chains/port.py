"""The port: what the indexer may ask of any chain, one sentence a method.

The indexer is its only consumer and its owner; families implement it
(`evm.source`), and so does the scripted chain of the tests.  All methods raise
`chains.errors` only.  Everything one step uses comes from one `Provider`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from chains.errors import ChainError
from chains.mempool import MempoolSource
from chains.model import (
    Address,
    AssetId,
    Block,
    BlockRef,
    DepositProof,
    Header,
    HeadReport,
    Sought,
    TransactionStory,
    TxHash,
    Unprovable,
)
from chains.rpc.endpoints import Health
from chains.traits import ChainTraits


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

    async def fetch_network_id(self) -> bytes:
        """What tells this network from any other; opaque, and the same for ever (EVM: an identity block's hash)."""
        ...

    async def fetch_head_report(self, *, safe: bool = True, final: bool = True) -> HeadReport:
        """The newest block it claims, and its `safe` and `finalized` blocks where they are wanted."""
        ...

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        """Headers it calls canonical at these heights, ascending, both ends included.

        Raises `Missing` when it does not reach that far, and for a height
        without a block where the chain skips none.  Not necessarily linked: a
        load balancer may answer from two forks, and the caller checks; only
        its parents tell that a height was skipped and not hidden.
        """
        ...

    async def fetch_blocks_at(self, refs: Sequence[BlockRef], *, sought: Sought | None = None) -> list[Block]:
        """Exactly these blocks with their transfers, verified, in the order asked, whatever branch they are on.

        By which of height and hash its nodes find a block is the family's
        business; that it is this one is proven.  Where only some addresses are
        `sought`, a block may be `spared` what provably does not concern them.
        Raises `Missing` for a block the provider does not hold.
        """
        ...

    async def fetch_blocks(
        self, height_first: int, height_last: int, *, sought: Sought | None = None
    ) -> list[Block]:
        """Blocks it calls canonical at these heights, verified and parent-linked; `Missing` as for headers, `sought` as above."""
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


@dataclass(frozen=True, slots=True)
class Along:
    """The block that comes next would be read at once, with this `sought`."""

    sought: Sought | None


class ChainSource(Protocol):
    """All providers of one chain: who is asked next, and who is believed less."""

    def choose_provider(self) -> Provider:
        """The provider for the next step; raises `Unreachable` when all rest."""
        ...

    async def fetch_head_hedged(
        self, *, safe: bool = True, final: bool = True, along: Along | None = None
    ) -> tuple[Provider, HeadReport]:
        """The chosen provider's head; when it is slow today, whoever of the next two answers first.

        With `along` the block that was announced may be asked for in the same
        exchange; it is used where it turns out to be the head, and is then at
        hand for `fetch_blocks_at`.

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

    def pin_network(self, network_id: bytes) -> None:
        """From now on a provider of another network is refused as `WrongNetwork`."""
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

    @property
    def would_hint(self) -> bool:
        """Whether somebody listens and has missed no head, also where none came by which to be believed."""
        ...

    def wake(self) -> None:
        """Make `wait_for_hint` return: there is something to do without a new head."""
        ...

    async def wait_for_hint(self, timeout_s: float) -> bool:
        """Return at a hint of a new head, when woken, or after `timeout_s`; True for a hint."""
        ...


@dataclass(frozen=True, slots=True)
class CheckState:
    """One check of a chain's blocks: stable words for it and for its state, and since which block it is enforced."""

    check: str
    state: str
    enforced_since_height: int | None


class OpenedSource(ChainSource, Protocol):
    """A chain's providers with what only its process asks of them; whoever opened them closes them."""

    @property
    def traits(self) -> ChainTraits:
        """The chain's facts, with every asset that is read."""
        ...

    @property
    def healths(self) -> Sequence[Health]:
        """What is known of each provider, for `/v1/chains` and metrics."""
        ...

    @property
    def mempools(self) -> Sequence[MempoolSource]:
        """Each node's mempool that can be read; empty where nothing is told before a block holds it."""
        ...

    def calls_per_day(self, host: str) -> int | None:
        """What this provider is asked in a day, at the pace of the last one; None where that cannot be said yet."""
        ...

    def describe_checks(self) -> Sequence[CheckState]:
        """Each check of blocks as it has been learnt so far; empty where none is made."""
        ...

    async def fetch_decimals(self) -> Mapping[AssetId, int]:
        """What the contracts of listed tokens say of their decimals, where they say something."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def close(self) -> None:
        """Close every provider's connections."""
        ...
