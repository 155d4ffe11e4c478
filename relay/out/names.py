"""Names to addresses for the way out: looked up without threads, and refused where even one address is forbidden.

A name whose servers never answer costs a socket's wait and nobody's thread, so however many such names a merchant
invents, other merchants' names resolve (c-ares asks /etc/hosts and the servers of /etc/resolv.conf). An answer is remembered for
a minute, and one look-up serves all who ask for its name meanwhile. Lives here: the resolver. Does not live here: which
addresses are forbidden (`addresses`), and the judgement at the socket itself, which nothing gets around (`dial`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from aiodns import DNSResolver
from aiodns.error import DNSError

LOOKUP_S = 2.0
LOOKUP_TRIES = 2
REMEMBERED_S = 60.0
UNKNOWN_S = 1.0
"""How long a name is taken to have no address: those who waited for the same answer do not ask again one by one."""
NAMES_REMEMBERED_MAX = 4_096
ADDRESSES_MAX = 64
"""A name with more is nobody's shop, and judging thousands of addresses would hold up everybody."""


class AddressForbidden(OSError):
    """A connection to this address is refused by us. Says nothing more: the text could reach a merchant."""

    def __init__(self) -> None:
        super().__init__("address forbidden")


class VettingResolver:
    """A name with even one forbidden address is refused. Use from one event loop, and close it."""

    def __init__(self, forbids: Callable[[str], bool], *, servers: Sequence[str] = ()) -> None:
        """`servers`: addresses, with `:port` if it is not 53; empty for the system's."""
        self._forbids = forbids
        self._resolver = DNSResolver(list(servers) or None, timeout=LOOKUP_S, tries=LOOKUP_TRIES)
        self._known: dict[str, tuple[tuple[str, ...], float]] = {}  # until when; oldest first
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def resolve(self, host: str) -> tuple[str, ...]:
        """All addresses of `host`. Raises AddressForbidden, and OSError for a name without any."""
        found = self._recall(host)
        if found is None:
            lock = self._asking.setdefault(host, asyncio.Lock())
            async with lock:
                found = self._recall(host)
                if found is None:
                    found = await self._look_up(host)
                    self._remember(host, found)
        if not found:
            raise OSError("no addresses")
        if any(self._forbids(address) for address in found):
            raise AddressForbidden
        return found

    def prefer(self, host: str, address: str) -> None:
        """This address answered: try it first while the name is remembered."""
        addresses, until = self._known.get(host, ((), 0.0))
        if address in addresses[1:]:
            rest = (one for one in addresses if one != address)
            self._known[host] = (address, *rest), until

    def forget(self) -> None:
        """Look every name up again."""
        self._known.clear()

    async def close(self) -> None:
        """End every lookup under way."""
        await self._resolver.close()

    def _recall(self, host: str) -> tuple[str, ...] | None:
        found, until = self._known.get(host, (None, 0.0))
        return found if until > asyncio.get_running_loop().time() else None

    def _remember(self, host: str, found: tuple[str, ...]) -> None:
        self._known.pop(host, None)
        until = asyncio.get_running_loop().time() + (REMEMBERED_S if found else UNKNOWN_S)
        self._known[host] = found, until
        if len(self._known) > NAMES_REMEMBERED_MAX:
            del self._known[next(iter(self._known))]

    async def _look_up(self, host: str) -> tuple[str, ...]:
        try:
            answer = await self._resolver.getaddrinfo(host, socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except DNSError:
            return ()
        if len(answer.nodes) > ADDRESSES_MAX:
            return ()
        return tuple(dict.fromkeys(node.addr[0].decode("ascii") for node in answer.nodes))
