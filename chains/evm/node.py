"""One EVM endpoint: its connections, budget, abilities and proven identity.

`ask` sends calls in batches the node can take and gives one outcome a call;
before and after, the node proves that it serves the pinned network.  What to
ask and what the answers mean is `chains.evm.provider`; who is asked is
`chains.evm.source`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec import Raw

from chains.errors import ChainError, Inconsistent, Refused, Throttled, WrongNetwork
from chains.evm.rows import decode_header, encode_word, parse_quantity
from chains.model import BlockHash
from chains.rpc.jsonrpc import Call, Outcome, decode_batch, encode_batch, expect_result, is_null
from chains.rpc.refusals import NoBatches, TooLarge
from chains.rpc.throttle import Budget, Lane
from chains.rpc.transport import HttpTransport

BATCH_CALLS_MAX = 100
"""Geth's own default limit is 1,000; hosted nodes allow 100 or fewer."""

WIDEN_AFTER_BATCHES = 200
"""One refusal may have been a bad day; one in so many batches costs nothing."""

IDENTITY_MAX_AGE_S = 60.0
"""How long an identity is believed on one connection without asking again."""


class ReceiptsForm(StrEnum):
    """How a node gives the receipts of a block; learnt at the first refusal."""

    BY_HASH = "eth_getBlockReceipts(hash)"
    BY_OBJECT = "eth_getBlockReceipts({blockHash})"
    BY_TRANSACTION = "eth_getTransactionReceipt"


@dataclass(slots=True)
class Abilities:
    """What a node turned out to be able to do."""

    batch_calls_max: int = BATCH_CALLS_MAX
    receipts: ReceiptsForm = ReceiptsForm.BY_HASH
    state_by_hash: bool = True
    block_bytes_usual: float = 256 * 1024
    full_batches_taken: int = 0

    def narrow(self, calls_max: int) -> None:
        """The node, or our own limit, refused a batch larger than this."""
        self.batch_calls_max = max(1, calls_max)
        self.full_batches_taken = 0

    def note_taken(self, calls_count: int) -> None:
        """A batch went through; after many full ones a larger one is tried again."""
        if calls_count < self.batch_calls_max or self.batch_calls_max >= BATCH_CALLS_MAX:
            return
        self.full_batches_taken += 1
        if self.full_batches_taken >= WIDEN_AFTER_BATCHES:
            self.batch_calls_max = min(BATCH_CALLS_MAX, 2 * self.batch_calls_max)
            self.full_batches_taken = 0


@dataclass(slots=True)
class NetworkPin:
    """The network every node of a chain must serve, shared among them.

    While `genesis_hash` is None a node is held to what it showed itself: the
    first to answer must not decide for the others.
    """

    chain_number: int
    genesis_hash: BlockHash | None = None


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
        self._transport = transport
        self._clock = clock
        self._genesis_hash: BlockHash | None = None
        self._identified_on: int | None = None
        self._identified_at = 0.0
        self._identity_lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def ask(
        self, calls: Sequence[Call], lane: Lane, *, deadline_s: float | None = None
    ) -> list[Outcome]:
        """One outcome a call, all from this node on its proven network.

        Raises what made the whole exchange fail; refusals of single calls are
        outcomes.  Batches are split where the node or our limits ask for it.
        """
        try:
            await self._ensure_identity(lane)
            outcomes = await self._ask_in_parts(calls, lane, deadline_s)
            # A connection made meanwhile may lead to another machine.
            await self._ensure_identity(lane)
        except ChainError as error:
            self.forget_identity()
            raise name_provider(error, self.name) from None
        for outcome in outcomes:
            if isinstance(outcome, ChainError):
                name_provider(outcome, self.name)
        return outcomes

    async def fetch_genesis_hash(self, lane: Lane) -> BlockHash:
        """The hash of block 0, asked anew."""
        self.forget_identity()
        await self._ensure_identity(lane)
        assert self._genesis_hash is not None, "an identified node has said its genesis"
        return self._genesis_hash

    def forget_identity(self) -> None:
        """Ask the node again who it is before its next answer is used."""
        self._identified_on = None

    def check_chain_number(self, raw: Raw) -> None:
        """Compare an `eth_chainId` answer with the pin; raises `WrongNetwork`."""
        number = parse_quantity(_decode_text(raw))
        if number != self.pin.chain_number:
            self.forget_identity()
            raise WrongNetwork(f"serves chain {number}, not {self.pin.chain_number}", provider=self.name)

    async def _ask_in_parts(
        self, calls: Sequence[Call], lane: Lane, deadline_s: float | None = None
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        position = 0
        while position < len(calls):
            size = min(self.abilities.batch_calls_max, self.budget.batch_calls_max)
            part = calls[position : position + size]
            try:
                outcomes += await self._ask_once(part, lane, deadline_s)
            except (NoBatches, TooLarge) as error:
                if len(part) == 1:
                    raise
                self.abilities.narrow(1 if isinstance(error, NoBatches) else len(part) // 2)
                continue
            self.abilities.note_taken(len(part))
            position += len(part)
        return outcomes

    async def _ask_once(self, calls: Sequence[Call], lane: Lane, deadline_s: float | None) -> list[Outcome]:
        body = encode_batch(calls)
        async with self.budget.admit(lane, len(calls)):
            began = self._clock()
            try:
                answer = await self._transport.post(body, deadline_s=deadline_s)
                outcomes = decode_batch(answer, calls)
            except Throttled:
                self.budget.record_throttled()
                raise
            duration_s = self._clock() - began
        throttled = next((one for one in outcomes if isinstance(one, Throttled)), None)
        if throttled is not None:
            self.budget.record_throttled()
            raise throttled
        self.budget.record_success(duration_s, len(calls))
        return outcomes

    async def _ensure_identity(self, lane: Lane) -> None:
        if self._is_identified():
            return
        async with self._identity_lock:
            if self._is_identified():
                return
            chain_id, genesis = await self._ask_in_parts(
                (Call("eth_chainId"), Call("eth_getBlockByNumber", ("0x0", False))), lane
            )
            self.check_chain_number(expect_result(chain_id))
            self._check_genesis(expect_result(genesis))
            self._identified_on = self._transport.connections_opened
            self._identified_at = self._clock()

    def _is_identified(self) -> bool:
        return (
            self._identified_on == self._transport.connections_opened
            and self._clock() - self._identified_at < IDENTITY_MAX_AGE_S
        )

    def _check_genesis(self, raw: Raw) -> None:
        if is_null(raw):
            raise Refused("does not serve its genesis block")
        genesis = decode_header(raw)
        if genesis.height != 0:
            raise Inconsistent(f"answered block 0 with block {genesis.height}")
        expected = self.pin.genesis_hash or self._genesis_hash
        if expected is not None and genesis.hash != expected:
            raise WrongNetwork(
                f"has the genesis block {encode_word(genesis.hash)}, not {encode_word(expected)}"
            )
        self._genesis_hash = genesis.hash


def name_provider(error: ChainError, provider: str) -> ChainError:
    """The same error, saying whose it is."""
    if not error.provider:
        error.provider = provider
        error.args = (f"{provider}: {error.detail}",)
    return error


def _decode_text(raw: Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Inconsistent("not a text where a quantity was due") from None
