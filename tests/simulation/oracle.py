"""What CONTRACT says the deposits of a canonical chain are: slow, plain, and written without looking at the indexer.

Lives here: identities, effective starts, a fresh pass over a chain, which policy applies and when it is met, and the
table of legal moves. Nothing here imports a decision of the product. Does not live here: comparing this with what was
recorded and told (`laws.py`, `telling.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from chains.model import Address, AssetId, BlockHash, Transfer
from migrations.ids import encode_id
from tests.simulation.blocks import SimBlock

LEGAL_MOVES: dict[str | None, tuple[str, ...]] = {
    None: ("seen", "included", "confirmed"),
    "seen": ("included", "confirmed", "replaced", "dropped"),
    "included": ("confirmed", "orphaned", "replaced"),
    "confirmed": ("final", "included", "orphaned", "replaced"),
    "orphaned": ("seen", "included", "confirmed", "replaced", "dropped"),
    "dropped": ("seen", "included", "confirmed", "replaced", "dropped"),
    "replaced": ("seen", "included", "confirmed", "dropped"),
    "final": (),
}
"""CONTRACT 5, row by row."""

AFTER_ACCEPTED_REORG = ("confirmed", "included", "orphaned", "replaced")
"""`final` moves nowhere until an operator accepts a reorganisation; then as `confirmed` does, which it may be again."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A line of the policy: `by` is depth, safe or final; None matches every asset and every amount."""

    by: str
    confirmations: int | None = None
    asset: AssetId | None = None
    up_to_base_units: int | None = None


@dataclass(slots=True)
class Watch:
    """One registration as CONTRACT 5 counts it; `until` is the last height after its deletion.

    `wanted` is where it will begin once history has been read down to there.
    """

    address_id: UUID
    merchant_id: UUID
    address: Address
    start: int
    wanted: int
    until: int | None = None
    memo: bytes | None = None

    def is_for(self, merchant_id: UUID, transfer: Transfer) -> bool:
        """Whether it is this merchant's, of the address as a whole or under the memo the transfer carries."""
        return self.merchant_id == merchant_id and self.memo in (None, transfer.memo)

    def counts_at(self, height: int) -> bool:
        """Whether a transfer at `height` is a deposit of this registration."""
        return self.start <= height and (self.until is None or height <= self.until)


@dataclass(frozen=True, slots=True)
class Sight:
    """One transfer of a canonical block that a merchant watches; `has_begun` where only a deletion keeps it from counting."""

    deposit_id: UUID
    merchant_id: UUID
    block: SimBlock
    transfer: Transfer
    own_transfer: bool
    counts: bool
    has_begun: bool


@dataclass(frozen=True, slots=True)
class Heights:
    """The heights that policies are judged by, as recorded; `held_above` while operators contradict each other."""

    tip: int
    final: int | None
    safe: int | None
    agreed: int
    held_above: int | None


class ChainOracle:
    """One chain's registrations and what they make of any chain of blocks."""

    def __init__(self, chain: str, rules: Sequence[PolicyRule], *, hold_above: int | None = None) -> None:
        """`hold_above`: what one operator's word is good for; `vouched_up_to` is where our operator's word reaches."""
        self.hold_above = hold_above
        self.vouched_up_to = -1
        self.chain = chain
        self.rules = tuple(rules)
        self.asset_starts: dict[AssetId, int] = {}
        self.asset_wanted: dict[AssetId, int] = {}
        self.watches: dict[Address, list[Watch]] = {}
        self.ever_recorded: set[UUID] = set()
        self._sights: dict[BlockHash, tuple[Sight, ...]] = {}
        self._standing: dict[UUID, Sight] = {}
        self._passed: set[tuple[UUID, BlockHash]] = set()
        self._summed_up_to: list[SimBlock] = []
        self._stale: list[tuple[int, int]] = []
        self._ids: dict[tuple[int, int], UUID] = {}
        self._merchant_texts: dict[UUID, str] = {}

    def watch(self, watch: Watch) -> None:
        """A merchant registers an address; blocks below its start do not look different for it."""
        self.watches.setdefault(watch.address, []).append(watch)

    def unwatch(self, address_id: UUID, tip_height: int) -> None:
        """A merchant deletes an address; what is above the tip does not count any more."""
        for watch in self.all_watches():
            if watch.address_id == address_id:
                watch.until, watch.wanted = tip_height, watch.start

    def all_watches(self) -> Iterator[Watch]:
        """Every registration, deleted ones too."""
        for watches in self.watches.values():
            yield from watches

    def lower_starts(self, fork_height: int, old_tip_height: int) -> None:
        """The chain was rewound: what started above the fork starts right above it, unless it had not begun at all."""
        for watch in self.all_watches():
            if fork_height + 1 < watch.start <= old_tip_height + 1:
                watch.start = fork_height + 1
                watch.wanted = min(watch.wanted, watch.start)
        for asset, start in self.asset_starts.items():
            if fork_height + 1 < start <= old_tip_height + 1:
                self.asset_starts[asset] = fork_height + 1

    def cover(self, height_first: int, height_last: int) -> None:
        """History was read there: what began right above it, and is wanted from lower down, begins lower down."""
        for watch in self.all_watches():
            if watch.wanted < watch.start and height_first < watch.start <= height_last + 1:
                watch.start = max(height_first, watch.wanted)
        for asset, start in self.asset_starts.items():
            wanted = self.asset_wanted.get(asset, start)
            if wanted < start and height_first < start <= height_last + 1:
                self.asset_starts[asset] = max(height_first, wanted)
        self._stale.append((height_first, height_last))

    def list_asset(self, asset: AssetId, start: int) -> None:
        """An asset counts from `start` on."""
        self.asset_starts[asset] = start

    def is_history_read(self) -> bool:
        """Whether everything begins where it is wanted to begin."""
        return all(watch.start <= watch.wanted for watch in self.all_watches()) and all(
            self.asset_starts[asset] <= wanted for asset, wanted in self.asset_wanted.items()
        )

    def fresh_pass(self, path: Sequence[SimBlock]) -> dict[UUID, Sight]:
        """Every deposit that stands in these blocks, each where it stands lowest: a transaction counts once.

        A recorded one runs on after its address was deleted.
        """
        found: dict[UUID, Sight] = {}
        for block in path:
            if block.transfers:
                self._add(found, block)
        return found

    def pass_over(self, path: list[SimBlock]) -> dict[UUID, Sight]:
        """The same as `fresh_pass`, without reading again what the last one read and nothing has changed since."""
        read = self._summed_up_to
        if not read or path[0] is not read[0]:
            return self._pass_again(path)
        for first, last in self._stale:
            for block in read:
                if first <= block.height <= last:
                    self._remove(block)
                    self._add(self._standing, block)
        self._stale.clear()
        kept = min(len(read), len(path))
        while read[kept - 1] is not path[kept - 1]:
            kept -= 1
        for block in read[kept:]:
            self._remove(block)
        del read[kept:]
        for block in path[kept:]:
            self._add(self._standing, block)
            read.append(block)
        return self._standing

    def _pass_again(self, path: list[SimBlock]) -> dict[UUID, Sight]:
        # A block that left is read anew should it come back, and what counts in it is decided then.
        stayed = {block.hash for block in self._summed_up_to} & {block.hash for block in path}
        self._passed = {place for place in self._passed if place[1] in stayed}
        self._sights.clear()
        self._stale.clear()
        self._standing = self.fresh_pass(path)
        self._summed_up_to = list(path)
        return self._standing

    def _remove(self, block: SimBlock) -> None:
        for sight in self._sights.pop(block.hash, ()):
            self._passed.discard((sight.deposit_id, block.hash))
            standing = self._standing.get(sight.deposit_id)
            if standing is not None and standing.block is block:
                del self._standing[sight.deposit_id]

    def _add(self, found: dict[UUID, Sight], block: SimBlock) -> None:
        sights = self._sights[block.hash] = tuple(self.sights_in(block)) if block.transfers else ()
        for sight in sights:
            if self._stands(sight):
                standing = found.get(sight.deposit_id)
                # A transaction that stands twice in one block stands where that shows it first.
                if standing is None or sight.block.height < standing.block.height:
                    found[sight.deposit_id] = sight

    def _stands(self, sight: Sight) -> bool:
        """Whether it counts there; after a deletion, whether it was recorded already when that block was read."""
        place = (sight.deposit_id, sight.block.hash)
        if sight.counts or not sight.has_begun:
            return sight.counts
        if sight.deposit_id not in self.ever_recorded:
            self._passed.add(place)
        return place not in self._passed

    def sight_in(self, block: SimBlock, deposit_id: UUID) -> Sight:
        """A deposit as it stands in one block of the last pass."""
        return next(one for one in self._sights[block.hash] if one.deposit_id == deposit_id)

    def rule_for(self, asset: AssetId, amount_base_units: int) -> PolicyRule:
        """The first rule that applies; without one, final."""
        for rule in self.rules:
            if rule.asset not in (None, asset):
                continue
            if rule.up_to_base_units is None or amount_base_units <= rule.up_to_base_units:
                return rule
        return PolicyRule("final")

    def state_of(self, sight: Sight, heights: Heights, *, was_credited: bool) -> str:
        """What a deposit standing there is now. Doubt holds back what is new and takes nothing away."""
        height = sight.block.height
        if self._is_on_one_word(sight):
            return "included"
        is_final = heights.final is not None and height <= heights.final
        counted_up_to = heights.tip if was_credited else min(heights.tip, heights.agreed)
        is_ripe = counted_up_to - height + 1 >= sight.transfer.matures_after_blocks
        if is_final and (is_ripe or was_credited):
            return "final"
        if not is_ripe:
            return "included"
        if not self._is_met(sight, heights, counted_up_to=heights.tip if was_credited else heights.agreed):
            return "included"
        if heights.held_above is not None and height > heights.held_above and not was_credited:
            return "included"
        return "confirmed"

    def _is_on_one_word(self, sight: Sight) -> bool:
        """A large deposit in a block that could not be checked waits for our operator's word."""
        return (
            self.hold_above is not None
            and sight.block.is_doubted
            and sight.transfer.amount_base_units > self.hold_above
            and sight.block.height > self.vouched_up_to
        )

    def _is_met(self, sight: Sight, heights: Heights, *, counted_up_to: int) -> bool:
        height = sight.block.height
        if height > heights.agreed:
            return False
        # Blocks that one operator alone has shown do not confirm; doubt about them takes nothing back either.
        rule = self.rule_for(sight.transfer.asset, sight.transfer.amount_base_units)
        if rule.by == "depth":
            assert rule.confirmations is not None
            matures = sight.transfer.matures_after_blocks
            return counted_up_to - height + 1 >= max(rule.confirmations, matures)
        return rule.by == "safe" and heights.safe is not None and height <= heights.safe

    def sights_in(self, block: SimBlock) -> Iterator[Sight]:
        """What a block holds for each merchant, whether it counts or not."""
        for transfer in block.transfers:
            merchants = {watch.merchant_id for watch in self.watches.get(transfer.recipient, ())}
            for merchant_id in sorted(merchants):
                asset_start = self.asset_starts.get(transfer.asset)
                is_listed = asset_start is not None and block.height >= asset_start
                mine = [one for one in self.watches[transfer.recipient] if one.is_for(merchant_id, transfer)]
                counts = is_listed and any(watch.counts_at(block.height) for watch in mine)
                has_begun = is_listed and any(watch.start <= block.height for watch in mine)
                own = bool(transfer.senders) and (
                    transfer.recipient in transfer.senders
                    or any(self._is_watched(merchant_id, sender, block.height) for sender in transfer.senders)
                )
                identity = self._identity(merchant_id, transfer)
                yield Sight(identity, merchant_id, block, transfer, own, counts, has_begun)

    def _is_watched(self, merchant_id: UUID, address: Address, height: int) -> bool:
        return any(
            watch.merchant_id == merchant_id and watch.counts_at(height)
            for watch in self.watches.get(address, ())
        )

    def _identity(self, merchant_id: UUID, transfer: Transfer) -> UUID:
        """CONTRACT 2: place and height are no part of it."""
        key = (merchant_id.int, id(transfer))  # transfers live as long as the schedule
        known = self._ids.get(key)
        if known is not None:
            return known
        text = self._merchant_texts.get(merchant_id)
        if text is None:
            text = self._merchant_texts[merchant_id] = encode_id("mer", merchant_id)
        lines = [
            "chainbell-deposit-1",
            text,
            self.chain,
            "0x" + transfer.tx_hash.hex(),
            str(transfer.kind),
            transfer.asset.lower(),
            "0x" + transfer.recipient.hex(),
            str(transfer.n),
        ]
        identity = UUID(bytes=hashlib.sha256("\n".join(lines).encode()).digest()[:16])
        self._ids[key] = identity
        return identity
