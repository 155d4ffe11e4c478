"""The way out through the operator's own proxy: HTTP CONNECT, and the question whose fault a silence is.

Lives here: parsing the proxy's URL, opening a tunnel to an address that was judged already, and asking the proxy whether
it is well. What the proxy does wrong is `ProxyFailed` and never blamed on a receiver; what it says about the receiver
(502, 503, 504) is `TargetUnreachable`. Does not live here: judging addresses, TLS and HTTP inside the tunnel (`egress`).
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from relay.out.names import VettingResolver

ANSWER_BYTES_MAX = 8_192
ASK_TIMEOUT_S = 2.0
"""How long a proxy may take to answer anything at all; less than a parked delivery's grace (`lane`)."""
PROXY_PORT = 3128
_FAILED_BEYOND = frozenset({502, 503, 504})
_UNWELL = frozenset({407, 429, 503})
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")


class ProxyFailed(OSError):
    """The operator's proxy did not do its part. Says nothing more: the text could reach a merchant."""

    def __init__(self) -> None:
        super().__init__("the way out failed")


class TargetUnreachable(OSError):
    """The proxy says that it cannot reach the receiver."""

    def __init__(self) -> None:
        super().__init__("not reachable")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is, and the credentials it wants, as the header's value."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


def parse_proxy_url(url: str) -> Proxy:
    """The proxy that `http://[user:password@]host[:port]` names; ValueError with a sentence that does not quote it."""
    sentence = "a URL like http://proxy.example:3128 is wanted, without a path"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(sentence) from None
    if (
        parts.scheme != "http"
        or not parts.hostname
        or port == 0
        or not url.isascii()
        or not url.isprintable()
    ):
        raise ValueError(sentence)
    if parts.path not in ("", "/") or parts.query or parts.fragment or " " in url:
        raise ValueError(sentence)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Proxy(parts.hostname, port or PROXY_PORT, authorization)


class Tunnels:
    """One process's tunnels through one proxy. Its own address is looked up, and exempt from every judgement."""

    def __init__(self, proxy: Proxy, resolver: VettingResolver) -> None:
        self._proxy = proxy
        self._resolver = resolver
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._well = False

    async def open(self, address: str, port: int) -> socket.socket:
        """A connected socket whose other end is this address. Raises ProxyFailed, TargetUnreachable."""
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        sock = await self._connect()
        try:
            status = await self._ask(sock, f"CONNECT {place} HTTP/1.1", place)
        except BaseException:
            sock.close()
            raise
        if 200 <= status < 300:
            return sock
        sock.close()
        raise TargetUnreachable if status in _FAILED_BEYOND else ProxyFailed

    async def are_well(self) -> bool:
        """Whether the proxy answers now: asked after this call began, once for all who ask meanwhile."""
        clock = asyncio.get_running_loop().time
        since = clock()
        async with self._asking:
            if self._asked_at < since:
                asked_at = clock()
                self._well = await self._answers()
                self._asked_at = asked_at
            return self._well

    async def _answers(self) -> bool:
        place = f"{self._proxy.host}:{self._proxy.port}"
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                sock = await self._connect()
                try:
                    return await self._ask(sock, "GET / HTTP/1.1", place, whole=False) not in _UNWELL
                finally:
                    sock.close()
        except (ProxyFailed, TimeoutError):
            return False

    async def _connect(self) -> socket.socket:
        """A connection to the proxy, at the first of its addresses that takes one."""
        loop = asyncio.get_running_loop()
        try:
            for address in await self._find():
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setblocking(False)
                try:
                    await loop.sock_connect(sock, (address, self._proxy.port))
                except OSError:
                    sock.close()
                except BaseException:
                    sock.close()
                    raise
                else:
                    return sock
        except OSError:  # no such name
            pass
        raise ProxyFailed

    async def _find(self) -> Sequence[str]:
        try:
            return [str(ip_address(self._proxy.host))]
        except ValueError:
            return await self._resolver.resolve(self._proxy.host)

    async def _ask(self, sock: socket.socket, line: str, place: str, *, whole: bool = True) -> int:
        """Send one request without a body; the status of its answer. ProxyFailed for whatever is no answer.

        Of a `whole` answer nothing may follow the header: the receiver speaks only when it was spoken to.
        """
        loop = asyncio.get_running_loop()
        lines = [line, f"Host: {place}"]
        if self._proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        head = bytearray()
        try:
            await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode("ascii"))
            while b"\r\n\r\n" not in head:
                more = await loop.sock_recv(sock, ANSWER_BYTES_MAX - len(head))
                head += more
                if not more or len(head) == ANSWER_BYTES_MAX:
                    break
        except OSError:
            raise ProxyFailed from None
        status = _STATUS_LINE.match(head)
        if status is None:
            raise ProxyFailed
        opened = whole and 200 <= int(status[1]) < 300
        if opened and head.find(b"\r\n\r\n") + 4 != len(head):
            raise ProxyFailed
        return int(status[1])


async def is_well(proxy_url: str) -> bool:
    """Whether this proxy answers now, for somebody who sends nothing through it. ValueError for what is no URL of one."""
    names = VettingResolver(lambda _address: False)
    try:
        return await Tunnels(parse_proxy_url(proxy_url), names).are_well()
    finally:
        await names.close()
