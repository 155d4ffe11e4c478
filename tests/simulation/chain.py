"""A chain that exists only in a test: every block ever made, on every branch, and which branch is the truth.

Lives here: blocks, payments, mining, forks of any depth and length, forged branches. All chance comes from the
schedule's own `random.Random`. Does not live here: who tells what of it to whom (`providers.py`), and what the
deposits ought to be (`oracle.py`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
    format_position,
)
from tests.simulation.troubles import Tally, Trouble

GENESIS_TIME_S = 1_700_000_000
SIDE_TIPS_MAX = 6
SKIPPING_SHARE = 0.3
"""Of the blocks of a chain that may skip heights: those that do."""

MAX_LEGS_WEIGHTS = (1, 1, 1, 1, 2, 3)
REPEATED_SHARE = 0.03
"""Of blocks that hold a transaction which their chain holds already: somebody has set a nonce back."""


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
    key: ConflictKey
    legs: tuple[Leg, ...]
    mined_times: int = 0
    dropped: bool = False


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
    ) -> None:
        self.header: Header
        self.height: int = 0 if parent is None else parent.height + 1 + skipped
        self.hash = block_hash
        under = BlockRef(-1, BlockHash(bytes(len(block_hash)))) if parent is None else parent.header.ref
        self.header = Header(self.height, block_hash, under, GENESIS_TIME_S + 12 * self.height)
        self.path: list[SimBlock] = [self] if parent is None else [*parent.path, *(parent,) * skipped, self]
        self.payments = tuple(payments)
        self.transfers = transfers
        self.is_forged = is_forged
        self.is_doubted = is_doubted
        used = frozenset(payment.key for payment in payments)
        self.keys: frozenset[ConflictKey] = used if parent is None else parent.keys | used
        self.block = Block(
            header=self.header,
            tx_count=len(payments),
            log_count=len(transfers),
            unlisted_transfer_count=0,
            level=VerificationLevel.CONSISTENT if is_doubted else VerificationLevel.FULL,
            served_by="scripted",
            transfers=ListedTransfers(transfers, {payment.key: payment.tx_hash for payment in payments}),
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
        spends = {payment.key: payment.tx_hash for payment in self.payments}
        return replace(self.block, transfers=ListedTransfers((), spends), log_count=0, spared=spared)

    def ancestors(self, height_first: int, height_last: int) -> list[SimBlock]:
        """Its ancestors at these heights and itself, lowest first; heights without a block have none."""
        span = self.path[height_first : height_last + 1]
        return [block for height, block in enumerate(span, height_first) if block.height == height]

    def descends_from(self, other: SimBlock) -> bool:
        """Whether `other` is this block or one of its ancestors."""
        return other.height <= self.height and self.path[other.height] is other


@dataclass(frozen=True, slots=True)
class Economy:
    """Who pays whom in what, and under which memos: small on purpose, so that everything collides."""

    addresses: tuple[Address, ...]
    strangers: tuple[Address, ...]
    native: AssetId
    tokens: tuple[AssetId, ...]
    memos: tuple[bytes | None, ...] = (None,)


class SimChain:
    """The tree of all blocks of one chain, and the tip that honest nodes agree on in the end."""

    def __init__(
        self,
        number: int,
        rng: random.Random,
        economy: Economy,
        tally: Tally,
        *,
        final_depth: int,
        is_doubtful: bool = False,
        skipped_heights_max: int = 0,
    ) -> None:
        self.skipped_heights_max = skipped_heights_max
        self.number = number
        self.economy = economy
        self.final_depth = final_depth
        self._is_doubtful = is_doubtful
        self.blocks: dict[BlockHash, SimBlock] = {}
        self.pool: list[Payment] = []
        self.side_tips: list[SimBlock] = []
        self._rng = rng
        # Chance of its own, of the same seed: worlds without repeats stay the worlds they were.
        self._repeats_rng = random.Random(repr(rng.getstate()))
        self._skips_rng = random.Random(repr(rng.getstate()) + "skips")
        self._memos_rng = random.Random(repr(rng.getstate()) + "memos")
        self._tally = tally
        self._made = 0
        self.genesis = self._new_block(None, (), is_forged=False)
        self.tip = self.genesis
        self.final_height_ever = 0

    def tell(self, block: SimBlock, sought: Sought | None) -> Block:
        """A block as it is told to whoever seeks these."""
        told = block.tell(sought)
        if told.spared is not None:
            self._tally.count(Trouble.SPARED)
        return told

    def extend(self, blocks_count: int = 1) -> None:
        """The truth grows."""
        for _ in range(blocks_count):
            self._set_tip(self.mine(self.tip))

    def reorganise(self, depth: int, length: int) -> None:
        """Leave `depth` blocks of the truth for a new branch of `length` blocks."""
        fork = self.tip.path[self.tip.height - depth]
        self._after_fork(self.tip.ancestors(fork.height + 1, self.tip.height))
        tip = fork
        for _ in range(length):
            tip = self.mine(tip)
        if length == depth:
            self._tally.count(Trouble.FORK_SAME_HEIGHT)
        elif length < depth:
            self._tally.count(Trouble.FORK_SHRINKING)
        else:
            self._tally.count(Trouble.FORK_LONGER)
        if fork.height < self.final_height_ever:
            self._tally.count(Trouble.FORK_BELOW_FINAL)
        self._remember_side(self.tip)
        self._set_tip(tip)

    def return_to(self, side: SimBlock, length: int) -> None:
        """A branch that was left wins after all, perhaps with more blocks on top."""
        self._tally.count(Trouble.FORK_BACK)
        tip = side
        for _ in range(length):
            tip = self.mine(tip)
        self._remember_side(self.tip)
        self._set_tip(tip)

    def fork_with(self, other: SimBlock) -> SimBlock:
        """The last common ancestor of the truth and `other`."""
        height = min(self.tip.height, other.height)
        while self.tip.path[height] is not other.path[height]:
            height -= 1
        return self.tip.path[height]

    def mine(self, parent: SimBlock, *, is_forged: bool = False) -> SimBlock:
        """A block on `parent` with payments from the pool that fit there, and perhaps new ones."""
        rng = self._rng
        taken: list[Payment] = []
        used = set(parent.keys)
        for payment in self.pool:
            if payment.key not in used and not payment.dropped and rng.random() < 0.6:
                taken.append(payment)
                used.add(payment.key)
        if self._repeats_rng.random() < REPEATED_SHARE and parent.keys:
            held = [payment for block in parent.ancestors(0, parent.height) for payment in block.payments]
            taken.append(self._repeats_rng.choice(held))
            self._tally.count(Trouble.REPEATED)
        while rng.random() < 0.35 and len(taken) < 4:
            fresh = self._new_payment()
            taken.append(fresh)
        if len(taken) > 1 and rng.random() < 0.5:
            rng.shuffle(taken)
        return self._new_block(parent, taken, is_forged=is_forged)

    def send(self) -> None:
        """Somebody pays, and no block holds it yet."""
        self._new_payment()

    def bump(self, payment: Payment) -> None:
        """Its payer sends another transaction in its stead, to us or away from us."""
        self.pool.append(self._replacement_of(payment))

    def forge(self, parent: SimBlock, length: int) -> SimBlock:
        """A branch that no honest node will ever hold."""
        tip = parent
        for _ in range(length):
            tip = self.mine(tip, is_forged=True)
        return tip

    def _set_tip(self, tip: SimBlock) -> None:
        self.tip = tip
        self.final_height_ever = max(self.final_height_ever, tip.height - self.final_depth)

    def _remember_side(self, tip: SimBlock) -> None:
        self.side_tips.append(tip)
        del self.side_tips[:-SIDE_TIPS_MAX]

    def _after_fork(self, left: Sequence[SimBlock]) -> None:
        """What happens to the payments of blocks that leave: mined again, replaced, or never seen again."""
        rng = self._rng
        for block in left:
            for payment in block.payments:
                fate = rng.random()
                if fate < 0.15:
                    self.pool.append(self._replacement_of(payment))
                    payment.dropped = rng.random() < 0.7
                    self._tally.count(Trouble.NONCE_REPLACED)
                elif fate < 0.3:
                    payment.dropped = True
                    self._tally.count(Trouble.PAYMENT_DROPPED)

    def _replacement_of(self, payment: Payment) -> Payment:
        legs = payment.legs if self._rng.random() < 0.4 else self._new_legs(payment.legs[0].sender)
        return Payment(TxHash(self._new_hash()), payment.key, legs)

    def _new_payment(self) -> Payment:
        rng, economy = self._rng, self.economy
        sender = rng.choice(economy.addresses if rng.random() < 0.25 else economy.strangers)
        self._made += 1
        key = ConflictKey(bytes(sender) + self._made.to_bytes(8, "big"))
        payment = Payment(TxHash(self._new_hash()), key, self._new_legs(sender))
        self.pool.append(payment)
        return payment

    def _new_legs(self, sender: Address | None) -> tuple[Leg, ...]:
        rng, economy = self._rng, self.economy
        legs: list[Leg] = []
        for _ in range(1 if rng.random() < 0.7 else 2):
            recipient = rng.choice(economy.addresses)
            amount = rng.randrange(1, 200)
            memo = self._memos_rng.choice(economy.memos)
            if rng.random() < 0.35:
                legs.append(Leg(TransferKind.NATIVE, economy.native, sender, recipient, amount, memo))
            else:
                minted = rng.random() < 0.1
                if minted:
                    self._tally.count(Trouble.MINT)
                token = rng.choice(economy.tokens)
                payer = None if minted else sender
                legs.append(Leg(TransferKind.TOKEN, token, payer, recipient, amount, memo))
        return tuple(legs)

    def _new_hash(self) -> bytes:
        self._made += 1
        return b"%02d%030d" % (self.number, self._made)

    def _new_block(
        self, parent: SimBlock | None, payments: Sequence[Payment], *, is_forged: bool
    ) -> SimBlock:
        transfers: list[Transfer] = []
        log_index = 0
        for tx_index, payment in enumerate(payments):
            ordinals: Counter[tuple[TransferKind, AssetId, Address]] = Counter()
            factor = self._execution_of(payment)
            for leg in payment.legs:
                is_token = leg.kind is TransferKind.TOKEN
                place = (leg.kind, leg.asset, leg.recipient)
                amount = leg.amount_base_units * factor // 2
                if amount:
                    transfers.append(
                        Transfer(
                            tx_hash=payment.tx_hash,
                            kind=leg.kind,
                            asset=leg.asset,
                            recipient=leg.recipient,
                            senders=() if leg.sender is None else (leg.sender,),
                            n=ordinals[place],
                            amount_base_units=amount,
                            position=format_position(tx_index, *(log_index,) * is_token),
                            conflict_keys=(payment.key,),
                            memo=leg.memo,
                        )
                    )
                    ordinals[place] += 1
                log_index += is_token
        block_hash = BlockHash(self._new_hash())
        is_doubted = self._is_doubtful and block_hash[-1] % 2 == 0
        skipped = 0
        if self.skipped_heights_max and parent is not None and self._skips_rng.random() < SKIPPING_SHARE:
            skipped = self._skips_rng.randrange(1, self.skipped_heights_max + 1)
            self._tally.count(Trouble.SKIPPED)
        block = SimBlock(
            parent,
            block_hash,
            payments,
            tuple(transfers),
            is_forged=is_forged,
            is_doubted=is_doubted,
            skipped=skipped,
        )
        self.blocks[block.hash] = block
        return block

    def _execution_of(self, payment: Payment) -> int:
        """How much a payment moves in this block, in halves of what it moved at first."""
        payment.mined_times += 1
        if payment.mined_times == 1:
            return 2
        self._tally.count(Trouble.MINED_AGAIN)
        chance = self._rng.random()
        if chance < 0.85:
            return 2
        if chance < 0.96:
            self._tally.count(Trouble.OTHER_AMOUNT)
            return self._rng.choice((1, 3, 6))
        self._tally.count(Trouble.AMOUNT_ZERO)
        return 0
