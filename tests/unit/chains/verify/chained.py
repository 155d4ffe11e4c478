"""
A chain of made blocks of any network: each upon the one before, none like another, and what they pay whom.

Here: where a block stands and which parts it holds. How a network's parts look is `networks`, how they become a block
`made`; a node that serves such a chain is `tests/devnet/made_node.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from chains.evm.facts import change_facts
from chains.evm.verify import PROFILES
from chains.traits import ChainTraits
from tests.unit.chains.verify.made import NOWHERE, PAYEE, Part, append, log, place, seal, unsigned
from tests.unit.chains.verify.networks import FAMILIES, LEGACY_HEADER, Maker, bridging, polygon, traits_of
from tests.unit.chains.verify.recorded import Rows, hex_data, keccak

Place = Mapping[str, str]
"""What of a header says where in a chain a block stands; nothing of it where one stands alone."""

ALONE: Place = {}
BEFORE_MADHUGIRI = "0x2faf080"
BLOCK_TIME_S = 2
SETTLES_AFTER = 3

Sealed = tuple[Rows, list[Rows]]
"""A block and its receipts."""


def seal_family(
    make: Maker, where: Place = ALONE, *, bridges: bool = False, is_quiet: bool = False
) -> Sealed:
    """A block of a network that is hashed; a quiet one holds only what the protocol itself puts there."""
    header, parts = (bridging if bridges else FAMILIES[make.traits.alias])(make)
    header = {**LEGACY_HEADER, **header, **where}
    settles = "settledHeight" in header
    if settles:
        header["settledHeight"] = hex(max(int(header["number"], 16) - SETTLES_AFTER, 0))
    if is_quiet:
        parts = [one for one in parts[:1] if one.row["type"] == "0x6a" or "isSystemTx" in one.row]
    return seal(make.profile, header, parts, settles=settles)


def seal_hidden(
    make: Maker,
    where: Place = ALONE,
    *,
    is_listed: bool = True,
    is_alone: bool = False,
    is_quiet: bool = False,
) -> Sealed:
    """Before Madhugiri: a bridge transaction that no root covers, listed or by its receipt only, or alone in its block."""
    header, parts = polygon(make)
    header = {**LEGACY_HEADER, **header, "number": BEFORE_MADHUGIRI, **where}
    block, receipts = seal(make.profile, header, [] if is_alone or is_quiet else parts, settles=False)
    if is_quiet:
        return block, receipts
    height = int(block["number"], 16).to_bytes(8, "big")
    name = keccak(b"matic-bor-receipt-" + height + bytes.fromhex(block["hash"][2:]))
    row = unsigned(
        PROFILES["full"], "0x0", **{"from": "0x" + "00" * 20, "to": "0x" + "00" * 20, "gas": "0x0"}
    )
    synced = Part({**row, "hash": hex_data(name)}, b"", (make.token_log(45),))
    append(block, receipts, synced, is_listed=is_listed)
    return block, receipts


def seal_zksync(make: Maker, where: Place = ALONE, *, is_quiet: bool = False) -> Sealed:
    """Hashes and roots are not Ethereum's, 0x71 and 0xff are types of its own, and fees log of 0x…800A."""
    donor = replace(make, traits=change_facts(make.traits, verification_profile="full"))
    fee = log("0x000000000000000000000000000000000000800a", PAYEE, 3)
    parts = [*donor.plain(), donor.signed("0x2", fee, value="0x5", nonce="0x10")]
    block, receipts = seal(
        donor.profile, {**LEGACY_HEADER, **where}, [] if is_quiet else parts, settles=False
    )
    for at, kind in () if is_quiet else ((0, "0xff"), (5, "0x71")):
        block["transactions"][at]["type"] = receipts[at]["type"] = kind
    block |= {"transactionsRoot": NOWHERE, "receiptsRoot": NOWHERE, "l1BatchNumber": "0x1"}
    block["hash"] = hash_zksync(block)
    place(block, receipts)
    return block, receipts


def hash_zksync(block: Rows) -> str:
    """Over the number, the time, the parent and one transaction's name after the other (its SystemContext)."""
    rolling = bytes(32)
    for row in block["transactions"]:
        rolling = keccak(rolling + bytes.fromhex(row["hash"][2:]))
    numbers = b"".join(int(block[name], 16).to_bytes(32, "big") for name in ("number", "timestamp"))
    return hex_data(keccak(numbers + bytes.fromhex(block["parentHash"][2:]) + rolling))


Shape = Callable[..., Sealed]
"""Makes a block of one kind: of a maker, at a place, quiet or not."""

BRIDGING: dict[str, Shape] = {
    "bridging": partial(seal_family, bridges=True),
    "hidden bridging": seal_hidden,
    "unlisted bridging": partial(seal_hidden, is_listed=False),
    "bridging alone": partial(seal_hidden, is_alone=True),
}

SHAPES: dict[str, tuple[str, Shape]] = {
    **{alias: (alias, seal_family) for alias in FAMILIES},
    **{
        f"{alias}, {name}": (alias, shape)
        for name, shape in BRIDGING.items()
        for alias in ("polygon", "polygon-amoy")
    },
    "zksync": ("zksync", seal_zksync),
}
"""Every kind of block that is made, by the name of its sample, and of which network."""


@dataclass(slots=True)
class MadeChain:
    """Makes the blocks of one chain; no two are the same, and no transaction is made twice but where it is asked for."""

    traits: ChainTraits
    shape: Shape
    batches_count: int = 0
    blocks_count: int = 0

    def genesis(self) -> Rows:
        """Block 0."""
        return self.shape(Maker(self.traits), {"number": "0x0", "parentHash": NOWHERE}, is_quiet=True)[0]

    def first(self) -> Sealed:
        """The lowest block of the chain that anybody keeps."""
        return self.shape(Maker(self.traits), is_quiet=True)

    def pay(self, parent: Rows, batch: int | None = None) -> Sealed:
        """A block of what happens on this network, of new transactions or once more of those of a batch."""
        if batch is None:
            self.batches_count += 1
            batch = self.batches_count
        return self.shape(Maker(self.traits, batch), self._upon(parent))

    def rest(self, parent: Rows) -> Sealed:
        """A block in which nobody does anything."""
        return self.shape(Maker(self.traits, NOBODY + self.blocks_count), self._upon(parent), is_quiet=True)

    def _upon(self, parent: Rows) -> Place:
        self.blocks_count += 1
        return {
            "parentHash": parent["hash"],
            "number": hex(int(parent["number"], 16) + 1),
            "timestamp": hex(int(LEGACY_HEADER["timestamp"], 16) + BLOCK_TIME_S * self.blocks_count),
            "stateRoot": hex_data(keccak(b"state %d" % self.blocks_count)),
        }


NOBODY = 1 << 12
"""Batches from here on are those of quiet blocks."""


def chain_of(name: str) -> MadeChain:
    """A new chain of blocks of this kind."""
    alias, shape = SHAPES[name]
    return MadeChain(traits_of(alias), shape)
