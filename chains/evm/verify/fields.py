"""The fields of a block that its hashes commit to, as nodes spell them.

`chains.evm.rows.structs` holds what decoding needs; these structs add everything else
that goes into a header hash, a transaction hash or a withdrawals root, so that
what is hashed and what is decoded are one value.  Families share them: a field
is hashed only where a type or a layout names it.  How is `header` and
`transactions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from chains.evm.rows.structs import RawBlock, RawTransaction, RawWithdrawal


class AccessEntry(Struct, gc=False, rename="camel"):
    """One address and its storage keys (EIP-2930)."""

    address: str
    storage_keys: list[str]


class HashedTransaction(RawTransaction, gc=False, rename="camel"):
    """A transaction of any type this program can hash."""

    gas: str | None = None
    input: str | None = None
    gas_price: str | None = None
    max_priority_fee_per_gas: str | None = None
    max_fee_per_gas: str | None = None
    max_fee_per_blob_gas: str | None = None
    blob_versioned_hashes: list[str] | None = None
    chain_id: str | None = None
    access_list: list[AccessEntry] | None = None
    v: str | None = None
    r: str | None = None
    s: str | None = None
    y_parity: str | None = None
    # The OP stack's deposits from the parent chain, 0x7e.
    source_hash: str | None = None
    is_system_tx: bool | None = None
    # Celo's fees paid in tokens: CIP-64 (0x7b) and CIP-66 (0x7a).
    fee_currency: str | None = None
    max_fee_in_fee_currency: str | None = None
    # Scroll's messages from the parent chain, 0x7e.
    queue_index: str | None = None
    message_sender: str | None = field(name="sender", default=None)
    # Arbitrum's messages from the parent chain and its own, 0x64 to 0x6a.
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


class Withdrawal(RawWithdrawal, gc=False, rename="camel"):
    """One withdrawal from the beacon chain (EIP-4895)."""

    index: str | None = None
    validator_index: str | None = None


class HashedBlock(RawBlock, gc=False, rename="camel"):
    """A header of any family, and the lists it commits to."""

    transactions: Sequence[HashedTransaction]
    sha3_uncles: str | None = None
    state_root: str | None = None
    receipts_root: str | None = None
    logs_bloom: str | None = None
    gas_limit: str | None = None
    gas_used: str | None = None
    extra_data: str | None = None
    mix_hash: str | None = None
    nonce: str | None = None
    withdrawals_root: str | None = None
    blob_gas_used: str | None = None
    excess_blob_gas: str | None = None
    parent_beacon_block_root: str | None = None
    requests_hash: str | None = None
    block_access_list_hash: str | None = None
    slot_number: str | None = None
    withdrawals: Sequence[Withdrawal] | None = None
    # The C-Chain commits to its atomic transactions and fee state as well.
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
