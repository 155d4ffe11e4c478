"""An operator who rewrites the database and has the program sign the result: what each call of the kit notices of it.

Here: the rewritings, the calls, and the table of docs/proofs.md, which must say exactly what is found. Not here: the calls
themselves (tests/unit/relay), other harm to stored trees (tests/database/relay/test_rewritten_logs.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrations.handles import Connection
from migrations.ids import decode_id, encode_id
from relay import verify, verify_log
from relay.keys import signing
from relay.keys.secretbox import Column, Place, SecretBox
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from tests.api.test_checkpoints import PAGE, printed_program
from tests.api.world import World

EVENTS = 300
"""More than a stored node of the tree covers."""
PLACE = 5
Json = Any


@dataclass(slots=True)
class Merchant:
    """What a merchant keeps, away from the operator."""

    world: World
    key: str
    merchant_id: str
    notes: Path
    public_key: str
    proof: str
    keys: bytes

    @property
    def who(self) -> dict[str, str]:
        return {"merchant_id": self.merchant_id, "public_key": self.public_key}

    async def get(self, path: str, method: str = "GET") -> bytes:
        """Refused for its content is noticed, too."""
        reply = await self.world.call(method, path, key=self.key)
        if reply.status in (404, 409):
            raise verify_log.ProofInvalid(reply.json["detail"])
        assert reply.status in (200, 201), reply.body
        return reply.body

    async def newest(self) -> verify_log.Checkpoint:
        note = json.loads(await self.get("/v1/events/checkpoints", "POST"))["note"]
        return verify_log.verify_checkpoint(note, **self.who)

    async def bodies(self) -> list[bytes]:
        """All of them, as `GET /v1/events/{id}` gives each (tests/api/test_events.py)."""
        return [
            row["body"] for row in await self.world.pool.fetch("select body from events order by sequence")
        ]

    async def key_list(self) -> bytes:
        return await self.get(f"/.well-known/chainbell/{self.merchant_id}/keys.json")

    async def watch(self) -> None:
        watch = printed_program()["watch"]
        await asyncio.to_thread(watch, self.world.base_url, self.key, self.merchant_id, self.notes)


# --- what is asked -----------------------------------------------------------------------------------------------------


async def ask_watch(shop: Merchant) -> None:
    await shop.watch()


async def ask_shown(shop: Merchant) -> None:
    (page,) = [json.loads(await shop.get(f"/v1/events?after_sequence={PLACE - 1}&limit=1"))]
    event_id = page["items"][0]["id"]
    proof = (await shop.get(f"/v1/events/{event_id}/tlog-proof")).decode()
    verify_log.verify_proof(proof, await shop.get(f"/v1/events/{event_id}"), **shop.who)


async def ask_kept(shop: Merchant) -> None:
    (page,) = [json.loads(await shop.get(f"/v1/events?after_sequence={PLACE - 1}&limit=1"))]
    verify_log.verify_proof(shop.proof, await shop.get(f"/v1/events/{page['items'][0]['id']}"), **shop.who)


async def ask_chain(shop: Merchant) -> None:
    verify.verify_chain((body, json.loads(body)["prev_hash"]) for body in await shop.bodies())


async def ask_bodies(shop: Merchant) -> None:
    newest = await shop.newest()
    verify_log.verify_bodies((await shop.bodies())[: newest.size], newest)


async def ask_keys(shop: Merchant) -> None:
    verify_log.verify_key_growth(shop.keys, await shop.key_list(), **shop.who)


CALLS: dict[str, Callable[[Merchant], Awaitable[None]]] = {
    "watch": ask_watch,
    "a proof of what is shown": ask_shown,
    "what is shown, a kept proof": ask_kept,
    "verify_chain": ask_chain,
    "verify_bodies": ask_bodies,
    "verify_key_growth": ask_keys,
}


# --- what is done ------------------------------------------------------------------------------------------------------


async def rechain(conn: Connection, change: Callable[[Json], None], *, chained: bool) -> None:
    """Change the event at PLACE; `chained` computes every `prev_hash` after it anew."""
    rows = await conn.fetch("select sequence, body from events where sequence >= $1 order by sequence", PLACE)
    previous: bytes | None = None
    for row in rows:
        event = json.loads(row["body"])
        if row["sequence"] == PLACE:
            change(event)
        if previous is not None and chained:
            event["prev_hash"] = hashlib.sha256(previous).hexdigest()
        previous = json.dumps(event, separators=(",", ":")).encode()
        query = "update events set body = $1, prev_hash = decode($2, 'hex') where sequence = $3"
        await conn.execute(query, previous, event["prev_hash"], row["sequence"])
        if not chained:
            return
    assert previous is not None
    await conn.execute("update merchant_logs set head_hash = sha256($1)", previous)


def falsify(event: Json) -> None:
    event["data"]["n"] = 4711


async def alter(conn: Connection, _shop: Merchant) -> None:
    await rechain(conn, falsify, chained=False)


async def alter_and_chain(conn: Connection, _shop: Merchant) -> None:
    await rechain(conn, falsify, chained=True)


async def shorten(conn: Connection, _shop: Merchant) -> None:
    await conn.execute("delete from events where sequence > 290")
    await conn.execute(
        "update merchant_logs set sequence = 290, head_hash = (select sha256(body) from events where sequence = 290)"
    )


async def restore(conn: Connection, shop: Merchant) -> None:
    await shorten(conn, shop)
    await log.raise_epochs(conn)


async def date_back(conn: Connection, _shop: Merchant) -> None:
    key = signing.signing_key_from_seed(os.urandom(32))
    await conn.execute(
        "insert into endpoint_keys select endpoint_id, $1, null, valid_from - interval '1 day', valid_from"
        " from endpoint_keys",
        signing.public_bytes(key),
    )


async def move_beginning(conn: Connection, _shop: Merchant) -> None:
    await conn.execute("update endpoint_keys set valid_from = valid_from - interval '1 day'")


async def replace_log_key(conn: Connection, shop: Merchant) -> None:
    box: SecretBox = shop.world.services.box
    seed, merchant_id = os.urandom(32), decode_id("mer", shop.merchant_id)
    public = signing.public_bytes(signing.signing_key_from_seed(seed))
    await conn.execute("delete from log_checkpoints")
    await conn.execute(
        "update log_keys set signing_key_sealed = $1, verify_key = $2",
        box.seal(seed, Place(Column.LOG_SEED, merchant_id, public)),
        public,
    )


async def move_cursor(conn: Connection, _shop: Merchant) -> None:
    await conn.execute("update endpoint_cursors set sequence = 300")


FORGET_ALL = ("delete from log_checkpoints", "delete from log_nodes")
HARM: dict[str, tuple[Callable[[Connection, Merchant], Awaitable[None]], tuple[str, ...]]] = {
    "an event altered": (alter, FORGET_ALL),
    "an event altered, the stored tree and what was signed left alone": (alter, ()),
    "an event altered, every hash after it computed anew": (alter_and_chain, FORGET_ALL),
    "an old backup restored in silence": (shorten, FORGET_ALL),
    "an old backup restored, and said": (restore, FORGET_ALL),
    "a webhook key dated back": (date_back, ()),
    "the beginning of a webhook key moved": (move_beginning, ()),
    "the log's key replaced": (replace_log_key, ()),
    "an endpoint's cursor moved over events": (move_cursor, ()),
}


async def make_merchant(world: World, folder: Path) -> Merchant:
    key = await world.create_merchant()
    made = await world.call("POST", "/v1/endpoints", {"url": "https://shop.example/hook"}, key=key)
    assert made.status == 201
    merchant = await world.pool.fetchval("select merchant_id from endpoints")
    async with world.pool.acquire() as conn, conn.transaction():
        now = world.services.clock()
        facts = [
            RelayFact(merchant, f"dep_{n}", 1, "deposit.included", {"n": n}, now)
            for n in range(1, EVENTS + 1)
        ]
        await log.append(conn, facts, now=now)
    shop = Merchant(world, key, encode_id("mer", merchant), folder / "kept.json", "", "", b"")
    await shop.watch()
    shop.public_key = json.loads(shop.notes.read_text())["public_key"]
    page = json.loads(await shop.get(f"/v1/events?after_sequence={PLACE - 1}&limit=1"))
    shop.proof = (await shop.get(f"/v1/events/{page['items'][0]['id']}/tlog-proof")).decode()
    shop.keys = await shop.key_list()
    return shop


def read_table() -> dict[str, dict[str, str]]:
    """The table of the page: rewriting → call → `noticed`, or a dash."""
    lines = [
        line.strip("| ").split(" | ")
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    start = next(n for n, cells in enumerate(lines) if cells[0] == "rewriting")
    calls = [cell.strip("`") for cell in lines[start][1:]]
    rows = [cells for cells in lines[start + 2 :] if len(cells) == len(calls) + 1]
    return {cells[0]: dict(zip(calls, cells[1:], strict=True)) for cells in rows}


def test_the_page_has_a_line_for_each_rewriting_and_a_column_for_each_call() -> None:
    table = read_table()
    assert list(table) == list(HARM)
    assert all(list(row) == list(CALLS) for row in table.values())


@pytest.mark.parametrize("harm", HARM)
async def test_what_the_page_says_is_noticed_is_noticed_and_nothing_else(
    world: World, tmp_path: Path, harm: str
) -> None:
    shop = await make_merchant(world, tmp_path)
    do, forget = HARM[harm]
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("alter table events disable trigger user")
        await do(conn, shop)
        for statement in forget:
            await conn.execute(statement)
        await conn.execute("alter table events enable trigger user")
    found = {}
    for name, ask in CALLS.items():
        try:
            await ask(shop)
            found[name] = "–"
        except verify_log.HistoryLost:
            found[name] = "`HistoryLost`"
        except (verify_log.ProofInvalid, verify.WebhookInvalid):
            found[name] = "noticed"
    assert found == read_table()[harm]
