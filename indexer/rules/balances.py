"""What blocks say of balances, held against what balances say: decisions only.

Traces are in no header, so a provider could invent value that moved inside a
call.  What cannot be invented beside it is the difference of the balance over
the block: here is which addresses are held against theirs, and what a
difference means.  Pure.  Asking is `balance_check` (while following) and
`balance_audit` (for `chainbell audit --balances`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from chains.model import Address, Block, BlockHash, NativeChange, TransferKind
from indexer.rules.matching import Hit

NATIVE_KINDS = frozenset({TransferKind.NATIVE, TransferKind.INTERNAL})


class Verdict(Enum):
    """What one address's balance says about the block's rows."""

    HOLDS = "holds"
    CONTRADICTS = "contradicts"
    UNKNOWN = "unknown"
    """A term of the sum is not in the rows, so a difference proves nothing."""


@dataclass(frozen=True, slots=True)
class Held:
    """A traced block that paid watched addresses, with what its rows did to each."""

    block: Block
    changes: Mapping[Address, NativeChange]


HeldRecipients = Mapping[BlockHash, AbstractSet[Address]]
"""Whose balances were held, by block."""


def native_recipients(hits: Iterable[Hit]) -> dict[BlockHash, set[Address]]:
    """The matched recipients of native coin, by block."""
    found: dict[BlockHash, set[Address]] = {}
    for hit in hits:
        if hit.transfer.kind in NATIVE_KINDS:
            found.setdefault(hit.header.hash, set()).add(hit.transfer.recipient)
    return found


def choose_held(blocks: Sequence[Block], recipients: HeldRecipients) -> list[Held]:
    """The traced blocks among `blocks` in which matched native coin moved, in their order."""
    held: list[Held] = []
    for block in blocks:
        addresses = recipients.get(block.header.hash)
        if addresses is None or block.ledger is None or not block.ledger.is_traced:
            continue
        changes = block.ledger.changes()
        held.append(Held(block, {address: changes[address] for address in sorted(addresses)}))
    return held


def are_covered(held: HeldRecipients, hits: Iterable[Hit]) -> bool:
    """Whether every native recipient among `hits` was held; a watch list that grew meanwhile adds some."""
    return all(
        addresses <= held.get(block_hash, set()) for block_hash, addresses in native_recipients(hits).items()
    )


def judge_change(change: NativeChange, before_base_units: int, after_base_units: int) -> Verdict:
    """Whether the balance moved by what the rows say."""
    if after_base_units - before_base_units == change.amount_base_units:
        return Verdict.HOLDS
    return Verdict.CONTRADICTS if change.doubt is None else Verdict.UNKNOWN
