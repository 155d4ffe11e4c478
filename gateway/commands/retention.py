"""`chainbell retention`: which days of the log are kept, how large they are, and who holds them.

Lives here: the command, and what it advises. Does not live here: dropping a day (relay.log.prune, in a running relay), when
one may go (relay.log.retention).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.commands.frame import Command, Frame
from gateway.process.database import open_for_command
from gateway.process.terminal import format_table
from indexer.rules.events import format_time
from migrations.ids import encode_id
from relay.log.prune import LogDay, LongReader, load_log_days, load_long_readers, load_needs
from relay.log.retention import Fate, Need, decide_fate, first_day_kept, lost_at
from relay.settings import RelaySettings

MIB = 1 << 20
DAY_COLUMNS = ("day", "mib", "why")
HOLDER_COLUMNS = (
    "endpoint_id",
    "needs",
    "sequence",
    "day",
    "state",
    "since",
    "warned_since",
    "lost_at",
    "do",
)
READER_COLUMNS = ("pid", "application", "state", "since")


async def _retention(frame: Frame) -> int:
    settings = frame.settings()
    async with open_for_command(settings) as pool, pool.acquire() as conn:
        days, needs = await load_log_days(conn), await load_needs(conn)
        readers = await load_long_readers(conn)
    view = describe(days, needs, readers, settings.relay, frame.now())
    frame.terminal.data(view, lambda: _lines(view))
    return 0


def describe(
    days: Sequence[LogDay],
    needs: Sequence[Need],
    readers: Sequence[LongReader],
    relay: RelaySettings,
    now: datetime,
) -> dict[str, object]:
    """Everything the command says, for programs."""
    kept = relay.retention_days
    holding = [] if kept is None else [need for need in needs if need.day < first_day_kept(now, kept)]
    return {
        "retention_days": kept,
        "retention_max_days": relay.retention_max_days,
        "days": [
            {"day": one.day.isoformat(), "bytes": one.size_bytes, "why": _why(one, needs, relay, now)}
            for one in days
            if one.told or not one.attached
        ],
        "holders": [
            {
                "endpoint_id": encode_id("end", need.endpoint_id),
                "merchant_id": encode_id("mer", need.merchant_id),
                "needs": need.kind,
                "sequence": need.sequence,
                "day": need.day.isoformat(),
                "state": need.state if need.enabled else "merchant disabled",
                "since": format_time(need.state_since),
                "warned_since": None if need.warned_since is None else format_time(need.warned_since),
                "lost_at": _when_lost(need, relay),
                "do": advise(need),
            }
            for need in holding
        ],
        "readers": [
            {
                "pid": one.pid,
                "application": one.application_name,
                "state": one.state,
                "since": format_time(one.since),
            }
            for one in readers
        ],
    }


def advise(need: Need) -> str:
    """What an operator can do about it."""
    if not need.enabled:
        return "enable the merchant, or delete the endpoint"
    if need.state == "paused":
        return "resume the endpoint, or delete it"
    if need.state == "failing":
        return "have the receiver mended, or delete the endpoint"
    if need.kind == "replay":
        return "wait: a replay is under way"
    if need.kind == "delivery":
        return "wait for its retries, or look at its deliveries"
    return "wait: it is catching up; is a relay running?"


def _why(one: LogDay, needs: Sequence[Need], relay: RelaySettings, now: datetime) -> str:
    if not one.attached:
        return "taken out of the log; a running relay drops it"
    fate = decide_fate(
        one.day,
        needs,
        retention_days=relay.retention_days,
        retention_max_days=relay.retention_max_days,
        now=now,
    )
    match fate:
        case Fate.YOUNG if relay.retention_days is None:
            return "kept for ever: relay.retention_days is not set"
        case Fate.YOUNG:
            return f"younger than {relay.retention_days} days"
        case Fate.HELD:
            return f"held: needed from {min(need.day for need in needs).isoformat()} on, see below"
        case Fate.FREE | Fate.LOST:
            return "goes as soon as a running relay gets to it"


def _when_lost(need: Need, relay: RelaySettings) -> str | None:
    moment = lost_at(need, retention_max_days=relay.retention_max_days)
    return None if moment is None else format_time(moment)


def _lines(view: dict[str, object]) -> list[str]:
    days, holders, readers = view["days"], view["holders"], view["readers"]
    assert isinstance(days, list)
    assert isinstance(holders, list)
    assert isinstance(readers, list)
    lines = format_table([{**day, "mib": f"{day['bytes'] / MIB:.1f}"} for day in days], DAY_COLUMNS)
    if holders:
        lines += ["", "Held by:", *format_table(holders, HOLDER_COLUMNS)]
    if readers:
        said = "Transactions that have the log open; no day goes before they end:"
        lines += ["", said, *format_table(readers, READER_COLUMNS)]
    return lines


RETENTION = Command("retention", "which days of the log are kept, and who holds them", _retention)
