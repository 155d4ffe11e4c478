"""How each chain's values are written, for every chain the database has ever followed.

Lives here: `Faces`, kept from configuration and database together, so that a deposit of a chain or token that is
configured no more can still be shown. Does not live here: the spelling itself (chains.families), the objects
(indexer.rules.events).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from chains.families import family_of, rules_of
from chains.model import Asset, AssetId, ChainId
from chains.traits import Family
from gateway.config.settings import ChainSettings
from indexer.move.desk import build_naming
from indexer.rules.events import Naming
from indexer.settings import FollowSettings
from migrations.ids import encode_id


@dataclass(frozen=True, slots=True)
class Face:
    """One chain: its family, its spelling, and its configuration if it has one."""

    chain: ChainId
    alias: str
    family: Family
    naming: Naming
    follow: FollowSettings | None


@dataclass(frozen=True, slots=True)
class KnownChain:
    """What the database remembers of a chain: its alias, and every asset that was ever listed."""

    chain: ChainId
    alias: str
    assets: tuple[Asset, ...]


LoadKnown = Callable[[], Awaitable[Iterable[KnownChain]]]


class Faces:
    """Every chain by CAIP-2 id and by alias; the database is asked again about one that is not known."""

    def __init__(self, configured: Mapping[str, ChainSettings], load_known: LoadKnown) -> None:
        self._follow = {one.follow.traits.chain: one.follow for one in configured.values()}
        self._load_known = load_known
        self._faces: dict[ChainId, Face] = {}

    async def refresh(self) -> None:
        """Read what the database remembers."""
        known = {one.chain: one for one in await self._load_known()}
        faces: dict[ChainId, Face] = {}
        for chain, follow in self._follow.items():
            former = known[chain].assets if chain in known else ()
            naming = build_naming(follow, former)
            faces[chain] = Face(chain, follow.traits.alias, follow.traits.family, naming, follow)
        for chain, one in known.items():
            if chain not in faces:
                face = _face_of_former(one)
                if face is not None:
                    faces[chain] = face
        self._faces = faces

    @property
    def configured(self) -> list[Face]:
        """The chains this process was told about, in the order of the file."""
        return [face for face in self._faces.values() if face.follow is not None]

    @property
    def all(self) -> list[Face]:
        """Every chain."""
        return list(self._faces.values())

    def find(self, text: str) -> Face | None:
        """A chain by alias or CAIP-2 id."""
        for face in self._faces.values():
            if text in (face.alias, face.chain):
                return face
        return None

    async def of(self, chain: ChainId, asset: AssetId | None = None) -> Face:
        """The face of a chain that stands in a row of the database."""
        face = self._faces.get(chain)
        if face is None or (asset is not None and asset not in face.naming.assets):
            await self.refresh()
        return self._faces[chain]


def _face_of_former(known: KnownChain) -> Face | None:
    family = family_of(known.chain)
    if family is None:
        return None
    naming = Naming(
        chain=known.chain,
        alias=known.alias,
        assets={asset.asset_id: asset for asset in known.assets},
        encode_id=encode_id,
        address_text=partial(rules_of(family).format_address, known.chain),
        tx_hash_text=rules_of(family).format_tx_hash,
        block_hash_text=rules_of(family).format_block_hash,
    )
    return Face(known.chain, known.alias, family, naming, None)
