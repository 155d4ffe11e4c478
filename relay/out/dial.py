"""Opening a connection to a stranger: the name's addresses, a judged socket, the operator's proxy, TLS.

Every address is vetted when a socket is made for it (literals and DNS answers alike), so that nothing between deciding
and connecting can change it. With a proxy every connection is a tunnel, for http as for https. Lives here: `Dialer`. Does
not live here: which addresses are forbidden (`addresses`), what is said on the connection (`wire`), what failures are called
(`egress`).
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from relay.out.addresses import is_numeric
from relay.out.names import AddressForbidden, VettingResolver
from relay.out.requests import Place
from relay.out.tls import HandshakeCut, make_context
from relay.out.tunnel import TargetUnreachable, Tunnels
from relay.out.wire import Wire

ADDRESSES_TRIED_MAX = 4
NEXT_ADDRESS_S = 1.5
"""How long one address may be silent before the name's next one is tried."""
_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Dialer:
    """One process's way of opening connections; close it."""

    def __init__(
        self, forbids: Callable[[str], bool], *, servers: Sequence[str], tunnels: Tunnels | None
    ) -> None:
        self.names = VettingResolver(forbids, servers=servers)
        self._forbids = forbids
        self._tunnels = tunnels
        self._context = make_context()

    async def close(self) -> None:
        """End what is looked up."""
        await self.names.close()

    async def open(self, place: Place) -> Wire:
        """A new connection. Raises AddressForbidden, ProxyFailed, TargetUnreachable, ssl.SSLError, OSError."""
        sock = await self._connect(place.host, place.port)
        try:
            wire = Wire(sock, secure=place.secure)
            await asyncio.get_running_loop().create_connection(
                lambda: wire,
                sock=sock,
                ssl=self._context if place.secure else None,
                server_hostname=place.host if place.secure else None,
            )
        except ConnectionError as error:
            sock.close()
            raise HandshakeCut from error
        except BaseException:
            sock.close()
            raise
        return wire

    async def _connect(self, host: str, port: int) -> socket.socket:
        """A socket whose other end is the first of the host's addresses that takes it."""
        addresses = await self._find(host)
        refused: OSError = TargetUnreachable()
        for number, address in enumerate(addresses, 1):
            last = number == len(addresses)
            try:
                async with asyncio.timeout(None if last else NEXT_ADDRESS_S):
                    sock = await self._reach(address, port)
            except TimeoutError:
                continue
            except TargetUnreachable as error:
                refused = error
            except OSError as error:
                if self._tunnels is not None or isinstance(error, AddressForbidden):
                    raise
                refused = error
            else:
                self.names.prefer(host, address)
                return sock
        raise refused

    async def _reach(self, address: str, port: int) -> socket.socket:
        if self._tunnels is not None:
            return await self._tunnels.open(address, port)
        sock = self.make_socket(address)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _find(self, host: str) -> list[str]:
        try:
            found: Sequence[str] = [str(ip_address(host))]
        except ValueError:
            if is_numeric(host):
                raise AddressForbidden from None
            found = await self.names.resolve(host)
        if any(self._forbids(address) for address in found):
            raise AddressForbidden
        first = [address for address in found if (":" in address) == (":" in found[0])]
        other = [address for address in found if address not in first]
        half = max(ADDRESSES_TRIED_MAX - len(other), ADDRESSES_TRIED_MAX // 2)
        return [*first[:half], *other][:ADDRESSES_TRIED_MAX]

    def make_socket(self, address: str) -> socket.socket:
        """A socket for this address and no other kind of one."""
        if self._forbids(address):
            raise AddressForbidden
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        return made


def has_files_left() -> bool:
    """Whether this process can open a socket at all; where not, no receiver is to blame."""
    try:
        socket.socket().close()
    except OSError as error:
        return error.errno not in _NO_FILES
    return True
