"""The real program where the system lets it open 256 files: clients cannot take those that others need."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp

from tests.api.sockets import connected, request
from tests.commands.shell import Shell
from tests.relay_live.receiver import Receiver

FILES_MAX = 256
IDLE = 300


async def call(shell: Shell, method: str, path: str, key: str, body: object = None) -> tuple[int, bytes]:
    """One call on a connection of its own."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.request(method, shell.base_url + path, json=body) as response,
    ):
        return response.status, await response.read()


async def test_idle_connections_leave_files_for_callers_and_webhooks(
    database_url: str, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, database_url, files_max=FILES_MAX)
    key = (await shell.run("merchant", "create", "--name", "Shop")).json["api_key"]
    async with shell.service("--role", "gateway", "--role", "relay"), Receiver() as receiver:
        _, made = await call(shell, "POST", "/v1/endpoints", key, {"url": receiver.url})
        ping = f"/v1/endpoints/{json.loads(made)['id']}/test"
        async with connected(shell.base_url, IDLE) as clients, asyncio.timeout(60):
            for _ in range(3):
                assert (await call(shell, "GET", "/readyz", key))[0] == 200
                status, answer = await call(shell, "POST", ping, key)
                assert (status, json.loads(answer)["outcome"]) == (200, "delivered")
            assert await clients[0].closed(), "the oldest made room"
            await clients[-1].send(request("GET", "/healthz"))
            assert await clients[-1].status() == 200
