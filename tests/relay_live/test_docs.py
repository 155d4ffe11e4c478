"""The receiver printed in docs/webhooks.md works as printed."""

from __future__ import annotations

import asyncio
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from relay.bodies import RelayFact
from relay.endpoints import rotate_secret
from relay.log import append
from relay.service import utc_now
from tests.relay_live.shop import MERCHANT, Shop

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"


def printed_receiver() -> type[BaseHTTPRequestHandler]:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
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
            await until(lambda: handler.deposits.get("dep_a") == (2, 1500000))
            async with shop.pool.acquire() as conn, conn.transaction():
                await append(conn, [deposit(3, "deposit.reversed", "0", 2)], now=utc_now())
            await until(lambda: handler.deposits.get("dep_a") == (3, 0))
            await shop.settled(endpoint, 3)
        assert handler.gaps.complete_to == 3
        assert handler.gaps.gap is None
        forged = urllib.request.Request(url, data=b"{}", headers={"webhook-id": "evt_1"}, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, forged)
        assert refused.value.code == 400
        refused.value.close()
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
