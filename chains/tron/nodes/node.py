"""One Tron endpoint: its client, its proven network, and the one way its blocks are asked for.

When the network is proven is `chains.rpc.node`.  `getblock` tells a header without its transactions; where a node does not have
it, the older calls tell the whole block.  What answers mean that are none is
`rows.answers`; whole blocks are `blocks`; who is asked is `chains.tron.source`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from chains.errors import ChainError, Inconsistent, Missing, NoIdentity, Refused, WrongNetwork
from chains.model import BlockHash, Header
from chains.rpc.client import Client
from chains.rpc.meter import CallMeter
from chains.rpc.node import Access, ProvenNode
from chains.rpc.refusals import UnknownMethod
from chains.rpc.throttle import Priority
from chains.rpc.transport import Request
from chains.tron.rows.answers import LITE, read_answer, read_status
from chains.tron.rows.blocks import BLOCK, RawBlock, read_header
from chains.tron.verify.block import Schedule

FULL, SOLID = "/wallet", "/walletsolidity"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """A block as it was told: its rows, and the bytes they were read from."""

    block: RawBlock
    content: bytes


class TronNode(ProvenNode):
    """One endpoint, shared by the head's and the backfill's view of it.

    `suffix` is the end of its network's genesis block's id.
    `shows_internal_since`: the first block in which it showed what contracts
    sent on.  `schedule` is the last it told.
    """

    def __init__(self, access: Access, suffix: bytes) -> None:
        super().__init__(access)
        self.client = Client(access.transport, access.budget, clock=access.clock)
        self.shows_internal_since: int | None = None
        self.serves_solid = True
        self.schedule: Schedule | None = None
        self.schedule_told_at_s = 0.0
        self.schedule_lock = asyncio.Lock()
        self.schedule_refused_at_s: float | None = None
        self._suffix = suffix
        self._lacking: set[str] = set()

    @property
    def meter(self) -> CallMeter:
        return self.client.meter

    async def ask(
        self, path: str, body: dict[str, object], decoder: msgspec.json.Decoder[T], priority: Priority
    ) -> T | None:
        """What this node answers on its proven network; None where nothing is there."""
        told = await self.prove(lambda: self._send(path, body, decoder, priority, None), priority)
        return None if told is None else told[0]

    async def fetch_told(
        self,
        wanted: str | None,
        priority: Priority,
        *,
        whole: bool,
        root: str = FULL,
        deadline_s: float | None = None,
    ) -> Told | None:
        """A block by height or id as text, the newest for None; `whole` is with its transactions.

        None where the node does not hold it.
        """
        found = await self.prove(
            lambda: self._ask_block(wanted, priority, whole=whole, root=root, deadline_s=deadline_s), priority
        )
        return None if found is None else Told(*found)

    async def fetch_header(
        self, wanted: str | None, priority: Priority, *, root: str = FULL, deadline_s: float | None = None
    ) -> Header | None:
        """A block's header, whose id is its own hash; None where the node does not hold it."""
        told = await self.fetch_told(wanted, priority, whole=False, root=root, deadline_s=deadline_s)
        if told is None:
            return None
        header = read_header(told.block).header
        if wanted is not None and wanted not in {str(header.height), header.hash.hex()}:
            raise Inconsistent(f"asked for block {wanted}, told about {header.hash.hex()}")
        return header

    async def _send(
        self,
        path: str,
        body: dict[str, object],
        decoder: msgspec.json.Decoder[T],
        priority: Priority,
        deadline_s: float | None,
    ) -> tuple[T, bytes] | None:
        def read(content: bytes) -> tuple[T, bytes] | None:
            found = read_answer(path, content, decoder)
            return None if found is None else (found, content)

        request = Request(msgspec.json.encode({**body, "visible": False}), path, read_status=read_status)
        return await self.client.exchange(request, read, priority, deadline_s=deadline_s)

    async def _ask_block(
        self, wanted: str | None, priority: Priority, *, whole: bool, root: str, deadline_s: float | None
    ) -> tuple[RawBlock, bytes] | None:
        if root not in self._lacking:
            body: dict[str, object] = (
                {"detail": whole} if wanted is None else {"id_or_num": wanted, "detail": whole}
            )
            try:
                return await self._send(f"{root}/getblock", body, BLOCK, priority, deadline_s)
            except UnknownMethod:
                self._lacking.add(root)
        name, older = _plan_older(wanted)
        return await self._send(f"{root}/{name}", older, BLOCK, priority, deadline_s)

    async def _identify(self, priority: Priority, *, patient: bool) -> BlockHash:  # noqa: ARG002  # asked one by one
        height = self._pin.height
        try:
            told = await self._ask_block(str(height), priority, whole=False, root=FULL, deadline_s=None)
        except Refused as error:
            if isinstance(error, Missing) or LITE in error.detail:
                found = f"does not serve block {height}, which tells its network: {error.detail}"
                raise NoIdentity(found) from None
            raise
        if told is None:
            raise NoIdentity(f"does not hold block {height}, which tells its network")
        shown, expected = read_header(told[0]).header, self._pin.hash or self.shown_hash
        if shown.height != height:
            raise NoIdentity(f"answers block {height}, which tells its network, with block {shown.height}")
        if height == 0 and not shown.hash.endswith(self._suffix):
            raise WrongNetwork(
                f"has a genesis block whose id ends with {shown.hash[-4:].hex()}, not {self._suffix.hex()}"
            )
        if expected is not None and shown.hash != expected:
            raise WrongNetwork(f"has at height {height} the block {shown.hash.hex()}, not {expected.hex()}")
        return shown.hash


def _plan_older(wanted: str | None) -> tuple[str, dict[str, object]]:
    """What asked for a block before there was `getblock`."""
    if wanted is None:
        return "getnowblock", {}
    return (
        ("getblockbynum", {"num": int(wanted)}) if len(wanted) < 64 else ("getblockbyid", {"value": wanted})
    )


async def ask_together(asks: Sequence[Awaitable[T]]) -> list[T]:
    """All of these at once; raises the first's error, in their order, that had one."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_as_outcome(one)) for one in asks]
    found: list[T] = []
    for outcome in [task.result() for task in tasks]:
        if isinstance(outcome, ChainError):
            raise outcome
        found.append(outcome)
    return found


async def _as_outcome(ask: Awaitable[T]) -> T | ChainError:
    try:
        return await ask
    except ChainError as error:
        return error
