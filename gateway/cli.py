"""The `chainbell` command: what it is asked, and the status it ends with.

Lives here: the tree of commands, what all of them take, and exit statuses (0 ok, 1 found something wrong, 2 bad use or
configuration). Does not live here: any command's work (one module each in `commands/`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

import uvloop

from gateway.commands import PLACES, import_command
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.config.table import ConfigInvalid
from gateway.process.observe import configure_logs
from gateway.process.terminal import Terminal
from migrations.errors import DatabaseProblem

OK, WRONG, BAD_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    line = sys.argv[1:] if arguments is None else arguments
    parser = build_parser(line[0] if line else "")
    asked = parser.parse_args(line)
    if not hasattr(asked, "command"):
        parser.print_help(sys.stderr)
        return BAD_USE
    frame = Frame(
        arguments=asked,
        config=getattr(asked, "config", None),
        terminal=Terminal(json=getattr(asked, "json", False)),
        environment=os.environ,
    )
    command: Command = asked.command
    configure_logs(is_service=command.is_service)
    try:
        running = command.run(frame)
        if isinstance(running, int):
            return running
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(running)
    except (ConfigInvalid, BadUse) as error:
        frame.terminal.say(f"chainbell: {error}".replace("\n", "\nchainbell: "))
        return BAD_USE
    except (DatabaseProblem, CommandFailed) as error:
        frame.terminal.say(f"chainbell: {error}")
        return WRONG
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser(first_word: str = "") -> argparse.ArgumentParser:
    """The whole tree of commands; where the line begins with one of them, that one alone: nothing is read of the others."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="configuration (else $CHAINBELL_CONFIG, else ./chainbell.toml)",
    )
    shared.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print data as JSON")
    parser = argparse.ArgumentParser(
        prog="chainbell",
        parents=[shared],
        description="Deposits told by signed webhooks that are never lost.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name in [first_word] if first_word in PLACES else PLACES:
        import_command(name).add_to(commands, shared)
    return parser


if __name__ == "__main__":
    sys.exit(main())
