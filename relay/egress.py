"""The only HTTP to strangers: one POST, judged before it connects, bounded in time and bytes, told as an `Outcome`.

Every address is vetted when a socket is made for it (literals and DNS answers alike), so that nothing between deciding
and connecting can change it. No redirects, no decompression, no cookies, no proxies from the environment. Lives here:
the session and what each failure is called. Does not live here: which addresses are forbidden (`addresses`), the operator's
own proxy (`tunnel`), signing, retries, and any word of an error that is not in `OutcomeKind`: merchants see those, and
learn nothing about our network.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from relay.addresses import HTTPS_PORT, judge_address, judge_url
from relay.deadlines import Deadlines
from relay.excerpts import hide_secrets
from relay.model import Outcome, OutcomeKind
from relay.names import AddressForbidden, VettingResolver
from relay.tunnel import ProxyFailed, TargetUnreachable, Tunnels, parse_proxy_url

EXCERPT_BYTES_MAX = 4_096
BODY_GRACE_S = 2.0
"""The status decides; this long at most we wait for the answer's first bytes, within the deadline."""
KEEPALIVE_S = 15.0
DNS_CACHE_S = 60
RETRY_AFTER_LENGTH_MAX = 64
URLS_REMEMBERED_MAX = 4_096
ADDRESSES_TRIED_MAX = 3


class Egress:
    """One process's way out; use it as an async context manager."""

    def __init__(
        self,
        *,
        timeout_s: float,
        allow_private_networks: bool,
        allowed_ports: Collection[int] = (HTTPS_PORT,),
        name_servers: Sequence[str] = (),
        proxy_url: str = "",
    ) -> None:
        self._proxy = parse_proxy_url(proxy_url) if proxy_url else None
        self._tunnels: Tunnels | None = None
        self._deadlines = Deadlines(timeout_s)
        self._allow_private_networks = allow_private_networks
        # What is configured may be stricter than when the endpoint was made; a few thousand URLs are judged once.
        self._judge = lru_cache(URLS_REMEMBERED_MAX)(
            partial(judge_url, allow_private_networks=allow_private_networks, allowed_ports=allowed_ports)
        )
        self._parse = lru_cache(URLS_REMEMBERED_MAX)(URL)
        self._name_servers = name_servers
        self._session: aiohttp.ClientSession | None = None
        self._resolver: VettingResolver | None = None
        self._proxy_names: VettingResolver | None = None

    async def __aenter__(self) -> Self:
        self._resolver = VettingResolver(self._forbids, servers=self._name_servers)
        proxied = None
        if self._proxy is not None:
            self._proxy_names = VettingResolver(lambda _address: False, servers=self._name_servers)
            self._tunnels = Tunnels(self._proxy, self._proxy_names)
            proxied = self._open_tunnel
        connector = _NotingConnector(
            proxied,
            limit=0,  # bounded by lanes and by the dispatcher's own limit
            keepalive_timeout=KEEPALIVE_S,
            ttl_dns_cache=DNS_CACHE_S,
            resolver=self._resolver,
            socket_factory=self._make_socket,
            ssl=ssl.create_default_context(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # one deadline, ours, over everything
            auto_decompress=False,
            trust_env=False,
            read_bufsize=EXCERPT_BYTES_MAX,
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None
        assert self._resolver is not None
        await self._session.close()
        await self._resolver.close()
        self._deadlines.close()
        if self._proxy_names is not None:
            await self._proxy_names.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Outcome:
        """Make one attempt; whatever the other side does is an Outcome. `now` is what dates in its answer count from."""
        clock = asyncio.get_running_loop().time
        started = clock()

        def ended(kind: OutcomeKind) -> Outcome:
            return Outcome(kind, duration_ms=int((clock() - started) * 1000))

        if self._judge(url) is not None:
            return ended(OutcomeKind.FORBIDDEN)
        try:
            with self._deadlines.limit() as limit:
                status, answer_headers, excerpt = await self._exchange(
                    url, headers, body, deadline=limit.due_s
                )
        except TimeoutError:
            return ended(await self._blame(OutcomeKind.TIMEOUT))
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            return ended(await self._blame(_kind_of(error)))
        retry_after_s = parse_retry_after(answer_headers.get("Retry-After"), now)
        return Outcome(
            kind=classify_status(status, asks_to_wait=retry_after_s is not None),
            duration_ms=int((clock() - started) * 1000),
            status_code=status,
            retry_after_s=retry_after_s,
            excerpt=hide_secrets(excerpt, headers)[:EXCERPT_BYTES_MAX],
        )

    async def _exchange(
        self, url: str, headers: Mapping[str, str], body: bytes, *, deadline: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        assert self._session is not None
        for again in (True, False):
            made_new.set(fresh := _Fresh())
            try:
                async with self._session.post(
                    self._parse(url), data=body, headers=headers, allow_redirects=False
                ) as response:
                    return response.status, response.headers, await _read_excerpt(response, deadline)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
                # It was closed for idleness while we wrote to it: nothing about the endpoint; try a fresh one once.
                if not again or fresh.connection:
                    raise
        raise AssertionError("the second round returns or raises")

    async def _blame(self, kind: OutcomeKind) -> OutcomeKind:
        """A receiver that was not heard is to blame only while the proxy in front of it is well."""
        silent = kind not in {OutcomeKind.FORBIDDEN, OutcomeKind.UNSENT}
        if silent and self._tunnels is not None and not await self._tunnels.are_well():
            return OutcomeKind.UNSENT
        return kind

    async def _open_tunnel(self, host: str, port: int) -> socket.socket:
        """A tunnel to a host whose every address was judged; the proxy is told an address, so it looks nothing up."""
        assert self._resolver is not None
        assert self._tunnels is not None
        refused: TargetUnreachable | None = None
        for address in await self._find(host, port):
            try:
                return await self._tunnels.open(address, port)
            except TargetUnreachable as error:
                refused = error
        raise refused or TargetUnreachable

    async def _find(self, host: str, port: int) -> list[str]:
        assert self._resolver is not None
        try:
            found = [str(ip_address(host))]
        except ValueError:
            found = [one["host"] for one in await self._resolver.resolve(host, port)]
        if any(self._forbids(address) for address in found):
            raise AddressForbidden
        return found[:ADDRESSES_TRIED_MAX]

    def _forbids(self, address: str) -> bool:
        return not self._allow_private_networks and judge_address(address) is not None

    def _make_socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, proto, _, sockaddr = info
        if self._forbids(sockaddr[0]):
            raise AddressForbidden
        made = socket.socket(family=family, type=kind, proto=proto)
        made.setblocking(False)
        return made


@dataclass(slots=True)
class _Fresh:
    connection: bool = False


made_new: ContextVar[_Fresh] = ContextVar("made_new")
"""Of the request under way: whether its connection was made for it, or taken from those kept alive."""


class _NotingConnector(aiohttp.TCPConnector):
    """Notes in `made_new` that a connection had to be made; tracing would say the same for more than it costs to send.

    With a proxy every connection is a tunnel, for http as for https.
    """

    def __init__(
        self, open_tunnel: Callable[[str, int], Awaitable[socket.socket]] | None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._open_tunnel = open_tunnel

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the name is aiohttp's
    ) -> Any:
        made_new.get().connection = True
        if self._open_tunnel is None:
            return await super()._create_connection(req, traces, timeout)
        host, port, context = req.url.raw_host, req.url.port, self._get_ssl_context(req)
        assert host is not None
        assert port is not None
        try:
            sock = await self._open_tunnel(host.rstrip("."), port)
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        try:
            _, protocol = await self._wrap_existing_connection(
                self._factory,
                sock=sock,
                ssl=context,
                server_hostname=None if context is None else host.rstrip("."),
                req=req,
                timeout=timeout,
            )
        except BaseException:
            sock.close()
            raise
        return protocol


async def _read_excerpt(response: aiohttp.ClientResponse, deadline: float) -> bytes:
    """The first bytes of the answer. What is longer or slower is cut off with its connection, not drained."""
    if response.content.is_eof():  # all of it is here: nothing to wait for
        return response.content.read_nowait(EXCERPT_BYTES_MAX)
    clock = asyncio.get_running_loop().time
    kept = bytearray()
    try:
        async with asyncio.timeout_at(min(clock() + BODY_GRACE_S, deadline - 0.01)):
            while chunk := await response.content.read(EXCERPT_BYTES_MAX + 1 - len(kept)):
                kept += chunk
                if len(kept) > EXCERPT_BYTES_MAX:
                    response.close()
                    break
    except (TimeoutError, aiohttp.ClientError, ConnectionError):
        response.close()
    return bytes(kept[:EXCERPT_BYTES_MAX])


def classify_status(status: int, *, asks_to_wait: bool) -> OutcomeKind:
    """What an HTTP status means: any 2xx is success, all else is not."""
    if 200 <= status < 300:
        return OutcomeKind.DELIVERED
    if status == 410:
        return OutcomeKind.GONE
    if status == 429 or (status == 503 and asks_to_wait):
        return OutcomeKind.THROTTLED
    if 300 <= status < 400:
        return OutcomeKind.REDIRECTED
    return OutcomeKind.BROKEN if status >= 500 else OutcomeKind.REFUSED


def parse_retry_after(text: str | None, now: datetime) -> int | None:
    """Seconds a Retry-After asks for, counted from `now`; None if it is absent or unreadable."""
    if text is None or len(text) > RETRY_AFTER_LENGTH_MAX:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    return max(0, int((moment - now).total_seconds()))


def _kind_of(error: Exception) -> OutcomeKind:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ProxyFailed):
        return OutcomeKind.UNSENT
    if isinstance(cause, AddressForbidden) or isinstance(error, aiohttp.InvalidURL):
        return OutcomeKind.FORBIDDEN
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) or isinstance(cause, ssl.SSLError):
        return OutcomeKind.TLS_FAILED
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerConnectionError | OSError | RuntimeError):
        return OutcomeKind.UNREACHABLE
    return OutcomeKind.GARBLED
