"""Whom an audit asks for a block: an operator who did not serve it, and what is said where there is none.

Asking the one who served it again shows that our rows are what it says, and
not that it says the truth.  Comparing is `audit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from chains.errors import ChainError
from chains.model import Block
from chains.port import ChainSource


@dataclass(frozen=True, slots=True)
class Run:
    """Heights in a row that one provider served, ends included; `operator` None where it is not configured any more."""

    height_first: int
    height_last: int
    served_by: str
    operator: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Who told a range again; `why_same` says why no operator was asked who had not served it, None where one was."""

    height_first: int
    height_last: int
    served_by: str
    asked: str
    operator: str
    why_same: str | None


def list_runs(
    height_first: int,
    height_last: int,
    served_by: Mapping[int, str],
    operator_of: Callable[[str], str | None],
) -> list[Run]:
    """A range by who served it, ascending and without a gap; heights without a row have no server."""
    runs: list[Run] = []
    heights = range(height_first, height_last + 1)
    for server, group in groupby(heights, key=lambda height: served_by.get(height, "")):
        members = list(group)
        runs.append(Run(members[0], members[-1], server, operator_of(server) if server else None))
    return runs


async def ask_auditor(source: ChainSource, run: Run) -> tuple[Sequence[Block], Asked]:
    """The run's blocks as another operator tells them, or else as the same one does; raises what the last one raised."""
    first = source.choose_provider()
    candidates = [first, *source.second_opinions(first)]
    others = [one for one in candidates if one.operator != run.operator]
    same = [one for one in candidates if one.operator == run.operator]
    why_same: str | None = None
    if run.operator is None and run.served_by:
        why_same = f"{run.served_by}, who served it, is not configured any more"
    elif not others:
        why_same = "no other operator is configured, or all others rest"
    failure: ChainError | None = None
    for provider in (*others, *same):
        try:
            blocks = await provider.for_backfill().fetch_blocks(run.height_first, run.height_last)
        except ChainError as error:
            failure = error
            source.report_failure(provider, error)
            continue
        if provider in same and failure is not None:
            why_same = f"no other operator could be read: {failure}"
        return blocks, Asked(
            run.height_first, run.height_last, run.served_by, provider.name, provider.operator, why_same
        )
    assert failure is not None, "somebody was asked"
    raise failure


def join_asked(asked: Iterable[Asked]) -> list[Asked]:
    """Neighbours of whom the same is to be said, as one."""
    joined: list[Asked] = []
    for one in asked:
        if joined and replace(joined[-1], height_first=one.height_first, height_last=one.height_last) == one:
            joined[-1] = replace(joined[-1], height_last=one.height_last)
        else:
            joined.append(one)
    return joined
