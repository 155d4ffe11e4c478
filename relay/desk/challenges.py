"""`endpoint.challenge`: one signed request that whoever answers at a URL must echo before the endpoint gets events.

Lives here: claiming the endpoints that are due, sending one challenge, keeping what came of it. Any worker may ask, and
asking twice does no harm. Does not live here: who must prove what, and when to ask again (`ownership`), chance (callers
bring the text), the loop (`service`). A pending endpoint's place in the log is its cursor, like any other's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from migrations.handles import Connection
from migrations.ids import encode_id
from migrations.queries import load_queries
from relay.desk.ownership import CHALLENGE, judge_echo, next_challenge_at
from relay.desk.ping import load_target, send_untold
from relay.errors import SecretUnreadable
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.model import SAYS_NOTHING, Outcome
from relay.out.egress import Egress
from relay.out.targets import Target, open_target
from relay.workers.store import load_endpoint_records

QUERIES = load_queries("relay", "challenges.sql")

CLAIM_S = 90
"""How long a claimed challenge is left alone: more than any attempt may take."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Challenge:
    """One endpoint to be asked; `asked_before` counts the challenges that failed already."""

    target: Target
    merchant_id: UUID
    log_epoch: int
    asked_before: int
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `failure` is None for an echo."""

    outcome: Outcome
    failure: str | None


async def claim_challenges(conn: Connection, *, now: datetime, limit: int) -> dict[UUID, int]:
    """Up to `limit` endpoints that are due, with how often they were asked before; nobody else asks them meanwhile."""
    rows = await conn.fetch(QUERIES.claim_due_challenges, now, now + timedelta(seconds=CLAIM_S), limit)
    return {row["endpoint_id"]: row["challenges"] for row in rows}


async def load_next_challenge_at(conn: Connection) -> datetime | None:
    """When the next challenge is due; None where nobody is to be asked."""
    due_at: datetime | None = await conn.fetchval(QUERIES.load_next_challenge_at)
    return due_at


async def open_challenge(
    conn: Connection, box: SecretBox, endpoint_id: UUID, *, asked_before: int, text: str
) -> Challenge | None:
    """A claimed endpoint made ready to be asked; None if it is gone, or its secrets cannot be opened."""
    records = await load_endpoint_records(conn, endpoints=[endpoint_id])
    if not records:
        return None
    merchant_id = records[0].merchant_id
    try:
        target = open_target(records[0], box)
    except SecretUnreadable as error:
        _log.warning("challenge-not-sent", endpoint=encode_id("end", endpoint_id), error=str(error))
        return None
    head = await log.load_head(conn, merchant_id)
    return Challenge(target, merchant_id, head.log_epoch, asked_before, text)


async def load_challenge(
    conn: Connection, box: SecretBox, merchant_id: UUID, endpoint_id: UUID, *, text: str
) -> Challenge:
    """A challenge that somebody asked for: if it fails, the waits begin again. NotFound, SecretUnreadable."""
    target, log_epoch = await load_target(conn, box, merchant_id, endpoint_id)
    return Challenge(target, merchant_id, log_epoch, 0, text)


async def send_challenge(egress: Egress, challenge: Challenge, *, now: datetime) -> Reply:
    """Send one challenge; takes up to the attempt timeout: hold no transaction meanwhile."""
    outcome = await send_untold(
        egress,
        challenge.target,
        CHALLENGE,
        {"challenge": challenge.text},
        merchant_id=challenge.merchant_id,
        log_epoch=challenge.log_epoch,
        now=now,
    )
    return Reply(outcome, judge_echo(challenge.text, outcome))


async def settle_challenge(conn: Connection, challenge: Challenge, reply: Reply, *, now: datetime) -> None:
    """Keep what came of a challenge, unless the endpoint has another URL by now. What was proven stays proven."""
    endpoint_id, url = challenge.target.endpoint_id, challenge.target.url
    if reply.failure is None:
        if await conn.fetchval(QUERIES.mark_endpoint_verified, endpoint_id, url, now) is not None:
            await conn.execute(QUERIES.notify_endpoint, endpoint_id)
        return
    asked, again_at = challenge.asked_before + 1, next_challenge_at(challenge.asked_before, now)
    if reply.outcome.kind in SAYS_NOTHING:
        asked, again_at = challenge.asked_before, now + timedelta(seconds=CLAIM_S)
    await conn.execute(QUERIES.note_challenge_failure, endpoint_id, url, asked, again_at, reply.failure)
