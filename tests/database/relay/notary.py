"""A merchant and its log's signer over a real database: what tests of checkpoints begin with.

Lives here: telling events, signing them, checking as a merchant does, and doing harm as nobody should. Does not live here: what must
hold (`test_checkpoints.py`, `test_rewritten_logs.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from migrations.handles import Connection
from migrations.ids import encode_id
from relay import verify_log
from relay.keys import signing
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import Published, RelayFact
from relay.proof import checkpoints, proofs
from relay.proof.checkpoints import Checkpoint

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MERCHANT, OTHER = UUID(int=1), UUID(int=2)
BOX = SecretBox([b"k" * 32])
FORGE = "alter table events disable trigger user"
FORGED = "alter table events enable trigger user"


async def tell(
    conn: Connection, count: int, *, merchant: UUID = MERCHANT, now: datetime = NOW, tag: str = ""
) -> list[Published]:
    """So many more events of a merchant, about objects of their own."""
    async with conn.transaction():
        first = (await log.load_head(conn, merchant)).sequence + 1
        facts = [
            RelayFact(merchant, f"dep_{tag}{n}", 1, "deposit.included", {"n": n}, now)
            for n in range(first, first + count)
        ]
        return await log.append(conn, facts, now=now)


async def sign(conn: Connection, *, merchant: UUID = MERCHANT, now: datetime = NOW) -> Checkpoint:
    """The newest checkpoint, however many steps it takes."""
    while True:
        async with conn.transaction():
            signed = await checkpoints.make_checkpoint(conn, BOX, merchant, now=now)
        if signed.checkpoint is not None:
            return signed.checkpoint


def read(checkpoint: Checkpoint, kept: Checkpoint | None = None) -> verify_log.Checkpoint:
    """What a merchant reads out of a note, with the key it keeps (that of its first checkpoint)."""
    public_key = signing.encode_public_key((kept or checkpoint).public_key)
    merchant_id = encode_id("mer", checkpoint.merchant_id)
    return verify_log.verify_checkpoint(checkpoint.note, merchant_id=merchant_id, public_key=public_key)


async def check_growth(conn: Connection, earlier: Checkpoint, later: Checkpoint) -> None:
    """As a merchant: does the later log continue the earlier one?"""
    proof = await proofs.load_consistency(conn, earlier.merchant_id, first=earlier.size, second=later.size)
    verify_log.verify_consistency(read(earlier), read(later, earlier), [one.hex() for one in proof.path])


async def check_event(conn: Connection, event: Published, checkpoint: Checkpoint) -> None:
    """As a merchant: does this event stand under this checkpoint?"""
    proof = await proofs.load_inclusion(conn, event.merchant_id, event.event_id, size=checkpoint.size)
    verify_log.verify_inclusion(event.body, [one.hex() for one in proof.path], read(checkpoint))


async def do_harm(conn: Connection, statements: Sequence[str]) -> None:
    async with conn.transaction():
        for statement in (FORGE, *statements, FORGED):
            await conn.execute(statement)
