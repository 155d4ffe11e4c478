"""One EVM endpoint: its connections, budget, abilities and proven identity.

`ask` gives one outcome a call (`chains.rpc.batches`); before and after, the
node proves that it serves the pinned network.  What to ask and what the
answers mean is `chains.evm.provider`; who is asked is `chains.evm.source`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from chains.errors import (
    ChainError,
    Inconsistent,
    NoIdentity,
    Throttled,
    Unreachable,
    WrongNetwork,
    name_provider,
)
from chains.evm.nodes.ahead import AskedAhead
from chains.evm.nodes.receipts import ReceiptsWay
from chains.evm.rows.structs import decode_header, encode_word, parse_quantity
from chains.model import BlockHash, BlockRef
from chains.rpc.batches import Batches
from chains.rpc.jsonrpc import Call, Reply, expect_result, is_null
from chains.rpc.throttle import Budget, Priority
from chains.rpc.transport import HttpTransport

IDENTITY_MAX_AGE_S = 120.0
"""How long an identity is believed on one connection; then its number is asked again, as a fork has our genesis too.

Who shows another branch is asked at once.
"""

SHARE_WEIGHT = 1 / 16
"""Of one block in the share of those that lately went without receipts."""


@dataclass(slots=True)
class Abilities:
    """What a node turned out to be able to do; how much at once is `Batches`' to know.

    `spared_share` is that of the blocks of its chain that did not need their
    receipts, lately.
    """

    receipts: ReceiptsWay = field(default_factory=ReceiptsWay)
    state_by_hash: bool = True
    block_bytes_usual: float = 256 * 1024
    spared_share: float = 1.0

    def note_spared(self, *, is_spared: bool) -> None:
        """One more block did, or did not, need its receipts."""
        self.spared_share += SHARE_WEIGHT * (is_spared - self.spared_share)


@dataclass(slots=True)
class NetworkPin:
    """The network every node of a chain must serve, shared among them.

    `identity` names the block that tells it, where the operator chose another
    than block 0.  While no hash is known a node is held to what it showed
    itself: the first to answer must not decide for the others.
    """

    chain_number: int
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


class EvmNode:
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
        self.abilities = Abilities()
        self.ahead = AskedAhead()
        self.batches = Batches(transport, budget, clock=clock)
        self.head_height = -1
        self._transport = transport
        self._clock = clock
        self._genesis_hash: BlockHash | None = None
        self._identified_on: int | None = None
        self._identified_at = 0.0
        self._identity_lock = asyncio.Lock()

    @property
    def batch_calls_max(self) -> int:
        """How many calls it takes at once, as far as is known."""
        return min(self.batches.size.calls_max, self.budget.batch_calls_max)

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
        """The hash of the block that tells the network, block 0 unless configured otherwise; asked anew."""
        self.forget_identity()
        await self._ensure_identity(priority)
        assert self._genesis_hash is not None, "an identified node has said its genesis"
        return self._genesis_hash

    def forget_identity(self) -> None:
        """Ask the node again who it is before its next answer is used."""
        self._identified_on = None

    def _check_chain_number(self, raw: Raw) -> None:
        number = _decode_number(raw)
        if number != self.pin.chain_number:
            self.forget_identity()
            raise WrongNetwork(f"serves chain {number}, not {self.pin.chain_number}", provider=self.name)

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
            calls = [Call("eth_chainId")]
            if self._identified_on != self._transport.connections_opened:
                calls.append(Call("eth_getBlockByNumber", (hex(self.pin.height), False)))
            chain_id, *genesis = await self.batches.ask(calls, priority, patient=patient)
            self._check_chain_number(expect_result(chain_id))
            for outcome in genesis:
                self._check_genesis(outcome)
            self._identified_on = self._transport.connections_opened
            self._identified_at = self._clock()

    def _is_identified(self) -> bool:
        return (
            self._identified_on == self._transport.connections_opened
            and self._clock() - self._identified_at < IDENTITY_MAX_AGE_S
        )

    def _check_genesis(self, outcome: Reply) -> None:
        height = self.pin.height
        if isinstance(outcome, Unreachable | Throttled | Inconsistent):
            raise outcome
        if isinstance(outcome, ChainError):
            raise NoIdentity(f"does not serve block {height}, which tells its network: {outcome.detail}")
        if is_null(outcome):
            raise NoIdentity(f"does not hold block {height}, which tells its network")
        shown = decode_header(outcome)
        if shown.height != height:
            raise NoIdentity(f"answers block {height}, which tells its network, with block {shown.height}")
        expected = self.pin.hash or self._genesis_hash
        if expected is not None and shown.hash != expected:
            what = "the genesis block" if height == 0 else f"at height {height} the block"
            raise WrongNetwork(f"has {what} {encode_word(shown.hash)}, not {encode_word(expected)}")
        self._genesis_hash = shown.hash


def _decode_number(raw: Raw) -> int:
    """A quantity, as hex text or, as some write it, as a number."""
    try:
        found = msgspec.json.decode(raw, type=str | int)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Inconsistent("not a quantity where its chain id was due") from None
    return found if isinstance(found, int) else parse_quantity(found)
