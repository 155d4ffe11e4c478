"""The fields of a block that its hashes commit to, as nodes spell them.

`chains.evm.rows` holds what decoding needs; these wider structs are decoded
from the same JSON bytes and hold everything that goes into a header hash, a
transaction hash or a withdrawals root.  One subclass a family, so that a field
another family spells differently can never make a block unreadable.  How they
are encoded is `header` and `transactions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field


class AccessEntry(Struct, gc=False, rename="camel"):
    """One address and its storage keys (EIP-2930)."""

    address: str
    storage_keys: list[str]


class Authorization(Struct, gc=False, rename="camel"):
    """One signed delegation (EIP-7702)."""

    chain_id: str
    address: str
    nonce: str
    r: str
    s: str
    y_parity: str | None = None
    v: str | None = None


class HashedTransaction(Struct, gc=False, rename="camel"):
    """A transaction of Ethereum's own types, 0x0 to 0x4."""

    hash: str
    nonce: str
    gas: str
    value: str
    input: str
    type: str | None = None
    to: str | None = None
    sender: str | None = field(name="from", default=None)
    gas_price: str | None = None
    max_priority_fee_per_gas: str | None = None
    max_fee_per_gas: str | None = None
    max_fee_per_blob_gas: str | None = None
    blob_versioned_hashes: list[str] | None = None
    chain_id: str | None = None
    access_list: list[AccessEntry] | None = None
    authorization_list: list[Authorization] | None = None
    v: str | None = None
    r: str | None = None
    s: str | None = None
    y_parity: str | None = None


class OpTransaction(HashedTransaction, gc=False, rename="camel"):
    """The OP stack adds deposits from the parent chain, 0x7e."""

    source_hash: str | None = None
    mint: str | None = None
    is_system_tx: bool | None = None


class CeloTransaction(OpTransaction, gc=False, rename="camel"):
    """Celo adds fees paid in tokens: CIP-64 (0x7b) and CIP-66 (0x7a)."""

    fee_currency: str | None = None
    max_fee_in_fee_currency: str | None = None


class ScrollTransaction(HashedTransaction, gc=False, rename="camel"):
    """Scroll adds messages from the parent chain, 0x7e."""

    queue_index: str | None = None
    message_sender: str | None = field(name="sender", default=None)


class ArbitrumTransaction(HashedTransaction, gc=False, rename="camel"):
    """Arbitrum adds messages from the parent chain and its own, 0x64 to 0x6a."""

    request_id: str | None = None
    ticket_id: str | None = None
    refund_to: str | None = None
    max_refund: str | None = None
    submission_fee_refund: str | None = None
    l1_base_fee: str | None = field(name="l1BaseFee", default=None)
    deposit_value: str | None = None
    retry_to: str | None = None
    retry_value: str | None = None
    retry_data: str | None = None
    beneficiary: str | None = None
    max_submission_fee: str | None = None


class Withdrawal(Struct, gc=False, rename="camel"):
    """One withdrawal from the beacon chain (EIP-4895)."""

    index: str
    validator_index: str
    address: str
    amount: str


class HashedBlock(Struct, gc=False, rename="camel"):
    """A header of Ethereum's own form, and the lists it commits to."""

    parent_hash: str
    sha3_uncles: str
    miner: str
    state_root: str
    transactions_root: str
    receipts_root: str
    logs_bloom: str
    number: str
    gas_limit: str
    gas_used: str
    timestamp: str
    extra_data: str
    transactions: Sequence[HashedTransaction]
    difficulty: str | None = None
    mix_hash: str | None = None
    nonce: str | None = None
    base_fee_per_gas: str | None = None
    withdrawals_root: str | None = None
    blob_gas_used: str | None = None
    excess_blob_gas: str | None = None
    parent_beacon_block_root: str | None = None
    requests_hash: str | None = None
    block_access_list_hash: str | None = None
    slot_number: str | None = None
    withdrawals: list[Withdrawal] | None = None


class OpBlock(HashedBlock, gc=False, rename="camel"):
    """A block of an OP-stack chain."""

    transactions: Sequence[OpTransaction]


class CeloBlock(HashedBlock, gc=False, rename="camel"):
    """A block of Celo as an OP-stack chain."""

    transactions: Sequence[CeloTransaction]


class ScrollBlock(HashedBlock, gc=False, rename="camel"):
    """A block of Scroll."""

    transactions: Sequence[ScrollTransaction]


class ArbitrumBlock(HashedBlock, gc=False, rename="camel"):
    """A block of an Arbitrum Nitro chain."""

    transactions: Sequence[ArbitrumTransaction]


class AvalancheBlock(HashedBlock, gc=False, rename="camel"):
    """The C-Chain commits to its atomic transactions and fee state as well."""

    ext_data_hash: str | None = None
    ext_data_gas_used: str | None = None
    block_gas_cost: str | None = None
    timestamp_milliseconds: str | None = None
    min_delay_excess: str | None = None
    target_exponent: str | None = None
    min_price_exponent: str | None = None
    settled_height: str | None = None
    settled_gas_unix: str | None = None
    settled_gas_numerator: str | None = None
    settled_excess: str | None = None
