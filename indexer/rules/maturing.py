"""What may ripen without a new block: the heights that a look, or another operator's word, could raise.  Pure.

So that a quiet chain writes nothing, and nobody is asked what was answered.
Raising heights is `finality` and `commit`; asking is `follow`.
"""

from __future__ import annotations

from dataclasses import replace

from chains.model import HeadReport
from indexer.rows.storage import ChainRecord


def may_mature(record: ChainRecord, report: HeadReport, agreed: int | None, *, is_settled: bool) -> bool:
    """Whether writing could change anything; `agreed` None: one operator is trusted, `is_settled`: no dispute is left."""
    # With one operator everything is agreed on that is not held, also what our operator vouched for since.
    agreed = record.tip.height if agreed is None else agreed
    if record.held_height is not None:
        agreed = min(agreed, record.held_height - 1)
    # A tag below our start is no block of ours, and not accepted: a chain that has just begun would write it with every look.
    final_height = record.start_height - 1 if record.final_height is None else record.final_height
    return (
        agreed > record.agreed_height
        or (is_settled and record.disputed_fork_height is not None)
        or (report.final is not None and report.final.height > final_height)
        or (report.safe is not None and record.start_height <= report.safe.height != record.safe_height)
    )


def compute_doubted(record: ChainRecord) -> ChainRecord:
    """The record as it is asked about: in a dispute, what was agreed on above its fork is asked anew."""
    fork_height = record.disputed_fork_height
    if fork_height is None:
        return record
    return replace(record, agreed_height=min(record.agreed_height, fork_height))
