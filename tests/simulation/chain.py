"""A chain that exists only in a test: every block ever made, on every branch, and which branch is the truth.

Lives here: blocks, payments, mining, forks of any depth and length, forged branches. All chance comes from the
schedule's own `random.Random`. Does not live here: who tells what of it to whom (`providers.py`), and what the
deposits ought to be (`oracle.py`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chains.model import (
    Address,
    AssetId,
    Block,
    BlockHash,
    ConflictKey,
    Sought,
    Transfer,
    TransferKind,
    TxHash,
    format_position,
)
from tests.simulation.blocks import Leg, Payment, SimBlock, place_of
from tests.simulation.kinds import ANY, Kind
from tests.simulation.troubles import Tally, Trouble

SIDE_TIPS_MAX = 6
SKIPPING_SHARE = 0.3
"""Of the blocks of a chain that may skip heights: those that do."""

MAX_LEGS_WEIGHTS = (1, 1, 1, 1, 2, 3)
OWN_BLOCK_AGAIN_SHARE = 0.03
DOUBLE_SPENT_SHARE = 0.3
WORK_MAX = 4
"""Of a usual block; one that is forged has 1, for its work is what a liar lacks."""

TWICE_IN_BLOCK_SHARE = 0.03
AWAY_SHARE = 0.3
"""Of what is sent in another's stead, where that spends outputs: those that pay strangers alone."""

SLOTS_MISSED_SHARE = 0.2
REPEATED_SHARE = 0.03
"""Of blocks that hold a transaction which their chain holds already: somebody has set a nonce back."""


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
        kind: Kind = ANY,
    ) -> None:
        self.kind = kind
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
        self._kind_rng = random.Random(repr(rng.getstate()) + "kind")
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
        tip = self._mine_branch(fork, length)
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
        tip = self._mine_branch(side, length)
        self._remember_side(self.tip)
        self._set_tip(tip)

    def fork_with(self, other: SimBlock) -> SimBlock:
        """The last common ancestor of the truth and `other`."""
        height = min(self.tip.height, other.height)
        while self.tip.path[height] is not other.path[height]:
            height -= 1
        return self.tip.path[height]

    def _mine_branch(self, parent: SimBlock, length: int) -> SimBlock:
        """So many blocks that win: where blocks have work, the last makes up for what is missing, or is one more."""
        tip = parent
        for number in range(length):
            missing = self.tip.total_work - tip.total_work + 1 if number == length - 1 else 0
            if missing > WORK_MAX and self.kind.has_work:
                self._tally.count(Trouble.HEAVIER)
            tip = self.mine(tip, work_min=missing)
        if self.kind.has_work and tip.total_work <= self.tip.total_work:
            tip = self.mine(tip, work_min=self.tip.total_work - tip.total_work + 1)
        return tip

    def mine(self, parent: SimBlock, *, is_forged: bool = False, work_min: int = 0) -> SimBlock:
        """A block on `parent` with payments from the pool that fit there, and perhaps new ones."""
        rng = self._rng
        taken: list[Payment] = []
        used = set(parent.keys)
        for payment in self.pool:
            if not payment.dropped and payment.fits(used) and rng.random() < 0.6:
                taken.append(payment)
                used.update(payment.used)
        if self.kind.executes and self._repeats_rng.random() < REPEATED_SHARE and parent.keys:
            held = [payment for block in parent.ancestors(0, parent.height) for payment in block.payments]
            taken.append(self._repeats_rng.choice(held))
            self._tally.count(Trouble.REPEATED)
        while rng.random() < 0.35 and len(taken) < 4:
            fresh = self._new_payment()
            if fresh.fits(used):
                taken.append(fresh)
                used.update(fresh.used)
                if self.kind.inputs_max and self._has_rival(fresh):
                    self._tally.count(Trouble.BLOCK_ALONE)
        if len(taken) > 1 and rng.random() < 0.5:
            rng.shuffle(taken)
        if self.kind.counts_outputs and taken and self._kind_rng.random() < TWICE_IN_BLOCK_SHARE:
            taken.append(self._kind_rng.choice(taken))
            self._tally.count(Trouble.TWICE_IN_BLOCK)
        if self.kind.matures_after_blocks:
            taken.insert(0, self._pay_maker(parent))
        work = None
        if self.kind.has_work:
            work = max(1 if is_forged else self._kind_rng.randrange(2, WORK_MAX + 1), work_min)
        return self._new_block(parent, taken, is_forged=is_forged, work=work)

    def _has_rival(self, payment: Payment) -> bool:
        """Whether another that waits spends some of the same."""
        used = frozenset(payment.used)
        return any(one is not payment and not one.dropped and not one.fits(used) for one in self.pool)

    def _pay_maker(self, parent: SimBlock) -> Payment:
        """What a block pays its maker: it spends nothing, and once in a while is one that another block held before."""
        rng = self._kind_rng
        if rng.random() < OWN_BLOCK_AGAIN_SHARE:
            held = [block.payments[0] for block in parent.ancestors(1, parent.height) if block.payments]
            made = [one for one in held if one.matures_after_blocks]
            if made:
                self._tally.count(Trouble.OWN_BLOCK_AGAIN)
                return rng.choice(made)
        self._tally.count(Trouble.MADE)
        payee = rng.choice((*self.economy.addresses, *self.economy.strangers))
        leg = Leg(TransferKind.NATIVE, self.economy.native, None, payee, rng.randrange(1, 200))
        matures = self.kind.matures_after_blocks
        return Payment(TxHash(self._new_hash()), (), (leg,), matures_after_blocks=matures)

    def note_other_at_height(self) -> None:
        """A node was asked for a block by a height at which it has another."""
        self._tally.count(Trouble.OTHER_AT_HEIGHT)

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
                if payment.matures_after_blocks:
                    continue
                fate = rng.random()
                if fate < 0.15 and self.kind.inputs_max != 0:
                    self.pool.append(self._replacement_of(payment))
                    payment.dropped = rng.random() < 0.7
                    self._tally.count(Trouble.NONCE_REPLACED)
                elif fate < 0.3:
                    payment.dropped = True
                    self._tally.count(Trouble.PAYMENT_DROPPED)

    def _replacement_of(self, payment: Payment) -> Payment:
        legs = payment.legs if self._rng.random() < 0.4 else self._new_legs(payment.legs[0].sender)
        keys = payment.keys
        if self.kind.inputs_max:
            kept = self._kind_rng.sample(keys, self._kind_rng.randrange(1, len(keys) + 1))
            keys = (*kept, *self._new_outputs(self._kind_rng.randrange(2)))
            if self._kind_rng.random() < AWAY_SHARE:
                self._tally.count(Trouble.PAID_AWAY)
                away = self._kind_rng.choice(self.economy.strangers)
                legs = tuple(replace(leg, recipient=away) for leg in legs)
        return Payment(TxHash(self._new_hash()), keys, legs)

    def _new_outputs(self, count: int) -> tuple[ConflictKey, ...]:
        """Outputs of transactions that nobody here was paid by."""
        return tuple(ConflictKey(b"output" + self._new_hash()) for _ in range(count))

    def _new_keys(self, sender: Address) -> tuple[ConflictKey, ...]:
        """What a payment uses up, perhaps some of it together with another that waits."""
        if self.kind.inputs_max is None:
            return (ConflictKey(bytes(sender) + self._made.to_bytes(8, "big")),)
        if not self.kind.inputs_max:
            return ()
        rng = self._kind_rng
        keys = self._new_outputs(rng.randrange(1, self.kind.inputs_max + 1))
        others = [one for one in self.pool[-6:] if not one.dropped]
        if others and rng.random() < DOUBLE_SPENT_SHARE:
            self._tally.count(Trouble.DOUBLE_SPENT)
            keys = (rng.choice(rng.choice(others).keys), *keys)
        return keys

    def _new_payment(self) -> Payment:
        rng, economy = self._rng, self.economy
        sender = rng.choice(economy.addresses if rng.random() < 0.25 else economy.strangers)
        self._made += 1
        keys = self._new_keys(sender)
        payment = Payment(TxHash(self._new_hash()), keys, self._new_legs(sender))
        self.pool.append(payment)
        return payment

    def _new_legs(self, sender: Address | None) -> tuple[Leg, ...]:
        rng, economy = self._rng, self.economy
        legs: list[Leg] = []
        for _ in range(1 if rng.random() < 0.7 else 2):
            recipient = rng.choice(economy.addresses)
            amount = rng.randrange(1, 200)
            memo = self._memos_rng.choice(economy.memos)
            if rng.random() < 0.35 or not economy.tokens:
                payer = sender if self.kind.has_senders else None
                legs.append(Leg(TransferKind.NATIVE, economy.native, payer, recipient, amount, memo))
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
        self,
        parent: SimBlock | None,
        payments: Sequence[Payment],
        *,
        is_forged: bool,
        work: int | None = None,
    ) -> SimBlock:
        transfers: list[Transfer] = []
        log_index = 0
        for tx_index, payment in enumerate(payments):
            ordinals: Counter[object] = Counter()
            factor = self._execution_of(payment)
            for leg in payment.legs:
                is_token = leg.kind is TransferKind.TOKEN
                place = place_of(leg, counts_outputs=self.kind.counts_outputs)
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
                            position=format_position(
                                tx_index,
                                *(log_index,) * is_token,
                                *(ordinals[place],) * self.kind.counts_outputs,
                            ),
                            conflict_keys=payment.keys,
                            memo=leg.memo,
                            matures_after_blocks=payment.matures_after_blocks,
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
        slots_missed = 0
        if self.kind.may_miss_slots and self._kind_rng.random() < SLOTS_MISSED_SHARE:
            slots_missed = self._kind_rng.randrange(1, 4)
            self._tally.count(Trouble.SLOT_MISSED)
        block = SimBlock(
            parent,
            block_hash,
            payments,
            tuple(transfers),
            is_forged=is_forged,
            is_doubted=is_doubted,
            skipped=skipped,
            slots_missed=slots_missed,
            work=work,
        )
        self.blocks[block.hash] = block
        return block

    def _execution_of(self, payment: Payment) -> int:
        """How much a payment moves in this block, in halves of what it moved at first."""
        payment.mined_times += 1
        if payment.mined_times == 1:
            return 2
        self._tally.count(Trouble.MINED_AGAIN)
        if not self.kind.executes:
            return 2
        chance = self._rng.random()
        if chance < 0.85:
            return 2
        if chance < 0.96:
            self._tally.count(Trouble.OTHER_AMOUNT)
            return self._rng.choice((1, 3, 6))
        self._tally.count(Trouble.AMOUNT_ZERO)
        return 0
