"""Witnesses of our logs, on real sockets: what they sign along, what they never do, and how the relay asks them."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gateway.config.settings import Bind
from gateway.http.edge.server import serve
from gateway.witness import Memory, Witness
from migrations.connect import open_pool
from migrations.handles import Pool
from migrations.ids import encode_id
from relay import verify_log
from relay.keys import signing
from relay.out.egress import Egress
from relay.proof import checkpoints, merkle, notes
from relay.proof.cosigners import ask_witness
from relay.proof.witnessing import group_of, parse_verifier_key
from relay.settings import WitnessSettings
from tests.database.relay.notary import MERCHANT, OTHER, do_harm, sign, tell
from tests.database.relay.test_checkpoints import restore

NAME = "witness.example/w1"
KEY = signing.signing_key_from_seed(bytes(range(32)))
VERIFIER_KEY = notes.encode_verifier_key(NAME, signing.public_bytes(KEY), notes.COSIGNATURE)
LOG_KEY = signing.signing_key_from_seed(b"l" * 32)


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Bench:
    """A witness that runs, a log that it may know, and a way to ask it."""

    pool: Pool
    egress: Egress
    folder: Path
    logs: dict[str, list[bytes]]

    @asynccontextmanager
    async def witness(self) -> AsyncIterator[WitnessSettings]:
        application = Witness(NAME, KEY, self.logs, Memory(self.folder), clock).build()
        async with serve(application, Bind("127.0.0.1", 0)) as where:
            yield WitnessSettings(f"http://{where}", NAME, signing.public_bytes(KEY))

    async def ask(self, witness: WitnessSettings) -> int:
        return await ask_witness(self.pool.acquire, self.egress, witness, now=clock())

    async def know(self, *merchants: Any) -> None:
        for merchant in merchants:
            async with self.pool.acquire() as conn:
                last = await checkpoints.load_last(conn, merchant)
            assert last is not None
            self.logs[group_of(notes.name_of(last.note))] = [last.public_key]

    async def read(self, merchant: Any = MERCHANT) -> verify_log.Checkpoint:
        async with self.pool.acquire() as conn:
            last = await checkpoints.load_last(conn, merchant)
        assert last is not None
        return verify_log.verify_checkpoint(
            str(checkpoints.describe(last)["note"]),
            merchant_id=encode_id("mer", merchant),
            public_key=signing.encode_public_key(last.public_key),
            witnesses=[VERIFIER_KEY],
        )


@pytest_asyncio.fixture
async def bench(database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    pool = await open_pool(database_url, size=4, application_name="test")
    async with Egress(timeout_s=20.0, allow_private_networks=True) as egress:
        yield Bench(pool, egress, tmp_path, {})
    await pool.close()


async def test_a_witness_signs_every_log_along_as_it_grows(bench: Bench) -> None:
    async with bench.pool.acquire() as conn:
        for merchant in (MERCHANT, OTHER):
            await tell(conn, 3, merchant=merchant)
            await sign(conn, merchant=merchant)
    await bench.know(MERCHANT, OTHER)
    async with bench.witness() as witness:
        assert await bench.ask(witness) == 2
        assert await bench.ask(witness) == 0
        assert (await bench.read()).witnesses == (NAME,)
        async with bench.pool.acquire() as conn:
            await tell(conn, 300)
            await sign(conn)
        assert (await bench.read()).witnesses == ()
        assert await bench.ask(witness) == 1
        assert (await bench.read()).witnesses == (NAME,)
        async with (
            bench.pool.acquire() as conn
        ):  # whose rows forgot what was signed along: the witness says where it stands
            await conn.execute("update log_checkpoints set cosignatures = ''")
            await tell(conn, 5)
            await sign(conn)
        assert await bench.ask(witness) == 2


async def test_a_log_that_was_rewritten_is_signed_along_by_nobody_and_a_restored_one_as_a_new_origin(
    bench: Bench,
) -> None:
    async with bench.pool.acquire() as conn:
        await tell(conn, 9)
        await sign(conn)
    await bench.know(MERCHANT)
    async with bench.witness() as witness:
        assert await bench.ask(witness) == 1
        async with bench.pool.acquire() as conn:
            altered = "update events set body = convert_to(replace(convert_from(body, 'utf8'), '\"n\":5', '\"n\":6'), 'utf8')"
            await do_harm(conn, [altered, "delete from log_checkpoints"])
            await sign(conn)
        assert await bench.ask(witness) == 0  # the same size, another root
        async with bench.pool.acquire() as conn:
            await tell(conn, 9, tag="new")
            await sign(conn)
        assert await bench.ask(witness) == 0  # no proof leads from the old root
        async with bench.pool.acquire() as conn:
            await restore(conn, 4)
            await sign(conn)
        assert await bench.ask(witness) == 1
        assert ((await bench.read()).log_epoch > 1, (await bench.read()).witnesses) == (True, (NAME,))


async def test_a_witness_that_is_away_or_signs_as_somebody_else_is_not_shown(bench: Bench) -> None:
    async with bench.pool.acquire() as conn:
        await tell(conn, 3)
        await sign(conn)
    async with bench.witness() as witness:
        assert await bench.ask(witness) == 0  # a log that it does not know
        await bench.know(MERCHANT)
        other = WitnessSettings(witness.url, NAME, signing.public_bytes(LOG_KEY))
        assert await bench.ask(other) == 0
        assert await bench.ask(WitnessSettings(witness.url, "witness.example/w2", witness.public_key)) == 0
    assert await bench.ask(witness) == 0
    assert (await bench.read()).witnesses == ()


# --- the protocol ------------------------------------------------------------------------------------------------------


def leaves(count: int, tag: bytes = b"") -> list[bytes]:
    return [merkle.hash_leaf(tag + bytes([n])) for n in range(count)]


def submission(
    old: int, size: int, *, tag: bytes = b"", origin: str = "log.example/1", proof_from: int | None = None
) -> bytes:
    tree, start = leaves(size, tag), old if proof_from is None else proof_from
    spans = merkle.compute_consistency(start, size) if 0 < start < size else []
    path = "".join(f"{b64encode(merkle.compute_root(tree[a:b])).decode()}\n" for a, b in spans)
    text = notes.compose_checkpoint(origin, size=size, root_hash=merkle.compute_root(tree))
    return f"old {old}\n{path}\n{notes.sign_note(text, origin, LOG_KEY)}".encode()


def forged(body: bytes) -> bytes:
    return body.replace(b"log.example/1 ", b"log.example/2 ")


SUBMISSIONS: list[tuple[str, Callable[[], bytes], int, bytes | None]] = [
    ("nothing", lambda: b"", 400, None),
    ("not text", lambda: b"\xff", 400, None),
    ("a size with a zero before it", lambda: submission(0, 3).replace(b"old 0", b"old 00"), 400, None),
    ("a log that is not known", lambda: submission(0, 3, origin="log.example/9"), 404, None),
    ("a note that nobody signed", lambda: forged(submission(0, 3)), 403, None),
    ("the first", lambda: submission(0, 3), 200, None),
    ("the first once more", lambda: submission(3, 3), 200, None),
    ("from nothing again", lambda: submission(0, 5), 409, b"3\n"),
    ("a smaller one", lambda: submission(3, 2), 400, None),
    ("a smaller one from its own size", lambda: submission(2, 2), 409, b"3\n"),
    ("another root of the same size", lambda: submission(3, 3, tag=b"x"), 409, b"3\n"),
    ("a proof of something else", lambda: submission(3, 5, proof_from=2), 422, None),
    ("another log under the name", lambda: submission(3, 5, tag=b"x"), 422, None),
    ("the next", lambda: submission(3, 7), 200, None),
    ("the one before", lambda: submission(3, 7), 409, b"7\n"),
]


async def test_every_answer_is_that_of_the_specification(bench: Bench) -> None:
    bench.logs["log.example/1"] = [signing.public_bytes(LOG_KEY)]
    async with aiohttp.ClientSession() as session, bench.witness() as first:
        for name, make, status, said in SUBMISSIONS:
            async with session.post(f"{first.url}/add-checkpoint", data=make()) as answer:
                body = await answer.read()
                assert answer.status == status, (name, body)
                assert said is None or (body, answer.content_type) == (said, "text/x.tlog.size")
                assert status != 200 or body.startswith(f"\N{EM DASH} {NAME} ".encode())
        async with session.get(f"{first.url}/add-checkpoint") as answer:
            assert answer.status == 405
    async with aiohttp.ClientSession() as session, bench.witness() as again:  # it remembers
        async with session.post(f"{again.url}/add-checkpoint", data=submission(0, 9)) as answer:
            assert (answer.status, await answer.read()) == (409, b"7\n")
        bodies = [submission(7, size) for size in (9, 8, 10, 8)]
        answers = await asyncio.gather(*[one(session, again.url, body) for body in bodies])  # at once
        assert sorted(answers) == [200, 409, 409, 409]


async def one(session: aiohttp.ClientSession, url: str, body: bytes) -> int:
    async with session.post(f"{url}/add-checkpoint", data=body) as answer:
        return answer.status


@pytest.mark.parametrize("wrong", ["", "a+b+c", VERIFIER_KEY.replace("w1", "w2"), VERIFIER_KEY[:-4] + "AAAA"])
def test_a_verifier_key_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        parse_verifier_key(wrong, notes.COSIGNATURE)
    with pytest.raises(ValueError):
        parse_verifier_key(VERIFIER_KEY, notes.ED25519)
    small = notes.encode_verifier_key(NAME, bytes(32), notes.COSIGNATURE)
    with pytest.raises(ValueError):
        parse_verifier_key(small, notes.COSIGNATURE)
