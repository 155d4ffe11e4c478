"""Every kind of trouble the simulation makes, and how often it came.

A schedule that meets none of them proves nothing, so the test asks that each happened often enough. Lives here: names
and counting only. What a trouble does stands where it is made (`chain.py`, `providers.py`, `world.py`).
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Trouble(StrEnum):
    """One name a kind; the value is what the report prints."""

    # The chain itself.
    FORK_SAME_HEIGHT = "fork: as long as what it leaves"
    FORK_LONGER = "fork: longer"
    FORK_SHRINKING = "fork: shorter than what it leaves"
    FORK_BACK = "fork: a branch that was left wins after all"
    FORK_BELOW_FINAL = "fork: below what was final"
    START_FORKED = "fork: the very first block we recorded leaves"
    NONCE_REPLACED = "payment: replaced by one with the same nonce"
    PAYMENT_DROPPED = "payment: never mined again"
    MINED_AGAIN = "payment: mined again in another block"
    REPEATED = "payment: canonical in two blocks"
    OTHER_AMOUNT = "payment: another amount when executed again"
    AMOUNT_ZERO = "payment: nothing moved when executed again"
    MINT = "payment: a mint, without a sender"
    SKIPPED = "block: skips heights"
    SLOT_MISSED = "block: comes late, and skips no height"
    TWICE_IN_BLOCK = "payment: twice in one block"
    PAID_AWAY = "payment: another in its stead pays nobody here"
    BLOCK_ALONE = "payment: a block alone shows what spends the same as one that waits"
    DOUBLE_SPENT = "payment: shares some of what it spends with another"
    MADE = "payment: a block's own to its maker, which ripens"
    OWN_BLOCK_AGAIN = "payment: a block's own, in a second block"
    HEAVIER = "fork: no longer than what it leaves, and of more work"
    WAITING_SENT = "mempool: a payment is sent"
    WAITING_BUMPED = "mempool: another takes the place of a payment that waits"
    WAITING_EVICTED = "mempool: a payment is forgotten by all"
    POOL_BEHIND = "mempool: a node's stands on an older block"
    POOL_FORGETS = "mempool: a node has started again"
    POOL_DOWN = "mempool: a node does not answer"
    # What providers do.
    LAGGING = "provider: lags"
    SILENT = "provider: silent"
    THROTTLING = "provider: throttles"
    ERRING = "provider: errs now and then"
    SIDE_BRANCH = "provider: stays on a branch that was left"
    FORGING = "provider: forges a branch"
    STALE_HEAD = "provider: its head is older than its blocks"
    FLAPPING = "provider: a load balancer between two branches"
    SPARED = "provider: a block without what cannot matter"
    HIDING = "provider: passes blocks off as heights that were skipped"
    TAGS_NULL = "finality: unknown to the provider"
    TAGS_FROZEN = "finality: frozen"
    TAGS_BACKWARD = "finality: going backward"
    TAGS_STRANGE = "finality: of another branch"
    TAGS_LEADING = "finality: above the head that was told"
    OTHER_AT_HEIGHT = "provider: has another block at the height it is asked for"
    # What follows from it.
    REWOUND = "follower: rewound"
    SUSPECTED = "follower: saw a fork, and not evidence enough"
    DISPUTED = "follower: operators contradict each other"
    HALTED = "follower: halted"
    RESUMED = "operator: resumed"
    ACCEPTED = "operator: accepted the reorganisation"
    VOUCHED = "operator: vouched for what one operator's word alone stood behind"
    # People.
    REGISTERED = "address: registered"
    REGISTERED_AHEAD = "address: registered from a height to come"
    REGISTERED_BEHIND = "address: registered from a height long past"
    REGISTERED_AGAIN = "address: registered again after its deletion"
    REGISTERED_MID_STEP = "address: registered in the middle of a step"
    SHARED_ADDRESS = "address: watched by two merchants"
    MEMO = "address: watched under one memo"
    DELETED = "address: deleted"
    ASSET_LISTED = "asset: listed later"
    POLICY_CHANGED = "operator: writes another policy"
    CONDITION = "chain: a condition begins or ends"
    RESCAN = "operator: asks for a rescan"
    # The machine.
    CRASH_READING = "crash: while asking providers or reading"
    CRASH_WRITING = "crash: inside a transaction"
    CRASH_COMMITTED = "crash: right after a commit"
    RETRYABLE = "database: asks for the transaction again"
    CONNECTION_LOST = "database: ends a connection inside a transaction"
    LEASE_LOST = "follower: another process took the chain"
    HISTORY_READ = "history: a chunk was read"
    HISTORY_BELOW_START = "history: our chain grew downward"
    HISTORY_REFUSED = "history: a chunk that is not of our chain"
    # What merchants' servers do, and what follows.
    RECEIVER_FAILS = "receiver: fails"
    RECEIVER_SLOW = "receiver: slow"
    RECEIVER_BLACK_HOLE = "receiver: never answers"
    RECEIVER_LOSES = "receiver: has it, and its answer is lost"
    RECEIVER_THROTTLES = "receiver: asks for fewer"
    RECEIVER_GONE = "receiver: gone"
    RECEIVED_TWICE = "delivery: received twice"
    EXHAUSTED = "delivery: out of tries"
    ENDPOINT_FAILING = "endpoint: failing"
    ENDPOINT_RECOVERED = "endpoint: recovered"
    ENDPOINT_PAUSED = "endpoint: paused"
    CRASH_DELIVERING = "crash: of a worker between reading, sending and settling"
    RELAY_UNAVAILABLE = "database: does not answer a worker"
    # What merchants are told of it.
    TOLD_SEEN = "event: deposit.seen"
    TOLD_DROPPED = "event: deposit.dropped"
    TOLD_MOVED = "event: deposit.moved"
    TOLD_AMENDED = "event: deposit.amended"
    TOLD_ORPHANED = "event: deposit.orphaned"
    TOLD_REPLACED = "event: deposit.replaced"
    TOLD_REVERSED = "event: deposit.reversed"
    TOLD_FINAL_AT_ONCE = "event: confirmed and final in one move"
    OWN_TRANSFER = "deposit: an own transfer"
    BELOW_MINIMUM = "deposit: below the minimum"


class Tally:
    """How often each trouble came."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: Counter[Trouble] = Counter()

    def count(self, trouble: Trouble) -> None:
        """One more."""
        self.counts[trouble] += 1
