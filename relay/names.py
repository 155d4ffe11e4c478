"""Names to addresses for the way out: looked up without threads, and refused where even one address is forbidden.

A name whose servers never answer costs a socket's wait and nobody's thread, so however many such names a merchant
invents, other merchants' names resolve (c-ares asks /etc/hosts and the servers of /etc/resolv.conf). Lives here: the
resolver that `egress` gives its connector. Does not live here: which addresses are forbidden (`addresses`), and the
judgement at the socket itself, which nothing gets around (`egress`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from aiodns import DNSResolver
from aiodns.error import DNSError
from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUP_S = 2.0
LOOKUP_TRIES = 2


class AddressForbidden(OSError):
    """A connection to this address is refused by us. Says nothing more: the text could reach a merchant."""

    def __init__(self) -> None:
        super().__init__("address forbidden")


class VettingResolver(AbstractResolver):
    """A name with even one forbidden address is refused. Use from one event loop, and close it."""

    def __init__(self, forbids: Callable[[str], bool], *, servers: Sequence[str] = ()) -> None:
        """`servers`: addresses, with `:port` if it is not 53; empty for the system's."""
        self._forbids = forbids
        self._resolver = DNSResolver(list(servers) or None, timeout=LOOKUP_S, tries=LOOKUP_TRIES)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of `host`. Raises AddressForbidden, and OSError for a name without any."""
        try:
            answer = await self._resolver.getaddrinfo(host, family, port, type=socket.SOCK_STREAM)
        except DNSError as error:
            raise OSError(f"no addresses: {error.args[-1]}") from error
        found = [
            ResolveResult(
                hostname=host,
                host=node.addr[0].decode("ascii"),
                port=port,
                family=node.family,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for node in answer.nodes
        ]
        if any(self._forbids(one["host"]) for one in found):
            raise AddressForbidden
        return found

    async def close(self) -> None:
        """End every lookup under way."""
        await self._resolver.close()
