"""Payments as their senders signed them, and blocks with their whole ancestry: the values a simulated chain is made of.

Lives here: what uses up what, what stands where, and how a block is told. Does not live here: making them (`chain.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from chains.model import (
    Address,
    AssetId,
    Block,
    BlockHash,
    BlockRef,
    ConflictKey,
    Header,
    ListedTransfers,
    Sought,
    Transfer,
    TransferKind,
    TxHash,
    VerificationLevel,
)

GENESIS_TIME_S = 1_700_000_000
SLOT_S = 12


@dataclass(frozen=True, slots=True)
class Leg:
    """One move of value inside a payment, before any block executes it."""

    kind: TransferKind
    asset: AssetId
    sender: Address | None
    recipient: Address
    amount_base_units: int
    memo: bytes | None = None


@dataclass(slots=True)
class Payment:
    """One transaction as its sender signed it: whichever block holds it, its hash and nonce are the same."""

    tx_hash: TxHash
    keys: tuple[ConflictKey, ...]
    legs: tuple[Leg, ...]
    mined_times: int = 0
    dropped: bool = False
    matures_after_blocks: int = 0
    used: tuple[bytes, ...] = field(init=False)
    """What no other payment of the same branch may use; without keys it is in a branch once all the same."""

    def __post_init__(self) -> None:
        self.used = self.keys or (self.tx_hash,)

    def fits(self, used: AbstractSet[bytes]) -> bool:
        """Whether it may be mined where these are used up."""
        return all(one not in used for one in self.used)


@dataclass(frozen=True, slots=True)
class SimSpared:
    """The `Spared` of a simulated block."""

    recipients: frozenset[Address]
    noise: int
    version: int
    assets: bytes = b""

    def may_concern(self, addresses: Iterable[Address]) -> bool:
        return any(one in self.recipients or one[-1] & 7 == self.noise for one in addresses)


class SimBlock:
    """One block with its whole ancestry: `path[h]` is its ancestor at height h, and itself last.

    Where a height has no block, the one below it stands there once more.
    """

    __slots__ = (
        "block",
        "hash",
        "header",
        "height",
        "is_doubted",
        "is_forged",
        "keys",
        "path",
        "payments",
        "total_work",
        "transfers",
    )

    def __init__(
        self,
        parent: SimBlock | None,
        block_hash: BlockHash,
        payments: Sequence[Payment],
        transfers: tuple[Transfer, ...],
        *,
        is_forged: bool,
        is_doubted: bool = False,
        skipped: int = 0,
        slots_missed: int = 0,
        work: int | None = None,
    ) -> None:
        self.header: Header
        self.height: int = 0 if parent is None else parent.height + 1 + skipped
        self.hash = block_hash
        under = BlockRef(-1, BlockHash(bytes(len(block_hash)))) if parent is None else parent.header.ref
        slots = 0 if parent is None else 1 + skipped + slots_missed
        time_s = GENESIS_TIME_S if parent is None else parent.header.time_s + SLOT_S * slots
        self.header = Header(self.height, block_hash, under, time_s, work)
        self.total_work: int = (0 if parent is None else parent.total_work) + (work or 0)
        self.path: list[SimBlock] = [self] if parent is None else [*parent.path, *(parent,) * skipped, self]
        self.payments = tuple(payments)
        self.transfers = transfers
        self.is_forged = is_forged
        self.is_doubted = is_doubted
        used = frozenset(one for payment in payments for one in payment.used)
        self.keys: frozenset[bytes] = used if parent is None else parent.keys | used
        self.block = Block(
            header=self.header,
            tx_count=len(payments),
            log_count=len(transfers),
            unlisted_transfer_count=0,
            level=VerificationLevel.CONSISTENT if is_doubted else VerificationLevel.FULL,
            served_by="scripted",
            transfers=ListedTransfers(transfers, spends_of(payments)),
        )

    def tell(self, sought: Sought | None) -> Block:
        """The block as a provider tells it: spared its transfers where its hash proves that none pays anybody sought.

        As with a bloom, one in eight strangers looks like somebody who is paid.
        """
        if sought is None or self.is_doubted or not self.payments:
            return self.block
        spared = SimSpared(
            frozenset(one.recipient for one in self.transfers), self.hash[0] & 7, sought.version
        )
        if spared.may_concern(sought.addresses):
            return self.block
        spends = spends_of(self.payments)
        return replace(self.block, transfers=ListedTransfers((), spends), log_count=0, spared=spared)

    def ancestors(self, height_first: int, height_last: int) -> list[SimBlock]:
        """Its ancestors at these heights and itself, lowest first; heights without a block have none."""
        span = self.path[height_first : height_last + 1]
        return [block for height, block in enumerate(span, height_first) if block.height == height]

    def descends_from(self, other: SimBlock) -> bool:
        """Whether `other` is this block or one of its ancestors."""
        return other.height <= self.height and self.path[other.height] is other


def spends_of(payments: Iterable[Payment]) -> dict[ConflictKey, TxHash]:
    """What these use up, and which of them does."""
    return {key: payment.tx_hash for payment in payments for key in payment.keys}


def place_of(leg: Leg, *, counts_outputs: bool) -> object:
    """Among which of a payment's moves one is counted."""
    return None if counts_outputs else (leg.kind, leg.asset, leg.recipient)
