"""`/v1/deposits`: what was paid to a merchant's addresses, as it stands now and as it was told.

Lives here: the handlers. Does not live here: a deposit's JSON (indexer.rules.events, the same for events), its rows
(indexer.views).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from chains.families import parse_asset_id
from chains.model import ChainId
from gateway.faces import Faces
from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.cursors import decode_after, decode_numbered, page
from gateway.http.edge.decoding import in_utc
from gateway.http.edge.problem import not_found
from gateway.http.resources.addresses import find_chain, read_address, read_as_spelt
from gateway.statuscache import Question, Watermark
from indexer import views
from indexer.rules.events import count_confirmations, encode_deposit
from indexer.rules.identity import DepositId
from indexer.views import DepositFilter, DepositRow, PageAfter
from migrations.handles import Pool
from migrations.ids import encode_id
from relay.log.eventlog import load_events_of_object, load_head


async def get_deposits(call: Call) -> Answer:
    """List deposits; what was listed for the same question under the same watermark is given again."""
    wanted, after = read_filter(call)

    async def compute() -> bytes:
        return await _list(call, wanted, after)

    asked = "deposits " + msgspec.json.encode(call.query).decode()
    question = Question(call.merchant_id, asked, lambda: load_watermark(call), compute)
    return Answer(200, await call.services.cache.answer(question))


async def load_watermark(call: Call) -> Watermark:
    """What moves whenever this merchant's deposits may look different: the log's head, and the tip of every chain.

    Every change of a deposit is an event, written in the transaction that changes it; confirmations count from the tip.
    Hashes stand beside numbers, since after a restored backup numbers could repeat.
    """
    async with call.pool.acquire() as conn:
        head = await load_head(conn, call.merchant_id)
    tips = [record.tip.hash.hex() for record in await views.load_chains(call.pool)]
    return (head.log_epoch, head.sequence, head.head_hash.hex(), *sorted(tips))


def read_filter(call: Call) -> tuple[DepositFilter, PageAfter | None]:
    """What is asked for; Problem 422 for what can not be."""
    query = call.query
    faces = call.services.faces
    face = None if query.chain is None else find_chain(faces, query.chain)
    wanted = DepositFilter(
        chain=None if face is None else face.chain,
        address=None if query.address is None else read_address(faces, face, query.address),
        state=query.state,
        asset=None if query.asset is None else parse_asset_id(query.asset),
        reference=query.reference,
        tx_hash=None
        if query.tx_hash is None
        else read_as_spelt(
            faces, face, "/query/tx_hash", lambda rules, _: rules.parse_tx_hash(query.tx_hash)
        ),
        since=None if query.since is None else in_utc("/query/since", query.since),
        until=None if query.until is None else in_utc("/query/until", query.until),
    )
    after = decode_after("deposits", query.after)
    return wanted, None if after is None else PageAfter(*after)


async def _list(call: Call, wanted: DepositFilter, after: PageAfter | None) -> bytes:
    limit = call.query.limit
    rows = await views.list_deposits(call.pool, call.merchant_id, wanted, after=after, limit=limit + 1)
    shown = await _views(call.pool, call.services.faces, rows)
    return msgspec.json.encode(
        page(
            "deposits",
            rows,
            limit,
            place=lambda row: (row.deposit.first_seen_at, row.deposit.id),
            view=lambda row: shown[row.deposit.id],
        )
    )


async def get_deposit(call: Call) -> Answer:
    """One deposit, with its confirmations counted now."""
    row = await load_published(call)
    shown = await _views(call.pool, call.services.faces, [row])
    return json_answer(shown[row.deposit.id])


async def get_history(call: Call) -> Answer:
    """Every event that told of a deposit, with its exact bytes."""
    query = call.query
    deposit_id = encode_id("dep", call.id("deposit_id"))
    async with call.pool.acquire() as conn:
        events = await load_events_of_object(
            conn,
            call.merchant_id,
            deposit_id,
            after_sequence=decode_numbered("history", query.after),
            limit=query.limit + 1,
        )
    if not events:
        await load_published(call)
    return json_answer(
        page(
            "history",
            events,
            query.limit,
            place=lambda event: (call.now, event.sequence),
            view=lambda event: msgspec.Raw(event.body),
        )
    )


async def load_published(call: Call) -> DepositRow:
    """The deposit of the path; Problem 404 where the merchant was never told of one."""
    row = await views.load_deposit(call.pool, call.merchant_id, DepositId(call.id("deposit_id")))
    if row is None or not row.deposit.published:
        raise not_found("deposit")
    return row


async def _views(pool: Pool, faces: Faces, rows: Iterable[DepositRow]) -> dict[DepositId, dict[str, object]]:
    tips: dict[ChainId, int] = {}
    shown: dict[DepositId, dict[str, object]] = {}
    for row in rows:
        deposit = row.deposit
        if deposit.chain not in tips:
            record = await views.load_chain(pool, deposit.chain)
            tips[deposit.chain] = -1 if record is None else record.tip.height
        face = await faces.of(deposit.chain, deposit.asset)
        shown[deposit.id] = encode_deposit(
            deposit,
            face.naming,
            reference=row.reference,
            confirmations=count_confirmations(deposit, tips[deposit.chain]),
        )
    return shown
