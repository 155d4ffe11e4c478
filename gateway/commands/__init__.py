"""One module for each group of commands; this is their list, in the order of `chainbell --help`."""

from __future__ import annotations

from gateway.commands import (
    audit,
    backup,
    chains,
    demo,
    doctor,
    listen,
    logs,
    merchants,
    replay,
    rescan,
    retention,
    run,
    schema,
    trail,
    verify,
)
from gateway.commands.frame import Command, Group

ALL_COMMANDS: tuple[Command | Group, ...] = (
    run.RUN,
    schema.MIGRATE,
    demo.DEMO,
    doctor.DOCTOR,
    merchants.MERCHANT,
    merchants.KEY,
    chains.CHAIN,
    rescan.RESCAN,
    audit.AUDIT,
    replay.REPLAY,
    listen.LISTEN,
    retention.RETENTION,
    logs.LOGS,
    trail.TRAIL,
    backup.BACKUP,
    backup.RESTORE,
    verify.VERIFY,
)
