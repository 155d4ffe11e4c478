"""Bytes to a node and back over HTTP, with a bound on everything.

One request, one deadline over the whole exchange, a streaming cut on the
answer, no redirects to other hosts, and every network exception mapped to
`chains.errors`.  URLs carry keys, so only the host ever leaves this module.
Paths, what a status means and what the bytes mean are the protocol's
(`chains.rpc.jsonrpc`); how often we may ask is `chains.rpc.throttle`.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from chains.errors import ChainError, Refused, Throttled, Unreachable
from chains.rpc.node_endpoint import NodeEndpoint
from chains.rpc.refusals import TooLarge, read_http_status

RESPONSE_BYTES_MAX = 64 * 1024 * 1024
"""A bound on memory a provider can cost us: the fullest EVM blocks stay below."""

TOTAL_DEADLINE_S = 30.0
CONNECT_DEADLINE_S = 5.0
KEEPALIVE_S = 75.0
"""Longer than the slowest usual block interval, so that connections stay warm."""

CONNECTIONS_PER_HOST_MAX = 8
REDIRECTS_MAX = 2
RETRY_AFTER_S_MAX = 3_600.0
COOKIE_BYTES_MAX = 1_024
SECRET_LENGTH_MIN = 6
"""Shorter parts of a URL ("/v3/") are no keys, and are words of a language."""


_PATH = re.compile(r"(?:/(?!(?:\.|%2[eE]){1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")


@dataclass(frozen=True, slots=True)
class Request:
    """What a protocol asks: a path beneath the endpoint's own, and a body; without one it is a GET.

    `path` is empty or begins with a slash, and is encoded: a segment made of
    somebody's words is the protocol's to quote.  `query` is added to the
    endpoint's own.  `read_status` says what a status means, given the answer:
    None where the answer is to be read.  429 is HTTP's own and means the rate.
    """

    body: bytes | None = None
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    read_status: Callable[[int, bytes], ChainError | None] = read_http_status

    def __post_init__(self) -> None:
        assert _PATH.fullmatch(self.path), "a path stays beneath the endpoint's"


class _QuietConnector(aiohttp.TCPConnector):
    """Never reuses a connection that received bytes while nothing was asked on it.

    They would be taken for the answer to the next call.
    """

    async def _get(self, key: Any, traces: list[Any]) -> Any:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()
        return None


class HttpTransport:
    """One keep-alive session to one endpoint; opens lazily, closes once.

    `connections_opened` counts connections made so far: a change means that
    another machine may be answering now.
    """

    def __init__(
        self,
        endpoint: NodeEndpoint,
        *,
        deadline_s: float = TOTAL_DEADLINE_S,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
    ) -> None:
        self.name = endpoint.host
        self.connections_opened = 0
        self._url = URL(endpoint.url)
        self._headers = dict(endpoint.headers)
        self._deadline_s = deadline_s
        self._response_bytes_max = response_bytes_max
        self._session: aiohttp.ClientSession | None = None
        self._cookie_file = endpoint.cookie_file
        self._cookie: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later `send` would open new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Request, *, deadline_s: float | None = None) -> bytes:
        """Send one request and return the whole answer.

        Raises `Unreachable`, `Throttled`, `Refused` or `TooLarge`, and what the
        protocol makes of a status.
        """
        seconds = self._deadline_s if deadline_s is None else deadline_s
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(self._url_of(request), request, REDIRECTS_MAX)
        except aiohttp.ClientError as error:
            raise self._map(error) from None
        except TimeoutError:
            raise Unreachable(f"no answer within {seconds:g} s", provider=self.name) from None
        except (OSError, ssl.SSLError, ValueError, EOFError) as error:
            raise self._map(error) from None

    def _url_of(self, request: Request) -> URL:
        url = self._url
        if request.path:
            url = url.with_path(url.raw_path.rstrip("/") + request.path, encoded=True, keep_query=True)
        return url.extend_query(request.query) if request.query else url

    async def _exchange(self, url: URL, request: Request, redirects_left: int) -> bytes:
        method = "GET" if request.body is None else "POST"
        typed = {} if request.body is None else {"content-type": "application/json"}
        held = self._cookie
        headers = {**typed, **self._headers, **self._read_cookie()}
        async with self._open_session().request(
            method, url, data=request.body, headers=headers, allow_redirects=False
        ) as response:
            if response.status in (301, 302, 303, 307, 308):
                target = self._allow_redirect(url, response, redirects_left)
            elif response.status == 401 and held is not None:
                # The node was started anew since, and wrote another one.
                self._cookie, target, redirects_left = None, url, redirects_left + 1
            else:
                content = await self._read(response)
                self._check_status(response, content, request)
                self._check_content(content)
                return content
        return await self._exchange(target, request, redirects_left - 1)

    def _read_cookie(self) -> dict[str, str]:
        """The header that lets us in, of what the node last wrote; none where it writes no file."""
        if self._cookie_file is None:
            return {}
        if self._cookie is None:
            try:
                with self._cookie_file.open("rb") as file:
                    written = file.read(COOKIE_BYTES_MAX).strip()
            except OSError:
                raise Unreachable("its cookie file cannot be read", provider=self.name) from None
            self._cookie = "Basic " + base64.b64encode(written).decode()
        return {"authorization": self._cookie}

    def _allow_redirect(self, url: URL, response: aiohttp.ClientResponse, left: int) -> URL:
        try:
            target = url.join(URL(response.headers.get("location", "")))
        except ValueError:
            target = URL()
        # Another host would be another operator, and would be handed our key.
        if target.host != url.host or left == 0 or response.status not in (307, 308):
            raise Refused("redirects elsewhere; configure its final URL", provider=self.name)
        if url.scheme == "https" and target.scheme != "https":
            raise Refused("redirects from https to http", provider=self.name)
        return target

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks: list[bytes] = []
        left = self._response_bytes_max
        if response.headers.get("content-encoding") is None:
            declared = response.content_length
            if declared is not None and declared > left:
                raise self._too_large()
        async for chunk in response.content.iter_any():
            left -= len(chunk)
            if left < 0:
                raise self._too_large()
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _check_status(self, response: aiohttp.ClientResponse, content: bytes, request: Request) -> None:
        if response.status == 429:
            raise Throttled(
                "HTTP 429",
                provider=self.name,
                retry_after_s=parse_retry_after(
                    response.headers.get("retry-after"), response.headers.get("date")
                ),
            )
        error = request.read_status(response.status, content)
        if error is not None:
            raise error

    def redact(self, text: str) -> str:
        """A stranger's words without what they may repeat of our URL and headers."""
        url = self._url
        secrets = {
            *url.parts,
            *url.query.values(),
            url.user,
            url.password,
            url.raw_path_qs,
            *self._headers.values(),
            self._cookie,
        }
        long_enough = (one for one in secrets if one and len(one) >= SECRET_LENGTH_MIN)
        for secret in sorted(long_enough, key=len, reverse=True):
            text = text.replace(secret, "…")
        return text

    def _check_content(self, content: bytes) -> None:
        opening = content[:512].lstrip()[:1]
        if opening == b"<":
            raise Unreachable("answered with a web page", provider=self.name)
        if not opening:
            raise Unreachable("answered with nothing", provider=self.name)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"an answer over {self._response_bytes_max} bytes", provider=self.name)

    def _map(self, error: Exception) -> ChainError:
        # The text of a foreign exception may hold the URL; its class never does.
        if isinstance(error, aiohttp.InvalidURL):
            return Refused("the URL is not usable", provider=self.name)
        return Unreachable(_describe(error), provider=self.name)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_connection_create_end.append(self._count_connection)
            self._session = aiohttp.ClientSession(
                connector=_QuietConnector(
                    limit_per_host=CONNECTIONS_PER_HOST_MAX,
                    keepalive_timeout=KEEPALIVE_S,
                    resolver=aiohttp.ThreadedResolver(),  # the operator's names, as the system knows them
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_DEADLINE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[tracing],
            )
        return self._session

    async def _count_connection(self, *_: object) -> None:
        self.connections_opened += 1


def parse_retry_after(text: str | None, date: str | None) -> float | None:
    """Seconds of a Retry-After header, or None where it says nothing readable.

    An HTTP date is measured against the answer's own `date`, so no clock of
    ours is asked.  Bounded by an hour: a provider cannot park us for longer.
    """
    if text is None:
        return None
    seconds = text.strip()
    if seconds.isascii() and seconds.isdigit():
        return min(float(seconds[:9]), RETRY_AFTER_S_MAX)
    try:
        at, sent = email.utils.parsedate_tz(text), email.utils.parsedate_tz(date)
        if at is None or sent is None:
            return None
        waits_s = email.utils.mktime_tz(at) - email.utils.mktime_tz(sent)
    except (ValueError, OverflowError, IndexError, TypeError):  # a date beyond time
        return None
    return float(min(max(waits_s, 0), RETRY_AFTER_S_MAX))


def _describe(error: Exception) -> str:
    """A few words for an exception, by its class only."""
    words: tuple[tuple[type[Exception], str], ...] = (
        (aiohttp.ClientConnectorDNSError, "its name does not resolve"),
        (aiohttp.ClientSSLError, "TLS failed"),
        (aiohttp.ClientConnectorError, "refused the connection"),
        (aiohttp.ServerDisconnectedError, "closed the connection"),
        (aiohttp.ClientPayloadError, "cut its answer"),
        (aiohttp.ConnectionTimeoutError, "took too long to connect"),
        (ConnectionResetError, "reset the connection"),
        (aiohttp.ClientOSError, "reset the connection"),
    )
    for kind, text in words:
        if isinstance(error, kind):
            return text
    return f"the exchange failed ({type(error).__name__})"
