"""A busy chain, a program, two merchants who share tills, three receivers, and the check that nothing was lost.

What happens to the program is each test's own; `settle` and `check` are the
same for all: an independent recount from the node, the logs, the API and the
receivers must agree.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.devnet.anvil import AnvilNode, start_anvil
from tests.live.world import deploy_token
from tests.processes.program import Program, Settings
from tests.processes.receivers import Receiver, open_receiver
from tests.processes.recount import Expected, fold_log, recount
from tests.processes.traffic import Traffic

SETTLE_PATIENCE_S = 90.0
TILLS = [f"0x{0xC0FFEE0000 + number:040x}" for number in range(8)]


class Scene:
    """A chain, a program, two merchants who share tills, and three receivers."""

    def __init__(self, node: AnvilNode, program: Program, traffic: Traffic) -> None:
        self.node = node
        self.program = program
        self.traffic = traffic
        self.merchants: list[str] = []
        self.starts: dict[str, dict[str, int]] = {}
        self.receivers: dict[str, list[Receiver]] = {}
        self.all_receivers: list[Receiver] = []

    async def prepare(self) -> None:
        """Merchants, endpoints and addresses; the first till is watched by both."""
        for number, name in enumerate(("first", "second")):
            merchant = await self.program.create_merchant(name)
            self.merchants.append(merchant)
            self.starts[merchant] = {}
            mine = self.all_receivers[number::2]
            self.receivers[merchant] = list(mine)
            for receiver in mine:
                body = {"url": receiver.url}
                receiver.secret = (await self.program.call(merchant, "POST", "/v1/endpoints", body))["secret"]
            for till in TILLS[number * 3 : number * 3 + 5]:
                body = {"chain": "local", "address": till}
                watched = await self.program.call(merchant, "POST", "/v1/addresses", body)
                self.starts[merchant][till] = watched["watching_from"]["height"] + 1
        # A reorganisation below `watching_from` would rightly lower the starts that the recount goes by.
        await self.node.mine(5)

    async def settle(self) -> None:
        """No more trouble: enough blocks for finality, and time for everything to be told and delivered."""
        for receiver in self.all_receivers:
            receiver.failure_share, receiver.down = 0.0, False
        await self.node.mine(16)
        try:
            async with asyncio.timeout(SETTLE_PATIENCE_S):
                await self._until_followed(await self.node.height())
                for merchant in self.merchants:
                    await self._until_delivered(merchant)
        except TimeoutError:
            raise AssertionError(await self.describe()) from None

    async def _until_followed(self, tip: int) -> None:
        while True:
            chain = await self.program.call(self.merchants[0], "GET", "/v1/chains/local")
            if chain["tip"]["height"] >= tip:
                return
            await asyncio.sleep(0.2)

    async def _until_delivered(self, merchant: str) -> None:
        bodies, _ = await self.read_log(merchant)
        for receiver in self.receivers[merchant]:
            while len(receiver.bodies) < len(bodies):
                await asyncio.sleep(0.2)

    async def describe(self) -> str:
        """Where everything stands, for the message of a test that waited in vain."""
        lines = [f"node {await self.node.height()}"]
        chain = await self.program.call(self.merchants[0], "GET", "/v1/chains/local")
        lines.append(json.dumps(chain))
        for merchant in self.merchants:
            bodies, _ = await self.read_log(merchant)
            lines.append(f"{merchant}: {len(bodies)} events")
            endpoints = await self.program.call(merchant, "GET", "/v1/endpoints")
            for endpoint in endpoints["items"]:
                receiver = next(r for r in self.receivers[merchant] if r.url == endpoint["url"])
                waiting = await self.program.call(
                    merchant, "GET", f"/v1/endpoints/{endpoint['id']}/deliveries"
                )
                lines.append(
                    f"  {len(receiver.bodies)} delivered; {json.dumps(endpoint)}; {json.dumps(waiting)[:2000]}"
                )
        return "\n".join(lines)

    async def read_log(self, merchant: str) -> tuple[list[bytes], list[dict[str, Any]]]:
        """The whole log by the pull API: exact bytes, and what they say."""
        bodies: list[bytes] = []
        after = 0
        while True:
            headers = {"Authorization": f"Bearer {self.program.api_keys[merchant]}"}
            url = f"{self.program.base_url}/v1/events?after_sequence={after}&limit=500"
            async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
                assert response.status == 200, await response.text()
                page = msgspec.json.decode(await response.read(), type=Page)
            bodies += [bytes(item) for item in page.items]
            if page.next is None or not page.items:
                return bodies, [json.loads(body) for body in bodies]
            after = page.next

    async def check(self) -> None:
        """Laws 2, 3, 4 and 6 against the recount."""
        for merchant in self.merchants:
            expected = await recount(self.node, merchant, self.starts[merchant], self.traffic.token)
            bodies, events = await self.read_log(merchant)
            newest = fold_log(bodies, events)
            assert_same_deposits(newest, expected)
            listed = await self.list_deposits(merchant)
            assert {d["id"]: (d["version"], d["state"]) for d in listed} == {
                d["id"]: (d["version"], d["state"]) for d in newest.values()
            }
            for receiver in self.receivers[merchant]:
                assert not receiver.contradictions, "one event id never has two bodies"
                assert set(receiver.bodies.values()) == set(bodies), "every event reached every endpoint"
                assert_versions_arrived_in_order(receiver)

    async def list_deposits(self, merchant: str) -> list[dict[str, Any]]:
        """Every deposit by the status API."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = await self.program.call(merchant, "GET", f"/v1/deposits?limit=500{after}")
            found += page["items"]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"


class Page(msgspec.Struct):
    """A page of events whose bytes are kept as they stand."""

    items: list[msgspec.Raw]
    next: int | None


def assert_same_deposits(newest: dict[str, dict[str, Any]], expected: dict[str, Expected]) -> None:
    """What stands in our log is what the chain holds: none missing, none too much, nothing different."""
    standing = {i: d for i, d in newest.items() if d["state"] in ("included", "confirmed", "final")}
    assert set(standing) == set(expected)
    for deposit_id, deposit in standing.items():
        wanted = expected[deposit_id]
        assert int(deposit["amount_base_units"]) == wanted.amount_base_units
        assert deposit["block"]["hash"] == wanted.block_hash
        assert deposit["state"] == "final"
        assert int(deposit["credited_base_units"]) == wanted.amount_base_units
    for deposit_id, deposit in newest.items():
        if deposit_id not in expected:
            assert deposit["credited_base_units"] == "0", "what left the chain is not credited"


def assert_versions_arrived_in_order(receiver: Receiver) -> None:
    """For one endpoint the versions of one object arrive in order (repeats aside)."""
    newest: dict[str, int] = {}
    for event in receiver.events():
        data = event["data"]
        assert isinstance(data, dict)
        deposit = data.get("deposit")
        if deposit is not None:
            assert deposit["version"] > newest.get(deposit["id"], 0)
            newest[deposit["id"]] = deposit["version"]


@asynccontextmanager
async def open_scene(
    folder: Path, rng: random.Random, *, database_url: str | None, data_dir: Path | None = None
) -> AsyncIterator[Scene]:
    """Everything but the running processes."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(start_anvil())
        await node.mine()
        token = await deploy_token(node)
        program = Program(
            folder,
            Settings([node.url, node.ws_url], token=token, database_url=database_url, data_dir=data_dir),
        )
        program.write_config()
        stack.push_async_callback(program.end_all)
        traffic = Traffic(node, token, TILLS, rng)
        await traffic.prepare()
        scene = Scene(node, program, traffic)
        receivers = [
            await stack.enter_async_context(open_receiver(rng, failure_share=share))
            for share in (0.0, 0.2, 0.4)
        ]
        scene.all_receivers = receivers
        yield scene
