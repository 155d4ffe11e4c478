"""Logs: one JSON object a line, secrets taken out, repeated failures damped.

Lives here: how structlog is set up, what is redacted, and `Damper`, which lets a failing loop speak once a minute and
when it is well again. Does not live here: what is logged (each room), numbers (`metrics`), telling the operator (`alerts`).
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

REDACTED = "[redacted]"
SECRET_NAMES = re.compile(
    r"token|secret|password|authorization|api_?key|encryption_?key|cookie", re.IGNORECASE
)
SECRET_TEXTS = re.compile(
    r"\bcb_[0-9a-z]{20,}"  # our API keys
    r"|\bwhsec_[A-Za-z0-9+/=_-]+"  # webhook secrets
    r"|(?<=[Bb]earer )\S+"
    r"|(?<=://)[^/@\s]+(?=@)"  # a user and password in a URL
    r"|(?<=[a-z0-9])(?<!:)(?<!/)/(?:v[0-9]+/)?[0-9A-Za-z_-]{24,}(?=[/?\s\"']|$)"  # a key in a node URL's path
)
DAMP_S = 60.0
TEXT_CHARACTERS_MAX = 2_000


def configure_logs(*, is_service: bool) -> None:
    """For `run`: JSON lines of everything from info on. For commands: plain lines of warnings, on standard error."""
    level = logging.INFO if is_service else logging.WARNING
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if is_service
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout if is_service else sys.stderr),
        cache_logger_on_first_use=False,
    )
    _quiet_libraries()


def _quiet_libraries() -> None:
    """Libraries that log by the standard module speak through ours, from warnings on."""
    handler = _ToStructlog()
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(
            record.levelno,
            "library-message",
            library=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info or None,
        )


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of a log line: by the name of a field, and by the look of a text."""
    del logger, method
    for name, value in event.items():
        if SECRET_NAMES.search(name) and value is not None and not isinstance(value, bool | int):
            event[name] = REDACTED
        else:
            event[name] = redact_value(value)
    return event


def redact_value(value: Any) -> Any:
    """The value without what looks like a secret, and no longer than a page."""
    match value:
        case str():
            return SECRET_TEXTS.sub(REDACTED, value[:TEXT_CHARACTERS_MAX])
        case dict():
            return dict(redact(None, "", dict(value)))
        case list() | tuple():
            return [redact_value(item) for item in value]
        case BaseException():
            return redact_value(f"{type(value).__name__}: {value}")
        case _:
            return value


class Damper:
    """Remembers which failures were told; `now_s` is a monotonic clock's."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def fails(self, what: str, now_s: float) -> int | None:
        """How often it failed since it was last told (1 for the first time), or None to stay silent."""
        told_s, count = self._told.get(what, (float("-inf"), 0))
        count += 1
        if now_s - told_s < DAMP_S:
            self._told[what] = (told_s, count)
            return None
        self._told[what] = (now_s, 0)
        return count

    def recovers(self, what: str) -> bool:
        """True once, when something that failed works again."""
        return self._told.pop(what, None) is not None
