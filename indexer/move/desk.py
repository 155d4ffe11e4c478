"""Setting up a chain's desk: text forms, identities and assets from its traits.

The one place where this room meets `chains.families` and the spelling of ids;
everything else is handed the callables.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial

from chains.families import rules_of
from chains.model import Asset, Transfer
from indexer.move.commit import ChainDesk
from indexer.rows.storage import FollowStore
from indexer.rules.events import Naming
from indexer.rules.identity import DepositId, MerchantId, compute_deposit_id
from indexer.rules.watchset import WatchSet
from indexer.settings import FollowSettings
from migrations.ids import encode_id

IDENTITIES_KEPT = 8_192
"""The hits of a large batch."""


def build_naming(settings: FollowSettings, formerly_listed: Iterable[Asset] = ()) -> Naming:
    """How this chain's values are written; assets listed once keep their names for deposits that exist."""
    traits = settings.traits
    assets = {asset.asset_id: asset for asset in formerly_listed}
    assets |= {asset.asset_id: asset for asset in (*traits.assets, traits.native)}
    return Naming(
        chain=traits.chain,
        alias=traits.alias,
        assets=assets,
        encode_id=encode_id,
        address_text=partial(rules_of(traits.family).format_address, traits.chain),
        tx_hash_text=rules_of(traits.family).format_tx_hash,
        block_hash_text=rules_of(traits.family).format_block_hash,
    )


def build_desk(
    settings: FollowSettings,
    store: FollowStore,
    *,
    formerly_listed: Iterable[Asset] = (),
    watched: WatchSet | None = None,
) -> ChainDesk:
    """A desk with an empty watch set; the lease is taken later (`turn`)."""
    traits = settings.traits

    # Asked before known deposits are loaded and again when they are matched.
    @lru_cache(maxsize=IDENTITIES_KEPT)
    def deposit_id(merchant_id: MerchantId, transfer: Transfer) -> DepositId:
        return compute_deposit_id(
            encode_id("mer", merchant_id),
            traits.chain,
            transfer,
            tx_hash_text=rules_of(traits.family).format_tx_hash(transfer.tx_hash),
            recipient_text=rules_of(traits.family).encode_identity(traits.chain, transfer.recipient),
        )

    return ChainDesk(
        settings=settings,
        store=store,
        naming=build_naming(settings, formerly_listed),
        deposit_id=deposit_id,
        watched=WatchSet() if watched is None else watched,
        read_spent=rules_of(traits.family).read_spent,
    )
