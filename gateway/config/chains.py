"""The `[chains.*]` tables: facts of the catalogue, facts and policy of the operator, and whom to ask.

Lives here, pure: one table to `ChainSettings`. A known alias brings its facts and any of them may be overridden, except
which chain it is; an unknown alias says what it is. Does not live here: which keys there are (`shapes`), the facts
themselves (`chains.catalog`), what a held deposit waits for (indexer.rules.deposits).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from msgspec import Struct

from chains import catalog
from chains.catalog import CatalogueEntry, aliases
from chains.families import parse_asset_id, rules_of
from chains.model import Asset, AssetId, BlockRef, ChainId
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits, Family, FinalAtDepth, FinalByTag, FinalityRule
from gateway.config.settings import ChainSettings
from gateway.config.shapes import NEVER, Chain, Rule, Token
from gateway.config.table import Table, meant
from indexer.follow.pace import BATCH_FROM_S
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings

FINALITY_DELAYED_AFTER_S = 1_800.0

Limits = dict[AssetId, int | None]
"""Above so many base units of an asset no deposit rests on one operator's word; None is no limit."""


def build_chain(alias: str, table: Chain) -> ChainSettings | None:
    """One chain's settings; None, with flaws added, where they can not be made."""
    entry = catalog.entry(alias)
    family = table.family if entry is None else entry.traits.family
    endpoints = _build_endpoints(table, family)
    said = None if family is None else table.read_rest(rules_of(family).facts.keys)
    basis = _identify(alias, table, None if entry is None else entry.traits)
    if basis is None or said is None:
        return None
    limits: Limits = {}
    traits = _override(table, basis, said, limits)
    interval_s = traits.block_time_s
    late_after_s = None if entry is None else entry.final_late_after_s
    follow = FollowSettings(
        traits=traits,
        confirm_rules=_build_rules(table, traits, entry),
        finality=traits.finality,
        start_height=None if table.start == "head" else table.start,
        poll_interval_s=table.poll_interval_s or _compute_poll_interval(interval_s),
        stalled_after_s=table.stalled_after_s or max(60.0, 10 * interval_s),
        ready_lag_blocks=max(3, math.ceil(6 / interval_s))
        if table.ready_lag_blocks is None
        else table.ready_lag_blocks,
        hold_limits=_build_holds(table, traits) | limits,
        finality_delayed_after_s=FINALITY_DELAYED_AFTER_S if late_after_s is None else late_after_s,
    )
    return ChainSettings(follow, endpoints)


def _compute_poll_interval(block_time_s: float) -> float:
    """A quarter of a block time, in bounds; where several blocks come in a second, one look for two or more of them."""
    return min(max(block_time_s / 4, 0.5 if block_time_s <= BATCH_FROM_S else 0.2), 5.0)


def _identify(alias: str, table: Chain, known: ChainTraits | None) -> ChainTraits | None:
    if known is not None:
        chain = None if table.chain_id is None else _parse_chain(table, known.family)
        reference = known.chain.partition(":")[2]
        for name, given, fact, said in (
            ("family", table.family, known.family, f"of the family {known.family}"),
            ("chain_id", chain, known.chain, f"chain {reference}"),
        ):
            if given not in {None, fact}:
                table.complain(name, f"{alias} is {said}; choose another alias for another chain")
        return known
    for name in ("family", "chain_id", "native"):
        if getattr(table, name) is None:
            table.complain(
                name, f"must be given, because the catalogue does not know {alias}{meant(alias, aliases())}"
            )
    if table.family is None or table.chain_id is None:
        return None
    chain = _parse_chain(table, table.family)
    return None if chain is None else rules_of(table.family).facts.suppose(chain, alias)


def _parse_chain(table: Chain, family: Family) -> ChainId | None:
    return table.parse("chain_id", rules_of(family).facts.parse_chain)


def _override(table: Chain, known: ChainTraits, said: Struct, limits: Limits) -> ChainTraits:
    """The facts, as the operator changes them."""
    return replace(
        rules_of(known.family).facts.override(known, said),
        native=_build_native(table, known, limits),
        assets=_build_assets(table, known, limits),
        identity=_build_identity(table, known.family),
        finality=_build_finality(table, known.finality),
        **_said(table, "block_time_s"),
    )


def _said(table: Table, *names: str) -> dict[str, Any]:
    """Of these keys those that are said."""
    return {name: value for name in names if (value := getattr(table, name)) is not None}


def _build_identity(table: Chain, family: Family) -> BlockRef | None:
    """The block that tells the network where nodes do not serve block 0."""
    block = table.identity
    found = block and block.parse("hash", rules_of(family).parse_block_hash)
    return BlockRef(block.height, found) if block and found else None


def _build_finality(table: Chain, default: FinalityRule) -> FinalityRule:
    rule = table.final
    if rule is None:
        return default
    if (rule.confirmations is None) == (rule.tag is None):
        rule.complain("", 'either { confirmations = 12 } or { tag = "finalized" } is wanted')
    return FinalByTag() if rule.confirmations is None else FinalAtDepth(rule.confirmations)


def _build_native(table: Chain, traits: ChainTraits, limits: Limits) -> Asset:
    native = table.native
    if native is None:
        return traits.native
    asset = replace(traits.native, **_said(native, "symbol", "decimals", "min_base_units"))
    if native.slip44 is not None:
        asset = replace(asset, asset_id=AssetId(f"{traits.chain}/slip44:{native.slip44}"))
    _limit(native, "hold_unverified_above", [asset], limits)
    return asset


def _build_assets(table: Chain, traits: ChainTraits, limits: Limits) -> tuple[Asset, ...]:
    """The tokens that count; a list in the file replaces the catalogue's."""
    if table.assets is None:
        return traits.assets
    assets: dict[AssetId, Asset] = {}
    for token in table.assets:
        asset = _build_asset(token, traits)
        if asset is None:
            continue
        if asset.asset_id in assets:
            token.complain("contract", "this contract is listed twice")
        assets[asset.asset_id] = asset
        _limit(token, "hold_unverified_above", [asset], limits)
    return tuple(assets.values())


def _build_asset(token: Token, traits: ChainTraits) -> Asset | None:
    rules = rules_of(traits.family)
    contract = token.parse("contract", rules.parse_contract)
    if contract is None:
        return None
    return Asset(
        AssetId(f"{traits.chain}/{rules.name_contract(contract)}"),
        token.symbol,
        token.decimals,
        contract,
        token.min_base_units,
        decimals_are_trusted=token.trust_decimals,
    )


def _build_holds(table: Chain, traits: ChainTraits) -> Limits:
    limits: Limits = {}
    if table.hold_unverified_above is not None:
        _limit(table.hold_unverified_above, "native", (traits.native,), limits)
        _limit(table.hold_unverified_above, "tokens", traits.assets, limits)
    return limits


def _limit(table: Table, name: str, assets: Iterable[Asset], limits: Limits) -> None:
    """Put what a key says in whole coins among the limits of these assets."""
    coins: Decimal | None = getattr(table, name)
    if coins is None:
        return
    for asset in assets:
        units = None if coins == NEVER else Fraction(coins) * 10**asset.decimals
        if units is not None and units.denominator > 1:
            shown = f"at most {asset.decimals} decimals for {asset.symbol or 'this asset'}"
            table.complain(name, f"an amount in whole coins is wanted, {shown}")
            return
        limits[asset.asset_id] = None if units is None else int(units)


def _build_rules(table: Chain, traits: ChainTraits, entry: CatalogueEntry | None) -> tuple[ConfirmRule, ...]:
    rules = table.confirmed
    if rules is None:
        default = entry and entry.confirmed
        return (ConfirmRule(_require(default.confirmations, default.finality)),) if default else ()
    if rules == ():
        table.complain("confirmed", "at least one rule is wanted")
    return tuple(_build_rule(rule, traits) for rule in (rules if isinstance(rules, tuple) else [rules]))


def _require(confirmations: int | None, finality: str | None) -> Requirement:
    if confirmations is not None:
        return Requirement(ConfirmedBy.DEPTH, confirmations)
    return Requirement(ConfirmedBy(finality or "final"))


def _build_rule(rule: Rule, traits: ChainTraits) -> ConfirmRule:
    if (rule.confirmations is None) == (rule.finality is None):
        rule.complain("", 'either confirmations = 12 or finality = "safe" or "final" is wanted')
    if rule.finality == "safe" and not rules_of(traits.family).facts.tells_safe(traits):
        rule.complain("finality", f"{traits.alias} has no safe blocks; use confirmations or final")
    asset = parse_asset_id(rule.asset) or None
    if asset not in {None, traits.native.asset_id, *(one.asset_id for one in traits.assets)}:
        rule.complain("asset", f"not the native coin or a listed token of {traits.alias}, as CAIP-19")
    return ConfirmRule(_require(rule.confirmations, rule.finality), asset, rule.up_to_base_units)


def _build_endpoints(table: Chain, family: Family | None) -> tuple[NodeEndpoint, ...]:
    endpoints = tuple(
        NodeEndpoint(one)
        if isinstance(one, str)
        else NodeEndpoint(one.url, one.operator, one.requests_per_s, one.headers, one.cookie_file)
        for one in table.endpoints
    )
    for one in table.endpoints:
        if not isinstance(one, str) and one.cookie_file is not None and "@" in one.url:
            one.complain("cookie_file", "the URL names a user already; one of the two is wanted")
    if not endpoints:
        table.complain("endpoints", "at least one URL of a node is wanted")
    elif all(one.only_hints for one in endpoints):
        scheme = endpoints[0].scheme
        table.complain(
            "endpoints", f"at least one http:// or https:// URL is wanted; {scheme}:// only gives hints"
        )
    schemes = {one.scheme for one in endpoints if one.only_hints}
    for scheme in sorted(schemes - set(() if family is None else rules_of(family).hint_schemes)):
        if family is not None:
            table.complain("endpoints", f"nodes of the family {family} do not speak {scheme}://")
    return endpoints
