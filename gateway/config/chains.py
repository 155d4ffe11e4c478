"""The `[chains.*]` tables: facts of the catalogue, facts and policy of the operator, and whom to ask.

Lives here, pure: one table to `ChainSettings`. A known alias brings its facts and any of them may be overridden, except
which chain it is; an unknown alias says what it is. Does not live here: reading single values (`table`), the facts
themselves (`chains.catalog`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from yarl import URL

from chains.catalog import CatalogueEntry, DefaultConfirmed, aliases
from chains.families import rules_of
from chains.model import Asset, AssetId, BlockRef, ChainId
from chains.rpc.transport import Endpoint
from chains.traits import ChainTraits, Family, FinalAtDepth, FinalByTag, FinalityRule
from gateway.config.holds import KEY as HOLD_KEY
from gateway.config.holds import Limits, read_asset_limit, read_chain_limits
from gateway.config.settings import ChainSettings
from gateway.config.table import MISSING, Table, describe, meant
from indexer.follow.pace import BATCH_FROM_S
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings

ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,31}")
AMOUNT_MAX = 2**256 - 1
CONFIRMATIONS_MAX = 1_000_000
REORG_WINDOW_BLOCKS = 1_024
"""How deep a rewind may go on a chain of which we know nothing, while nothing is known to be final."""

BLOCK_TIME_S = 12.0
FINALITY_DELAYED_AFTER_S = 1_800.0
SCHEMES = ("http", "https", "ws", "wss")
VERIFICATIONS = ("auto", "agreement")

Known = Callable[[str], CatalogueEntry | None]
"""The catalogue: an entry by alias, or None."""


def read_chain(alias: str, table: Table, known: Known) -> ChainSettings | None:
    """One chain's settings; None, with flaws added, where they can not be made."""
    if not ALIAS.fullmatch(alias):
        table.flaws.add(
            table.key, "an alias is lower-case letters, digits, - and _, and starts with a letter"
        )
        return None
    entry = known(alias)
    limits: Limits = {}
    facts = _read_facts(alias, table, None if entry is None else entry.traits, limits)
    endpoints = _read_endpoints(table)
    settings = None if facts is None else _read_following(table, facts, entry, limits)
    table.refuse_the_rest()
    if settings is None:
        return None
    return ChainSettings(settings, endpoints)


def _read_facts(alias: str, table: Table, known: ChainTraits | None, limits: Limits) -> ChainTraits | None:
    traits = _read_identity(alias, table, known)
    if traits is None:
        for name in (
            "native",
            "block_time_s",
            "traces",
            "verification",
            "final",
            "assets",
            "identity",
            HOLD_KEY,
        ):
            table.take(name)
        return None
    traits = replace(
        traits,
        native=_read_native(table, traits, limits),
        block_time_s=table.take_number("block_time_s", traits.block_time_s, above=0, most=86_400),
        traces=table.take_flag("traces", traits.traces),
        finality=_read_final(table, traits.finality),
        identity=_read_identity_block(table, traits.family),
    )
    if table.take_choice("verification", "auto", VERIFICATIONS) == "agreement":
        traits = replace(traits, verification_profile="agreement")
    return replace(traits, assets=_read_assets(table, traits, limits))


def _read_identity(alias: str, table: Table, known: ChainTraits | None) -> ChainTraits | None:
    families = [family.value for family in Family]
    if known is not None:
        family = table.take_choice("family", known.family.value, families)
        if family != known.family.value:
            table.complain("family", f"{alias} is of the family {known.family.value}; choose another alias")
        if table.take_count("chain_id", known.chain_number, least=1) != known.chain_number:
            table.complain(
                "chain_id", f"{alias} is chain {known.chain_number}; choose another alias for another chain"
            )
        return known
    missing = [name for name in ("family", "chain_id", "native") if name not in table]
    for name in missing:
        table.complain(
            name, f"must be given, because the catalogue does not know {alias}{meant(alias, aliases())}"
        )
    family = Family(table.take_choice("family", families[0], families))
    number = table.take_count("chain_id", 1, least=1)
    if missing:
        return None
    chain = ChainId(f"{rules_of(family).namespace}:{number}")
    return ChainTraits(
        chain=chain,
        alias=alias,
        family=family,
        chain_number=number,
        native=Asset(AssetId(f"{chain}/slip44:60"), "ETH", 18, None),
        assets=(),
        block_time_s=BLOCK_TIME_S,
        finality=FinalByTag(),
        reorg_window_blocks=REORG_WINDOW_BLOCKS,
        safe_tag=True,
        excluded_emitters=(),
        verification_profile="full",
    )


def _read_identity_block(table: Table, family: Family) -> BlockRef | None:
    """The block that tells the network where nodes do not serve block 0."""
    block = table.take_table("identity")
    if block is None:
        return None
    height = block.take_count("height", 0)
    text = block.take_text("hash")
    block.refuse_the_rest()
    for name in ("height", "hash"):
        if name not in block:
            block.complain(name, "must be given")
    if "height" not in block or not text:
        return None
    try:
        return BlockRef(height, rules_of(family).parse_block_hash(text))
    except ValueError as error:
        block.complain("hash", str(error))
        return None


def _read_native(table: Table, traits: ChainTraits, limits: Limits) -> Asset:
    native = table.take_table("native")
    if native is None:
        return traits.native
    coin = traits.native.asset_id.rpartition(":")[2]
    asset = Asset(
        asset_id=AssetId(
            f"{traits.chain}/slip44:{native.take_count('slip44', int(coin) if coin.isdigit() else 60, most=2**31)}"
        ),
        symbol=_read_symbol(native, traits.native.symbol),
        decimals=native.take_count("decimals", traits.native.decimals, most=77),
        contract=None,
        min_base_units=_read_amount(native, "min_base_units", traits.native.min_base_units, least=1),
    )
    read_asset_limit(native, asset, limits)
    native.refuse_the_rest()
    return asset


def _read_assets(table: Table, traits: ChainTraits, limits: Limits) -> tuple[Asset, ...]:
    """The tokens that count; a list in the file replaces the catalogue's."""
    items = table.take_list("assets")
    if items is None:
        return traits.assets
    assets: dict[AssetId, Asset] = {}
    for index, item in enumerate(items):
        one = table.open_item("assets", index, item)
        asset = None if one is None else _read_asset(one, traits, limits)
        if one is not None and asset is not None:
            if asset.asset_id in assets:
                one.complain("contract", "this contract is listed twice")
            assets[asset.asset_id] = asset
    return tuple(assets.values())


def _read_asset(table: Table, traits: ChainTraits, limits: Limits) -> Asset | None:
    text = table.take_text("contract")
    symbol = _read_symbol(table, "")
    decimals = table.take_count("decimals", -1, most=77)
    least = _read_amount(table, "min_base_units", 1, least=1)
    is_trusted = table.take_flag("trust_decimals", default=False)
    table.take(HOLD_KEY)
    table.refuse_the_rest()
    for name in ("symbol", "contract", "decimals"):
        if name not in table:
            table.complain(name, "must be given")
    if not text:
        return None
    rules = rules_of(traits.family)
    try:
        contract = rules.parse_address(text)
    except ValueError as error:
        table.complain("contract", str(error))
        return None
    asset_id = AssetId(f"{traits.chain}/{rules.contract_namespace}:{rules.encode_identity(contract)}")
    asset = Asset(asset_id, symbol, decimals, contract, least, decimals_are_trusted=is_trusted)
    read_asset_limit(table, asset, limits)
    return asset


def _read_symbol(table: Table, default: str) -> str:
    symbol = table.take_text("symbol", default)
    if len(symbol) > 32 or not symbol.isprintable():
        table.complain("symbol", "at most 32 printable characters are wanted")
    return symbol


def _read_amount(table: Table, name: str, default: int, *, least: int = 0) -> int:
    value = table.take(name)
    if value is MISSING:
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= AMOUNT_MAX:
        table.complain(
            name, f'an amount in base units is wanted, as digits in quotes ("1000000"), at least {least}'
        )
        return default
    return value


def _read_final(table: Table, default: FinalityRule) -> FinalityRule:
    rule = table.take_table("final")
    if rule is None:
        return default
    confirmations = rule.take_count("confirmations", 0, least=1, most=CONFIRMATIONS_MAX)
    tag = rule.take_choice("tag", "finalized", ("finalized",))
    rule.refuse_the_rest()
    if ("confirmations" in rule) == ("tag" in rule):
        table.complain("final", 'either { confirmations = 12 } or { tag = "finalized" } is wanted')
        return default
    return FinalAtDepth(confirmations) if "confirmations" in rule else FinalByTag() if tag else default


def _read_following(
    table: Table, traits: ChainTraits, entry: CatalogueEntry | None, limits: Limits
) -> FollowSettings:
    block_time_s = traits.block_time_s
    late_after_s = None if entry is None else entry.final_late_after_s
    return FollowSettings(
        traits=traits,
        confirm_rules=_read_confirmed(table, traits, entry),
        finality=traits.finality,
        start_height=_read_start(table),
        poll_interval_s=table.take_number(
            "poll_interval_s", _compute_poll_interval(block_time_s), above=0.01, most=3_600
        ),
        stalled_after_s=table.take_number(
            "stalled_after_s", max(60.0, 10 * block_time_s), above=0, most=10**6
        ),
        ready_lag_blocks=table.take_count("ready_lag_blocks", max(3, math.ceil(6 / block_time_s)), least=0),
        hold_limits=read_chain_limits(table, traits, limits),
        finality_delayed_after_s=FINALITY_DELAYED_AFTER_S if late_after_s is None else late_after_s,
    )


def _compute_poll_interval(block_time_s: float) -> float:
    """A quarter of a block time, in bounds; where several blocks come in a second, one look for two or more of them."""
    return min(max(block_time_s / 4, 0.5 if block_time_s <= BATCH_FROM_S else 0.2), 5.0)


def _read_start(table: Table) -> int | None:
    value = table.take("start")
    if value is MISSING or value == "head":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        table.complain("start", f'"head" or a height is wanted, not {describe(value)}')
        return None
    return value


def _read_confirmed(
    table: Table, traits: ChainTraits, entry: CatalogueEntry | None
) -> tuple[ConfirmRule, ...]:
    value = table.take("confirmed")
    if value is MISSING:
        return () if entry is None else (_rule_of(entry.confirmed),)
    listed = isinstance(value, list)
    items: list[Any] = value if listed else [value]
    if not items:
        table.complain("confirmed", "at least one rule is wanted")
    rules = []
    for index, item in enumerate(items):
        one = table.open_item("confirmed", index, item) if listed else table.open("confirmed", item)
        rule = None if one is None else _read_rule(one, traits)
        if rule is not None:
            rules.append(rule)
    return tuple(rules)


def _rule_of(default: DefaultConfirmed) -> ConfirmRule:
    if default.confirmations is not None:
        return ConfirmRule(Requirement(ConfirmedBy.DEPTH, default.confirmations))
    return ConfirmRule(Requirement(ConfirmedBy(default.finality or "final")))


def _read_rule(table: Table, traits: ChainTraits) -> ConfirmRule | None:
    confirmations = table.take_count("confirmations", 1, least=1, most=CONFIRMATIONS_MAX)
    finality = table.take_choice("finality", "final", ("safe", "final"))
    up_to = _read_amount(table, "up_to_base_units", 0) if "up_to_base_units" in table else None
    asset = table.take_text("asset")
    table.refuse_the_rest()
    if ("confirmations" in table) == ("finality" in table):
        table.flaws.add(table.key, 'either confirmations = 12 or finality = "safe" or "final" is wanted')
        return None
    if finality == "safe" and "finality" in table and not traits.safe_tag:
        table.complain("finality", f"{traits.alias} has no safe blocks; use confirmations or final")
    known = {one.asset_id for one in (*traits.assets, traits.native)}
    if asset and asset.lower() not in known:
        table.complain("asset", f"not the native coin or a listed token of {traits.alias}, as CAIP-19")
    requirement = (
        Requirement(ConfirmedBy.DEPTH, confirmations)
        if "confirmations" in table
        else Requirement(ConfirmedBy(finality))
    )
    return ConfirmRule(requirement, AssetId(asset.lower()) if asset else None, up_to)


def _read_endpoints(table: Table) -> tuple[Endpoint, ...]:
    items = table.take_list("endpoints")
    if not items:
        table.complain("endpoints", "at least one URL of a node is wanted")
        return ()
    endpoints = []
    for index, item in enumerate(items):
        endpoint = _read_endpoint(table, index, item)
        if endpoint is not None:
            endpoints.append(endpoint)
    if len(endpoints) == len(items) and all(endpoint.is_websocket for endpoint in endpoints):
        table.complain("endpoints", "at least one http:// or https:// URL is wanted; ws:// only gives hints")
    return tuple(endpoints)


def _read_endpoint(table: Table, index: int, item: Any) -> Endpoint | None:
    if item is MISSING:
        return None
    key = f"{table.key_of('endpoints')}[{index}]"
    if isinstance(item, str):
        return Endpoint(item) if _is_node_url(item, key, table) else None
    one = table.open_item("endpoints", index, item)
    if one is None:
        return None
    url = one.take_text("url")
    rate = one.take_number("requests_per_s", math.inf, above=0, most=1e6)
    endpoint = Endpoint(
        url,
        operator=one.take_text("operator"),
        requests_per_s=None if math.isinf(rate) else rate,
        headers=_read_headers(one),
    )
    one.refuse_the_rest()
    if "url" not in one:
        one.complain("url", "must be given")
        return None
    return endpoint if _is_node_url(url, one.key_of("url"), table) else None


def _is_node_url(url: str, key: str, table: Table) -> bool:
    try:
        parsed = URL(url)
        usable = parsed.scheme in SCHEMES and bool(parsed.host)
    except ValueError:
        usable = False
    if not usable:
        table.flaws.add(key, "a URL that starts with http://, https://, ws:// or wss:// is wanted")
    return usable


def _read_headers(table: Table) -> dict[str, str]:
    headers = table.take_table("headers")
    if headers is None:
        return {}
    found = {name: headers.take_text(name) for name in headers.names()}
    for name, value in found.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or any(
            ord(c) < 32 or ord(c) == 127 for c in value
        ):
            headers.complain(name, "not a header that HTTP can carry")
    return found
