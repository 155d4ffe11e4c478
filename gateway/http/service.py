"""The API at work: its application behind a socket, and the listener that wakes long polls and streams.

Lives here: the TaskGroup, and the orderly end: no new connections, waiting calls answered, streams ended. Does not live
here: the application (`app`), what it works with (the composition root hands it in).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from gateway.config.settings import Bind, Secret
from gateway.http.edge.app import Api, ObserveCall
from gateway.http.edge.calls import Operation, Services
from gateway.http.edge.server import serve
from gateway.process.files import FileShares
from gateway.wakes import Wakes
from migrations.handles import Pool
from relay.out.egress import Egress

_log = structlog.get_logger()


async def run_api(
    services: Services,
    operations: Sequence[Operation],
    bind: Bind,
    *,
    admin_token: Secret,
    observe: ObserveCall,
    wakes: Wakes,
    listens_on: Pool,
    files: FileShares,
) -> None:
    """Answer until `services.stop` is set; `listens_on` is a pool in which others listen too. Raises BindFailed."""
    relay = services.settings.relay
    api = Api(services, operations, admin_token=admin_token, observe=observe, connections=files.connections)
    async with (
        Egress(
            timeout_s=relay.attempt_timeout_s,
            allow_private_networks=relay.allow_private_networks,
            allowed_ports=relay.allowed_ports,
            proxy_url=relay.proxy_url,
        ) as services.egress,
        serve(api.build(), bind, files=files, trusted=services.settings.http.trusted_proxies) as listening,
        asyncio.TaskGroup() as group,
    ):
        _log.info("listening", bind=str(listening))
        live = group.create_task(services.live.run(listens_on), name="live")
        forget = wakes.listen(services.live.take_heads)
        await services.stop.wait()
        forget()
        live.cancel()
        services.live.wake_all()


async def run_health(
    services: Services, operations: Sequence[Operation], bind: Bind, files: FileShares
) -> None:
    """The few answers that orchestrators ask of roles without the API, until `services.stop` is set."""
    api = Api(services, operations, admin_token=Secret(""))
    async with serve(api.build(), bind, files=files) as listening:
        _log.info("listening", bind=str(listening), only="health")
        await services.stop.wait()
