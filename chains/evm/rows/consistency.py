"""Does one answer about one block agree with itself?  Pure.

These checks need no hashing and hold for every provider and level: the asked
hash, every row's place, counts, order, contiguous log indexes, no transaction
twice.  Numbers are compared as numbers, however they are spelled.  They catch
mixed forks, short or swapped receipts and sloppy caches; recomputing hashes
and roots, which catches lies, is `chains.evm.verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chains.errors import Inconsistent
from chains.evm.rows.structs import RawBlock, RawLog, RawReceipt, RawReceipts, is_quantity, parse_quantity

EMPTY_TRIE_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
"""keccak(rlp("")): the root of a list without entries."""


@dataclass(frozen=True, slots=True)
class ConsistencyRules:
    """What a chain's honest nodes are known to break.

    `receipts_beyond_max`: receipts that belong to no listed transaction
    (Polygon's state sync).  `log_indexes_may_skip`: hidden system transactions
    have logs.  `empty_root_is_empty`: the root is a trie's and covers exactly
    the listed transactions.
    """

    receipts_beyond_max: int = 0
    log_indexes_may_skip: bool = False
    empty_root_is_empty: bool = True


STRICT = ConsistencyRules()

_BOR = ConsistencyRules(receipts_beyond_max=1, empty_root_is_empty=False)

RULES_BY_PROFILE: Mapping[str, ConsistencyRules] = MappingProxyType(
    {
        "polygon": _BOR,
        "polygon-amoy": _BOR,
        "hyperliquid": ConsistencyRules(log_indexes_may_skip=True, empty_root_is_empty=False),
        "zksync": ConsistencyRules(log_indexes_may_skip=True, empty_root_is_empty=False),
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
    _check_identity(asked_hash, block)
    _check_transactions(block)
    if receipts and receipts[0].block_hash != block.hash:
        raise Inconsistent(f"receipts of block {receipts[0].block_hash[:66]!r} for {block.hash}")
    _check_counts(rules, block, receipts)
    _check_empty_root(rules, block)
    log_index_next = 0
    for position, receipt in enumerate(receipts):
        _check_receipt(block, receipt, position)
        log_index_next = _check_logs(rules, block, receipt, position, log_index_next)


def check_without_receipts(rules: ConsistencyRules, asked_hash: str | None, block: RawBlock) -> None:
    """The same of a block alone: it is the one asked for, and its transactions are its own."""
    _check_identity(asked_hash, block)
    _check_transactions(block)
    _check_empty_root(rules, block)


def _check_identity(asked_hash: str | None, block: RawBlock) -> None:
    if asked_hash is not None and block.hash != asked_hash and block.hash.lower() != asked_hash:
        raise Inconsistent(f"asked for block {asked_hash}, told about {block.hash[:66]!r}")


def _check_empty_root(rules: ConsistencyRules, block: RawBlock) -> None:
    transactions_count = len(block.transactions)
    root = block.transactions_root
    root_is_empty = root is not None and root.lower() == EMPTY_TRIE_ROOT
    if rules.empty_root_is_empty and root is not None and root_is_empty != (transactions_count == 0):
        raise Inconsistent(f"the root of {block.hash} does not fit {transactions_count} transactions")


def _check_transactions(block: RawBlock) -> None:
    block_hash, number = block.hash, block.number
    for position, transaction in enumerate(block.transactions):
        if (
            transaction.block_hash != block_hash
            or (transaction.block_number != number and not _is_number(block, transaction.block_number))
            or (
                transaction.transaction_index != hex(position)
                and not is_quantity(transaction.transaction_index, position)
            )
        ):
            raise Inconsistent(f"transaction {position} of {block_hash} has another place")
    if len({transaction.hash.lower() for transaction in block.transactions}) < len(block.transactions):
        raise Inconsistent(f"block {number[:20]} {block_hash} holds a transaction twice")


def _is_number(block: RawBlock, number: str | None) -> bool:
    """Whether a row that spells it otherwise than the block names its height, or none."""
    return is_quantity(number, parse_quantity(block.number))


def _check_counts(rules: ConsistencyRules, block: RawBlock, receipts: RawReceipts) -> None:
    transactions_count = len(block.transactions)
    beyond = len(receipts) - transactions_count
    if not 0 <= beyond <= rules.receipts_beyond_max:
        raise Inconsistent(f"{len(receipts)} receipts for {transactions_count} transactions of {block.hash}")


def _check_receipt(block: RawBlock, receipt: RawReceipt, position: int) -> None:
    if (
        receipt.block_hash != block.hash
        or (receipt.block_number != block.number and not _is_number(block, receipt.block_number))
        or (
            receipt.transaction_index != hex(position)
            and not is_quantity(receipt.transaction_index, position)
        )
    ):
        raise Inconsistent(f"receipt {position} of {block.hash} has another place")
    transactions = block.transactions
    if position < len(transactions) and receipt.transaction_hash != transactions[position].hash:
        raise Inconsistent(f"receipt {position} of {block.hash} is of another transaction")


def _check_logs(
    rules: ConsistencyRules, block: RawBlock, receipt: RawReceipt, position: int, log_index_next: int
) -> int:
    """Check one receipt's logs; returns the index the next log must carry."""
    block_hash, number = block.hash, block.number
    transaction_hash, transaction_index = receipt.transaction_hash, receipt.transaction_index
    may_skip = rules.log_indexes_may_skip or position >= len(block.transactions)
    for log in receipt.logs:
        if (
            log.block_hash != block_hash
            or log.transaction_hash != transaction_hash
            or (log.transaction_index != transaction_index and not _is_in_place(log, receipt))
            or (log.block_number != number and not _is_number(block, log.block_number))
            or log.removed
        ):
            raise Inconsistent(
                f"a log of {transaction_hash} in {block_hash} has another place, or was removed"
            )
        if log.log_index != hex(log_index_next):
            index = parse_quantity(log.log_index)
            if index < log_index_next or (index > log_index_next and not may_skip):
                raise Inconsistent(f"log {index} of {block_hash} where {log_index_next} was due")
            log_index_next = index
        log_index_next += 1
    return log_index_next


def _is_in_place(log: RawLog, receipt: RawReceipt) -> bool:
    return is_quantity(log.transaction_index, parse_quantity(receipt.transaction_index))
