"""Is this block what its id says, and did a witness sign it?  Pure.

The id covers the header, its root the transactions with their results, and a
super representative's key signed the header.  The logs of contracts and what
contracts sent on are in no header.  Who is scheduled is `schedule`, asked of
the same node.  Sources: java-tron `BlockCapsule`, `MerkleTree`, `SignUtils`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from coincurve import PublicKey
from sha3 import keccak_256

from chains.errors import Inconsistent
from chains.model import Address, Doubt
from chains.tron.address import lengthen
from chains.tron.rows.blocks import RawBlock, Transaction, TronHeader, read_strange_tails
from chains.tron.rows.wire import encode_bytes
from chains.tron.verify.checks import OLDER_SCHEDULE, UNTOLD_SCHEDULE, UNWRITABLE_RESULT

EMPTY_ROOT: Final = bytes(32)
SIGNATURE_BYTES: Final = 65
RECOVERY_BASE: Final = 27
"""What old signatures add to the number of the key."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who may sign between two maintenances, as one node told it; times are Unix milliseconds.

    `keys` are the keys that sign for a witness where it is not its own.
    """

    from_ms: int
    until_ms: int
    witnesses: frozenset[Address]
    keys: dict[Address, Address] = field(default_factory=dict)

    def covers(self, time_ms: int) -> bool:
        """Whether it was in force at this time."""
        return self.from_ms <= time_ms < self.until_ms


def compute_root(leaves: Sequence[bytes]) -> bytes:
    """The root of hashes: one without a neighbour goes up as it is, and of nothing it is zeros."""
    level = list(leaves)
    while len(level) > 1:
        pairs = [sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0] if level else EMPTY_ROOT


def recover_signer(header: TronHeader) -> Address | None:
    """Whose key signed the header; None for a signature that nobody made."""
    signature = header.signature
    if len(signature) != SIGNATURE_BYTES:
        return None
    parity = signature[64] - RECOVERY_BASE if signature[64] >= RECOVERY_BASE else signature[64]
    if parity not in {0, 1}:
        return None
    try:
        key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([parity]), sha256(header.raw).digest(), hasher=None
        )
    except Exception:  # noqa: BLE001  # coincurve raises a bare Exception
        return None
    return lengthen(keccak_256(key.format(compressed=False)[1:]).digest()[12:])


def compute_branch(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes beside the way from the one at `index` to the root; none where it goes up as it is."""
    level, beside = list(leaves), list[bytes]()
    while len(level) > 1:
        if index ^ 1 < len(level):
            beside.append(level[index ^ 1])
        pairs = [sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
        index >>= 1
    return tuple(beside)


def check_root(
    header: TronHeader, block: RawBlock, transactions: Sequence[Transaction], content: bytes
) -> list[Doubt]:
    """Raise `Inconsistent` unless these are the transactions and results of the header's root, all of them.

    `content` is the answer they were read from: fields that nobody knows are looked for in it only where the root does not
    come out without them.
    """
    return [UNWRITABLE_RESULT] if encode_bodies(header, block, transactions, content) is None else []


def encode_bodies(
    header: TronHeader, block: RawBlock, transactions: Sequence[Transaction], content: bytes
) -> list[bytes] | None:
    """The bytes whose hashes are the leaves of the header's root, all of them in their order; None where one cannot be written.

    Raises `Inconsistent` where they do not give the root; `content` as for `check_root`.
    """
    bodies = [None if one.tail is None else encode_bytes(1, one.raw) + one.tail for one in transactions]
    written = _list_written(bodies)
    if written is not None and _fits(header, written):
        return written
    strange = read_strange_tails(content)
    if len(strange) == len(bodies):
        bodies = [None if a is None or b is None else a + b for a, b in zip(bodies, strange, strict=True)]
        written = _list_written(bodies)
        if written is not None and _fits(header, written):
            return written
    if written is None:
        return None
    count = len(block.transactions)
    raise Inconsistent(f"the {count} transactions of {header.header.hash.hex()} do not give its root")


def _list_written(bodies: Sequence[bytes | None]) -> list[bytes] | None:
    written = [body for body in bodies if body is not None]
    return written if len(written) == len(bodies) else None


def _fits(header: TronHeader, bodies: Sequence[bytes]) -> bool:
    return compute_root([sha256(body).digest() for body in bodies]) == (header.root or EMPTY_ROOT)


def check_witness(header: TronHeader, schedule: Schedule | None) -> list[Doubt]:
    """Raise `Inconsistent` unless a scheduled witness signed; the first block of a chain nobody signs.

    A witness of today cannot have signed an older block for anybody else either, so one that it signed is taken.  Of an
    older block that another signed nothing is known but that.
    """
    if header.header.height == 0:
        return []
    shown, signer, witness = header.header.hash.hex(), recover_signer(header), Address(header.witness)
    if signer is None:
        raise Inconsistent(f"block {shown} is signed by nobody")
    if schedule is None:
        return [UNTOLD_SCHEDULE]
    is_signed = signer in {witness, schedule.keys.get(witness, witness)}
    if is_signed and witness in schedule.witnesses:
        return []
    if not schedule.covers(header.time_ms):
        return [OLDER_SCHEDULE]
    if not is_signed:
        raise Inconsistent(f"block {shown} is not signed by the witness it names")
    raise Inconsistent(f"block {shown} is signed by {witness.hex()}, which is not scheduled")
