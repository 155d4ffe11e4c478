"""Blocks of this family made from nothing, with real work of the least difficulty.

Lives here: bytes as a node would write them, a coinbase that commits to witnesses, work of another chain. Does not live
here: reading them, which is what is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from chains.bitcoin.coins import COINS, Coin
from chains.bitcoin.verify.auxiliary import MARK
from chains.bitcoin.verify.work import compute_work_hash, expand_bits

EASY_BITS = 0x207FFFFF
REGTEST = COINS["bitcoin-regtest"]
EASY_LITECOIN = replace(COINS["litecoin"], limit_bits=EASY_BITS)
EASY_DOGECOIN = replace(COINS["dogecoin"], limit_bits=EASY_BITS)
RESERVED = bytes(32)


def twice(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def length(count: int) -> bytes:
    if count < 0xFD:
        return bytes([count])
    return b"\xfd" + count.to_bytes(2, "little") if count < 1 << 16 else b"\xfe" + count.to_bytes(4, "little")


def text(data: bytes) -> bytes:
    return length(len(data)) + data


def output(value: int, script: bytes) -> bytes:
    return value.to_bytes(8, "little") + text(script)


@dataclass(frozen=True)
class Tx:
    """A transaction to be written."""

    inputs: tuple[tuple[bytes, bytes], ...]
    outputs: tuple[bytes, ...]
    witnesses: tuple[tuple[bytes, ...], ...] = ()
    is_extension: bool = False

    @property
    def body(self) -> bytes:
        spent = b"".join(outpoint + text(script) + b"\xff\xff\xff\xff" for outpoint, script in self.inputs)
        return length(len(self.inputs)) + spent + length(len(self.outputs)) + b"".join(self.outputs)

    @property
    def bare(self) -> bytes:
        return b"\2\0\0\0" + self.body + bytes(4)

    @property
    def id(self) -> bytes:
        return twice(self.bare)

    def _witnessed(self, flags: int, tail: bytes) -> bytes:
        stacks = b"".join(length(len(items)) + b"".join(map(text, items)) for items in self.witnesses)
        return b"\2\0\0\0\0" + bytes([flags]) + self.body + stacks + tail + bytes(4)

    @property
    def raw(self) -> bytes:
        flags = bool(self.witnesses) + 8 * self.is_extension
        return self._witnessed(flags, b"\0" if self.is_extension else b"") if flags else self.bare

    @property
    def full_id(self) -> bytes:
        return twice(self._witnessed(1, b"")) if self.witnesses else self.id


def outpoint(name: str, index: int = 0) -> bytes:
    return sha256(name.encode()).digest() + index.to_bytes(4, "little")


def pay(*outputs: tuple[int, bytes], spends: str = "coin", witness: bool = False) -> Tx:
    written = tuple(output(value, script) for value, script in outputs)
    witnesses = ((b"signature", b"key"),) if witness else ()
    return Tx(((outpoint(spends), b"" if witness else b"\1s"),), written, witnesses)


def root_of(leaves: Sequence[bytes]) -> bytes:
    level = list(leaves)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [twice(level[place] + level[place + 1]) for place in range(0, len(level), 2)]
    return level[0]


def coinbase_for(txs: Sequence[Tx], *, commits: bool, script: bytes = b"\3abc") -> Tx:
    outputs = [output(50, b"\x51")]
    if commits:
        root = root_of([bytes(32), *(tx.full_id for tx in txs)])
        outputs.append(output(0, bytes.fromhex("6a24aa21a9ed") + twice(root + RESERVED)))
    return Tx(((bytes(32) + b"\xff" * 4, script),), tuple(outputs), ((RESERVED,),) if commits else ())


def header(
    parent: bytes, root: bytes, *, version: int = 0x20000000, bits: int = EASY_BITS, nonce: int = 0
) -> bytes:
    fields = (version.to_bytes(4, "little"), parent, root, (1_700_000_000).to_bytes(4, "little"))
    return b"".join(fields) + bits.to_bytes(4, "little") + nonce.to_bytes(4, "little")


def work(
    coin: Coin, parent: bytes, root: bytes, *, version: int = 0x20000000, bits: int = EASY_BITS
) -> bytes:
    """A header whose work is done."""
    target = expand_bits(bits)
    assert target is not None
    return next(
        made
        for nonce in range(1 << 20)
        if compute_work_hash(coin, made := header(parent, root, version=version, bits=bits, nonce=nonce))
        <= target
    )


def make_block(coin: Coin, *txs: Tx, parent: bytes = bytes(32), extension: bytes = b"") -> bytes:
    """A block with a coinbase before these."""
    witnessed = any(tx.witnesses for tx in txs)
    everything = [coinbase_for(txs, commits=witnessed), *txs]
    made = work(coin, parent, root_of([tx.id for tx in everything]))
    return made + length(len(everything)) + b"".join(tx.raw for tx in everything) + extension


def name_block(root: bytes) -> bytes:
    """How another chain's coinbase names a block."""
    return MARK + root + (1).to_bytes(4, "little") + bytes(4)


def make_merged(
    coin: Coin, *txs: Tx, script: Callable[[bytes], bytes] = name_block, merge_id: int | None = None
) -> bytes:
    """A block whose work another chain did, naming it in its coinbase by `script`."""
    everything = [coinbase_for(txs, commits=False), *txs]
    number = coin.merge_id if merge_id is None else merge_id
    assert number is not None
    own = header(bytes(32), root_of([tx.id for tx in everything]), version=number << 16 | 0x100 | 2)
    named = b"\3xyz" + script(twice(own)[::-1])
    naming = Tx(((bytes(32) + b"\xff" * 4, named),), (output(25, b"\x51"),))
    theirs = work(coin, bytes(32), root_of([naming.id, OTHER.id]), version=1)
    aux = naming.raw + bytes(32) + b"\1" + OTHER.id + bytes(4) + b"\0" + bytes(4) + theirs
    return own + aux + length(len(everything)) + b"".join(tx.raw for tx in everything)


OTHER = pay((7, b"\x52"), spends="other chain")
"""What stands beside the coinbase in the other chain's block."""
