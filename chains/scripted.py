"""A deterministic chain in memory that plays a script: for tests, bench, demo.

`ScriptedChain` is the world (blocks, forks, finality), `ScriptedProvider` one
node's view of it (late, stuck, failing), `ScriptedSource` the port over them.
Same script, same bytes: no clock and no chance in here.  Real nodes are
the families' business.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chains.errors import ChainError, Missing, Unreachable, WrongNetwork
from chains.model import (
    Address,
    AssetId,
    Block,
    BlockHash,
    ConflictKey,
    Header,
    HeadReport,
    ListedTransfers,
    Transfer,
    TransferKind,
    TxHash,
    VerificationLevel,
)
from chains.port import Provider
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


@dataclass(frozen=True, slots=True)
class ScriptedTx:
    """A transaction that can be mined, dropped and mined again elsewhere."""

    tx_hash: TxHash
    moves: tuple[ScriptedMove, ...]
    conflict_key: ConflictKey | None = None


@dataclass(frozen=True, slots=True)
class ScriptedBlock:
    """A block of the script; `txs` in the order of execution."""

    header: Header
    txs: tuple[ScriptedTx, ...]


@dataclass(slots=True)
class ScriptedChain:
    """The world as it is: every block ever mined, and which ones are canonical.

    `forgets_orphans`: blocks that left the chain are no longer answered by
    hash (as anvil does; geth keeps answering).
    """

    traits: ChainTraits
    forgets_orphans: bool = False
    canonical: list[ScriptedBlock] = field(default_factory=list)
    final_height: int | None = None
    safe_height: int | None = None
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
    ) -> ScriptedTx:
        """A transaction with one transfer, not mined yet; native unless `asset` says so.

        `nonce` makes it a rival of others with the same sender and nonce.
        """
        native = self.traits.native.asset_id
        chosen = native if asset is None else asset
        if kind is None:
            kind = TransferKind.NATIVE if chosen == native else TransferKind.TOKEN
        return self.make_tx((ScriptedMove(recipient, amount_base_units, chosen, kind, sender),), nonce=nonce)

    def make_tx(self, moves: Sequence[ScriptedMove], *, nonce: int | None = None) -> ScriptedTx:
        """A transaction with any transfers; its hash is the count of those made before."""
        self._txs_made += 1
        sender = next((move.sender for move in moves if move.sender is not None), None)
        key = None
        if nonce is not None and sender is not None:
            key = ConflictKey(sender + nonce.to_bytes(8, "big"))
        return ScriptedTx(TxHash(_digest("tx", self.traits.chain, self._txs_made)), tuple(moves), key)

    def mine(self, *txs: ScriptedTx) -> Header:
        """One block on top of the head."""
        header = self._append(txs)
        self._tell()
        return header

    def mine_many(self, blocks_count: int) -> Header:
        """So many empty blocks on top of the head."""
        for _ in range(blocks_count):
            self._append(())
        self._tell()
        return self.head

    def reorg(self, depth: int, *blocks: Sequence[ScriptedTx]) -> Header:
        """Take `depth` blocks off the head and mine these instead, one a sequence.

        Fewer than `depth` makes the chain shorter, as nodes briefly show.
        """
        assert 0 < depth < len(self.canonical), "the genesis block cannot leave the chain"
        orphans = self.canonical[-depth:]
        del self.canonical[-depth:]
        if self.forgets_orphans:
            for orphan in orphans:
                del self._by_hash[orphan.header.hash]
        for txs in blocks:
            self._append(txs)
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
            block = self._by_hash.get(block.header.parent_hash)
        return branch[::-1]

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the head or of finality."""
        self._listeners.append(listener)

    def _append(self, txs: Sequence[ScriptedTx]) -> Header:
        parent = self.canonical[-1].header if self.canonical else None
        height = 0 if parent is None else parent.height + 1
        parent_hash = BlockHash(bytes(32)) if parent is None else parent.hash
        self._blocks_mined += 1
        # The count makes two forks with equal content different blocks.
        block_hash = BlockHash(_digest("block", self.traits.chain, parent_hash.hex(), self._blocks_mined))
        time_s = GENESIS_TIME_S + int(height * self.traits.block_time_s)
        block = ScriptedBlock(Header(height, block_hash, parent_hash, time_s), tuple(txs))
        self.canonical.append(block)
        self._by_hash[block_hash] = block
        return block.header

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


@dataclass(slots=True)
class ScriptedProvider:
    """One node's view of the chain, honest unless told otherwise.

    `lag_blocks`: how far its head is behind.  `stuck_on`: it follows the branch
    of this block whatever the others do.  `hides_finality`: its tags are null.
    `delay_s`: how long each answer takes.
    """

    chain: ScriptedChain
    name: str = "node-a.test"
    operator: str = "operator-a"
    lag_blocks: int = 0
    stuck_on: BlockHash | None = None
    hides_finality: bool = False
    delay_s: float = 0.0
    level: VerificationLevel = VerificationLevel.CONSISTENT
    calls_count: int = 0
    _failures: deque[ChainError] = field(default_factory=deque)

    def fail_next(self, *errors: ChainError) -> None:
        """Raise these, one a call, before answering again."""
        self._failures.extend(errors)

    def for_backfill(self) -> ScriptedProvider:
        """Itself: nothing is scarce here."""
        return self

    async def fetch_genesis_hash(self) -> BlockHash:
        await self._begin()
        return self.chain.canonical[0].header.hash

    async def fetch_head_report(self) -> HeadReport:
        await self._begin()
        view = self._view()
        head = view[-1].header
        if self.hides_finality:
            return HeadReport(head, None, None)
        return HeadReport(head, _at(view, self.chain.safe_height), _at(view, self.chain.final_height))

    async def fetch_headers(self, height_first: int, height_last: int) -> list[Header]:
        await self._begin()
        return [block.header for block in self._range(height_first, height_last)]

    async def fetch_blocks_by_hash(self, hashes: Sequence[BlockHash]) -> list[Block]:
        await self._begin()
        blocks: list[Block] = []
        for block_hash in hashes:
            block = self.chain.find(block_hash)
            if block is None:
                raise Missing(f"does not hold the block {block_hash.hex()}", provider=self.name)
            blocks.append(self._tell(block))
        return blocks

    async def fetch_blocks(self, height_first: int, height_last: int) -> list[Block]:
        await self._begin()
        return [self._tell(block) for block in self._range(height_first, height_last)]

    async def _begin(self) -> None:
        self.calls_count += 1
        await asyncio.sleep(self.delay_s)
        if self._failures:
            error = self._failures.popleft()
            error.provider = error.provider or self.name
            raise error

    def _view(self) -> Sequence[ScriptedBlock]:
        if self.stuck_on is not None:
            return self.chain.branch_of(self.stuck_on)
        canonical = self.chain.canonical
        return canonical[: max(1, len(canonical) - self.lag_blocks)] if self.lag_blocks else canonical

    def _range(self, height_first: int, height_last: int) -> Sequence[ScriptedBlock]:
        view = self._view()
        if height_first <= height_last and height_last >= len(view):
            raise Missing(f"does not hold a block at {height_last}", provider=self.name)
        return view[height_first : height_last + 1]

    def _tell(self, block: ScriptedBlock) -> Block:
        transfers = compute_transfers(block)
        tokens_count = sum(transfer.kind is TransferKind.TOKEN for transfer in transfers)
        return Block(
            header=block.header,
            tx_count=len(block.txs),
            log_count=tokens_count,
            unlisted_transfer_count=0,
            level=self.level,
            served_by=self.name,
            transfers=ListedTransfers(
                transfers,
                {tx.conflict_key: tx.tx_hash for tx in block.txs if tx.conflict_key is not None},
            ),
        )


class ScriptedSource:
    """The port over scripted providers: the first serves until it fails.

    One that fails goes to the end of the line, so that every script makes
    progress without a clock; `failures` keeps what was told.
    """

    def __init__(self, *providers: ScriptedProvider) -> None:
        assert providers, "a chain has at least one provider"
        self.failures: list[tuple[str, ChainError]] = []
        self.lags: list[tuple[str, int, int]] = []
        self.is_down = False
        self._providers = list(providers)
        self._genesis_hash: BlockHash | None = None
        self._hinted = asyncio.Event()
        for chain in {id(provider.chain): provider.chain for provider in providers}.values():
            chain.listen(self._hinted.set)

    @property
    def operators_count(self) -> int:
        return len({provider.operator for provider in self._providers})

    def choose_provider(self) -> ScriptedProvider:
        if self.is_down:
            raise Unreachable("all providers rest")
        for provider in self._providers:
            if self._serves_pinned(provider):
                return provider
        raise WrongNetwork("has another genesis block", provider=self._providers[0].name)

    def second_opinions(self, first: Provider) -> list[ScriptedProvider]:
        heard = {first.operator}
        opinions: list[ScriptedProvider] = []
        for provider in self._providers:
            if provider.operator not in heard and self._serves_pinned(provider):
                heard.add(provider.operator)
                opinions.append(provider)
        return opinions

    def report_failure(self, provider: Provider, error: ChainError) -> None:
        self.failures.append((provider.name, error))
        self._providers.sort(key=lambda one: one.name == provider.name)

    def report_success(self, provider: Provider) -> None:
        """Nothing to forgive: nobody rests here."""

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        self.lags.append((provider.name, head_height, tip_height))
        self._providers.sort(key=lambda one: one.name == provider.name)

    def pin_genesis(self, genesis_hash: BlockHash) -> None:
        self._genesis_hash = genesis_hash

    async def fetch_head_hedged(self) -> tuple[ScriptedProvider, HeadReport]:
        provider = self.choose_provider()
        try:
            return provider, await provider.fetch_head_report()
        except ChainError as error:
            self.report_failure(provider, error)
            raise

    async def run_hints(self) -> None:
        """Returns at once: the chain itself tells."""

    async def wait_for_hint(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._hinted.wait()
        except TimeoutError:
            return False
        self._hinted.clear()
        return True

    def _serves_pinned(self, provider: ScriptedProvider) -> bool:
        genesis = provider.chain.canonical[0].header.hash
        return self._genesis_hash is None or genesis == self._genesis_hash


def compute_transfers(block: ScriptedBlock) -> tuple[Transfer, ...]:
    """The transfers of a scripted block, numbered as a family's decoder would."""
    transfers: list[Transfer] = []
    log_index = 0
    for tx_index, tx in enumerate(block.txs):
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
                tx.tx_hash, tx_index, move.kind, move.asset, move.recipient, move.sender, n,
                move.amount_base_units, log_index if is_token else None, keys,
            )  # fmt: skip
            transfers.append(transfer)
            log_index += is_token
    return tuple(transfers)


def _at(view: Sequence[ScriptedBlock], height: int | None) -> Header | None:
    """The header at a height of one node's view; None where it has none."""
    if height is None or height >= len(view):
        return None
    return view[height].header


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).digest()
