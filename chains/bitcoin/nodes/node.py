"""One node of this family: its connections, budget, and its proven network and version.

`ask` gives one outcome a call (`chains.rpc.batches`); before and after, the
node shows that it serves the pinned network, and runs no version that is known
to have believed false blocks.  What to ask is `provider` and `blocks`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chains.bitcoin.coins import COINS, Coin
from chains.bitcoin.nodes.answers import NetworkInfo, read_answer, read_hash
from chains.errors import ChainError, Refused, WrongNetwork, name_provider
from chains.model import BlockHash, BlockRef
from chains.rpc.batches import Batches
from chains.rpc.jsonrpc import Call, Reply
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport

IDENTITY_MAX_AGE_S = 120.0
"""How long an identity is believed on one connection: a node may be replaced behind a proxy that keeps ours."""

_GENESIS = Call("getblockhash", (0,))
_VERSION = Call("getnetworkinfo")


@dataclass(slots=True)
class NetworkPin:
    """The network every node of a chain must serve, shared among them.

    `identity` is another block that must be there, where the operator named
    one: networks of one genesis block can be told apart by it.
    """

    coin: Coin
    identity: BlockRef | None = None
    genesis_hash: BlockHash | None = None


class BitcoinNode:
    """One endpoint, shared by the head's and the backfill's view of it."""

    def __init__(
        self,
        name: str,
        operator: str,
        transport: HttpTransport,
        budget: Budget,
        pin: NetworkPin,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.operator = operator
        self.budget = budget
        self.pin = pin
        self.batches = Batches(transport, budget, clock=clock)
        self.block_bytes_usual = 1024.0 * 1024
        self._transport = transport
        self._clock = clock
        self._identified_on: int | None = None
        self._identified_at = 0.0
        self._identity_lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

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
        try:
            await self._ensure_identity(priority, patient=patient)
            outcomes = await self.batches.ask(calls, priority, deadline_s=deadline_s, patient=patient)
            # A connection made meanwhile may lead to another machine.
            await self._ensure_identity(priority, patient=patient)
        except ChainError as error:
            self.forget_identity()
            raise self._name(error) from None
        for outcome in outcomes:
            if isinstance(outcome, ChainError):
                self._name(outcome)
        return outcomes

    async def fetch_genesis_hash(self, priority: Priority) -> BlockHash:
        """The hash of block 0; asked anew."""
        self.forget_identity()
        await self._ensure_identity(priority)
        return BlockHash(self.pin.coin.genesis_hash)

    def forget_identity(self) -> None:
        """Ask the node again who it is before its next answer is used."""
        self._identified_on = None

    def note_size(self, block_bytes: int) -> None:
        """Learn how large blocks are: quick to believe in larger ones, slow to believe in smaller ones."""
        weight = 0.5 if block_bytes > self.block_bytes_usual else 0.05
        self.block_bytes_usual += weight * (block_bytes - self.block_bytes_usual)

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
            identity, version_min = self.pin.identity, self.pin.coin.node_version_min
            calls = [_GENESIS]
            if identity is not None:
                calls.append(Call("getblockhash", (identity.height,)))
            if version_min:
                calls.append(_VERSION)
            outcomes = await self.batches.ask(calls, priority, patient=patient)
            self._check_genesis(outcomes[0])
            if identity is not None:
                _check_identity(outcomes[1], identity)
            if version_min:
                _check_version(outcomes[-1], version_min)
            self._identified_on = self._transport.connections_opened
            self._identified_at = self._clock()

    def _is_identified(self) -> bool:
        return (
            self._identified_on == self._transport.connections_opened
            and self._clock() - self._identified_at < IDENTITY_MAX_AGE_S
        )

    def _check_genesis(self, outcome: Reply) -> None:
        shown = read_hash(read_answer(outcome, str, "hash of block 0"), "block 0")
        coin = self.pin.coin
        if shown != coin.genesis_hash:
            other = next((one.name for one in COINS.values() if one.genesis_hash == shown), "another network")
            raise WrongNetwork(f"serves {other}, not {coin.name}: its block 0 is {shown.hex()}")
        if self.pin.genesis_hash not in {None, shown}:
            raise WrongNetwork(f"serves {coin.name}, and another network was followed here")


def _check_identity(outcome: Reply, identity: BlockRef) -> None:
    shown = read_hash(read_answer(outcome, str, "hash"), f"block {identity.height}")
    if shown != identity.hash:
        raise WrongNetwork(
            f"has at height {identity.height} the block {shown.hex()}, not {identity.hash.hex()}"
        )


def _check_version(outcome: Reply, version_min: int) -> None:
    version = read_answer(outcome, NetworkInfo, "version").version
    if version < version_min:
        raise Refused(
            f"runs version {version}: nodes below {version_min} have believed false blocks; upgrade it"
        )
