"""The only HTTP to strangers: one POST, judged before it connects, bounded in time and bytes, told as an `Outcome`.

No redirects, no decompression, no cookies, no proxies from the environment, and a connection belongs to one endpoint. Lives
here: what an answer or a failure is called. Does not live here: connecting (`dial`), the bytes asked (`requests`) and answered
(`answer`), whose answer it is (`wire`), which connections are kept (`kept`), signing, retries, and any word of an error that
is not in `OutcomeKind` or `tls`: merchants see those, and learn nothing about our network.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from typing import Self
from uuid import UUID

from relay.model import Outcome, OutcomeKind
from relay.out.addresses import HTTPS_PORT, judge_address, judge_url
from relay.out.answer import EXCERPT_BYTES_MAX, AnswerReader
from relay.out.deadlines import Deadlines, Limit
from relay.out.dial import Dialer, has_files_left
from relay.out.excerpts import hide_secrets
from relay.out.kept import Kept, Owner
from relay.out.names import AddressForbidden, VettingResolver
from relay.out.requests import Place, encode_request, parse_place
from relay.out.tls import CertificateWanted, explain_tls
from relay.out.tunnel import ProxyFailed, Tunnels, parse_proxy_url
from relay.out.wire import SpokeUnasked, WentStale, Wire

RETRY_AFTER_S_MAX = 10**9
"""More than anybody waits (`settings`), and less than what a date can be moved by."""
URLS_REMEMBERED_MAX = 4_096
DATE_LENGTH_MAX = 64
EARLY = "the answer began before the request had arrived"
NOT_HTTP = "the answer does not begin with an HTTP status"
PROXY_FAILED = "proxy-failed"
FILES_EXHAUSTED = "files-exhausted"
_SECONDS = re.compile(r"([0-9]+)(?:\.([0-9]+))?")


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
        self._deadlines = Deadlines(timeout_s)
        self._allow_private_networks = allow_private_networks
        # What is configured may be stricter than when the endpoint was made; a few thousand URLs are judged once.
        self._judge = lru_cache(URLS_REMEMBERED_MAX)(
            partial(judge_url, allow_private_networks=allow_private_networks, allowed_ports=allowed_ports)
        )
        self._parse = lru_cache(URLS_REMEMBERED_MAX)(parse_place)
        self._name_servers = name_servers
        self._proxy_names: VettingResolver | None = None
        self._tunnels: Tunnels | None = None
        self._dialer: Dialer | None = None
        self._kept = Kept()

    async def __aenter__(self) -> Self:
        if self._proxy is not None:
            self._proxy_names = VettingResolver(lambda _address: False, servers=self._name_servers)
            self._tunnels = Tunnels(self._proxy, self._proxy_names)
        self._dialer = Dialer(self._forbids, servers=self._name_servers, tunnels=self._tunnels)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._dialer is not None
        self._kept.close()
        await asyncio.sleep(0)  # until the loop has closed them
        await self._dialer.close()
        self._deadlines.close()
        if self._proxy_names is not None:
            await self._proxy_names.close()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, now: datetime, owner: UUID | None = None
    ) -> Outcome:
        """Make one attempt; whatever the other side does is an Outcome. `now` is what dates in its answer count from.

        The connection is kept for the endpoint `owner` alone; without one it is closed.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        if self._judge(url) is not None:
            return Outcome(OutcomeKind.FORBIDDEN, 0)
        place = self._parse(url)
        try:
            request = encode_request(place, headers, body)
            with self._deadlines.limit() as limit:
                answer = await self._exchange(
                    place, request, None if owner is None else Owner(owner.int, url), limit
                )
        except (
            OSError,
            EOFError,
            ValueError,
            RuntimeError,
        ) as error:  # a deadline's TimeoutError is an OSError
            failed = await self._blame(error)
            return failed.lasting(int((clock() - started) * 1000))
        return read_answer(answer, headers, now, int((clock() - started) * 1000))

    async def _exchange(
        self, place: Place, request: bytes, owner: Owner | None, limit: Limit
    ) -> AnswerReader:
        assert self._dialer is not None
        wire = None if owner is None else self._kept.take(owner)
        if wire is not None:
            try:
                return await self._ask(wire, request, owner, limit)
            except (
                WentStale
            ):  # it was closed for idleness, or spoke: nothing about this request; ask on a fresh one
                pass
        return await self._ask(await self._dialer.open(place), request, owner, limit)

    async def _ask(self, wire: Wire, request: bytes, owner: Owner | None, limit: Limit) -> AnswerReader:
        try:
            return await wire.ask(request, due_s=limit.due_s)
        except asyncio.CancelledError:
            # A busy loop may ring the deadline before it ends the wait for the rest of an answer that stands already.
            if limit.is_all and (answer := wire.standing) is not None:
                return answer
            raise
        finally:
            if owner is None:
                wire.abort()
            else:
                self._kept.give(owner, wire)

    async def _blame(self, error: Exception) -> Outcome:
        """A receiver that was not heard is to blame only while we can be heard, and the proxy in front of it is well."""
        kind = _kind_of(error)
        if kind is OutcomeKind.FORBIDDEN:
            return Outcome(kind, 0)
        if kind in {OutcomeKind.UNREACHABLE, OutcomeKind.UNSENT} and not has_files_left():
            self._kept.close()
            return Outcome(OutcomeKind.UNSENT, 0, alert=FILES_EXHAUSTED)
        if kind is OutcomeKind.UNSENT or not (self._tunnels is None or await self._tunnels.are_well()):
            return Outcome(OutcomeKind.UNSENT, 0, alert=PROXY_FAILED)
        return Outcome(kind, 0, detail=EARLY if isinstance(error, SpokeUnasked) else explain_tls(error))

    def _forbids(self, address: str) -> bool:
        return not self._allow_private_networks and judge_address(address) is not None


def read_answer(answer: AnswerReader, headers: Mapping[str, str], now: datetime, duration_ms: int) -> Outcome:
    """What an answer means: its status decides, and what is not one is said so."""
    if answer.status is None:
        return Outcome(OutcomeKind.GARBLED, duration_ms, detail=NOT_HTTP)
    retry_after_s = parse_retry_after(answer.retry_after, now)
    return Outcome(
        kind=classify_status(answer.status, asks_to_wait=retry_after_s is not None),
        duration_ms=duration_ms,
        status_code=answer.status,
        retry_after_s=retry_after_s,
        excerpt=hide_secrets(answer.excerpt, headers)[:EXCERPT_BYTES_MAX],
    )


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
    """Seconds a Retry-After asks for, counted from `now`, bounded; None if it is absent or unreadable."""
    if text is None:
        return None
    text = text.strip(" \t")
    if number := _SECONDS.fullmatch(text):
        digits = number[1].lstrip("0")
        if len(digits) >= len(str(RETRY_AFTER_S_MAX)):
            return RETRY_AFTER_S_MAX
        return int(digits or "0") + bool(number[2] and number[2].strip("0"))
    try:
        moment = parsedate_to_datetime(text[:DATE_LENGTH_MAX])
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0, int(seconds)), RETRY_AFTER_S_MAX)


def _kind_of(error: Exception) -> OutcomeKind:
    match error:
        case TimeoutError():
            return OutcomeKind.TIMEOUT
        case ProxyFailed():
            return OutcomeKind.UNSENT
        case AddressForbidden():
            return OutcomeKind.FORBIDDEN
        case ssl.SSLError() | CertificateWanted():
            return OutcomeKind.TLS_FAILED
        case SpokeUnasked() | ValueError():
            return OutcomeKind.GARBLED
        case _:
            return OutcomeKind.UNREACHABLE
