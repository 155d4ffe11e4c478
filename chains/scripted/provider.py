"""One node's view of a scripted chain: honest, late, stuck on a fork, or failing.

It implements the port's `Provider`; its knobs are plain attributes, to be
turned between two calls.  The world it looks at is `chains.scripted.chain`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from chains.errors import Missing
from chains.model import (
    Address,
    AssetId,
    Block,
    BlockHash,
    BlockRef,
    Header,
    HeadReport,
    ListedTransfers,
    Movement,
    Sought,
    TransactionStory,
    TransferKind,
    TxHash,
    VerificationLevel,
)
from chains.proofs import DepositProof, Unprovable, UnprovableReason
from chains.scripted.chain import (
    ScriptedBlock,
    ScriptedChain,
    ScriptedMove,
    ScriptedTx,
    compute_transfers,
)


@dataclass(frozen=True, slots=True)
class ScriptedSpared:
    """The `Spared` of a scripted block: whom it pays is known, and nothing else of it was told."""

    recipients: frozenset[Address]
    version: int
    assets: bytes = b""

    def may_concern(self, addresses: Iterable[Address]) -> bool:
        return not self.recipients.isdisjoint(addresses)


@dataclass(slots=True)
class ScriptedProvider:
    """One node's view of the chain, honest unless told otherwise.

    `lag_blocks`: how far its head is behind.  `stuck_on`: it follows the branch
    of this block whatever the others do.  `hides_finality`: its tags are null.
    `delay_s`: how long each answer takes.  `spares`: a block is spared its
    transfers where nobody sought is among their recipients.  `hides`: blocks
    that it leaves out where it is asked by height, as if the chain had skipped
    them; `relinks`: it says of what stands on such a block that it stands on
    the one below.
    """

    chain: ScriptedChain
    name: str = "node-a.test"
    operator: str = "operator-a"
    lag_blocks: int = 0
    stuck_on: BlockHash | None = None
    hides_finality: bool = False
    delay_s: float = 0.0
    level: VerificationLevel = VerificationLevel.CONSISTENT
    spares: bool = False
    hides: frozenset[BlockHash] = frozenset()
    relinks: bool = False
    calls_count: int = 0

    def for_backfill(self) -> ScriptedProvider:
        """Itself: nothing is scarce here."""
        return self

    async def fetch_network_id(self) -> bytes:
        await self._begin()
        return self.chain.canonical[0].header.hash

    async def fetch_head_report(self, *, safe: bool = True, final: bool = True) -> HeadReport:
        await self._begin()
        view = self._view()
        head = self._header(view[-1])
        if self.hides_finality:
            return HeadReport(head, None, None)
        return HeadReport(
            head,
            _at(view, self.chain.safe_height) if safe else None,
            _at(view, self.chain.final_height) if final else None,
        )

    async def fetch_transaction(self, tx_hash: TxHash) -> TransactionStory | None:
        await self._begin()
        for block in self._view():
            for tx in block.txs:
                if tx.tx_hash == tx_hash:
                    return _story(tx, block.header, self.name)
        return None

    async def fetch_balances(
        self, wanted: Sequence[tuple[Address, Address | None]], block: BlockRef
    ) -> list[int]:
        await self._begin()
        branch = self._expect_canonical(block)
        traits = self.chain.traits
        asset_of: dict[Address | None, AssetId] = {one.contract: one.asset_id for one in traits.assets}
        asset_of[None] = traits.native.asset_id
        moves = [move for one in branch for tx in one.txs for move in tx.moves]
        # Who pays in a script was never given anything: nobody owes less than nothing.
        return [
            max(0, sum(_sign(move, address) for move in moves if move.asset == asset_of.get(contract)))
            for address, contract in wanted
        ]

    async def fetch_deposit_proof(self, block: BlockRef, tx_hash: TxHash) -> DepositProof | Unprovable:
        await self._begin()
        found = self._expect_canonical(block)[-1]
        if all(tx.tx_hash != tx_hash for tx in found.txs):
            return Unprovable(UnprovableReason.NOT_IN_BLOCK, "the block holds no such transaction")
        return Unprovable(UnprovableReason.AGREEMENT_ONLY, "the hashes of a scripted chain cover nothing")

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        await self._begin()
        return [self._header(block) for block in self._range(height_first, height_last)]

    async def fetch_blocks_at(self, refs: Sequence[BlockRef], *, sought: Sought | None = None) -> list[Block]:
        await self._begin()
        blocks: list[Block] = []
        for ref in refs:
            block = self.chain.find(ref.hash)
            if block is None or block.header.height != ref.height:
                raise Missing(f"does not hold the block {ref.hash.hex()}", provider=self.name)
            blocks.append(self._tell(block, sought))
        return blocks

    async def fetch_blocks(
        self, height_first: int, height_last: int, *, sought: Sought | None = None
    ) -> list[Block]:
        await self._begin()
        return [self._tell(block, sought) for block in self._range(height_first, height_last)]

    async def _begin(self) -> None:
        self.calls_count += 1
        await asyncio.sleep(self.delay_s)

    def _view(self) -> Sequence[ScriptedBlock]:
        blocks: Sequence[ScriptedBlock] = self.chain.canonical
        if self.stuck_on is not None:
            blocks = self.chain.branch_of(self.stuck_on)
        elif self.lag_blocks:
            blocks = blocks[: max(1, len(blocks) - self.lag_blocks)]
        if self.hides:
            blocks = [block for block in blocks if block.header.hash not in self.hides]
        return blocks

    def _expect_canonical(self, block: BlockRef) -> list[ScriptedBlock]:
        """The branch that ends in a block of this node's chain."""
        branch = self.chain.branch_of(block.hash)
        if not branch or branch[-1] not in self._view():
            raise Missing(f"does not call the block {block.hash.hex()} canonical", provider=self.name)
        return branch

    def _range(self, height_first: int, height_last: int) -> Sequence[ScriptedBlock]:
        view = self._view()
        if height_first <= height_last and height_last > view[-1].header.height:
            raise Missing(f"does not hold a block at {height_last}", provider=self.name)
        found = view[_index(view, height_first) : _index(view, height_last + 1)]
        if not self.chain.traits.skipped_heights_max and len(found) <= height_last - height_first:
            raise Missing(f"does not hold every block to {height_last}", provider=self.name)
        return found

    def _header(self, block: ScriptedBlock) -> Header:
        """A block's header as this node tells it."""
        header = block.header
        while self.relinks and header.parent.hash in self.hides:
            hidden = self.chain.find(header.parent.hash)
            assert hidden is not None, "what is hidden is there"
            header = replace(header, parent=hidden.header.parent)
        return header

    def _tell(self, block: ScriptedBlock, sought: Sought | None = None) -> Block:
        transfers = compute_transfers(block.txs)
        spared = None
        if self.spares and sought is not None and block.txs:
            spared = ScriptedSpared(frozenset(one.recipient for one in transfers), sought.version)
            if spared.may_concern(sought.addresses):
                spared = None
            else:
                transfers = ()
        tokens_count = sum(transfer.kind is TransferKind.TOKEN for transfer in transfers)
        return Block(
            header=self._header(block),
            tx_count=len(block.txs),
            log_count=tokens_count,
            unlisted_transfer_count=0,
            level=self.level,
            served_by=self.name,
            transfers=ListedTransfers(
                transfers,
                {tx.conflict_key: tx.tx_hash for tx in block.txs if tx.conflict_key is not None},
            ),
            spared=spared,
        )


def _sign(move: ScriptedMove, address: Address) -> int:
    """What a move did to one address's balance."""
    return move.amount_base_units * ((move.recipient == address) - (move.sender == address))


def _story(tx: ScriptedTx, header: Header, served_by: str) -> TransactionStory:
    movements = tuple(
        Movement(
            move.kind,
            move.asset,
            None,
            None,
            move.sender,
            move.recipient,
            move.amount_base_units,
            memo=move.memo,
        )
        for move in tx.moves
    )
    return TransactionStory(tx.tx_hash, BlockRef(header.height, header.hash), True, movements, served_by)


def _at(view: Sequence[ScriptedBlock], height: int | None) -> Header | None:
    """The header at a height of one node's view, or the next one below; None where it does not reach there."""
    if height is None or height > view[-1].header.height:
        return None
    index = _index(view, height + 1)
    return view[index - 1].header if index else None


def _index(view: Sequence[ScriptedBlock], height: int) -> int:
    """How many blocks stand below a height."""
    return bisect_left(view, height, key=lambda block: block.header.height)
