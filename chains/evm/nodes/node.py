"""One EVM endpoint: what shows its network, and what it turned out to be able to do.

Sending, and when the network is proven, is `chains.rpc.node`.  What to ask and
what the answers mean is `chains.evm.provider`; who is asked is `chains.evm.source`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Raw

from chains.errors import ChainError, Inconsistent, NoIdentity, Throttled, Unreachable, WrongNetwork
from chains.evm.nodes.ahead import AskedAhead
from chains.evm.nodes.receipts import ReceiptsWay
from chains.evm.rows.structs import decode_header, encode_word, parse_quantity
from chains.model import BlockHash
from chains.rpc.jsonrpc import Call, Reply, expect_result, is_null
from chains.rpc.node import Access, JsonRpcNode
from chains.rpc.throttle import Priority

SHARE_WEIGHT: Final = 1 / 16
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


class EvmNode(JsonRpcNode):
    """One endpoint of the chain with this number (EIP-155), shared by the head's and the backfill's view of it."""

    def __init__(self, access: Access, chain_number: int) -> None:
        super().__init__(access)
        self.abilities = Abilities()
        self.ahead = AskedAhead()
        self.head_height = -1
        self._chain_number = chain_number

    @property
    def batch_calls_max(self) -> int:
        """How many calls it takes at once, as far as is known."""
        return min(self.batches.size.calls_max, self.budget.batch_calls_max)

    async def _identify(self, priority: Priority, *, patient: bool) -> BlockHash:
        """On an old connection by its number alone; a fork has our genesis too, so the number is asked again."""
        calls = [Call("eth_chainId")]
        if self.shown_hash is None or not self._is_same_connection:
            calls.append(Call("eth_getBlockByNumber", (hex(self._pin.height), False)))
        chain_id, *genesis = await self.batches.ask(calls, priority, patient=patient)
        number = _decode_number(expect_result(chain_id))
        if number != self._chain_number:
            raise WrongNetwork(f"serves chain {number}, not {self._chain_number}", provider=self.name)
        for outcome in genesis:
            self.shown_hash = self._check_genesis(outcome)
        assert self.shown_hash is not None, "it was shown on this connection"
        return self.shown_hash

    def _check_genesis(self, outcome: Reply) -> BlockHash:
        height = self._pin.height
        if isinstance(outcome, Unreachable | Throttled | Inconsistent):
            raise outcome
        if isinstance(outcome, ChainError):
            raise NoIdentity(f"does not serve block {height}, which tells its network: {outcome.detail}")
        if is_null(outcome):
            raise NoIdentity(f"does not hold block {height}, which tells its network")
        shown = decode_header(outcome)
        if shown.height != height:
            raise NoIdentity(f"answers block {height}, which tells its network, with block {shown.height}")
        expected = self._pin.hash or self.shown_hash
        if expected is not None and shown.hash != expected:
            what = "the genesis block" if height == 0 else f"at height {height} the block"
            raise WrongNetwork(f"has {what} {encode_word(shown.hash)}, not {encode_word(expected)}")
        return shown.hash


def _decode_number(raw: Raw) -> int:
    """A quantity, as hex text or, as some write it, as a number."""
    try:
        found = msgspec.json.decode(raw, type=str | int)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Inconsistent("not a quantity where its chain id was due") from None
    return found if isinstance(found, int) else parse_quantity(found)
