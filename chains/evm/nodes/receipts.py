"""The receipts of one node's blocks, in whatever way it gives them today.

All receipts of a block in one call is the better way.  Where that is refused,
for any reason, while the block itself is there, each transaction's receipt is
asked for; the better way is tried again after a pause that grows.  Receipts
are looked at like any others afterwards: `consistency` and the verifier do not
know which way they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Raw

from chains.errors import ChainError, Inconsistent, Missing, Refused
from chains.evm.rows.consistency import ConsistencyRules
from chains.evm.rows.structs import RawBlock, RawReceipts, compute_header, decode_receipt, decode_receipts
from chains.evm.verify.hashing import compute_keccak
from chains.rpc.jsonrpc import Call, Reply, expect_result, is_null
from chains.rpc.refusals import UnknownMethod
from chains.rpc.throttle import Priority

if TYPE_CHECKING:
    from chains.evm.nodes.node import EvmNode

PAUSES_DOUBLED_MAX = 12
"""The better way is tried again after 1, 2, 4 … 4,096 blocks: one call in so many costs nothing."""

PAUSES_DOUBLED_WHEN_REFUSED = 6
"""A clear no is not asked about again for 64 blocks; what may be a bad moment, for one."""

KEPT_RECEIPTS_MAX = 20_000
STATE_SYNC_PREFIX = b"matic-bor-receipt-"
"""Polygon's bridge transactions are in no list; their hash is keccak(prefix, height, block hash)."""


class ReceiptsForm(StrEnum):
    """How a node gives the receipts of a block."""

    BY_HASH = "eth_getBlockReceipts(hash)"
    BY_OBJECT = "eth_getBlockReceipts({blockHash})"
    BY_TRANSACTION = "eth_getTransactionReceipt"


@dataclass(slots=True)
class ReceiptsWay:
    """What a node turned out to give, and what it gave before a window broke off."""

    form: ReceiptsForm = ReceiptsForm.BY_HASH
    refusals: int = 0
    last_refusal: str = ""
    broken_by: ChainError | None = None
    blocks_until_retry: int = 0
    kept: dict[str, Raw] = field(default_factory=dict)

    def choose_form(self) -> ReceiptsForm:
        """How to ask for the next block's."""
        return ReceiptsForm.BY_TRANSACTION if self.blocks_until_retry > 0 else self.form

    def note_broken(self, error: ChainError) -> None:
        """A window broke off whole, for what was asked in it or for the weather: the second time the next goes without."""
        if self.broken_by is not None or self.refusals > 0:
            self.blocks_until_retry = 1
        self.broken_by = error

    def note_refused(self, refusal: ChainError) -> None:
        """All at once was refused while the block is there, and one by one worked."""
        self.broken_by = None
        if isinstance(refusal, UnknownMethod):
            self.refusals = PAUSES_DOUBLED_MAX
        elif isinstance(refusal, Refused) and not isinstance(refusal, Missing):
            self.refusals = max(self.refusals, PAUSES_DOUBLED_WHEN_REFUSED)
        self.refusals = min(self.refusals, PAUSES_DOUBLED_MAX) + 1
        self.last_refusal = refusal.detail
        self.blocks_until_retry = 1 << (self.refusals - 1)

    def note_given(self) -> None:
        """All at once went through."""
        self.broken_by = None
        self.refusals = self.blocks_until_retry = 0
        self.last_refusal = ""

    def note_block_by_transaction(self) -> None:
        """A block was read one by one: the next try of the better way is one block nearer."""
        self.blocks_until_retry = max(0, self.blocks_until_retry - 1)

    def keep(self, held: dict[str, Raw]) -> None:
        """Hold what a window had when it broke off: its next try asks for the rest only."""
        if len(self.kept) + len(held) > KEPT_RECEIPTS_MAX:
            self.kept.clear()
        self.kept.update(list(held.items())[:KEPT_RECEIPTS_MAX])


def receipts_call(form: ReceiptsForm, reference: str, *, by_hash: bool) -> Call:
    """All receipts of a block, named by hash or by height."""
    as_object = by_hash and form is ReceiptsForm.BY_OBJECT
    return Call("eth_getBlockReceipts", ({"blockHash": reference} if as_object else reference,))


def is_without_receipts(rules: ConsistencyRules, block: RawBlock) -> bool:
    """Whether the only receipts that could be right are none at all.

    Then nothing can hide behind a refusal: the header's roots are held against
    the empty list as they would be against an answered one.
    """
    return not block.transactions and rules.receipts_beyond_max == 0


def read_receipts(outcome: Reply, block: RawBlock) -> RawReceipts | ChainError:
    """The receipts of a block in one answer, or why they must be asked for otherwise."""
    if isinstance(outcome, ChainError):
        return outcome
    if is_null(outcome):
        return Missing(f"does not hold the receipts of block {block.hash}")
    try:
        receipts = decode_receipts(outcome)
    except Inconsistent as error:
        return error
    # A list that is cut somewhere is no lie: nothing of it is used, and each receipt is asked for.
    if len(receipts) < len(block.transactions):
        return Missing(f"{len(receipts)} receipts for {len(block.transactions)} transactions of {block.hash}")
    block.receipts_raw = (outcome,)
    return receipts


async def fetch_one_by_one(
    node: EvmNode, priority: Priority, rules: ConsistencyRules, blocks: Sequence[RawBlock]
) -> list[RawReceipts]:
    """Each transaction's receipt, for every block; raises `Missing` where one is not held."""
    way = node.abilities.receipts
    optional: set[str] = set()
    wanted: dict[str, str] = {}
    for block in blocks:
        names = _list_hashes(rules, block)
        optional.update(names[len(block.transactions) :])
        wanted.update((_key_of(name, block), name) for name in names)
    held = {key: way.kept.pop(key) for key in wanted if key in way.kept}
    try:
        to_ask = [(key, name) for key, name in wanted.items() if key not in held]
        # The first alone: a node that lags on receipts lags on each of them.
        size = 1 if way.refusals == 0 else node.batch_calls_max
        while to_ask:
            part, to_ask = to_ask[:size], to_ask[size:]
            size = node.batch_calls_max
            calls = [Call("eth_getTransactionReceipt", (name,)) for _, name in part]
            for (key, name), outcome in zip(part, await node.ask(calls, priority, patient=True), strict=True):
                raw = expect_result(outcome)
                if is_null(raw) and name not in optional:
                    raise Missing(f"does not hold the receipt of {name}")
                # A copy: the answer it stands in may be megabytes long.
                held[key] = Raw(bytes(raw))
    except ChainError:
        way.keep(held)
        raise
    rows = []
    for block in blocks:
        raws = [held[_key_of(name, block)] for name in _list_hashes(rules, block)]
        block.receipts_raw = tuple(raw for raw in raws if not is_null(raw))
        receipts = [decode_receipt(raw) for raw in block.receipts_raw]
        moved = next((one for one in receipts if one.block_hash.lower() != block.hash.lower()), None)
        if moved is not None:  # a reorganisation between two calls is no lie
            raise Missing(f"holds {moved.transaction_hash[:66]} in another block than {block.hash}")
        rows.append(receipts)
    return rows


def is_form_refused(outcome: ChainError) -> bool:
    """Whether the block's hash was wanted in another shape."""
    return type(outcome) is Refused and "-32602" in outcome.detail


def _key_of(tx_hash: str, block: RawBlock) -> str:
    return tx_hash + block.hash


def _list_hashes(rules: ConsistencyRules, block: RawBlock) -> list[str]:
    """The transactions whose receipts a block may have: those it lists, then a bridge's that it does not."""
    listed = [transaction.hash for transaction in block.transactions]
    if rules.receipts_beyond_max == 0:
        return listed
    header = compute_header(block)
    bridge = "0x" + compute_keccak(STATE_SYNC_PREFIX + header.height.to_bytes(8, "big") + header.hash).hex()
    return listed if listed and listed[-1] == bridge else [*listed, bridge]
