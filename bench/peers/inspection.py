"""A receiver that believes nothing: are the peers' requests signed as the relay's are, and are they the log's bodies?

Lives here: a server that keeps every request, and holding them against `relay.verify` and against the jobs. Asked once for
each peer, before anything is measured. Does not live here: the receiver that measures (`bench.receiver`), which only counts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bench.peers.assignment import Keys
from relay.keys import signing
from relay.verify import verify


@dataclass(slots=True)
class Inspector:
    """What came, with lower-case header names."""

    port: int = 0
    requests: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    def check(self, jobs_path: Path, keys: Keys) -> int:
        """How many came: each job once, with its body, each signature good by itself. AssertionError or WebhookInvalid."""
        secret = signing.encode_secret(keys.secret_bytes)
        key = signing.signing_key_from_seed(keys.seed_bytes)
        public_key = signing.encode_public_key(signing.public_bytes(key))
        jobs = {job["delivery_id"]: job for job in map(json.loads, jobs_path.read_text("utf-8").splitlines())}
        for headers, body in self.requests:
            job = jobs.pop(headers["chainbell-delivery"])
            assert body == job["body"].encode(), "not the body that is in the log"
            assert headers["content-type"] == "application/json"
            assert verify(body, headers, secrets=[secret]).webhook_id == job["webhook_id"]
            assert verify(body, headers, public_keys=[public_key]).webhook_id == job["webhook_id"]
        assert not jobs, f"{len(jobs)} deliveries did not come"
        return len(self.requests)


@asynccontextmanager
async def start_inspector() -> AsyncIterator[Inspector]:
    """On a port of its own, on the loopback only."""
    inspector = Inspector()

    async def keep(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        inspector.requests.append((headers, await request.read()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{path:.*}", keep)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        inspector.port = runner.addresses[0][1]
        yield inspector
    finally:
        await runner.cleanup()
