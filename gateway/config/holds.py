"""`hold_unverified_above`: up to which amount a deposit may rest on one operator's word.

Lives here, pure: the key of a chain and of its assets, to base units. Does not live here: the defaults
(indexer.rules.policy), what a held deposit waits for (indexer.rules.deposits). Whole coins and not base units, because one
line may speak of tokens whose decimals differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chains.model import Asset, AssetId
from chains.traits import ChainTraits
from gateway.config.table import MISSING, Table

KEY = "hold_unverified_above"
NEVER = "never"
COINS = re.compile(r"([0-9]{1,60})(?:\.([0-9]{1,77}))?", re.ASCII)

Limits = dict[AssetId, int | None]
"""By asset, in base units; None is no limit."""


def read_asset_limit(table: Table, asset: Asset, limits: Limits) -> None:
    """An asset's own limit, where its table has one."""
    value = table.take(KEY)
    if value is not MISSING:
        _add(table, KEY, value, asset, limits)


def read_chain_limits(table: Table, traits: ChainTraits, limits: Limits) -> Limits:
    """The limits of every asset of a chain that the file speaks of; `limits` are those that assets gave themselves."""
    value = table.take(KEY)
    if value is MISSING:
        return limits
    whole: Limits = {}
    if isinstance(value, Mapping):
        kinds = table.open(KEY, value)
        assert kinds is not None
        _read_kind(kinds, "native", (traits.native,), whole)
        _read_kind(kinds, "tokens", traits.assets, whole)
        kinds.refuse_the_rest()
    elif value in (NEVER, "0"):
        for asset in (traits.native, *traits.assets):
            _add(table, KEY, value, asset, whole)
    else:
        # One number for a coin worth thousands and a token worth one would be wrong for one of them.
        table.complain(KEY, 'either "0", "never" or { native = "1", tokens = "1000" } is wanted')
    return whole | limits


def _read_kind(table: Table, name: str, assets: tuple[Asset, ...], limits: Limits) -> None:
    value = table.take(name)
    if value is MISSING:
        return
    for asset in assets:
        if not _add(table, name, value, asset, limits):
            return


def _add(table: Table, name: str, value: Any, asset: Asset, limits: Limits) -> bool:
    """Put one limit among the others; False, with a flaw, where it is none."""
    if value == NEVER:
        limits[asset.asset_id] = None
        return True
    found = COINS.fullmatch(value) if isinstance(value, str) else None
    fraction = "" if found is None else (found[2] or "").rstrip("0")
    if found is None or len(fraction) > max(asset.decimals, 0):
        table.complain(
            name,
            f'an amount in whole coins is wanted, in quotes ("1000" or "0.5", at most {max(asset.decimals, 0)} decimals '
            f'for {asset.symbol or "this asset"}), or "never"',
        )
        return False
    limits[asset.asset_id] = int(found[1] + fraction.ljust(max(asset.decimals, 0), "0"))
    return True
