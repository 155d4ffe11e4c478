"""One configured chain as everything its loops need: source, store, desk.

Lives here: the part of the wiring that knows chain families. Does not live here: the rest of it (`compose`), the loops
(indexer.service), facts of chains (chains.catalog).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from chains.errors import ChainError
from chains.families import family_of, rules_of
from chains.family import BlockSeen, ShareBudget
from chains.model import Address, Asset, AssetId, ChainId
from chains.port import OpenedSource
from gateway.config.settings import ChainSettings
from gateway.faces import KnownChain
from indexer import views
from indexer.follow.surroundings import FollowedChain
from indexer.move.commit import ChainDesk
from indexer.move.desk import build_desk
from indexer.rows.spelling import AssetRow
from indexer.rows.store import PostgresFollowStore, Publish
from indexer.rules.watchset import WatchSet
from migrations.handles import Pool

DECIMALS_TIMEOUT_S = 5.0

_log = structlog.get_logger()


class DecimalsMismatch(Exception):
    """A token was recorded with other decimals than the configuration says now; the message names it."""


def build_source(
    settings: ChainSettings, *, share_budget: ShareBudget | None = None, formerly_listed: Iterable[Asset] = ()
) -> OpenedSource:
    """The chain's providers; the caller closes it.

    Tokens that were listed once are still read: deposits of them run on, and a reorganisation must find them again.
    """
    traits = settings.follow.traits
    listed = {asset.asset_id for asset in (*traits.assets, traits.native)}
    former = tuple(asset for asset in formerly_listed if asset.asset_id not in listed)
    traits = replace(traits, assets=(*traits.assets, *former))
    return rules_of(traits.family).open_source(traits, settings.endpoints, share_budget=share_budget)


async def ask_stranger(chain: ChainId, url: str, height: int) -> BlockSeen:
    """Which block a node calls canonical that somebody names on the command line; raises ChainError, ValueError for a URL.

    Nobody need have configured the chain.
    """
    family = family_of(chain)
    if family is None:
        raise ValueError(f"{chain} is of no family that is known here")
    return await rules_of(family).fetch_block_seen(chain, url, height)


async def build_chain(
    settings: ChainSettings, source: OpenedSource, pool: Pool, publish: Publish
) -> FollowedChain:
    """Everything the chain's loops need. Raises DecimalsMismatch."""
    desk, store = await build_chain_desk(settings, pool, publish)
    return FollowedChain(
        desk,
        source,
        store,
        lambda: describe_providers(source),
        (lambda: judge_assets(source)) if settings.follow.traits.assets else None,
        describe_checks=lambda: describe_checks(source),
        mempools=source.mempools,
    )


async def build_chain_desk(
    settings: ChainSettings, pool: Pool, publish: Publish
) -> tuple[ChainDesk, PostgresFollowStore]:
    """A desk without providers, with the lease epoch of whoever follows now: for commands. Raises DecimalsMismatch."""
    store = PostgresFollowStore(pool, publish)
    chain = settings.follow.traits.chain
    former = await store.load_asset_rows(chain)
    check_decimals(settings, former)
    desk = build_desk(
        settings.follow,
        store,
        formerly_listed=[former_asset(row) for row in former],
        watched=WatchSet(spread=2 * secrets.randbits(63) + 1),
    )
    record = await store.load_chain(chain)
    if record is not None:
        desk.lease_epoch = record.lease_epoch
    return desk, store


async def judge_assets(source: OpenedSource) -> dict[AssetId, str | None]:
    """Of each listed token whose contract says its decimals: None where they are the configured ones, else what is wrong."""
    said = await source.fetch_decimals()
    return {
        asset.asset_id: None
        if said[asset.asset_id] == asset.decimals
        else f"its contract says {said[asset.asset_id]} decimals and the configuration {asset.decimals}"
        for asset in source.traits.assets
        if asset.asset_id in said
    }


async def check_token_decimals(
    settings: ChainSettings, source: OpenedSource, recorded: Collection[AssetId] = ()
) -> None:
    """Refuse a token whose contract says other decimals; a provider that does not answer in time is asked no further.

    One that is `recorded` with the configured decimals already has changed them since: that stops the token and
    nothing else (indexer.follow.asset_watch).
    """
    alias = settings.alias
    if not settings.follow.traits.assets:
        return
    try:
        async with asyncio.timeout(DECIMALS_TIMEOUT_S):
            said = await source.fetch_decimals()
    except (ChainError, TimeoutError) as error:
        _log.warning("decimals-not-checked", chain=alias, reason=str(error) or "no answer in time")
        return
    for one in source.traits.assets:
        found = said.get(one.asset_id, one.decimals)
        if found != one.decimals and one.asset_id not in recorded:
            raise DecimalsMismatch(
                f"chains.{alias}: the contract of {one.asset_id} says {found} decimals and the configuration "
                f"{one.decimals}; correct chains.{alias}.assets"
            )


def describe_providers(source: OpenedSource) -> list[Mapping[str, Any]]:
    """Each provider by host, for `/v1/chains`."""
    return [
        {
            "host": health.name,
            "operator": health.operator,
            "head_height": None if health.head_height < 0 else health.head_height,
            "lag_blocks": health.lag_blocks,
            "failures": health.failures,
            "distrusted": health.distrusts > 0,
            "last_error": health.last_error or None,
            "calls_per_day": source.calls_per_day(health.name),
        }
        for health in source.healths
    ]


def describe_checks(source: OpenedSource) -> list[Mapping[str, Any]]:
    """Each check as the running follower has learnt it, for `/v1/chains`."""
    return [
        {"check": one.check, "state": one.state, "enforced_since_height": one.enforced_since_height}
        for one in source.describe_checks()
    ]


def check_decimals(settings: ChainSettings, recorded: Iterable[AssetRow]) -> None:
    """Refuse to show recorded amounts with a comma that moved."""
    traits = settings.follow.traits
    configured = {asset.asset_id: asset for asset in (*traits.assets, traits.native)}
    for row in recorded:
        asset = configured.get(AssetId(row.asset))
        if asset is not None and asset.decimals != row.decimals:
            raise DecimalsMismatch(
                f"chains.{traits.alias}: {row.asset} was recorded with {row.decimals} decimals and is configured with "
                f"{asset.decimals}; correct the configuration, since amounts already told would change their meaning"
            )


def former_asset(row: AssetRow) -> Asset:
    """An asset as the database remembers it; only its name and decimals matter."""
    return Asset(AssetId(row.asset), row.symbol, row.decimals, Address(b""))


async def load_known_chains(pool: Pool) -> list[KnownChain]:
    """Every chain the database has, with every asset it ever listed."""
    store = PostgresFollowStore(pool, _publish_nothing)
    known = []
    for record in await views.load_chains(pool):
        rows = await store.load_asset_rows(record.chain)
        known.append(KnownChain(record.chain, record.alias, tuple(former_asset(row) for row in rows)))
    return known


async def _publish_nothing(*_: object) -> None:
    raise AssertionError("this store is for reading")
