"""What this room raises: refusals a caller can act on. Outcomes of attempts are values (`model.Outcome`), not errors.

Lives here: the exceptions of endpoints, deliveries and secrets. Does not live here: HTTP status codes (the gateway's
table maps these), database weather (`migrations.errors`, retried by the loops).
"""

from __future__ import annotations

from dataclasses import dataclass


class RelayError(Exception):
    """Base of what this room refuses; the message may be shown to a merchant."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a request: a JSON pointer into it, and a sentence."""

    pointer: str
    detail: str


class RequestFlawed(RelayError):
    """Well-formed but wrong (422); `flaws` says where."""

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__("; ".join(f"{flaw.pointer}: {flaw.detail}" for flaw in flaws))
        self.flaws = flaws


class NotFound(RelayError):
    """No such endpoint, delivery or event for this merchant (404)."""


class Conflict(RelayError):
    """The request contradicts the state it met (409)."""


class SequencePruned(RelayError):
    """The log no longer reaches back that far (410)."""

    def __init__(self, oldest_sequence: int) -> None:
        super().__init__(f"the oldest event kept has sequence {oldest_sequence}")
        self.oldest_sequence = oldest_sequence


class SequenceAhead(RelayError):
    """The log does not reach so far: the caller has seen more of it than it holds (409), as after a restored backup."""

    def __init__(self, head_sequence: int, log_epoch: int) -> None:
        super().__init__(
            f"the log ends at sequence {head_sequence} of epoch {log_epoch}: a backup was restored, or this place was never "
            "in it; go on from the head, and take what you hold beyond it as not told"
        )
        self.head_sequence = head_sequence
        self.log_epoch = log_epoch


class SecretUnreadable(RelayError):
    """A sealed value cannot be opened: its key is not configured, or it was changed."""


class LogBroken(Exception):
    """The event log contradicts itself where a fact was to be written; nothing was written."""
