"""What a follower sees, for people: lag, providers, verification, pace.

Written beside the moves and never read by a decision; the gateway shows it in
`/v1/chains`, readiness and metrics.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Protocol

from chains.model import Block, Doubt
from indexer.move.notices import FINALITY_DELAYED, INTERVALS_MIN, Pulse
from indexer.rows.storage import ChainRecord
from indexer.rules.waiting import MempoolBoard

DOUBTS_MAX = 32
"""Different ones kept; a hostile node could invent one a block."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class DescribeProviders(Protocol):
    """Says how each provider does: host, operator, health; ready for JSON."""

    def __call__(self) -> Sequence[Mapping[str, Any]]:
        """One mapping a provider."""
        ...


@dataclass(slots=True)
class DoubtSeen:
    """At which height a doubt was first met since the start, and how often."""

    height: int
    blocks_count: int = 1


@dataclass(slots=True)
class Vitals:
    """The running measures of one chain's follower."""

    describe_providers: DescribeProviders
    mempools: MempoolBoard = field(default_factory=MempoolBoard)
    head_height: int | None = None
    last_error: str | None = None
    final_height: int | None = None
    final_moved_at: datetime | None = None
    block_times_s: deque[int] = field(default_factory=lambda: deque(maxlen=INTERVALS_MIN + 1))
    unlisted_transfers_count: int = 0
    doubts: dict[Doubt, DoubtSeen] = field(default_factory=dict)

    def note_blocks(self, blocks: Sequence[Block]) -> list[Doubt]:
        """Remember pace and doubts of newly applied blocks; returns the doubts that are new."""
        new: list[Doubt] = []
        for block in blocks:
            self.block_times_s.append(block.header.time_s)
            self.unlisted_transfers_count += block.unlisted_transfer_count
            for doubt in block.doubts:
                seen = self.doubts.get(doubt)
                if seen is not None:
                    seen.blocks_count += 1
                elif len(self.doubts) < DOUBTS_MAX:
                    self.doubts[doubt] = DoubtSeen(block.header.height)
                    new.append(doubt)
        return new

    def note_record(self, record: ChainRecord, *, now: datetime) -> None:
        """Remember when finality last moved; a process that starts while it is late has not seen it move."""
        if self.final_moved_at is None and FINALITY_DELAYED in record.conditions:
            self.final_height = record.final_height
            self.final_moved_at = LONG_AGO
        elif record.final_height != self.final_height or self.final_moved_at is None:
            self.final_height = record.final_height
            self.final_moved_at = now

    def pulse(self, record: ChainRecord, *, by_tag: bool, now: datetime) -> Pulse:
        """The measures as `notices` judges them."""
        times = list(self.block_times_s)
        quiet_final = None
        if by_tag and self.final_moved_at is not None:
            quiet_final = (now - self.final_moved_at).total_seconds()
        return Pulse(
            quiet_s=(now - record.moved_at).total_seconds(),
            final_quiet_s=quiet_final,
            intervals_s=tuple(float(b - a) for a, b in pairwise(times)),
            fee_rungs=self.mempools.rungs,
            has_mempool=bool(self.mempools.books),
        )

    def detail(self, record: ChainRecord | None) -> dict[str, object]:
        """The status row's JSON."""
        times = list(self.block_times_s)
        pace_s = None if len(times) < 2 else (times[-1] - times[0]) / (len(times) - 1)
        return {
            "providers": [dict(provider) for provider in self.describe_providers()],
            "last_error": self.last_error,
            "block_interval_s": pace_s,
            "conditions": [] if record is None else sorted(record.conditions),
            "mempools": [
                {
                    "host": book.name,
                    "state": book.state,
                    "waiting_count": book.waiting_count,
                    "unread_count": len(book.unread),
                    "last_error": book.last_error,
                }
                for book in self.mempools.books.values()
            ],
            "fees": [
                {"blocks": one.blocks, "fee_rate_per_kvb": str(one.fee_rate_per_kvb)}
                for one in self.mempools.rungs
            ],
            "unlisted_transfers_count": self.unlisted_transfers_count,
            "doubts": [
                {
                    "check": doubt.check,
                    "reason": doubt.reason,
                    "since_height": seen.height,
                    "blocks_count": seen.blocks_count,
                }
                for doubt, seen in self.doubts.items()
            ],
        }


def leave_out_pace(detail: Mapping[str, Any]) -> dict[str, object]:
    """The status without what moves with every look: how much each provider is asked a day, how much waits."""
    providers = [{**one, "calls_per_day": None} for one in detail["providers"]]
    mempools = [{**one, "waiting_count": None, "unread_count": None} for one in detail["mempools"]]
    return {**detail, "providers": providers, "mempools": mempools}
