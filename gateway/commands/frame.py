"""What every command is given, and how it is entered into the tree.

Lives here: `Frame` (arguments, configuration, terminal, clock), `Command`, and the two ways to fail. Does not live here:
parsing the whole line and exit statuses (`gateway.cli`).
"""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gateway.config.file import find_config, load_settings
from gateway.config.settings import ChainSettings, Settings
from gateway.process.terminal import Terminal
from migrations.ids import decode_id

Subparsers = Any
"""argparse's action for subcommands; it has no public generic name."""


class BadUse(Exception):
    """The command was called in a way it can not follow; exit status 2."""


class CommandFailed(Exception):
    """The command found something wrong; exit status 1."""


def read_clock() -> datetime:
    """The time, for commands; services are handed theirs."""
    return datetime.now(UTC)  # noqa: TID251  (a command is a process of its own, and this is its clock)


@dataclass(slots=True)
class Frame:
    """One call of a command."""

    arguments: argparse.Namespace
    config: str | None
    terminal: Terminal
    environment: Mapping[str, str] = field(repr=False)
    now: Callable[[], datetime] = read_clock

    def settings(self) -> Settings:
        """The configuration; raises ConfigInvalid."""
        return load_settings(find_config(self.config, self.environment), environment=self.environment)

    @property
    def actor(self) -> str:
        """Who is asking, for the audit trail."""
        try:
            return f"command:{getpass.getuser()}"
        except (KeyError, OSError):
            return "command"

    def chain_of(self, settings: Settings) -> ChainSettings:
        """The configured chain that --chain names; raises BadUse."""
        alias: str | None = getattr(self.arguments, "chain", None)
        if alias is None:
            raise BadUse("--chain is needed")
        for chain in settings.chains.values():
            if alias in (chain.alias, chain.follow.traits.chain):
                return chain
        known = ", ".join(settings.chains) or "none"
        raise BadUse(f"--chain {alias}: not configured; configured: {known}")

    def id_of(self, prefix: str, *names: str) -> UUID:
        """An id from the first of these arguments that was given; raises BadUse."""
        text = next((value for name in names if (value := getattr(self.arguments, name, None))), None)
        if text is None:
            raise BadUse(f"--{names[0]} is needed")
        try:
            return decode_id(prefix, text)
        except ValueError as error:
            raise BadUse(f"--{names[0]}: {error}") from error


def add_chain(parser: argparse.ArgumentParser) -> None:
    """`--chain`, for what is done to one chain."""
    parser.add_argument("--chain", metavar="ALIAS", required=True, help="which chain")


def add_range(parser: argparse.ArgumentParser) -> None:
    """`--from` and `--to`, both included."""
    for name, attribute, which in (("--from", "height_first", "first"), ("--to", "height_last", "last")):
        parser.add_argument(
            name, dest=attribute, metavar="H", type=int, required=True, help=f"{which} height"
        )


@dataclass(frozen=True, slots=True)
class Command:
    """One command or one subcommand; `run` may bring its own event loop by not being a coroutine function."""

    name: str
    help: str
    run: Callable[[Frame], Coroutine[Any, Any, int] | int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None  # noqa: ARG005
    is_service: bool = False
    below: tuple[Command, ...] = ()
    """Subcommands of one that also runs by itself."""

    def add_to(self, parsers: Subparsers, shared: argparse.ArgumentParser) -> None:
        """Enter it into the tree."""
        parser = parsers.add_parser(self.name, help=self.help, description=self.help, parents=[shared])
        self.arguments(parser)
        parser.set_defaults(command=self)
        if self.below:
            subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
            for command in self.below:
                command.add_to(subparsers, shared)


@dataclass(frozen=True, slots=True)
class Group:
    """Several commands under one word."""

    name: str
    help: str
    commands: tuple[Command, ...]

    def add_to(self, parsers: Subparsers, shared: argparse.ArgumentParser) -> None:
        """Enter it into the tree."""
        parser = parsers.add_parser(self.name, help=self.help, description=self.help, parents=[shared])
        below = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
        for command in self.commands:
            command.add_to(below, shared)
