"""The world of a script: every block ever mined, and which ones are canonical.

Transactions are made first and mined later, so that a script can drop one,
mine it again elsewhere, or let a rival take its nonce.  Who sees how much of
this world is `chains.scripted.provider`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chains.model import (
    BEFORE_FIRST,
    Address,
    AssetId,
    BlockHash,
    BlockRef,
    ConflictKey,
    Header,
    Transfer,
    TransferKind,
    TxHash,
    format_position,
)
from chains.traits import ChainTraits

GENESIS_TIME_S = 1_700_000_000
SOMEBODY = Address(b"\x5e" * 20)
"""Who pays when a script does not care."""


@dataclass(frozen=True, slots=True)
class ScriptedMove:
    """Value one scripted transaction moves; `sender` None is a mint."""

    recipient: Address
    amount_base_units: int
    asset: AssetId
    kind: TransferKind
    sender: Address | None
    memo: bytes | None = None


@dataclass(frozen=True, slots=True)
class ScriptedTx:
    """A transaction that can be mined, dropped and mined again elsewhere."""

    tx_hash: TxHash
    moves: tuple[ScriptedMove, ...]
    conflict_key: ConflictKey | None = None
    fee_rate_per_kvb: int | None = None
    has_unconfirmed_parents: bool = False


@dataclass(frozen=True, slots=True)
class ScriptedBlock:
    """A block of the script; `txs` in the order of execution."""

    header: Header
    txs: tuple[ScriptedTx, ...]


@dataclass(slots=True)
class ScriptedChain:
    """The world as it is: every block ever mined, and which ones are canonical.

    `forgets_orphans`: blocks that left the chain are no longer answered by
    hash (as anvil does; geth keeps answering).  `block_work`: what the blocks
    mined from now on weigh, on a chain that is chosen by work.  `first_height`
    is where it begins.  `pool` is what waits in every mempool.
    """

    traits: ChainTraits
    forgets_orphans: bool = False
    canonical: list[ScriptedBlock] = field(default_factory=list)
    final_height: int | None = None
    safe_height: int | None = None
    block_work: int | None = None
    first_height: int = 0
    pool: dict[TxHash, ScriptedTx] = field(default_factory=dict)
    _by_hash: dict[BlockHash, ScriptedBlock] = field(default_factory=dict)
    _blocks_mined: int = 0
    _txs_made: int = 0
    _listeners: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._append(())

    @property
    def head(self) -> Header:
        """The newest canonical header."""
        return self.canonical[-1].header

    def pay(
        self,
        recipient: Address,
        amount_base_units: int,
        *,
        asset: AssetId | None = None,
        sender: Address | None = SOMEBODY,
        nonce: int | None = None,
        kind: TransferKind | None = None,
        memo: bytes | None = None,
    ) -> ScriptedTx:
        """A transaction with one transfer, not mined yet; native unless `asset` says so.

        `nonce` makes it a rival of others with the same sender and nonce.
        """
        native = self.traits.native.asset_id
        chosen = native if asset is None else asset
        if kind is None:
            kind = TransferKind.NATIVE if chosen == native else TransferKind.TOKEN
        move = ScriptedMove(recipient, amount_base_units, chosen, kind, sender, memo)
        return self.make_tx((move,), nonce=nonce)

    def make_tx(self, moves: Sequence[ScriptedMove], *, nonce: int | None = None) -> ScriptedTx:
        """A transaction with any transfers; its hash is the count of those made before."""
        self._txs_made += 1
        sender = next((move.sender for move in moves if move.sender is not None), None)
        key = None
        if nonce is not None and sender is not None:
            key = ConflictKey(sender + nonce.to_bytes(8, "big"))
        return ScriptedTx(TxHash(_digest("tx", self.traits.chain, self._txs_made)), tuple(moves), key)

    def broadcast(self, tx: ScriptedTx) -> None:
        """It waits to be mined from now on, in the stead of what would use up the same; what a block used up stays so."""
        canonical = [one for block in self.canonical for one in block.txs]
        if any(one.tx_hash == tx.tx_hash or _are_rivals(one, tx) for one in canonical):
            return
        self._clear(tx)
        self.pool[tx.tx_hash] = tx
        self._tell()

    def evict(self, tx: ScriptedTx) -> None:
        """Every mempool forgets it."""
        self.pool.pop(tx.tx_hash, None)
        self._tell()

    def mine(self, *txs: ScriptedTx, skipped: int = 0) -> Header:
        """One block on top of the head, with so many heights between that have none."""
        header = self._append(txs, skipped)
        self._tell()
        return header

    def mine_many(self, blocks_count: int) -> Header:
        """So many empty blocks on top of the head."""
        for _ in range(blocks_count):
            self._append(())
        self._tell()
        return self.head

    def reorg(self, depth: int, *blocks: Sequence[ScriptedTx], skipped: int = 0) -> Header:
        """Take `depth` blocks off the head and mine these instead, one a sequence.

        Fewer than `depth` makes the chain shorter, as nodes briefly show.
        `skipped`: how many heights right above the fork have no block now.
        """
        assert 0 < depth < len(self.canonical), "the genesis block cannot leave the chain"
        orphans = self.canonical[-depth:]
        del self.canonical[-depth:]
        if self.forgets_orphans:
            for orphan in orphans:
                del self._by_hash[orphan.header.hash]
        for number, txs in enumerate(blocks):
            self._append(txs, 0 if number else skipped)
        for orphan in orphans:
            for tx in orphan.txs:
                self.broadcast(tx)
        self._tell()
        return self.head

    def set_final(self, height: int | None, *, safe_height: int | None = None) -> None:
        """What the chain says is final (and safe); None is unknown."""
        self.final_height, self.safe_height = height, safe_height
        self._tell()

    def find(self, block_hash: BlockHash) -> ScriptedBlock | None:
        """Any block still answered by hash, canonical or not."""
        return self._by_hash.get(block_hash)

    def branch_of(self, block_hash: BlockHash) -> list[ScriptedBlock]:
        """The chain that ends in this block, genesis first."""
        branch: list[ScriptedBlock] = []
        block = self._by_hash.get(block_hash)
        while block is not None:
            branch.append(block)
            block = self._by_hash.get(block.header.parent.hash)
        return branch[::-1]

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the head or of finality."""
        self._listeners.append(listener)

    def _append(self, txs: Sequence[ScriptedTx], skipped: int = 0) -> Header:
        if self.canonical:
            parent = self.canonical[-1].header.ref
        else:
            parent, skipped = BlockRef(BEFORE_FIRST, BlockHash(bytes(32))), self.first_height
        height = parent.height + 1 + skipped
        self._blocks_mined += 1
        # The count makes two forks with equal content different blocks.
        block_hash = BlockHash(_digest("block", self.traits.chain, parent.hash.hex(), self._blocks_mined))
        time_s = GENESIS_TIME_S + int(height * self.traits.block_time_s)
        block = ScriptedBlock(Header(height, block_hash, parent, time_s, self.block_work), tuple(txs))
        self.canonical.append(block)
        self._by_hash[block_hash] = block
        for tx in txs:
            self._clear(tx)
        return block.header

    def _clear(self, tx: ScriptedTx) -> None:
        """It waits no more, and neither does what would use up the same."""
        gone = [one for one in self.pool.values() if one.tx_hash == tx.tx_hash or _are_rivals(one, tx)]
        for one in gone:
            del self.pool[one.tx_hash]

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def compute_transfers(txs: Sequence[ScriptedTx]) -> tuple[Transfer, ...]:
    """The transfers of the transactions of one block, numbered as a family's decoder would."""
    transfers: list[Transfer] = []
    log_index = 0
    for tx_index, tx in enumerate(txs):
        keys = () if tx.conflict_key is None else (tx.conflict_key,)
        seen: dict[tuple[TransferKind, AssetId, Address], int] = {}
        for move in tx.moves:
            if move.amount_base_units == 0:
                continue
            identity = (move.kind, move.asset, move.recipient)
            n = seen.get(identity, 0)
            seen[identity] = n + 1
            is_token = move.kind is TransferKind.TOKEN
            transfer = Transfer(
                tx.tx_hash, move.kind, move.asset, move.recipient, () if move.sender is None else (move.sender,), n,
                move.amount_base_units, format_position(tx_index, *(log_index,) * is_token), keys, move.memo,
            )  # fmt: skip
            transfers.append(transfer)
            log_index += is_token
    return tuple(transfers)


def _are_rivals(one: ScriptedTx, other: ScriptedTx) -> bool:
    return one.conflict_key is not None and one.conflict_key == other.conflict_key and one != other


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).digest()
