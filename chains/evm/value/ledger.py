"""A block's native coin, address by address: what came in, went out and was paid in fees.

Pure, and reckoned only when somebody asks: for blocks that paid a watched
address where calls are traced, and for an audit of balances.  Every term that
is not in a block's rows is a doubt beside the sum, never a guess.  Asking for
the balances is `balances`; what a difference means is `indexer.rules.balances`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from msgspec import Struct

from chains.evm.facts import facts_of, number_of
from chains.evm.rows.structs import (
    LEGACY_TYPE,
    RawBlock,
    RawReceipts,
    RawTransaction,
    RawWithdrawal,
    parse_address_row,
    parse_quantity,
)
from chains.evm.value.natives import SIGNED_TYPES, NativeMove, pair_receipts
from chains.evm.value.traces import TracedBlock
from chains.evm.verify.fields import HashedTransaction
from chains.model import Address, NativeChange
from chains.traits import ChainTraits

GWEI = 10**9
ACCESS_LIST_TYPE = "0x1"
BLOB_TYPE = "0x3"

ETHEREUM_NUMBERS = frozenset({1, 11155111, 17000, 560048, 1337, 31337})
"""Ethereum, its test networks, and local nodes that behave like it."""

OP_STACK_PROFILES = frozenset({"op-stack", "optimism"})


class Completeness(Enum):
    """How much of what changes native balances stands in the rows of a chain's blocks.

    Elsewhere balances also change by system calls, bridges and imports that
    are in no transaction (Gnosis, Polygon, Avalanche, Celo, Hyperliquid), so
    nothing may be concluded from a difference.
    """

    ALL = "all"
    ALL_BUT_FEES = "all but fees"
    SOME = "some"


def compute_completeness(traits: ChainTraits) -> Completeness:
    """Which terms are known on a chain; a network nobody described is not trusted to be like Ethereum."""
    if number_of(traits.chain) in ETHEREUM_NUMBERS:
        return Completeness.ALL
    if facts_of(traits).verification_profile in OP_STACK_PROFILES:
        return Completeness.ALL_BUT_FEES
    return Completeness.SOME


class _Fee(Struct, frozen=True, gc=False):
    """One transaction's fee; cumulative gas before and after it, since no hash covers a receipt's own `gasUsed`."""

    transaction: RawTransaction
    gas_before: str | None
    gas_after: str | None

    def price(self, base_fee: int) -> int | None:
        """What a unit of gas cost, by what the sender signed (EIP-1559); None where a row does not say."""
        t = self.transaction
        if not isinstance(t, HashedTransaction) or t.type == BLOB_TYPE:
            # The price of blobs follows from constants that forks change.
            return None
        if t.type in {LEGACY_TYPE, ACCESS_LIST_TYPE}:
            return None if t.gas_price is None else parse_quantity(t.gas_price)
        if t.max_fee_per_gas is None:
            return None
        tip = parse_quantity(t.max_priority_fee_per_gas or "0x0")
        return min(parse_quantity(t.max_fee_per_gas), base_fee + tip)


@dataclass(slots=True)
class EvmLedger:
    """The `NativeLedger` of one EVM block."""

    _completeness: Completeness
    _miner: str | None
    _base_fee: str | None
    _rewards_blocks: bool
    _moves: Sequence[NativeMove]
    _fees: Sequence[_Fee]
    _withdrawals: Sequence[RawWithdrawal]
    _destroyed: frozenset[Address]
    _is_traced: bool
    _changes: Mapping[Address, NativeChange] | None = None

    @property
    def is_traced(self) -> bool:
        return self._is_traced

    def changes(self) -> Mapping[Address, NativeChange]:
        if self._changes is None:
            self._changes = self._compute_changes()
        return self._changes

    def _compute_changes(self) -> dict[Address, NativeChange]:
        sums: dict[Address, int] = {}
        doubts: dict[Address, str] = dict.fromkeys(self._destroyed, "a contract destroyed itself")
        for move in self._moves:
            sums[move.recipient] = sums.get(move.recipient, 0) + move.amount_base_units
            if move.sender is not None:
                sums[move.sender] = sums.get(move.sender, 0) - move.amount_base_units
        self._add_fees(sums, doubts)
        for withdrawal in self._withdrawals:
            address = Address(parse_address_row(withdrawal.address))
            sums[address] = sums.get(address, 0) + parse_quantity(withdrawal.amount) * GWEI
        of_chain = self._doubt_of_chain()
        return {
            address: NativeChange(amount, of_chain or doubts.get(address)) for address, amount in sums.items()
        }

    def _add_fees(self, sums: dict[Address, int], doubts: dict[Address, str]) -> None:
        """Fees leave their payers; the block's recipient of fees gets what is above the base fee."""
        miner = Address(parse_address_row(self._miner)) if self._fees and self._miner else Address(b"")
        base_fee = None if self._base_fee is None else parse_quantity(self._base_fee)
        for fee in self._fees:
            payer = Address(parse_address_row(fee.transaction.sender))
            sums.setdefault(payer, 0)
            sums.setdefault(miner, 0)
            gas_price = None if base_fee is None else fee.price(base_fee)
            is_known = fee.gas_before is not None and fee.gas_after is not None and gas_price is not None
            if self._completeness is not Completeness.ALL or not is_known:
                doubts[payer] = "fees of this chain are not in its rows alone"
                doubts[miner] = "receives the block's fees"
                continue
            assert gas_price is not None
            assert base_fee is not None
            gas_used = parse_quantity(fee.gas_after or "") - parse_quantity(fee.gas_before or "")
            sums[payer] -= gas_used * gas_price
            sums[miner] += gas_used * (gas_price - base_fee)

    def _doubt_of_chain(self) -> str | None:
        if self._rewards_blocks:
            return "blocks of this chain are rewarded"
        if self._completeness is Completeness.SOME:
            return "balances on this chain also change outside of transactions"
        return None


def open_ledger(
    completeness: Completeness,
    block: RawBlock,
    receipts: RawReceipts,
    moves: Sequence[NativeMove],
    trace: TracedBlock | None,
) -> EvmLedger:
    """The ledger of a checked block; `moves` are its own and, with a `trace`, those of inner calls."""
    paired = pair_receipts(block, receipts)
    gas = ["0x0", *(None if receipt is None else receipt.cumulative_gas_used for receipt in paired)]
    fees = [
        _Fee(transaction, gas_before, gas_after)
        for transaction, (gas_before, gas_after) in zip(block.transactions, pairwise(gas), strict=False)
        if transaction.type in SIGNED_TYPES or completeness is Completeness.ALL
    ]
    return EvmLedger(
        _completeness=completeness,
        _miner=block.miner,
        _base_fee=block.base_fee_per_gas,
        _rewards_blocks=parse_quantity(block.difficulty or "0x0") > 0,
        _moves=moves,
        _fees=fees,
        _withdrawals=block.withdrawals or (),
        _destroyed=frozenset() if trace is None else trace.destroyed,
        _is_traced=trace is not None,
    )
