"""The values in which a chain is spoken of: headers, blocks, transfers, assets.

Pure data, shared by every family and by the indexer.  Hashes and addresses are
raw bytes in the order the family displays them; amounts are integers in base
units; heights count blocks from genesis.  How bytes become text is the
family's business (`chains.families`); what a transfer means for a merchant is
`indexer.rules.matching` and `indexer.rules.deposits`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import NewType, Protocol

ChainId = NewType("ChainId", str)
"""CAIP-2, for example ``eip155:1``."""

AssetId = NewType("AssetId", str)
"""CAIP-19, for example ``eip155:1/slip44:60``; lower case but where base58 tells letters by it."""

BlockHash = NewType("BlockHash", bytes)
TxHash = NewType("TxHash", bytes)
Address = NewType("Address", bytes)
"""EVM: 20 bytes. Bitcoin family: the output script. Tron: 21 bytes."""

ConflictKey = NewType("ConflictKey", bytes)
"""What only one canonical transaction can use up.

EVM: sender (20 bytes) and nonce (8 bytes, big-endian).  Bitcoin: an outpoint.
"""


class TransferKind(StrEnum):
    """How value moved; part of a deposit's identity."""

    TOKEN = "token"
    NATIVE = "native"
    INTERNAL = "internal"
    UTXO = "utxo"
    TRC10 = "trc10"


class VerificationLevel(StrEnum):
    """How far a block was checked before it was believed.

    `FULL`: header hash, transactions root, receipts root and bloom recomputed;
    of a block that is spared its receipts, what proves that they cannot matter.
    `PARTIAL`: the checks the chain's profile allows, at least one of them
    unavailable.  `CONSISTENT`: counts, hashes in every row and contiguity
    only; trust then rests on agreement between providers.
    """

    FULL = "full"
    PARTIAL = "partial"
    CONSISTENT = "consistent"


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block by height and hash, where the rest of its header does not matter."""

    height: int
    hash: BlockHash


BEFORE_FIRST = -1
"""The height at which the parent of a chain's first block would stand."""


@dataclass(frozen=True, slots=True)
class Header:
    """One block's place in the chain; `time_s` is the block's own Unix time.

    `parent` is the block it stands on, at a lower height: the next lower one where every height has a block.  That of a first
    block lies at -1.  `work` is what the block adds where the chain with the most work is the right one (Bitcoin), else None.
    """

    height: int
    hash: BlockHash
    parent: BlockRef
    time_s: int
    work: int | None = None

    @property
    def ref(self) -> BlockRef:
        """The block this is the header of."""
        return BlockRef(self.height, self.hash)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Value that moved to `recipient` in one successful transaction.

    `n` is the ordinal among transfers of the same kind and asset to the same
    recipient inside the transaction, from 0 (Bitcoin: the output index).
    `recipient` is who owns what arrived, where value is kept in accounts of an
    owner.  `senders` are all who paid for it, each once; none for a mint.
    `position` sorts by place within the block (`format_position`).  `memo` is
    what the chain carries beside the value.  `matures_after_blocks` is how many
    confirmations it needs at least, since it can be spent no sooner; 0 for none.
    """

    tx_hash: TxHash
    kind: TransferKind
    asset: AssetId
    recipient: Address
    senders: tuple[Address, ...]
    n: int
    amount_base_units: int
    position: str
    conflict_keys: tuple[ConflictKey, ...]
    memo: bytes | None = None
    matures_after_blocks: int = 0


class TransferTable(Protocol):
    """The transfers of one block, cheap to scan and dear only where asked.

    A busy block holds thousands of transfers and perhaps one that matters, so
    the table gives recipients as plain bytes and builds a `Transfer` only for
    the index it is asked for.
    """

    @property
    def recipients(self) -> Sequence[bytes]:
        """One address per transfer, in block order; amounts of 0 left out."""
        ...

    def at(self, index: int) -> Transfer:
        """The transfer whose recipient stands at `index`."""
        ...

    @property
    def spends(self) -> Collection[ConflictKey]:
        """Every key that this block used up, whether its transaction succeeded or not."""
        ...

    def spent_by(self, key: ConflictKey) -> TxHash | None:
        """The transaction of this block that used up `key`, or None."""
        ...


@dataclass(frozen=True, slots=True)
class ListedTransfers:
    """A `TransferTable` of built transfers."""

    transfers: tuple[Transfer, ...] = ()
    spends: Mapping[ConflictKey, TxHash] = field(default_factory=dict)

    @property
    def recipients(self) -> Sequence[bytes]:
        return [transfer.recipient for transfer in self.transfers]

    def at(self, index: int) -> Transfer:
        return self.transfers[index]

    def spent_by(self, key: ConflictKey) -> TxHash | None:
        return self.spends.get(key)


@dataclass(frozen=True, slots=True)
class NativeChange:
    """What a block's rows did to one address's native balance, in and out and fees together.

    `doubt` says why the balance may have changed by something else too; None
    where every term is known.
    """

    amount_base_units: int
    doubt: str | None = None


class NativeLedger(Protocol):
    """A block's native coin by address, reckoned when first asked."""

    @property
    def is_traced(self) -> bool:
        """Whether value moved inside contract calls is in it."""
        ...

    def changes(self) -> Mapping[Address, NativeChange]:
        """Every address whose native balance these rows changed."""
        ...


@dataclass(frozen=True, slots=True)
class Sought:
    """Whose transfers alone are looked for, so that a block may be spared what provably holds none of theirs.

    `addresses` are all that the watch list holds at `version`; few, since each is held against every block.
    """

    addresses: frozenset[Address]
    version: int


class Spared(Protocol):
    """What stands in for the part of a block that was not fetched: the proof that it cannot matter to anybody sought."""

    @property
    def version(self) -> int:
        """Of the watch list whose addresses it was proven for."""
        ...

    @property
    def assets(self) -> bytes:
        """A digest of the assets it was proven for: others may have moved."""
        ...

    def may_concern(self, addresses: Iterable[Address]) -> bool:
        """Whether what was not fetched may hold a transfer to any of these; False is proven."""
        ...


class Hold(IntEnum):
    """What the doubts about a block do to credit, from nothing to everything.

    A held block is told as included; it confirms nothing until an operator
    other than the one who served it shows the same hits, or ours says so.
    """

    NONE = 0
    HITS = 1
    """A known gap, such as rows that the chain commits to in no header: its own hits wait where somebody can be asked."""

    CHAIN = 2
    """Nothing from this block on is confirmed: rules we do not know, or a liar's excuse."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What of a block could not be checked or understood, and why: stable words."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """One block as one provider told it, after the checks of `level` passed.

    `unlisted_transfer_count` counts token transfers whose emitter is not in
    the asset list.  `served_by` names the provider by host.  `ledger` is None
    where a family keeps none.  `doubts` are for people: what was skipped here
    is said there.  `hold` is what they do to credit.  Transfers of
    `covered_kinds` are tied to the hash though other rows are not.

    `spared`: only a part was fetched, and the rest provably holds no transfer
    to anybody sought; then the counts that need it are 0 and say nothing.
    `unspares_blocks`: this block shows that what spares blocks may hold no
    more, so spared ones among that many below it are to be read again.
    """

    header: Header
    tx_count: int
    log_count: int
    unlisted_transfer_count: int
    level: VerificationLevel
    served_by: str
    transfers: TransferTable
    ledger: NativeLedger | None = None
    doubts: tuple[Doubt, ...] = ()
    hold: Hold = Hold.NONE
    spared: Spared | None = None
    unspares_blocks: int = 0
    covered_kinds: frozenset[TransferKind] = frozenset()

    def level_of(self, kind: TransferKind) -> VerificationLevel:
        """How far transfers of a kind were checked."""
        return VerificationLevel.FULL if kind in self.covered_kinds else self.level


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What one provider claims is newest; its tags are None where it does not know them: unknown is not zero."""

    head: Header
    safe: Header | None
    final: Header | None


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset a chain's followers look for.

    `contract` is None for the native coin, the number's digits where a token is no contract (TRC-10).  Amounts below
    `min_base_units` are recorded and not published.  `decimals_are_trusted`: what the contract says of them is not asked.
    """

    asset_id: AssetId
    symbol: str
    decimals: int
    contract: Address | None
    min_base_units: int = 1
    decimals_are_trusted: bool = False


@dataclass(frozen=True, slots=True)
class Movement:
    """Value that one transaction claims to have moved, whether or not we count it.

    `asset` is None for a token that is not listed; `contract` and
    `claimed_symbol` then say which it is and what it calls itself (hostile
    text, cut short and cleaned).  `well_formed` is False for a `Transfer`
    that is not an ERC-20's: wrong number of topics or length of data.
    """

    kind: TransferKind
    asset: AssetId | None
    contract: Address | None
    claimed_symbol: str | None
    sender: Address | None
    recipient: Address | None
    amount_base_units: int
    well_formed: bool = True
    memo: bytes | None = None


@dataclass(frozen=True, slots=True)
class TransactionStory:
    """One transaction as a provider tells it, for explaining and never for crediting.

    `block` and `succeeded` are None while it waits in a mempool.  `failure` says to people why it failed, where that is told.
    """

    tx_hash: TxHash
    block: BlockRef | None
    succeeded: bool | None
    movements: tuple[Movement, ...]
    served_by: str
    failure: str = ""


def format_position(*numbers: int) -> str:
    """A place within a block as opaque text that sorts by it: the outermost number first, what is contained behind it."""
    return ".".join(f"{number:06d}" for number in numbers)


def is_placed(header: Header, *, skipped_heights_max: int = 0) -> bool:
    """Whether its parent lies below it, with no more heights left out between than the chain may skip in a row."""
    skipped = header.height - header.parent.height - 1
    return header.parent.height >= BEFORE_FIRST and 0 <= skipped <= skipped_heights_max


def is_linked(headers: Sequence[Header], *, skipped_heights_max: int = 0) -> bool:
    """Whether each header is the parent of the next, and none leaves out more heights than the chain may skip.

    What lies between two linked headers is known: no block of their chain.
    """
    return all(later.parent == earlier.ref for earlier, later in pairwise(headers)) and all(
        is_placed(header, skipped_heights_max=skipped_heights_max) for header in headers
    )
