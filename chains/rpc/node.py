"""One endpoint whose network is proven: before an answer is used, and again after it came.

A connection made meanwhile may lead to another machine, and a node may be
replaced behind a proxy that keeps ours.  What shows a network is the family's
to ask (`_identify`); when it is asked, and whom an error names, is here.
`JsonRpcNode` is one that takes calls in batches.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from chains.errors import ChainError, name_provider
from chains.model import BlockHash, BlockRef
from chains.rpc.batches import Batches
from chains.rpc.jsonrpc import Call, Reply
from chains.rpc.meter import CallMeter
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport

IDENTITY_MAX_AGE_S: Final = 120.0
"""How long an identity is believed on one connection; who shows another branch is asked at once."""

T = TypeVar("T")


@dataclass(slots=True)
class NetworkPin:
    """The network every node of a chain must serve, shared among them.

    `identity` names a block that tells it, where the operator chose another
    than block 0.  While `genesis_hash` is None a node is held to what it
    showed itself: the first to answer must not decide for the others.
    """

    identity: BlockRef | None = None
    genesis_hash: BlockHash | None = None

    @property
    def height(self) -> int:
        """The height of the block that is compared."""
        return 0 if self.identity is None else self.identity.height

    @property
    def hash(self) -> BlockHash | None:
        """What it must be: as configured, else as pinned."""
        return self.genesis_hash if self.identity is None else self.identity.hash


@dataclass(frozen=True, slots=True)
class Access:
    """The way to one endpoint: what it is called, who runs it, its connections, and what may be asked of it."""

    name: str
    operator: str
    transport: HttpTransport
    budget: Budget = field(default_factory=Budget)
    pin: NetworkPin = field(default_factory=NetworkPin)
    clock: Callable[[], float] = time.monotonic


class ProvenNode(ABC):
    """One endpoint, shared by the head's and the backfill's view of it.

    `shown_hash` is what it last showed as telling its network.
    """

    def __init__(self, access: Access) -> None:
        self.name = access.name
        self.operator = access.operator
        self.budget = access.budget
        self.clock = access.clock
        self.shown_hash: BlockHash | None = None
        self._pin = access.pin
        self._transport = access.transport
        self._identified_on: int | None = None
        self._identified_at_s = 0.0
        self._identity_lock = asyncio.Lock()

    @property
    @abstractmethod
    def meter(self) -> CallMeter:
        """What it is asked, counted as it is billed."""

    @abstractmethod
    async def _identify(self, priority: Priority, *, patient: bool) -> BlockHash:
        """Ask what shows its network, and check it against the pin; gives the hash that tells the network.

        Raises `WrongNetwork`, and what keeps the node from answering.
        """

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def fetch_network_id(self, priority: Priority) -> BlockHash:
        """The hash of the block that tells its network; asked anew."""
        self.forget_identity()
        await self._ensure_identity(priority)
        assert self.shown_hash is not None, "an identified node has shown its network"
        return self.shown_hash

    def forget_identity(self) -> None:
        """Ask the node again who it is before its next answer is used."""
        self._identified_on = None

    async def prove(self, ask: Callable[[], Awaitable[T]], priority: Priority, *, patient: bool = False) -> T:
        """What `ask` gives, all of it from this node on its proven network; its errors name the node."""
        try:
            await self._ensure_identity(priority, patient=patient)
            found = await ask()
            await self._ensure_identity(priority, patient=patient)
        except ChainError as error:
            self.forget_identity()
            raise self._name(error) from None
        return found

    @property
    def _is_same_connection(self) -> bool:
        """Whether it was identified on the connection that is open now."""
        return self._identified_on == self._transport.connections_opened

    def _name(self, error: ChainError) -> ChainError:
        if not error.provider:
            error.detail = self._transport.redact(error.detail)
        return name_provider(error, self.name)

    async def _ensure_identity(self, priority: Priority, *, patient: bool = False) -> None:
        if self._is_identified():
            return
        async with self._identity_lock:
            if self._is_identified():
                return
            self.shown_hash = await self._identify(priority, patient=patient)
            self._identified_on = self._transport.connections_opened
            self._identified_at_s = self.clock()

    def _is_identified(self) -> bool:
        age_s = self.clock() - self._identified_at_s
        return self._is_same_connection and age_s < IDENTITY_MAX_AGE_S


class JsonRpcNode(ProvenNode):
    """A node that takes JSON-RPC calls, in batches as large as it takes them."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.batches = Batches(access.transport, access.budget, clock=access.clock)

    @property
    def meter(self) -> CallMeter:
        return self.batches.meter

    async def ask(
        self,
        calls: Sequence[Call],
        priority: Priority,
        *,
        deadline_s: float | None = None,
        patient: bool = False,
    ) -> list[Reply]:
        """One outcome a call, all from this node on its proven network.

        Raises what made every exchange fail; refusals of single calls are
        outcomes.  How calls are split, and what `patient` is, say `Batches`.
        """
        outcomes = await self.prove(
            lambda: self.batches.ask(calls, priority, deadline_s=deadline_s, patient=patient),
            priority,
            patient=patient,
        )
        for outcome in outcomes:
            if isinstance(outcome, ChainError):
                self._name(outcome)
        return outcomes
