"""`chainbell audit`: read a range of the chain again and compare it with our rows; 1 on a difference.

Lives here: the command. Does not live here: comparing (indexer.history.audit). It writes nothing,
and asks providers in the lane of history, behind a running follower.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from chains.errors import ChainError, Pruned
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame, add_chain, add_range
from gateway.compose import publish
from gateway.compose_chains import build_chain_desk, build_source
from gateway.config.settings import ChainSettings
from gateway.process.database import open_for_command
from gateway.process.terminal import format_table
from indexer.history.audit import Difference, audit_range, settle_balances
from indexer.history.auditors import Asked, join_asked
from indexer.history.balance_audit import AuditedBalances, BalanceTally
from indexer.move.commit import ChainDesk
from indexer.rows.store import PostgresFollowStore
from migrations.handles import Pool

SHOWN_MAX = 1_000
SAID_MAX = 20


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_chain(parser)
    add_range(parser)
    parser.add_argument(
        "--balances",
        action="store_true",
        help="also hold the balances of watched addresses against what the blocks moved",
    )


async def _audit(frame: Frame) -> int:
    asked = frame.arguments
    settings = frame.settings()
    chain = frame.chain_of(settings)
    if not 0 <= asked.height_first <= asked.height_last:
        raise BadUse("--from and --to: heights, the first not above the last")
    async with open_for_command(settings, "chainbell-audit") as pool:
        desk, store = await build_chain_desk(chain, pool, publish)
        record = await store.load_chain(chain.follow.traits.chain)
        if record is None:
            raise CommandFailed(f"{chain.alias} has no first block yet")
        first = max(asked.height_first, record.start_height)
        last = min(asked.height_last, record.tip.height)
        if first > last:
            raise CommandFailed(
                f"nothing was compared: of {chain.alias} we hold {record.start_height} to {record.tip.height}"
            )
        if (first, last) != (asked.height_first, asked.height_last):
            frame.terminal.say(
                f"we hold {record.start_height} to {record.tip.height}: reading {first} to {last}"
            )
        await _load_watched(desk, store)
        try:
            read = await _read(frame, chain, pool, desk, store, first, last)
        except ChainError as error:
            raise CommandFailed(f"{chain.alias} can not be read: {error}") from error
    rows = [dataclasses.asdict(one) for one in read.differences[:SHOWN_MAX]]
    view: dict[str, object] = {
        "chain": chain.follow.traits.chain,
        "from": first,
        "to": last,
        "blocks": read.blocks_count,
        "deposits": read.deposits_count,
        "differences_count": len(read.differences),
        "differences": rows,
        "blocks_asked_of_another_operator": read.blocks_of_others,
        "asked": [_show_asked(one) for one in read.asked[:SHOWN_MAX]],
        "asked_left_out": read.asked_left_out + max(0, len(read.asked) - SHOWN_MAX),
    }
    said = (
        f"{chain.alias} {first} to {last}: {read.blocks_count} blocks, {read.deposits_count} deposits, "
        f"{len(read.differences)} differences"
    )
    lines = [
        said,
        f"{read.blocks_of_others} of them were asked of an operator who had not served them",
        *_say_asked(read.asked),
        *(format_table(rows, ("height", "what", "ours", "theirs")) if rows else []),
    ]
    if read.balances_refused is not None:
        view["balances"] = {"unavailable": read.balances_refused}
        lines.append(f"balances were not compared: {read.balances_refused}")
    if read.balances is not None:
        balances = _show_balances(read.balances, desk)
        view["balances"] = balances
        lines += _say_balances(balances)
    frame.terminal.data(view, lambda: lines)
    return 1 if read.is_different else 0


@dataclasses.dataclass(slots=True)
class _Read:
    """What the range showed; `balances` None where nobody asked for them or, with the reason, nobody keeps them."""

    differences: list[Difference] = dataclasses.field(default_factory=list)
    blocks_count: int = 0
    deposits_count: int = 0
    balances: AuditedBalances | None = None
    balances_refused: str | None = None
    asked: list[Asked] = dataclasses.field(default_factory=list)
    asked_left_out: int = 0
    blocks_of_others: int = 0

    def note_asked(self, asked: Sequence[Asked]) -> None:
        """Remember of whom ranges were asked; where servers change with every block, the first so many."""
        self.blocks_of_others += sum(
            one.height_last - one.height_first + 1 for one in asked if one.why_same is None
        )
        if len(self.asked) >= SHOWN_MAX:
            self.asked_left_out += len(asked)
        else:
            self.asked = join_asked((*self.asked, *asked))

    @property
    def is_different(self) -> bool:
        """Whether the chain contradicts us, or was not asked; what can not be explained contradicts nobody."""
        of_balances = () if self.balances is None else self.balances.differences
        contradicted = any(one.unexplained is None for one in of_balances)
        return bool(self.differences) or contradicted or self.balances_refused is not None


def _show_asked(asked: Asked) -> dict[str, object]:
    """Whom a range was asked of, as JSON shows it."""
    return {
        "from": asked.height_first,
        "to": asked.height_last,
        "served_by": asked.served_by or None,
        "asked": asked.asked,
        "operator": asked.operator,
        "is_another_operator": asked.why_same is None,
        "reason": asked.why_same,
    }


def _say_asked(asked: list[Asked]) -> list[str]:
    lines = []
    for one in asked[:SAID_MAX]:
        of_whom = f"{one.height_first} to {one.height_last}: asked {one.asked} (operator {one.operator})"
        if one.why_same is None:
            lines.append(f"{of_whom}, another than {one.served_by or 'nobody'}, who served it")
        else:
            lines.append(f"{of_whom}, and no proof against who served it: {one.why_same}")
    if len(asked) > SAID_MAX:
        lines.append(f"and {len(asked) - SAID_MAX} more ranges; --json shows them")
    return lines


def _show_balances(balances: AuditedBalances, desk: ChainDesk) -> dict[str, Any]:
    """Balances as JSON shows them; amounts as texts, as everywhere."""
    groups: dict[str, list[dict[str, str | None]]] = {"differences": [], "unexplained": []}
    for one in balances.differences:
        group = groups["differences" if one.unexplained is None else "unexplained"]
        group.append(
            {
                "address": desk.naming.address_text(one.address),
                "asset": one.asset,
                "moved_base_units": str(one.moved_base_units),
                "changed_base_units": str(one.changed_base_units),
                "reason": one.unexplained,
            }
        )
    counts = {f"{name}_count": len(group) for name, group in groups.items()}
    return {"checked": balances.pairs_count, **counts} | {
        name: group[:SHOWN_MAX] for name, group in groups.items()
    }


def _say_balances(balances: dict[str, Any]) -> list[str]:
    said = (
        f"{balances['checked']} balances compared: {balances['differences_count']} differences, "
        f"{balances['unexplained_count']} unexplained"
    )
    columns = ("address", "asset", "moved_base_units", "changed_base_units", "reason")
    rows = [*balances["differences"], *balances["unexplained"]]
    return [said, *(format_table(rows, columns) if rows else [])]


async def _read(
    frame: Frame,
    chain: ChainSettings,
    pool: Pool,
    desk: ChainDesk,
    store: PostgresFollowStore,
    first: int,
    last: int,
) -> _Read:
    read = _Read()
    tally = BalanceTally(chain.follow.traits, desk.watched) if frame.arguments.balances else None
    async with build_source(chain) as source:
        with frame.terminal.progress(f"audit of {chain.alias}") as progress:
            chunks = audit_range(pool, desk, store, source, height_first=first, height_last=last, tally=tally)
            async for chunk in chunks:
                read.differences += chunk.differences
                read.note_asked(chunk.asked)
                read.blocks_count += chunk.blocks_count
                read.deposits_count += chunk.deposits_count
                progress.at(chunk.height_last - first + 1, last - first + 1, f"at height {chunk.height_last}")
        if tally is not None:
            provider = source.choose_provider().for_backfill()
            try:
                read.balances = await settle_balances(desk, store, provider, tally)
            except Pruned as error:
                read.balances_refused = str(error)
    return read


async def _load_watched(desk: ChainDesk, store: PostgresFollowStore) -> None:
    """The watch list as it stands; the follower's own set is in another process."""
    while True:
        page = await store.load_watch_page(desk.settings.traits.chain, after_version=desk.watched.version)
        if page.version == desk.watched.version:
            return
        desk.watched.add(page.addresses, version=page.version)


AUDIT = Command(
    "audit", "read a range again and compare it with our rows; 1 on a difference", _audit, _arguments
)
