"""`/v1/events/checkpoints` and the proofs: how a merchant holds us to what was told.

Lives here: the handlers. Does not live here: signing (relay.proof.checkpoints), proving (relay.proof.proofs), checking, which
is the merchant's (relay.verify).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.cursors import decode_after, page
from gateway.http.edge.limits import KEY_LISTS, spend
from gateway.http.edge.problem import Problem, busy, not_found
from gateway.http.shapes.proofs import CheckpointObject, ConsistencyProof, InclusionProof
from migrations.ids import encode_id
from relay.errors import LogBroken
from relay.proof import checkpoints, proofs
from relay.proof.checkpoints import Checkpoint

BEHIND_RETRY_AFTER_S = 5


async def post_checkpoint(call: Call) -> Answer:
    """Sign the log as it stands now; the newest checkpoint again where nothing was told since."""
    async with _sound_log(), call.pool.acquire() as conn, conn.transaction():
        signed = await checkpoints.make_checkpoint(
            conn, call.services.box, call.merchant_id, now=call.now, renew=True
        )
    if signed.checkpoint is None:
        raise busy(
            "so much was told since the last checkpoint that it takes a moment; try again",
            again_s=BEHIND_RETRY_AFTER_S,
        )
    return json_answer(view_checkpoint(signed.checkpoint), 201 if signed.made else 200)


async def get_checkpoints(call: Call) -> Answer:
    """List checkpoints."""
    after, limit = decode_after("checkpoints", call.query.after), call.query.limit
    async with call.pool.acquire() as conn:
        found = await checkpoints.load_checkpoints(conn, call.merchant_id, after=after, limit=limit + 1)
    return json_answer(
        page(
            "checkpoints",
            found,
            limit,
            place=lambda one: (one.created_at, one.checkpoint_id),
            view=view_checkpoint,
        )
    )


async def get_last_checkpoint(call: Call) -> Answer:
    """The newest checkpoint."""
    async with call.pool.acquire() as conn:
        checkpoint = await checkpoints.load_last(conn, call.merchant_id)
    if checkpoint is None:
        raise not_found("checkpoint")
    return json_answer(view_checkpoint(checkpoint))


async def get_inclusion(call: Call) -> Answer:
    """Prove that an event stands in the log that was signed."""
    async with _sound_log(), call.pool.acquire() as conn:
        proof = await proofs.load_inclusion(conn, call.merchant_id, call.id("event_id"), size=call.query.size)
    return json_answer(
        InclusionProof(
            event_id=encode_id("evt", proof.event_id),
            sequence=proof.sequence,
            body_hash=proof.body_hash.hex(),
            leaf_index=proof.sequence - 1,
            tree_size=proof.checkpoint.size,
            path=[one.hex() for one in proof.path],
            checkpoint=view_checkpoint(proof.checkpoint),
        )
    )


async def get_tlog_proof(call: Call) -> Answer:
    """The same as one text to be kept and checked offline: C2SP tlog-proof."""
    async with _sound_log(), call.pool.acquire() as conn:
        proof = await proofs.load_inclusion(conn, call.merchant_id, call.id("event_id"), size=call.query.size)
    path = "".join(f"{b64encode(one).decode()}\n" for one in proof.path)
    note = proof.checkpoint.note + proof.checkpoint.cosignatures
    text = f"c2sp.org/tlog-proof@v1\nindex {proof.sequence - 1}\n{path}\n{note}"
    return Answer(200, text.encode(), "text/plain; charset=utf-8")


async def get_public_checkpoint(call: Call) -> Answer:
    """What a log says of itself to whoever knows its id, so that two who were told different things find out."""
    headers = await spend(call.services.limits, call.place, KEY_LISTS)
    async with call.pool.acquire() as conn:
        checkpoint = await checkpoints.load_public(conn, call.id("log_id"))
    if checkpoint is None:
        raise not_found("log")
    return Answer(200, json_answer(view_checkpoint(checkpoint)).body, headers=headers)


async def get_consistency(call: Call) -> Answer:
    """Prove that the log is the continuation of an earlier one."""
    query = call.query
    async with _sound_log(), call.pool.acquire() as conn:
        proof = await proofs.load_consistency(conn, call.merchant_id, first=query.first, second=query.second)
    return json_answer(
        ConsistencyProof(first=proof.first, second=proof.second, path=[one.hex() for one in proof.path])
    )


@asynccontextmanager
async def _sound_log() -> AsyncIterator[None]:
    """409 for a log of which nothing can be signed or proven any more; the relay alerts the operator every hour."""
    try:
        yield
    except LogBroken as error:
        raise Problem(
            409, f"this log contradicts itself ({error}): keep your checkpoints, and ask the operator"
        ) from error


def view_checkpoint(checkpoint: Checkpoint) -> CheckpointObject:
    """A checkpoint as its merchant sees it, here and in `log.checkpoint`."""
    return msgspec.convert(checkpoints.describe(checkpoint), CheckpointObject)
