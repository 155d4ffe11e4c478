"""An operator who lies, a wrong hand in the database, a broken disk: what was signed shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from migrations.handles import Connection
from relay import verify_log
from relay.errors import LogBroken, NotFound
from relay.log import audit
from relay.log import eventlog as log
from tests.database.relay.notary import (
    FORGE,
    HOUR,
    MERCHANT,
    NOW,
    check_event,
    check_growth,
    do_harm,
    read,
    sign,
    tell,
)

REWRITINGS: dict[str, Sequence[str]] = {
    "altered": ("update events set body = convert_to(replace(convert_from(body, 'utf8'), '\"n\":5', '\"n\":6'), 'utf8') where sequence = 5",),
    "dropped at the end": (
        "delete from events where sequence > 590",
        "update merchant_logs set sequence = 590, head_hash = (select sha256(body) from events where sequence = 590)",
    ),
    "dropped in the middle": (
        "delete from events where sequence = 5",
        "update events set sequence = sequence - 1 + 100000 where sequence > 5",
        "update events set sequence = sequence - 100000 where sequence > 100000",
        "update merchant_logs set sequence = 599",
    ),
    "put in another order": (
        """update events e set body = o.body from events o
        where (e.sequence, o.sequence) in ((5, 400), (400, 5)) and o.merchant_id = e.merchant_id""",
    ),
}  # fmt: skip
FORGET = ("delete from log_checkpoints", "delete from log_nodes")


@pytest.mark.parametrize("harm", REWRITINGS)
async def test_a_log_rewritten_and_signed_anew_does_not_continue_the_one_that_was_kept(
    conn: Connection, harm: str
) -> None:
    """The operator has the key, forgets what was signed and computes everything again: the best a liar can do."""
    await tell(conn, 600)
    kept = await sign(conn)
    await do_harm(conn, [*REWRITINGS[harm], *FORGET])
    await tell(conn, 50, tag="new_")
    later = await sign(conn, now=NOW + HOUR)
    assert later.size >= kept.size
    with pytest.raises(verify_log.ProofInvalid):
        await check_growth(conn, kept, later)


@pytest.mark.parametrize("harm", REWRITINGS)
async def test_an_event_of_a_rewritten_log_is_not_proven_under_what_was_kept(
    conn: Connection, harm: str
) -> None:
    """Here the nodes and checkpoints are left alone: the old signature stands over other rows."""
    told = await tell(conn, 600)
    kept = await sign(conn)
    await do_harm(conn, REWRITINGS[harm])
    sequence = 595 if harm == "dropped at the end" else 5
    served = await log.load_events_after(conn, MERCHANT, after_sequence=sequence - 1, types=None, limit=1)
    victims = [replace(told[sequence - 1], event_id=one.event_id, body=one.body) for one in served]
    for victim in [*victims, told[sequence]]:  # what stands there now, and its neighbour in the tree
        with pytest.raises((verify_log.ProofInvalid, NotFound, LogBroken)):
            await check_event(conn, victim, kept)
    rows = await log.load_events_after(conn, MERCHANT, after_sequence=0, types=None, limit=1_000)
    with pytest.raises(verify_log.ProofInvalid):
        verify_log.verify_bodies([row.body for row in rows], read(kept))


@pytest.mark.parametrize("forgotten", [("delete from log_nodes",), ()])
async def test_a_harmed_log_is_not_signed_by_an_honest_program(
    conn: Connection, forgotten: Sequence[str]
) -> None:
    """A wrong hand in the database, or a broken disk: it is noticed before a false word is said."""
    await tell(conn, 600)
    await sign(conn)
    for harm in ("dropped at the end", "altered"):
        if harm == "altered" and not forgotten:
            continue  # what stands in full groups is not read again; an inclusion proof of it fails
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(FORGE)
        for statement in (*REWRITINGS[harm], *forgotten):
            await conn.execute(statement)
        await tell(conn, 5 if harm == "dropped at the end" else 50, tag="new_")
        with pytest.raises(LogBroken):
            await sign(conn)
        await transaction.rollback()


async def test_a_log_with_a_hole_is_not_signed(conn: Connection) -> None:
    await tell(conn, 150, now=NOW - timedelta(days=1))
    await tell(conn, 150)
    for statement, said in (
        ("delete from events where sequence = 7", "event 7 of the log is missing"),
        ("delete from events where sequence = 290", "event 290 of the log is missing"),
        ("delete from events where sequence = 300", "event 300 of the log is missing"),
        (
            """insert into events select merchant_id, sequence, log_epoch, event_id, object_id, version, type,
            prev_hash, body, created_at + interval '1 day' from events where sequence = 7""",
            "event 7 of the log stands there twice",
        ),
    ):
        await log.make_partitions(conn, now=NOW)
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(FORGE)
        await conn.execute(statement)
        with pytest.raises(LogBroken, match=said):
            await sign(conn)
        await transaction.rollback()


# --- the audit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm, faults",
    [
        ("update log_nodes set hash = sha256('x') where level = 8 and position = 1", {(512, "the node at level 8, position 1 is another")}),
        ("update log_checkpoints set root_hash = sha256('x') where size = 590", {(590, "another root was signed")}),
        ("update log_checkpoints set size = 601 where size = 600", {(601, "601 events were signed, the head says 600")}),
        ("update events set body = body || ' ' where sequence = 595", {(600, "another root was signed")}),
        (
            "update events set body = body || ' ' where sequence = 300",
            {(590, "another root was signed"), (600, "another root was signed"),
             (512, "the node at level 8, position 1 is another"), (512, "the node at level 9, position 0 is another")},
        ),
        ("delete from events where sequence = 300", {(257, "event 300 of the log is missing")}),
    ],
)  # fmt: skip
async def test_the_audit_names_what_does_not_fit_what_was_signed(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, harm: str, faults: set[tuple[int, str]]
) -> None:
    monkeypatch.setattr(audit, "BATCH_EVENTS", 256)
    await tell(conn, 590)
    await sign(conn)
    await tell(conn, 10)
    await sign(conn)
    assert await audit.verify_logs(conn) == []
    await do_harm(conn, [harm])
    found = await audit.verify_tree(conn, MERCHANT)
    assert {(one.sequence, one.fault) for one in found} == faults
    assert set(found) <= set(await audit.verify_logs(conn))
