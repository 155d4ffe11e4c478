"""The one list of networks that are known by name: a page of data each.

A page is a TOML file in `chains/<family>/networks`; this module reads it strictly
and makes `ChainTraits` of it, with the defaults and the caveats that stand
beside them.  Keys that one family has are read by it (`FamilyRules.facts`).
Overriding facts is configuration, in the gateway; the table people read is
`docs/chains.md`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec
from msgspec import Struct

from chains.families import rules_of
from chains.family import FamilyRules
from chains.model import Address, Asset, AssetId, ChainId
from chains.traits import ChainTraits, Family, FinalAtDepth, FinalByTag, FinalityRule

_ALIAS: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_WORD: Final = re.compile(r"[a-z0-9_.]+")


class CatalogueInvalid(ValueError):
    """A page of the catalogue is wrong; says which file and which key."""


class TokenStatus(StrEnum):
    """Whether a token is looked for by default.

    `LEGACY` tokens are known and named, and looked for only where the operator
    lists them: crediting a superseded contract has emptied shops.
    """

    ACTIVE = "active"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class CatalogueToken:
    """A token contract as the catalogue knows it; `flags` are stable words about its behaviour."""

    asset: Asset
    name: str
    issuance: str
    status: TokenStatus
    flags: tuple[str, ...]


class Seen(StrEnum):
    """The most that tests of this program have read of a network."""

    BLOCK = "block"
    HEADER = "header"
    NODE = "node"
    """A node of it, run here, as networks of one's own are."""

    NOTHING = "nothing"
    """Its rules are those of its family, and no block of its own has shown that: the first that is followed does."""


@dataclass(frozen=True, slots=True)
class DefaultConfirmed:
    """When a deposit counts as confirmed unless the operator says otherwise: exactly one is set."""

    confirmations: int | None = None
    finality: Literal["safe", "final"] | None = None


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One network: its traits, the defaults of its policy, and what to know about it.

    `traits.assets` are the active ones of `tokens`.  `final_after_s` is how
    long finality usually takes, `final_late_after_s` when it is late; None
    where nobody measured it.  `seen` says what of the network this program has
    read.
    """

    name: str
    aliases: tuple[str, ...]
    traits: ChainTraits
    confirmed: DefaultConfirmed
    tokens: tuple[CatalogueToken, ...]
    testnet: bool
    final_after_s: float | None
    final_late_after_s: float | None
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    seen: Seen


class _Native(Struct, forbid_unknown_fields=True):
    symbol: str
    decimals: int
    slip44: int


class _Depth(Struct, forbid_unknown_fields=True):
    confirmations: int


class _Confirmed(Struct, forbid_unknown_fields=True):
    confirmations: int | None = None
    finality: Literal["safe", "final"] | None = None


class _Token(Struct, forbid_unknown_fields=True):
    symbol: str
    name: str
    contract: str
    decimals: int
    issuance: str
    status: TokenStatus
    flags: list[str] = []


class _Page(Struct):
    """The keys of one file that every family has, all of them required but the three with a default."""

    name: str
    alias: str
    other_aliases: list[str]
    testnet: bool
    native: _Native
    block_time_s: float
    final: Literal["finalized"] | _Depth
    reorg_window_blocks: int
    confirmed: _Confirmed
    notes: list[str]
    sources: list[str]
    seen: Seen
    final_after_s: float | None = None
    final_late_after_s: float | None = None
    tokens: list[_Token] = []


def entry(alias: str) -> CatalogueEntry | None:
    """The network of that name or other name, with `traits.alias` as asked; None when unknown."""
    found = _load().get(alias)
    if found is None or found.traits.alias == alias:
        return found
    return replace(found, traits=replace(found.traits, alias=alias))


def entry_of(chain: ChainId) -> CatalogueEntry | None:
    """The network of that CAIP-2 id, whatever an operator calls it; None when it is not in the catalogue."""
    return next((found for found in entries() if found.traits.chain == chain), None)


def aliases() -> tuple[str, ...]:
    """Every name that `entry` knows, sorted."""
    return tuple(sorted(_load()))


@cache
def entries() -> tuple[CatalogueEntry, ...]:
    """Each network once, main networks first, then by chain; numbers ascend."""
    once = {found.traits.alias: found for found in _load().values()}.values()
    return tuple(sorted(once, key=lambda found: (found.testnet, *_place(found.traits.chain))))


def _place(chain: ChainId) -> tuple[str, int, str]:
    """Sorts by namespace, and references that are numbers by their value."""
    namespace, _, reference = chain.partition(":")
    return namespace, len(reference), reference


@cache
def _load() -> Mapping[str, CatalogueEntry]:
    pages = [
        (family, page)
        for family in Family
        for page in files(f"chains.{family}").joinpath("networks").iterdir()
        if page.name.endswith(".toml")
    ]
    pages.sort(key=lambda found: (found[0], found[1].name))
    return index_entries(
        parse_page(family, page.name, page.read_text(encoding="utf-8")) for family, page in pages
    )


def index_entries(found: Iterable[CatalogueEntry]) -> Mapping[str, CatalogueEntry]:
    """By every alias; raises `CatalogueInvalid` when two networks share a name or are one chain."""
    by_alias: dict[str, CatalogueEntry] = {}
    names: dict[ChainId, str] = {}
    for item in found:
        for alias in item.aliases:
            if alias in by_alias:
                raise CatalogueInvalid(f"{alias} names both {by_alias[alias].name} and {item.name}")
            by_alias[alias] = item
        chain = item.traits.chain
        if chain in names:
            raise CatalogueInvalid(f"{names[chain]} and {item.name} are both {chain}")
        names[chain] = item.name
    return by_alias


def parse_page(family: Family, file_name: str, text: str) -> CatalogueEntry:
    """One page; raises `CatalogueInvalid` naming the file and the key."""
    try:
        values = tomllib.loads(text)
        page = msgspec.convert(values, _Page)
        own = {name: value for name, value in values.items() if name not in _Page.__struct_fields__}
        return _build_entry(family, page, own, file_name)
    except (ValueError, msgspec.ValidationError) as error:
        raise CatalogueInvalid(f"{file_name}: {error}") from None


def _build_entry(family: Family, page: _Page, own: Mapping[str, object], file_name: str) -> CatalogueEntry:
    rules = rules_of(family)
    names = (page.alias, *page.other_aliases)
    for name in names:
        _require(_ALIAS.fullmatch(name) is not None, f"aliases: {name!r} is no alias")
    chain, facts = rules.facts.parse_page(own, [token.contract for token in page.tokens])
    contracts = [_parse_contract(rules, chain, token.contract) for token in page.tokens]
    _require(len(set(contracts)) == len(contracts), "tokens: a contract is listed twice")
    expected = f"{chain.partition(':')[2]}-{page.alias}.toml"
    _require(file_name == expected, f"alias: the file is not called {expected}")
    _require(0 < page.block_time_s <= 86_400, "block_time_s: not a block time")
    _require(page.reorg_window_blocks >= 1, "reorg_window_blocks: not positive")
    _require(bool(page.sources), "sources: facts need a source")
    _require(page.native.slip44 >= 0 and 0 <= page.native.decimals <= 77, "native: out of range")
    tokens = tuple(
        _build_token(f"{chain}/{rules.name_contract(contract)}", token, contract)
        for token, contract in zip(page.tokens, contracts, strict=True)
    )
    native = AssetId(f"{chain}/slip44:{page.native.slip44}")
    traits = ChainTraits(
        chain=chain,
        alias=page.alias,
        family=family,
        native=Asset(native, page.native.symbol, page.native.decimals, None),
        assets=tuple(token.asset for token in tokens if token.status is TokenStatus.ACTIVE),
        block_time_s=page.block_time_s,
        finality=_build_finality(page.final),
        reorg_window_blocks=page.reorg_window_blocks,
        facts=facts,
    )
    _require(
        page.confirmed.finality != "safe" or rules.facts.tells_safe(traits),
        "confirmed.finality: `safe` means nothing on this chain",
    )
    return CatalogueEntry(
        name=page.name,
        aliases=names,
        traits=traits,
        confirmed=_build_confirmed(page),
        tokens=tokens,
        testnet=page.testnet,
        final_after_s=page.final_after_s,
        final_late_after_s=page.final_late_after_s,
        notes=tuple(page.notes),
        sources=tuple(page.sources),
        seen=page.seen,
    )


def _build_finality(rule: Literal["finalized"] | _Depth) -> FinalityRule:
    if isinstance(rule, _Depth):
        _require(rule.confirmations >= 1, "final.confirmations: not positive")
        return FinalAtDepth(rule.confirmations)
    return FinalByTag()


def _build_confirmed(page: _Page) -> DefaultConfirmed:
    rule = page.confirmed
    _require((rule.confirmations is None) != (rule.finality is None), "confirmed: exactly one key is wanted")
    _require(rule.confirmations is None or rule.confirmations >= 1, "confirmed.confirmations: not positive")
    return DefaultConfirmed(rule.confirmations, rule.finality)


def _build_token(asset_id: str, token: _Token, contract: Address) -> CatalogueToken:
    _require(0 <= token.decimals <= 77, f"tokens.decimals: {token.decimals} is out of range")
    _require(0 < len(token.symbol) <= 32 and token.symbol.isprintable(), "tokens.symbol: not printable")
    for word in (token.issuance, *token.flags):
        _require(_WORD.fullmatch(word) is not None, f"tokens: {word!r} is not a word of a-z, 0-9, _ and .")
    asset = Asset(AssetId(asset_id), token.symbol, token.decimals, contract)
    return CatalogueToken(asset, token.name, token.issuance, token.status, tuple(token.flags))


def _parse_contract(rules: FamilyRules, chain: ChainId, text: str) -> Address:
    """An address as the family shows it, checksum and all; the catalogue accepts no other spelling."""
    try:
        address = rules.parse_contract(text)
    except ValueError as error:
        raise CatalogueInvalid(f"tokens.contract: {text}: {error}") from None
    _require(
        rules.format_address(chain, address) == text,
        f"tokens.contract: {text} is not written with its checksum",
    )
    return address


def _require(condition: bool, complaint: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise CatalogueInvalid(complaint)
