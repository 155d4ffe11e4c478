"""How the answers of one chain are read: its coin, its asset, and the headers that later ones follow from.

Made once from a chain's traits and shared by its providers: what is kept is known by its hash, whoever showed it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from chains.bitcoin.coins import Coin
from chains.bitcoin.facts import coin_of
from chains.bitcoin.rows.blocks import BlockHeader
from chains.bitcoin.verify.work import compute_work
from chains.model import AssetId, BlockHash, BlockRef, Header
from chains.traits import ChainTraits

HEADERS_KEPT = 4_096
"""Two periods of Bitcoin: a few hundred bytes each."""


@dataclass(slots=True)
class KnownHeaders:
    """Headers whose work was checked, by their hash as computed; the longest unused are forgotten first."""

    _by_hash: OrderedDict[bytes, BlockHeader] = field(default_factory=OrderedDict)

    def keep(self, header: BlockHeader) -> None:
        """Remember a header whose work was checked."""
        self._by_hash[header.hash] = header
        self._by_hash.move_to_end(header.hash)
        if len(self._by_hash) > HEADERS_KEPT:
            self._by_hash.popitem(last=False)

    def find(self, block_hash: bytes) -> BlockHeader | None:
        """The header of this hash, as computed."""
        return self._by_hash.get(block_hash)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers of one chain are read; shared by its providers."""

    coin: Coin
    asset: AssetId
    known: KnownHeaders = field(default_factory=KnownHeaders)


def compute_reading(traits: ChainTraits) -> Reading:
    """How a chain's answers are read, from its traits."""
    return Reading(coin_of(traits.chain), traits.native.asset_id)


def place_header(header: BlockHeader, height: int) -> Header:
    """A header at its height, as the port has it."""
    work = compute_work(header.bits)
    assert work is not None, "the work of a header was checked before it is placed"
    return Header(
        height=height,
        hash=BlockHash(header.hash[::-1]),
        parent=BlockRef(height - 1, BlockHash(header.parent_hash[::-1])),
        time_s=header.time_s,
        work=work,
    )
