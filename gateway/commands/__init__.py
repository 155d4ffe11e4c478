"""One module for each group of commands; this is their list, in the order of `chainbell --help`."""

from __future__ import annotations

from gateway.commands import merchants, run, schema
from gateway.commands.frame import Command, Group

ALL_COMMANDS: tuple[Command | Group, ...] = (
    run.RUN,
    schema.MIGRATE,
    merchants.MERCHANT,
    merchants.KEY,
)
