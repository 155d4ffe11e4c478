"""Watched balances over a range, against what the range's blocks moved: `chainbell audit --balances`.

Lives here: the sums, block by block, and the two questions at the range's ends.
What no block tells (a withdrawal nobody listed, a token that rebases, a call
that was not traced) shows as a difference here and nowhere else.  Does not live
here: reading the range (`audit`), holding single blocks (`balance_check`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from chains.errors import Inconsistent
from chains.model import BEFORE_FIRST, Address, AssetId, Block, BlockRef, Header, TransferKind, is_linked
from chains.port import Provider
from chains.traits import ChainTraits
from indexer.rules.matching import Registration
from indexer.rules.watchset import WatchSet

BALANCES_AT_ONCE = 500

NOT_TRACED = "value moved inside contract calls is not traced on this chain"

LoadRegistrations = Callable[[Collection[Address]], Awaitable[list[Registration]]]


@dataclass(frozen=True, slots=True)
class BalanceDifference:
    """One balance that did not change by what the blocks moved.

    `unexplained` says why it proves nothing wrong; None where every term is known.
    """

    address: Address
    asset: AssetId
    moved_base_units: int
    changed_base_units: int
    unexplained: str | None


@dataclass(frozen=True, slots=True)
class AuditedBalances:
    """How many balances were compared, and those that differ."""

    pairs_count: int
    differences: tuple[BalanceDifference, ...]


class BalanceTally:
    """What the blocks of a range moved, for each address in the watch set; feed it ascending blocks."""

    def __init__(self, traits: ChainTraits, watched: WatchSet) -> None:
        self._native = traits.native.asset_id
        self._skipped_heights_max = traits.skipped_heights_max
        self._contracts: dict[AssetId, Address | None] = {
            asset.asset_id: asset.contract for asset in traits.assets if asset.contract
        }
        self._contracts[self._native] = None
        self._watched = watched
        self._sums: dict[tuple[Address, AssetId], int] = {}
        self._doubts: dict[Address, str] = {}
        self._is_traced = True
        self._before: BlockRef | None = None
        self._last: Header | None = None

    def add(self, blocks: Sequence[Block]) -> None:
        """Count these blocks; raises `Inconsistent` where they do not follow what was counted before."""
        for block in blocks:
            header = block.header
            if self._last is not None and not is_linked(
                [self._last, header], skipped_heights_max=self._skipped_heights_max
            ):
                raise Inconsistent(
                    f"block {header.height} does not follow the one before", provider=block.served_by
                )
            self._last = header
            if header.parent.height == BEFORE_FIRST:
                # What genesis gave away stands in no transaction: it is where the range begins.
                self._before = header.ref
                continue
            if self._before is None:
                self._before = header.parent
            self._add_native(block)
            self._add_tokens(block)

    async def settle(self, provider: Provider, load: LoadRegistrations) -> AuditedBalances:
        """Ask for the balances at both ends; raises `ChainError`, `Pruned` among them, where they are not told."""
        registered = {one.address for one in await load({address for address, _ in self._sums})}
        pairs = sorted(pair for pair in self._sums if pair[0] in registered and pair[1] in self._contracts)
        if not pairs:
            return AuditedBalances(0, ())
        assert self._before is not None, "a sum comes from a block"
        assert self._last is not None, "the same"
        before = await self._fetch(provider, pairs, self._before)
        after = await self._fetch(provider, pairs, BlockRef(self._last.height, self._last.hash))
        found = [
            BalanceDifference(*pair, self._sums[pair], became - was, self._doubt(*pair))
            for pair, was, became in zip(pairs, before, after, strict=True)
            if became - was != self._sums[pair]
        ]
        return AuditedBalances(len(pairs), tuple(found))

    def _add_native(self, block: Block) -> None:
        if block.ledger is None:
            self._is_traced = False
            return
        self._is_traced = self._is_traced and block.ledger.is_traced
        changes = block.ledger.changes()
        addresses = list(changes)
        for index in self._watched.hits(addresses):
            address, change = addresses[index], changes[addresses[index]]
            self._move(address, self._native, change.amount_base_units)
            if change.doubt is not None:
                self._doubts[address] = change.doubt

    def _add_tokens(self, block: Block) -> None:
        table = block.transfers
        for index in range(len(table.recipients)):
            transfer = table.at(index)
            if transfer.kind is not TransferKind.TOKEN:
                continue
            parties = [transfer.recipient, *transfer.senders]
            for which in self._watched.hits(parties):
                sign = -1 if which else 1
                self._move(parties[which], transfer.asset, sign * transfer.amount_base_units)

    def _move(self, address: Address, asset: AssetId, amount_base_units: int) -> None:
        pair = (address, asset)
        self._sums[pair] = self._sums.get(pair, 0) + amount_base_units

    def _doubt(self, address: Address, asset: AssetId) -> str | None:
        """Tokens move by their logs only; native coin also where we may not look."""
        if asset != self._native:
            return None
        return self._doubts.get(address) or (None if self._is_traced else NOT_TRACED)

    async def _fetch(
        self, provider: Provider, pairs: Sequence[tuple[Address, AssetId]], block: BlockRef
    ) -> list[int]:
        wanted = [(address, self._contracts[asset]) for address, asset in pairs]
        balances: list[int] = []
        for first in range(0, len(wanted), BALANCES_AT_ONCE):
            balances += await provider.fetch_balances(wanted[first : first + BALANCES_AT_ONCE], block)
        return balances
