"""`test.ping`: one signed request to one endpoint, now, outside the log.

Lives here: its body (`"sequence": null`) and sending it once, with the answer for the merchant who asked. Nothing is
retried or kept: it says whether the endpoint works. Does not live here: the HTTP (`egress`), opening secrets (`targets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from migrations.handles import Connection
from migrations.ids import encode_id, new_id
from relay.errors import NotFound
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import compute_body
from relay.model import Outcome
from relay.out.egress import Egress
from relay.out.targets import Target, open_target
from relay.workers.store import load_endpoint_records

PING = "test.ping"


async def load_target(
    conn: Connection, box: SecretBox, merchant_id: UUID, endpoint_id: UUID
) -> tuple[Target, int]:
    """What `send_ping` needs: the endpoint opened, and its log's epoch. NotFound, SecretUnreadable."""
    records = await load_endpoint_records(conn, endpoints=[endpoint_id])
    if not records or records[0].merchant_id != merchant_id:
        raise NotFound("no such endpoint")
    return open_target(records[0], box), (await log.load_head(conn, merchant_id)).log_epoch


async def send_ping(
    egress: Egress, target: Target, *, merchant_id: UUID, log_epoch: int, now: datetime
) -> Outcome:
    """Send one `test.ping` and say what became of it; takes up to the attempt timeout: hold no transaction meanwhile."""
    return await send_untold(egress, target, PING, {}, merchant_id=merchant_id, log_epoch=log_epoch, now=now)


async def send_untold(
    egress: Egress,
    target: Target,
    event_type: str,
    said: Mapping[str, object],
    *,
    merchant_id: UUID,
    log_epoch: int,
    now: datetime,
) -> Outcome:
    """Send what stands in no log, signed as everything is: `said`, and which endpoint it is for."""
    event_id = new_id(int(now.timestamp() * 1000))
    body = compute_body(
        event_id=event_id,
        event_type=event_type,
        sequence=None,
        prev_hash=None,
        log_epoch=log_epoch,
        at=now,
        merchant_id=merchant_id,
        data={**said, "endpoint": {"id": encode_id("end", target.endpoint_id)}},
    )
    headers = target.headers_for(event_id, body, prev_sequence=None, now=now)
    return await egress.post(target.url, headers, body, now=now, owner=target.endpoint_id)
