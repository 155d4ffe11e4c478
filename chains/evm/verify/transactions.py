"""Transactions back into the bytes their hashes are taken of.

One function a transaction type, each a line-by-line reading of its source,
gathered into one table a family.  A type without a function cannot be checked
and is reported as such by `block`.  Sources: Yellow Paper 4.3, EIP-2718, 2930,
1559, 4844, 7702; OP stack specs "deposits"; OffchainLabs/go-ethereum arb_types;
scroll-tech/go-ethereum; CIP-64 and CIP-66.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from chains.evm.rows.quantities import read_quantity
from chains.evm.rows.structs import LEGACY_TYPE, Authorization
from chains.evm.verify.fields import AccessEntry, HashedTransaction, Withdrawal
from chains.evm.verify.rlp import (
    EMPTY,
    EMPTY_LIST,
    encode_address,
    encode_data,
    encode_hash,
    encode_list,
    encode_scalar,
    encode_small_scalar,
    list_prefix,
    to_bytes,
)

TransactionCodec = Callable[[HashedTransaction], str]
"""From a transaction to the hex of its envelope.

Raises ValueError on text that is not hex and TypeError on a missing field.
"""


_BARE_V: Final = 27
_PROTECTED_V: Final = 35
"""`v` of a legacy signature: 27 or 28 before EIP-155, 35 + 2 * chain id + parity since."""


def _need(text: str | None) -> str:
    if text is None:
        raise TypeError("a field of this transaction type is missing")
    return text


_small = encode_small_scalar
_scalar = encode_scalar


def _signature(transaction: HashedTransaction) -> str:
    parity = transaction.y_parity or transaction.v
    return f"{_small(parity)}{_scalar(transaction.r)}{_scalar(transaction.s)}"


def _typed(kind: str, fields: str) -> str:
    return f"{kind}{list_prefix(len(fields) >> 1)}{fields}"


def _access_list(entries: Sequence[AccessEntry] | None) -> str:
    if not entries:
        return EMPTY_LIST
    parts = []
    for entry in entries:
        keys = encode_list("".join([encode_hash(key) for key in entry.storage_keys]))
        parts.append(encode_list(encode_address(entry.address) + keys))
    return encode_list("".join(parts))


def _authorizations(entries: Sequence[Authorization] | None) -> str:
    if entries is None:
        raise TypeError("a set-code transaction without its authorizations")
    parts = []
    for entry in entries:
        parity = _small(entry.y_parity or entry.v)
        head = f"{_small(entry.chain_id)}{encode_address(entry.address)}{_small(entry.nonce)}"
        parts.append(encode_list(f"{head}{parity}{_scalar(entry.r)}{_scalar(entry.s)}"))
    return encode_list("".join(parts))


def _legacy_fields(transaction: HashedTransaction) -> str:
    t = transaction
    return (
        f"{_small(t.nonce)}{_small(t.gas_price)}{_small(t.gas)}{encode_address(t.to)}"
        f"{_scalar(t.value)}{encode_data(_need(t.input))}"
    )


def _access_list_fields(transaction: HashedTransaction) -> str:
    t = transaction
    return (
        f"{_small(t.chain_id)}{_small(t.nonce)}{_small(t.gas_price)}{_small(t.gas)}"
        f"{encode_address(t.to)}{_scalar(t.value)}{encode_data(_need(t.input))}{_access_list(t.access_list)}"
    )


def _fee_market_fields(transaction: HashedTransaction) -> str:
    t = transaction
    return (
        f"{_small(t.chain_id)}{_small(t.nonce)}{_small(t.max_priority_fee_per_gas)}"
        f"{_small(t.max_fee_per_gas)}{_small(t.gas)}{encode_address(t.to)}"
        f"{_scalar(t.value)}{encode_data(_need(t.input))}{_access_list(t.access_list)}"
    )


def _blob_fields(transaction: HashedTransaction) -> str:
    hashes = transaction.blob_versioned_hashes
    if hashes is None:
        raise TypeError("a blob transaction without its hashes")
    versioned = encode_list("".join([encode_hash(item) for item in hashes]))
    return f"{_fee_market_fields(transaction)}{_scalar(transaction.max_fee_per_blob_gas)}{versioned}"


def _set_code_fields(transaction: HashedTransaction) -> str:
    return f"{_fee_market_fields(transaction)}{_authorizations(transaction.authorization_list)}"


def _celo_token_fee_fields(transaction: HashedTransaction) -> str:
    return f"{_fee_market_fields(transaction)}{encode_address(transaction.fee_currency)}"


def _celo_denominated_fields(transaction: HashedTransaction) -> str:
    t = transaction
    return f"{_celo_token_fee_fields(t)}{_small(t.max_fee_in_fee_currency)}"


SIGNED_FIELDS: Final[Mapping[str, TransactionCodec]] = MappingProxyType(
    {
        LEGACY_TYPE: _legacy_fields,
        "0x1": _access_list_fields,
        "0x2": _fee_market_fields,
        "0x3": _blob_fields,
        "0x4": _set_code_fields,
        "0x7a": _celo_denominated_fields,
        "0x7b": _celo_token_fee_fields,
    }
)
"""What a sender signs, of every type that has a signature: all fields before it, joined."""


def _legacy(transaction: HashedTransaction) -> str:
    t = transaction
    return encode_list(f"{_legacy_fields(t)}{_small(t.v)}{_scalar(t.r)}{_scalar(t.s)}")


def _signed(kind: str) -> TransactionCodec:
    """The codec of a typed transaction: its fields, then its signature."""
    fields, prefix = SIGNED_FIELDS[kind], f"{int(kind, 16):02x}"
    return lambda transaction: _typed(prefix, f"{fields(transaction)}{_signature(transaction)}")


def _op_deposit_type(transaction: HashedTransaction) -> str:
    t = transaction
    mint = EMPTY if t.mint is None else _scalar(t.mint)
    system = "01" if t.is_system_tx else EMPTY
    return _typed(
        "7e",
        f"{encode_hash(_need(t.source_hash))}{encode_address(_need(t.sender))}{encode_address(t.to)}"
        f"{mint}{_scalar(t.value)}{_small(t.gas)}{system}{encode_data(_need(t.input))}",
    )


def _scroll_message_type(transaction: HashedTransaction) -> str:
    t = transaction
    sender = t.message_sender or t.sender
    if sender.lower() != t.sender.lower():
        raise ValueError("a message from two senders")
    return _typed(
        "7e",
        f"{_small(t.queue_index)}{_small(t.gas)}{encode_address(t.to)}{_scalar(t.value)}"
        f"{encode_data(_need(t.input))}{encode_address(sender)}",
    )


def _arbitrum_fee_cap(transaction: HashedTransaction) -> str:
    return _small(transaction.max_fee_per_gas or transaction.gas_price)


def _arbitrum_deposit_type(transaction: HashedTransaction) -> str:
    t = transaction
    return _typed(
        "64",
        f"{_small(t.chain_id)}{encode_hash(_need(t.request_id))}{encode_address(_need(t.sender))}"
        f"{encode_address(_need(t.to))}{_scalar(t.value)}",
    )


def _arbitrum_unsigned_type(transaction: HashedTransaction) -> str:
    t = transaction
    return _typed(
        "65",
        f"{_small(t.chain_id)}{encode_address(_need(t.sender))}{_small(t.nonce)}"
        f"{_arbitrum_fee_cap(t)}{_small(t.gas)}{encode_address(t.to)}{_scalar(t.value)}"
        f"{encode_data(_need(t.input))}",
    )


def _arbitrum_contract_type(transaction: HashedTransaction) -> str:
    t = transaction
    return _typed(
        "66",
        f"{_small(t.chain_id)}{encode_hash(_need(t.request_id))}{encode_address(_need(t.sender))}"
        f"{_arbitrum_fee_cap(t)}{_small(t.gas)}{encode_address(t.to)}{_scalar(t.value)}"
        f"{encode_data(_need(t.input))}",
    )


def _arbitrum_retry_type(transaction: HashedTransaction) -> str:
    t = transaction
    return _typed(
        "68",
        f"{_small(t.chain_id)}{_small(t.nonce)}{encode_address(_need(t.sender))}"
        f"{_arbitrum_fee_cap(t)}{_small(t.gas)}{encode_address(t.to)}{_scalar(t.value)}"
        f"{encode_data(_need(t.input))}{encode_hash(_need(t.ticket_id))}{encode_address(_need(t.refund_to))}"
        f"{_scalar(t.max_refund)}{_scalar(t.submission_fee_refund)}",
    )


def _arbitrum_submit_type(transaction: HashedTransaction) -> str:
    t = transaction
    return _typed(
        "69",
        f"{_small(t.chain_id)}{encode_hash(_need(t.request_id))}{encode_address(_need(t.sender))}"
        f"{_scalar(t.l1_base_fee)}{_scalar(t.deposit_value)}{_arbitrum_fee_cap(t)}{_small(t.gas)}"
        f"{encode_address(t.retry_to)}{_scalar(t.retry_value)}{encode_address(_need(t.beneficiary))}"
        f"{_scalar(t.max_submission_fee)}{encode_address(_need(t.refund_to))}"
        f"{encode_data(_need(t.retry_data))}",
    )


def _arbitrum_internal_type(transaction: HashedTransaction) -> str:
    t = transaction
    return _typed("6a", f"{_small(t.chain_id)}{encode_data(_need(t.input))}")


ETHEREUM_CODECS: Final[Mapping[str, TransactionCodec]] = MappingProxyType(
    {
        LEGACY_TYPE: _legacy,
        "0x1": _signed("0x1"),
        "0x2": _signed("0x2"),
        "0x3": _signed("0x3"),
        "0x4": _signed("0x4"),
    }
)

OP_CODECS: Final[Mapping[str, TransactionCodec]] = MappingProxyType(
    {**ETHEREUM_CODECS, "0x7e": _op_deposit_type}
)

CELO_CODECS: Final[Mapping[str, TransactionCodec]] = MappingProxyType(
    {**OP_CODECS, "0x7a": _signed("0x7a"), "0x7b": _signed("0x7b")}
)

SCROLL_CODECS: Final[Mapping[str, TransactionCodec]] = MappingProxyType(
    {**ETHEREUM_CODECS, "0x7e": _scroll_message_type}
)

ARBITRUM_CODECS: Final[Mapping[str, TransactionCodec]] = MappingProxyType(
    {
        **ETHEREUM_CODECS,
        "0x64": _arbitrum_deposit_type,
        "0x65": _arbitrum_unsigned_type,
        "0x66": _arbitrum_contract_type,
        "0x68": _arbitrum_retry_type,
        "0x69": _arbitrum_submit_type,
        "0x6a": _arbitrum_internal_type,
    }
)


def encode_signing_payload(transaction: HashedTransaction) -> tuple[bytes, int]:
    """What the sender signed, and the parity of the signature (EIP-155, EIP-2718).

    Raises ValueError for a type without a signature, TypeError where one is missing.
    """
    kind = transaction.type or LEGACY_TYPE
    fields = SIGNED_FIELDS.get(kind)
    if fields is None:
        raise ValueError("a type without a signature")
    encoded = fields(transaction)
    if kind != LEGACY_TYPE:
        payload = to_bytes(_typed(f"{int(kind, 16):02x}", encoded))
        return payload, read_quantity(_need(transaction.y_parity or transaction.v))
    v = read_quantity(_need(transaction.v))
    if v < _PROTECTED_V:
        return to_bytes(encode_list(encoded)), v - _BARE_V
    chain_number, parity = divmod(v - _PROTECTED_V, 2)
    return to_bytes(encode_list(f"{encoded}{encode_scalar(hex(chain_number))}{EMPTY}{EMPTY}")), parity


def encode_transaction(codec: TransactionCodec, transaction: HashedTransaction) -> bytes:
    """The envelope a transaction's hash is taken of and the trie holds."""
    return to_bytes(codec(transaction))


def encode_withdrawal(withdrawal: Withdrawal) -> bytes:
    """One item of the withdrawals trie (EIP-4895)."""
    w = withdrawal
    return to_bytes(
        encode_list(
            f"{_scalar(w.index)}{_scalar(w.validator_index)}{encode_address(w.address)}{_scalar(w.amount)}"
        )
    )
