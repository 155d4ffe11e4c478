"""What the chains of one family are like, as far as an indexer can tell: data, held against the real families' facts.

Lives here: the kinds of chain that schedules are drawn for. `ANY` mixes what families have, and more. Does not live
here: how blocks, payments and nodes follow from it (`chain.py`, `setups.py`, `providers.py`, `mempools.py`), and that
it is what the families say (`test_kinds.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chains.traits import Family
from tests.simulation.troubles import Trouble


@dataclass(frozen=True, slots=True)
class Kind:
    """One family's identity, finality, conflicts and mempool.

    `inputs_max`: a payment spends so many outputs at most, each a key that another may spend; 0 for a family whose
    transactions use nothing up, and None for one key, the sender's nonce.  `counts_outputs`: a transfer's ordinal is
    its place among its transaction's outputs, whoever they pay.  `executes`: what a payment moves is decided by the
    block that runs it, and no hash of its own.  `has_work`: the branch with the most work is the chain.
    `may_skip`: some heights have no block; `may_miss_slots`: some blocks come a slot or more later, at the next height.
    `matures_after_blocks`: of what a block pays its maker.  `reads_by_height`: a node finds blocks by height alone.
    `waits_share`: of chains, those whose mempools are looked at.  `lacks`: what does not come to such chains.
    """

    name: str
    family: Family
    inputs_max: int | None = None
    counts_outputs: bool = False
    has_senders: bool = True
    has_tokens: bool = True
    executes: bool = True
    has_work: bool = False
    has_tags: bool = True
    has_depth: bool = True
    has_safe: bool = True
    may_skip: bool = True
    has_memos: bool = True
    may_miss_slots: bool = False
    matures_after_blocks: int = 0
    reads_by_height: bool = False
    waits_share: float = 0.4
    lacks: frozenset[Trouble] = field(default_factory=frozenset)


OUTPUTS = frozenset(
    {
        Trouble.DOUBLE_SPENT,
        Trouble.MADE,
        Trouble.HEAVIER,
        Trouble.OWN_BLOCK_AGAIN,
        Trouble.TWICE_IN_BLOCK,
        Trouble.PAID_AWAY,
        Trouble.BLOCK_ALONE,
    }
)
SLOTS = frozenset({Trouble.SLOT_MISSED})
WAITING = frozenset(
    {
        Trouble.WAITING_SENT,
        Trouble.WAITING_BUMPED,
        Trouble.WAITING_EVICTED,
        Trouble.POOL_BEHIND,
        Trouble.POOL_FORGETS,
        Trouble.POOL_DOWN,
        Trouble.TOLD_SEEN,
        Trouble.TOLD_DROPPED,
    }
)
BY_HEIGHT = frozenset({Trouble.OTHER_AT_HEIGHT, Trouble.TAGS_LEADING})

ANY = Kind("any", Family.EVM, lacks=OUTPUTS | BY_HEIGHT | SLOTS)

EVM = Kind(
    "evm",
    Family.EVM,
    may_skip=False,
    has_memos=False,
    may_miss_slots=True,
    lacks=OUTPUTS | BY_HEIGHT | {Trouble.SKIPPED, Trouble.MEMO},
)

BITCOIN = Kind(
    "bitcoin",
    Family.BITCOIN,
    inputs_max=3,
    counts_outputs=True,
    has_senders=False,
    has_tokens=False,
    executes=False,
    has_work=True,
    has_tags=False,
    has_safe=False,
    may_skip=False,
    has_memos=False,
    matures_after_blocks=5,
    waits_share=1.0,
    lacks=BY_HEIGHT
    | SLOTS
    | {
        Trouble.OTHER_AMOUNT,
        Trouble.AMOUNT_ZERO,
        Trouble.MINT,
        Trouble.SKIPPED,
        Trouble.MEMO,
        Trouble.ASSET_LISTED,
        Trouble.OWN_TRANSFER,
        Trouble.REPEATED,
        Trouble.TAGS_NULL,
        Trouble.TAGS_FROZEN,
        Trouble.TAGS_BACKWARD,
        Trouble.TAGS_STRANGE,
        Trouble.TOLD_AMENDED,
    },
)

TRON = Kind(
    "tron",
    Family.TRON,
    inputs_max=0,
    has_depth=False,
    has_safe=False,
    may_skip=False,
    may_miss_slots=True,
    reads_by_height=True,
    waits_share=0.0,
    lacks=OUTPUTS | WAITING | {Trouble.SKIPPED, Trouble.NONCE_REPLACED, Trouble.TOLD_REPLACED},
)

KINDS = {one.name: one for one in (ANY, EVM, BITCOIN, TRON)}
