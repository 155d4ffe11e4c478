"""One module for each group of commands; this is their list, in the order of `chainbell --help`.

Here: where each command stands. A module is imported when its command is asked for: all of them together import the
whole house, which takes longer than most commands do. They stand side by side, so that whoever knows the command finds its file.
Not here: the tree itself (`gateway.cli`).
"""

from __future__ import annotations

from importlib import import_module

from gateway.commands.frame import Command, Group

PLACES = {
    "run": "run.RUN",
    "migrate": "schema.MIGRATE",
    "demo": "demo.DEMO",
    "doctor": "doctor.DOCTOR",
    "merchant": "merchants.MERCHANT",
    "key": "merchants.KEY",
    "chain": "chains.CHAIN",
    "rescan": "rescan.RESCAN",
    "audit": "audit.AUDIT",
    "replay": "replay.REPLAY",
    "listen": "listen.LISTEN",
    "retention": "retention.RETENTION",
    "logs": "logs.LOGS",
    "trail": "trail.TRAIL",
    "witness": "witness.WITNESS",
    "secrets": "secrets.SECRETS",
    "backup": "backup.BACKUP",
    "restore": "backup.RESTORE",
    "verify": "verify.VERIFY",
}
"""Module and name of each command in this folder."""


def import_command(name: str) -> Command | Group:
    """The command of this name, and whatever it needs."""
    module, _, attribute = PLACES[name].partition(".")
    command: Command | Group = getattr(import_module(f"{__name__}.{module}"), attribute)
    assert command.name == name
    return command
