"""The receivers printed in docs/webhooks.md work as printed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from relay.desk.challenges import load_challenge, send_challenge
from relay.desk.endpoints import rotate_secret
from relay.keys import signing
from relay.keys.secretbox import Column, Place
from relay.log.bodies import RelayFact
from relay.log.eventlog import append
from relay.out.egress import Egress
from relay.service import utc_now
from tests.relay_live.shop import MERCHANT, Shop

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "webhooks.md"
KIT = ROOT / "relay" / "kit" / "verify.mjs"


def printed(language: str) -> str:
    (program,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(program)


def printed_receiver() -> type[BaseHTTPRequestHandler]:
    program = printed("python")
    names: dict[str, Any] = {"__name__": "printed"}
    exec(compile(program, str(PAGE), "exec"), names)
    handler: type[BaseHTTPRequestHandler] = names["Shop"]
    return handler


def deposit(version: int, kind: str, credit: str, reverses: int | None = None) -> RelayFact:
    data: dict[str, object] = {"deposit": {"id": "dep_a", "version": version, "credited_base_units": credit}}
    return RelayFact(MERCHANT, "dep_a", version, kind, data, utc_now(), reverses)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # another thread changes it
            await asyncio.sleep(0.02)


async def test_the_receiver_in_the_docs_keeps_a_shops_credits_right(shop: Shop) -> None:
    handler: Any = printed_receiver()
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        endpoint = await shop.endpoint(url)
        async with shop.pool.acquire() as conn, conn.transaction():
            handler.secrets = [
                await rotate_secret(
                    conn, shop.box, MERCHANT, endpoint.endpoint_id, overlap_s=0, now=utc_now()
                )
            ]
        async with shop.relay():
            for fact in (
                deposit(1, "deposit.included", "0"),
                deposit(2, "deposit.confirmed", "1500000"),
            ):
                async with shop.pool.acquire() as conn, conn.transaction():
                    await append(conn, [fact], now=utc_now())
            await until(lambda: handler.deposits.get("dep_a") == ((1, 2), 1500000))
            async with shop.pool.acquire() as conn, conn.transaction():
                await append(conn, [deposit(3, "deposit.reversed", "0", 2)], now=utc_now())
            await until(lambda: handler.deposits.get("dep_a") == ((1, 3), 0))
            await shop.settled(endpoint, 3)
        assert handler.gaps.complete_to == 3
        assert handler.gaps.gap is None
        async with shop.pool.acquire() as conn:
            challenge = await load_challenge(conn, shop.box, MERCHANT, endpoint.endpoint_id, text="prove-it")
        async with Egress(timeout_s=5, allow_private_networks=True) as egress:
            assert (await send_challenge(egress, challenge, now=utc_now())).failure is None
        forged = urllib.request.Request(url, data=b"{}", headers={"webhook-id": "evt_1"}, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, forged)
        assert refused.value.code == 400
        refused.value.close()
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


@asynccontextmanager
async def printed_node_receiver(folder: Path, secrets: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The printed program beside a copy of the kit, with nothing installed around it."""
    for file in (KIT, KIT.with_name("strict.mjs")):
        shutil.copy(file, folder / file.name)
    (folder / "shop.mjs").write_text(printed("js"), encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "PORT": "0", "WEBHOOK_SECRET": secrets}
    process = await asyncio.create_subprocess_exec(
        "node", "shop.mjs", cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def test_the_javascript_receiver_in_the_docs_keeps_a_shops_credits_right(
    shop: Shop, tmp_path: Path
) -> None:
    new, old = (signing.encode_secret(bytes([n]) * 32) for n in (1, 2))

    async def line() -> str:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            return (await process.stdout.readline()).decode().strip()

    async with printed_node_receiver(tmp_path, f"{new} {old}") as process:
        url = f"http://127.0.0.1:{(await line()).removeprefix('port ')}/"
        endpoint = await shop.endpoint(url)
        async with shop.pool.acquire() as conn, conn.transaction():
            row = await conn.fetchval("select uuid_send(secret_id) from endpoint_secrets")
            place = Place(Column.ENDPOINT_SECRET, endpoint.endpoint_id, row)
            sealed = shop.box.seal(signing.decode_secret(old), place)
            await conn.execute("update endpoint_secrets set secret_sealed = $1", sealed)
        async with shop.relay():
            for version, credit in ((1, "0"), (2, "1500000")):
                async with shop.pool.acquire() as conn, conn.transaction():
                    await append(conn, [deposit(version, "deposit.confirmed", credit)], now=utc_now())
                assert await line() == f"dep_a {credit}"
            async with shop.pool.acquire() as conn, conn.transaction():
                await append(conn, [deposit(3, "deposit.reversed", "0", 2)], now=utc_now())
            assert await line() == "dep_a 0"
            await shop.settled(endpoint, 3)
        assert await shop.fetch("select from delivery_attempts") == []
        forged = urllib.request.Request(url, data=b"{}", headers={"webhook-id": "evt_1"}, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, forged)
        assert refused.value.code == 400
        refused.value.close()
