"""`chainbell run`: the program itself, in one role or in all.

Lives here: the command and how its refusals to start are told. Does not live here: putting the process together
(`gateway.compose`).
"""

from __future__ import annotations

import argparse

import structlog

from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.compose import run_house
from gateway.compose_chains import DecimalsMismatch
from gateway.config.settings import ALL_ROLES, ChainSettings, Role, Settings
from gateway.http.edge.server import BindFailed

_log = structlog.get_logger()
EVERY_ROLE = "all"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role",
        action="append",
        nargs="+",
        choices=[EVERY_ROLE, *(role.value for role in Role)],
        help="what this process does; may be repeated; all when left out",
    )
    parser.add_argument(
        "--chain",
        action="append",
        nargs="+",
        metavar="ALIAS",
        help="the chains it follows; all when left out",
    )


def choose_roles(asked: list[list[str]] | None) -> frozenset[Role]:
    """The roles that were asked for."""
    words = {word for group in asked or [] for word in group}
    if not words or EVERY_ROLE in words:
        return ALL_ROLES
    return frozenset(Role(word) for word in words)


def choose_chains(settings: Settings, asked: list[list[str]] | None) -> list[ChainSettings]:
    """The chains that were asked for, in the order of the file; raises BadUse for one that is not configured."""
    words = {word for group in asked or [] for word in group}
    for word in sorted(words - set(settings.chains)):
        known = ", ".join(settings.chains) or "none"
        raise BadUse(f"--chain {word}: not configured; configured: {known}")
    return [chain for alias, chain in settings.chains.items() if not words or alias in words]


async def _run(frame: Frame) -> int:
    settings = frame.settings()
    roles = choose_roles(frame.arguments.role)
    chains = choose_chains(settings, frame.arguments.chain)
    try:
        await run_house(settings, roles, chains)
    except BindFailed as error:
        raise BadUse(str(error)) from error
    except DecimalsMismatch as error:
        raise CommandFailed(str(error)) from error
    except BaseExceptionGroup as group:
        if (bind := _first(group, BindFailed)) is not None:
            raise BadUse(str(bind)) from group
        if (mismatch := _first(group, DecimalsMismatch)) is not None:
            raise CommandFailed(str(mismatch)) from group
        _log.error("crashed", exc_info=group)
        raise CommandFailed("stopped by an error of its own; see the log") from group
    return 0


def _first(group: BaseExceptionGroup[BaseException], kind: type[BaseException]) -> BaseException | None:
    found = group.subgroup(kind)
    while found is not None and isinstance(found, BaseExceptionGroup):
        inner = found.exceptions[0]
        if not isinstance(inner, BaseExceptionGroup):
            return inner
        found = inner
    return None


RUN = Command("run", "follow chains, deliver webhooks, answer the API", _run, _arguments, is_service=True)
