"""What `doctor` asks of this machine, the database and Redis, and what to do about each answer.

Lives here: `Finding`, and the checks that have nothing to do with chains. Does not live here: providers (`chains`),
printing (`commands.doctor`). A check never raises: trouble is a finding with advice.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from yarl import URL

from gateway import store
from gateway.config.keyfiles import is_open_to_others, secret_files
from gateway.config.settings import Settings
from gateway.process.database import load_pending, open_dsn
from gateway.redis.connection import try_once
from migrations.connect import open_pool
from migrations.errors import DatabaseProblem
from migrations.handles import Pool
from relay.out.tunnel import is_well

PYTHON_MIN = (3, 11)
DISK_LOW_BYTES = 2 * 1024**3
DISK_OUT_BYTES = 256 * 1024**2
CLOCK_SKEW_S = 2.0
TOKEN_SHORT = 24
APPLICATION = "chainbell-doctor"


class Grade(StrEnum):
    """How a check went: `warn` works today, `fail` does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found and, unless it is well, what to do."""

    check: str
    grade: Grade
    found: str
    advice: str = ""


def check_program() -> Iterator[Finding]:
    """Python and the packages that are compiled."""
    shown = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info >= PYTHON_MIN:
        yield Finding("python", Grade.OK, shown)
    else:
        yield Finding("python", Grade.FAIL, shown, "install Python 3.11 or newer")
    for package in ("uvloop", "asyncpg", "cryptography"):
        try:
            yield Finding(package, Grade.OK, version(package))
        except PackageNotFoundError:
            yield Finding(package, Grade.FAIL, "not installed", f"pip install {package}")


def check_configuration(settings: Settings) -> Iterator[Finding]:
    """The file, and what is allowed in it and seldom wanted in production."""
    source = "defaults; no file" if settings.source is None else str(settings.source)
    yield Finding("configuration", Grade.OK, source)
    if not settings.chains:
        yield Finding(
            "chains",
            Grade.WARN,
            "none is configured",
            "add a [chains.…] table; docs/operate.md has an example",
        )
    public = URL(settings.http.public_url)
    if public.scheme == "http" and public.host not in ("127.0.0.1", "localhost", "::1"):
        yield Finding(
            "http.public_url", Grade.WARN, "is http", "put a TLS proxy in front, and name its https URL"
        )
    if settings.relay.allow_private_networks:
        yield Finding(
            "relay.allow_private_networks",
            Grade.WARN,
            "webhooks may reach private addresses",
            "set it to false anywhere but in development",
        )
    token = settings.secrets.admin_token.reveal()
    if token and len(token) < TOKEN_SHORT:
        yield Finding(
            "secrets.admin_token", Grade.WARN, "is short", "make a longer one: openssl rand -base64 32"
        )


def check_files(settings: Settings) -> Iterator[Finding]:
    """The data directory, its disk, and who may read the secrets."""
    folder = settings.data_dir
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    free_bytes = shutil.disk_usage(nearest).free
    shown = f"{free_bytes / 1024**3:.1f} GiB free at {nearest}"
    if free_bytes < DISK_OUT_BYTES:
        yield Finding("disk", Grade.FAIL, shown, "free space; the database stops when there is none")
    elif free_bytes < DISK_LOW_BYTES:
        yield Finding("disk", Grade.WARN, shown, "free space soon, or move data_dir")
    else:
        yield Finding("disk", Grade.OK, shown)
    for file in secret_files(settings):
        name = str(file)
        if not is_open_to_others(file):
            yield Finding(name, Grade.OK, "readable by its owner only")
        elif file == settings.source and not _holds_secrets(file):
            yield Finding(name, Grade.OK, "readable by others, holds no secret")
        else:
            yield Finding(name, Grade.WARN, "readable by others", f"chmod 600 {shlex.quote(name)}")


def _holds_secrets(file: Path) -> bool:
    """Whether a configuration seems to hold a secret itself, and not only the name of a variable."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return any(
        name in line and '"$' not in line and '""' not in line
        for line in text.splitlines()
        for name in ("admin_token", "encryption_key", "://")
        if not line.lstrip().startswith("#") and "127.0.0.1" not in line
    )


def check_alerts(settings: Settings) -> list[Finding]:
    """Whether anybody would hear the bell."""
    if not settings.alerts.webhook_url and not settings.alerts.command:
        advice = "set alerts.webhook_url or alerts.command, so that halts and a full disk reach a person"
        return [Finding("alerts", Grade.WARN, "nobody is told", advice)]
    if settings.alerts.command:
        program = shlex.split(settings.alerts.command)[0]
        if shutil.which(program) is None:
            return [
                Finding("alerts.command", Grade.FAIL, f"there is no program {program}", "correct the path")
            ]
    return [Finding("alerts", Grade.OK, "configured")]


@asynccontextmanager
async def open_checked_database(
    settings: Settings, findings: list[Finding], *, clock: Callable[[], datetime]
) -> AsyncIterator[Pool | None]:
    """Adds what was found of the database; gives a pool where it can be used."""
    kind = "given by database.url" if settings.database_url else "embedded"
    try:
        async with open_dsn(settings) as dsn:
            started_s = time.monotonic()
            pending = await load_pending(dsn, application_name=APPLICATION)
            findings.append(Finding("database", Grade.OK, f"{kind}, answers in {_ms(started_s)}"))
            if pending:
                count = len(pending)
                advice = "`chainbell run` applies them by itself, or `chainbell migrate`"
                findings.append(Finding("schema", Grade.WARN, f"{count} migrations are pending", advice))
                yield None
                return
            findings.append(Finding("schema", Grade.OK, "up to date"))
            pool = await open_pool(dsn, size=2, application_name=APPLICATION)
            try:
                findings.append(await _check_clock(pool, clock))
                yield pool
            finally:
                await pool.close()
    except DatabaseProblem as error:
        findings.append(Finding("database", Grade.FAIL, kind, str(error)))
        yield None


async def _check_clock(pool: Pool, clock: Callable[[], datetime]) -> Finding:
    theirs = await store.load_database_time(pool)
    skew_s = abs((theirs - clock()).total_seconds())
    if skew_s > CLOCK_SKEW_S:
        return Finding(
            "clock",
            Grade.WARN,
            f"{skew_s:.1f} s apart from the database's",
            "run an NTP client on both machines",
        )
    return Finding("clock", Grade.OK, f"{skew_s:.1f} s apart from the database's")


async def check_redis(settings: Settings) -> list[Finding]:
    """Whether Redis takes what we write, where it is configured; a full or read-only one answers and is of no use."""
    if not settings.redis_url:
        return []
    started_s = time.monotonic()
    trouble = await try_once(settings.redis_url.reveal())
    if not trouble:
        return [Finding("redis", Grade.OK, f"writes in {_ms(started_s)}")]
    advice = "start it, correct redis.url or its password, or clear redis.url: everything works without it"
    return [
        Finding(
            "redis", Grade.WARN, f"{URL(settings.redis_url.reveal()).host or 'its socket'}: {trouble}", advice
        )
    ]


async def check_proxy(settings: Settings) -> list[Finding]:
    """Whether the proxy that webhooks go through answers, where there is one."""
    if not settings.relay.proxy_url:
        return []
    started_s = time.monotonic()
    host = URL(settings.relay.proxy_url).host or ""
    if await is_well(settings.relay.proxy_url):
        return [Finding("proxy", Grade.OK, f"{host} answers in {_ms(started_s)}")]
    advice = "start it, or correct relay.proxy_url or its password: webhooks wait until it answers"
    return [Finding("proxy", Grade.FAIL, f"{host} does not answer as it should", advice)]


def _ms(started_s: float) -> str:
    return f"{(time.monotonic() - started_s) * 1000:.0f} ms"
