"""Header hashes over a fork-aware list of fields.

A header is fifteen fields and an optional tail that forks have lengthened:
what a block carries decides how far the tail goes.  Layouts are data, one a
family; which layout holds where is `profiles`.  Sources: Yellow Paper 4.4,
EIP-1559, 4895, 4844, 4788, 7685, 7928, 7843; ava-labs/coreth for the C-Chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chains.evm.verify.fields import HashedBlock
from chains.evm.verify.hashing import compute_keccak
from chains.evm.verify.rlp import (
    EMPTY,
    encode_address,
    encode_data,
    encode_hash,
    encode_list,
    encode_scalar,
    to_bytes,
)

HeaderField = tuple[str, Callable[[str], str]]
"""The name of an attribute of the block struct, and how its text is encoded."""


@dataclass(frozen=True, slots=True)
class HeaderLayout:
    """Which fields a header hash covers, in order.

    `tail` fields are absent before the fork that added them; a gap inside the
    tail is an empty string, as in go-ethereum's optional fields.
    """

    fixed: tuple[HeaderField, ...]
    tail: tuple[HeaderField, ...]


_FIXED: Final[tuple[HeaderField, ...]] = (
    ("parent_hash", encode_hash),
    ("sha3_uncles", encode_hash),
    ("miner", encode_address),
    ("state_root", encode_hash),
    ("transactions_root", encode_hash),
    ("receipts_root", encode_hash),
    ("logs_bloom", encode_data),
    ("difficulty", encode_scalar),
    ("number", encode_scalar),
    ("gas_limit", encode_scalar),
    ("gas_used", encode_scalar),
    ("timestamp", encode_scalar),
    ("extra_data", encode_data),
    ("mix_hash", encode_hash),
    ("nonce", encode_data),
)

ETHEREUM_HEADER: Final = HeaderLayout(
    fixed=_FIXED,
    tail=(
        ("base_fee_per_gas", encode_scalar),
        ("withdrawals_root", encode_hash),
        ("blob_gas_used", encode_scalar),
        ("excess_blob_gas", encode_scalar),
        ("parent_beacon_block_root", encode_hash),
        ("requests_hash", encode_hash),
        ("block_access_list_hash", encode_hash),
        ("slot_number", encode_scalar),
    ),
)

AVALANCHE_HEADER: Final = HeaderLayout(
    fixed=(*_FIXED, ("ext_data_hash", encode_hash)),
    tail=(
        ("base_fee_per_gas", encode_scalar),
        ("ext_data_gas_used", encode_scalar),
        ("block_gas_cost", encode_scalar),
        ("blob_gas_used", encode_scalar),
        ("excess_blob_gas", encode_scalar),
        ("parent_beacon_block_root", encode_hash),
        ("timestamp_milliseconds", encode_scalar),
        ("min_delay_excess", encode_scalar),
        ("target_exponent", encode_scalar),
        ("min_price_exponent", encode_scalar),
        ("settled_height", encode_scalar),
        ("settled_gas_unix", encode_scalar),
        ("settled_gas_numerator", encode_scalar),
        ("settled_excess", encode_scalar),
    ),
)


def list_missing_fields(layout: HeaderLayout, block: HashedBlock) -> list[str]:
    """Fixed fields that the answer left out; with any, no hash can be computed."""
    return [name for name, _ in layout.fixed if getattr(block, name) is None]


def compute_header_hash(layout: HeaderLayout, block: HashedBlock) -> bytes:
    """The block hash its header fields give; raises ValueError on text that is not hex."""
    fixed, tail = _encode_fields(layout, block)
    return _hash_fields(fixed, tail)


def find_committed_tail(layout: HeaderLayout, block: HashedBlock, block_hash: bytes) -> int | None:
    """How many tail fields the hash covers when it does not cover them all.

    Some nodes show fields of a later fork that their chain does not hash.
    Every fixed field, the roots among them, is covered whatever the answer;
    None means that no tail fits.
    """
    fixed, tail = _encode_fields(layout, block)
    for length in range(len(tail) - 1, -1, -1):
        if _hash_fields(fixed, tail[:length]) == block_hash:
            return length
    return None


def _encode_fields(layout: HeaderLayout, block: HashedBlock) -> tuple[str, list[str]]:
    fixed = "".join([encode(getattr(block, name)) for name, encode in layout.fixed])
    texts: list[str | None] = [getattr(block, name) for name, _ in layout.tail]
    while texts and texts[-1] is None:
        texts.pop()
    tail = [
        EMPTY if text is None else encode(text) for text, (_, encode) in zip(texts, layout.tail, strict=False)
    ]
    return fixed, tail


def _hash_fields(fixed: str, tail: Sequence[str]) -> bytes:
    return compute_keccak(to_bytes(encode_list(fixed + "".join(tail))))
