"""What a peer's process is told, as one line of JSON on its standard input.

Lives here: that line's fields, for both sides of it in Python (deliver_by_bullmq.mjs reads the same). Nothing but the
standard library is imported, because one side runs in the peers' own virtual environment.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """With what every delivery is signed, in base64: a Standard Webhooks secret, and the seed of an Ed25519 key."""

    secret: str
    seed: str

    @property
    def secret_bytes(self) -> bytes:
        return base64.b64decode(self.secret)

    @property
    def seed_bytes(self) -> bytes:
        return base64.b64decode(self.seed)


@dataclass(frozen=True, slots=True)
class Tuning:
    """How hard one peer tries: processes, workers in each of them, jobs that each worker has in flight."""

    processes: int
    workers: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """`task` is `enqueue` (the jobs of a file, one JSON document a line) or `work` (until standard input ends)."""

    task: str
    store: str  # Redis's socket or PostgreSQL's DSN
    keys: Keys
    tuning: Tuning
    jobs_path: str

    def encode(self) -> bytes:
        """The line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: str) -> Assignment:
        """What `encode` wrote."""
        fields = json.loads(line)
        return cls(**fields | {"keys": Keys(**fields["keys"]), "tuning": Tuning(**fields["tuning"])})
