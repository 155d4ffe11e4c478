"""One node of this family: what shows its network and version, and how large its blocks are.

Sending, and when the network is proven, is `chains.rpc.node`; a node of a
version that is known to have believed false blocks is refused with it.  What to
ask is `provider` and `blocks`.
"""

from __future__ import annotations

from chains.bitcoin.coins import COINS, Coin
from chains.bitcoin.nodes.answers import NetworkInfo, read_answer, read_hash
from chains.errors import Refused, WrongNetwork
from chains.model import BlockHash, BlockRef
from chains.rpc.jsonrpc import Call, Reply
from chains.rpc.node import Access, JsonRpcNode
from chains.rpc.throttle import Priority

BELIEVED_FALSE = "have believed false blocks"

_GENESIS = Call("getblockhash", (0,))
_VERSION = Call("getnetworkinfo")


class BitcoinNode(JsonRpcNode):
    """One endpoint, shared by the head's and the backfill's view of it.

    Block 0 tells its network; an identity block that the operator named must
    be there besides, as networks of one block 0 can be told apart by it.
    """

    def __init__(self, access: Access, coin: Coin) -> None:
        super().__init__(access)
        self.block_bytes_usual = 1024.0 * 1024
        self._coin = coin

    def note_size(self, block_bytes: int) -> None:
        """Learn how large blocks are: quick to believe in larger ones, slow to believe in smaller ones."""
        weight = 0.5 if block_bytes > self.block_bytes_usual else 0.05
        self.block_bytes_usual += weight * (block_bytes - self.block_bytes_usual)

    async def _identify(self, priority: Priority, *, patient: bool) -> BlockHash:
        identity, version_min = self._pin.identity, self._coin.node_version_min
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
        return BlockHash(self._coin.genesis_hash)

    def _check_genesis(self, outcome: Reply) -> None:
        shown = read_hash(read_answer(outcome, str, "hash of block 0"), "block 0")
        coin = self._coin
        if shown != coin.genesis_hash:
            other = next((one.name for one in COINS.values() if one.genesis_hash == shown), "another network")
            raise WrongNetwork(f"serves {other}, not {coin.name}: its block 0 is {shown.hex()}")
        if self._pin.genesis_hash not in {None, shown}:
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
        raise Refused(f"runs version {version}: nodes below {version_min} {BELIEVED_FALSE}; upgrade it")
