"""Matched native amounts of traced blocks, held against the provider's own balances.

Lives here: the asking, for blocks that paid a watched address natively on a
chain with traces, and what follows: `Inconsistent`, or a level that says that a
check was unavailable.  Does not live here: what a difference means (`balances`),
what the rows come to (the family's ledger).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from chains.errors import Inconsistent, Pruned
from chains.model import BEFORE_FIRST, Block, BlockHash, VerificationLevel
from chains.port import Provider
from indexer.rules.balances import (
    Held,
    HeldRecipients,
    Verdict,
    choose_held,
    judge_change,
    native_recipients,
)
from indexer.rules.events import Naming
from indexer.rules.matching import find_hits
from indexer.rules.watchset import WatchSet

log = structlog.get_logger(__name__)

HOLD_TRIES = 3
"""How often a step asks again because an address was registered meanwhile; then the next step does."""

REASONS_TOLD_MAX = 32
"""Different reasons logged; each once."""


@dataclass(frozen=True, slots=True)
class HeldBlocks:
    """Blocks after the check; `recipients` None where no calls are traced and nothing is held."""

    blocks: Sequence[Block]
    recipients: HeldRecipients | None = None


class BalanceCheck:
    """One chain's check; it remembers which providers keep no old balances, and what was logged."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._pruned_to: dict[str, int] = {}
        self._told: set[str] = set()

    async def hold(self, provider: Provider, blocks: Sequence[Block], watched: WatchSet) -> HeldBlocks:
        """The same blocks, `PARTIAL` where the check was not possible.

        Raises `Inconsistent` where a balance moved by something else than the
        rows say, and whatever weather the asking met.
        """
        if not any(block.ledger is not None and block.ledger.is_traced for block in blocks):
            return HeldBlocks(blocks)
        recipients = native_recipients(find_hits(blocks, watched))
        lowered: dict[BlockHash, Block] = {}
        for held in choose_held(blocks, recipients):
            reason = await self._ask(provider, held)
            if reason is not None:
                self._tell(reason, provider, held.block)
                lowered[held.block.header.hash] = _lower(held.block)
        return HeldBlocks([lowered.get(block.header.hash, block) for block in blocks], recipients)

    async def _ask(self, provider: Provider, held: Held) -> str | None:
        """None where every balance holds, else why one could not be judged."""
        header = held.block.header
        if header.parent.height <= self._pruned_to.get(provider.name, BEFORE_FIRST):
            return "balances of old blocks are not kept"
        wanted = [(address, None) for address in held.changes]
        try:
            before = await provider.fetch_balances(wanted, header.parent)
            after = await provider.fetch_balances(wanted, header.ref)
        except Pruned:
            self._pruned_to[provider.name] = header.parent.height
            return "balances of old blocks are not kept"
        reason: str | None = None
        for (address, change), was, became in zip(held.changes.items(), before, after, strict=True):
            match judge_change(change, was, became):
                case Verdict.HOLDS:
                    pass
                case Verdict.UNKNOWN:
                    reason = change.doubt
                case Verdict.CONTRADICTS:
                    raise Inconsistent(
                        f"block {header.height} moves {change.amount_base_units} for "
                        f"{self._naming.address_text(address)}, "
                        f"whose balance moved by {became - was}",
                        provider=provider.name,
                    )
        return reason

    def _tell(self, reason: str, provider: Provider, block: Block) -> None:
        if reason in self._told or len(self._told) >= REASONS_TOLD_MAX:
            return
        self._told.add(reason)
        log.warning(
            "check-unavailable",
            chain=self._naming.alias,
            check="native-balances",
            reason=reason,
            provider=provider.name,
            height=block.header.height,
        )


def _lower(block: Block) -> Block:
    """A block that was checked in full but for this."""
    level = VerificationLevel.PARTIAL if block.level is VerificationLevel.FULL else block.level
    return replace(block, level=level)
