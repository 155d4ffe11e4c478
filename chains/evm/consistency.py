"""Does one answer about one block agree with itself?  Pure.

These checks need no hashing and hold for every provider and level: the asked
hash, every row's place, counts, order, contiguous log indexes.  They catch
mixed forks, short or swapped receipts and sloppy caches; recomputing hashes
and roots, which catches lies, is `chains.evm.verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chains.errors import Inconsistent
from chains.evm.rows import RawBlock, RawReceipt, RawReceipts

EMPTY_TRIE_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
"""keccak(rlp("")): the root of a list without entries."""


@dataclass(frozen=True, slots=True)
class ConsistencyRules:
    """What a chain's honest nodes are known to break.

    `receipts_beyond_max`: receipts that belong to no listed transaction
    (Polygon's state sync).  `hidden_transactions`: system transactions leave
    receipts or log indexes unlisted.
    """

    receipts_beyond_max: int = 0
    hidden_transactions: bool = False
    empty_roots_mean_empty: bool = True


STRICT = ConsistencyRules()

RULES_BY_PROFILE: Mapping[str, ConsistencyRules] = MappingProxyType(
    {
        "polygon": ConsistencyRules(receipts_beyond_max=1),
        "hyperliquid": ConsistencyRules(hidden_transactions=True, empty_roots_mean_empty=False),
        "zksync": ConsistencyRules(hidden_transactions=True, empty_roots_mean_empty=False),
    }
)


def rules_of_profile(profile: str) -> ConsistencyRules:
    """The rules of a verification profile; strict when it names none."""
    return RULES_BY_PROFILE.get(profile, STRICT)


def check_block(
    rules: ConsistencyRules, asked_hash: str | None, block: RawBlock, receipts: RawReceipts
) -> None:
    """Raise `Inconsistent` unless block and receipts are about one block.

    `asked_hash` is lower-case text, or None when the block was asked by height.
    """
    if asked_hash is not None and block.hash != asked_hash and block.hash.lower() != asked_hash:
        raise Inconsistent(f"asked for block {asked_hash}, told about {block.hash[:66]!r}")
    _check_transactions(block)
    if receipts and receipts[0].block_hash != block.hash:
        raise Inconsistent(f"receipts of block {receipts[0].block_hash[:66]!r} for {block.hash}")
    _check_counts(rules, block, receipts)
    log_index_next = 0
    for position, receipt in enumerate(receipts):
        _check_receipt(rules, block, receipt, position)
        log_index_next = _check_logs(rules, block, receipt, log_index_next)


def _check_transactions(block: RawBlock) -> None:
    block_hash, number = block.hash, block.number
    for position, transaction in enumerate(block.transactions):
        if (
            transaction.block_hash != block_hash
            or transaction.block_number != number
            or transaction.transaction_index != hex(position)
        ):
            raise Inconsistent(f"transaction {position} of {block_hash} has another place")


def _check_counts(rules: ConsistencyRules, block: RawBlock, receipts: RawReceipts) -> None:
    transactions_count = len(block.transactions)
    beyond = len(receipts) - transactions_count
    if beyond < 0 or beyond > rules.receipts_beyond_max:
        raise Inconsistent(f"{len(receipts)} receipts for {transactions_count} transactions of {block.hash}")
    if rules.empty_roots_mean_empty:
        root_is_empty = block.transactions_root == EMPTY_TRIE_ROOT
        if root_is_empty != (transactions_count == 0) and rules.receipts_beyond_max == 0:
            raise Inconsistent(
                f"transactions root of {block.hash} does not fit {transactions_count} transactions"
            )


def _check_receipt(rules: ConsistencyRules, block: RawBlock, receipt: RawReceipt, position: int) -> None:
    if (
        receipt.block_hash != block.hash
        or receipt.block_number != block.number
        or receipt.transaction_index != hex(position)
    ):
        raise Inconsistent(f"receipt {position} of {block.hash} has another place")
    if position < len(block.transactions):
        if receipt.transaction_hash != block.transactions[position].hash:
            raise Inconsistent(f"receipt {position} of {block.hash} is of another transaction")
    else:
        assert rules.receipts_beyond_max > 0, "counts were checked before"


def _check_logs(rules: ConsistencyRules, block: RawBlock, receipt: RawReceipt, log_index_next: int) -> int:
    """Check one receipt's logs; returns the index the next log must carry."""
    block_hash, number = block.hash, block.number
    transaction_hash, transaction_index = receipt.transaction_hash, receipt.transaction_index
    for log in receipt.logs:
        if (
            log.block_hash != block_hash
            or log.transaction_hash != transaction_hash
            or log.transaction_index != transaction_index
            or log.block_number != number
        ):
            raise Inconsistent(f"a log of {transaction_hash} in {block_hash} has another place")
        if log.log_index != hex(log_index_next):
            log_index_next = _read_log_index(rules, block, log.log_index, log_index_next)
        if log.removed:
            raise Inconsistent(f"a removed log inside the receipts of {block_hash}")
        log_index_next += 1
    return log_index_next


def _read_log_index(rules: ConsistencyRules, block: RawBlock, text: str, log_index_expected: int) -> int:
    """The index of a log that is out of step, where the chain allows gaps."""
    if rules.hidden_transactions:
        try:
            index = int(text, 16)
        except ValueError:
            index = -1
        if index > log_index_expected:
            return index
    raise Inconsistent(f"log {text[:20]!r} of {block.hash} where {log_index_expected} was due")
