"""Work: targets, what a block adds, and which target is due.  Pure.

Sources: Bitcoin Core `arith_uint256.cpp` (compact form), `chain.cpp`
(GetBlockProof), `pow.cpp`; Litecoin Core and Dogecoin Core `pow.cpp`,
`dogecoin.cpp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import scrypt
from typing import Final

from chains.bitcoin.coins import Coin, Retargeting, WorkHash
from chains.bitcoin.rows.blocks import hash_twice

PERIOD_BLOCKS: Final = 2016
_SCRYPT_N: Final = 1024


@dataclass(frozen=True, slots=True)
class Placed:
    """What the next target follows from: a header's height, time and bits."""

    height: int
    time_s: int
    bits: int


def expand_bits(bits: int) -> int | None:
    """The target that compact bits spell; None for a negative, a zero, or more than 256 bits."""
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    target = mantissa >> 8 * (3 - exponent) if exponent <= 3 else mantissa << 8 * (exponent - 3)
    if bits & 0x800000 or target == 0 or target >> 256:
        return None
    return target


def compact_target(target: int) -> int:
    """The compact bits of a target, as blocks carry them."""
    size = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & 0x800000:
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def compute_work(bits: int) -> int | None:
    """How many hashes a block of this target stands for on average; None where bits spell none."""
    target = expand_bits(bits)
    return None if target is None else (1 << 256) // (target + 1)


def compute_work_hash(coin: Coin, header: bytes) -> int:
    """The number that must not exceed the target, of a header's eighty bytes."""
    if coin.work_hash is WorkHash.SCRYPT:
        return int.from_bytes(scrypt(header, salt=header, n=_SCRYPT_N, r=1, p=1, dklen=32), "little")
    return int.from_bytes(hash_twice(header), "little")


def list_headers_needed(coin: Coin, height: int) -> tuple[int, ...]:
    """The heights of the headers from which the bits at `height` follow; none where they are not known to."""
    if height == 0 or height < coin.retargets_from:
        return ()
    match coin.retargeting:
        case Retargeting.UNKNOWN:
            return ()
        case Retargeting.EACH_BLOCK:
            return (height - 1, height - 2)
        case _ if height % PERIOD_BLOCKS:
            return (height - 1,)
        case Retargeting.PERIODS_WHOLE if height > PERIOD_BLOCKS:
            return (height - 1, height - PERIOD_BLOCKS - 1)
        case _:
            return (height - 1, height - PERIOD_BLOCKS)


def compute_due_bits(coin: Coin, before: Placed, begin: Placed | None) -> int:
    """The bits that the next block must carry.

    `before` and `begin` are the headers of `list_headers_needed`, in its order.
    """
    if begin is None:
        return before.bits
    limit, last = _expand(coin.limit_bits), _expand(before.bits)
    spent_s = before.time_s - begin.time_s
    if coin.retargeting is Retargeting.EACH_BLOCK:
        wanted_s = coin.spacing_s
        # An eighth of the difference counts, towards zero; bounded by a quarter less and a half more.
        difference_s = spent_s - wanted_s
        eighth_s = abs(difference_s) // 8 * (1 if difference_s >= 0 else -1)
        spent_s = min(max(wanted_s + eighth_s, wanted_s - wanted_s // 4), wanted_s + wanted_s // 2)
    else:
        wanted_s = PERIOD_BLOCKS * coin.spacing_s
        spent_s = min(max(spent_s, wanted_s // 4), wanted_s * 4)
    return compact_target(min(last * spent_s // wanted_s, limit))


def _expand(bits: int) -> int:
    target = expand_bits(bits)
    assert target is not None, "bits of a block that was believed"
    return target
