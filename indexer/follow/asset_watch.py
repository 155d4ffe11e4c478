"""Whether listed tokens still say the decimals they were listed with; one that does not is held, and only that one.

A token behind a proxy can change what its amounts mean.  A held asset is
matched no more: nothing new of it is recorded or credited, what was recorded
runs on.  When its contract says the listed decimals again (or the operator's
configuration trusts its own), it counts from where it was held, by a rescan.
Every verdict is seen twice before it is acted on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog

from chains.errors import ChainError
from chains.model import AssetId
from indexer.follow.damping import Damper
from indexer.follow.surroundings import FollowedChain, Surroundings
from indexer.follow.turn import Turn
from indexer.rows.asset_store import hold_asset, load_held_assets, release_asset
from indexer.rows.storage import LeaseLost
from migrations.errors import DatabaseAway

JudgeAssets = Callable[[], Awaitable[Mapping[AssetId, str | None]]]

CHECK_EVERY_S = 600.0
CHECK_SOON_S = 5.0
"""Where a verdict has been seen once."""

log = structlog.get_logger(__name__)


class AssetWatch:
    """One chain's listed tokens, asked about now and then."""

    def __init__(self, around: Surroundings, chain: FollowedChain, turn: Turn) -> None:
        self._around = around
        self._chain = chain
        self._turn = turn
        self._seen: Mapping[AssetId, str | None] = {}
        self._damper = Damper()

    async def run(self) -> None:
        """Ask until the service stops; returns at once where there is nothing to ask."""
        if self._chain.judge_assets is None:
            return
        while not self._around.stop.is_set():
            await self._turn.taken.wait()
            try:
                settled = await self.step(self._chain.judge_assets)
            except (ChainError, DatabaseAway, LeaseLost) as error:
                settled = True
                if self._damper.ripe("weather"):
                    log.info("assets-not-checked", chain=self._alias, reason=str(error))
            await self._around.wait(CHECK_EVERY_S if settled else CHECK_SOON_S)

    @property
    def _alias(self) -> str:
        return self._chain.desk.settings.traits.alias

    async def step(self, judge_assets: JudgeAssets) -> bool:
        """One look; False where what it showed has been seen once only.  Who says nothing changes nothing."""
        pool, chain = self._around.pool, self._chain.desk.settings.traits.chain
        verdicts = await judge_assets()
        before, self._seen = self._seen, verdicts
        held = await load_held_assets(pool, chain)
        changed = {asset for asset, wrong in verdicts.items() if (wrong is not None) != (asset in held)}
        certain = {asset for asset in changed if asset in before and before[asset] == verdicts[asset]}
        for asset in sorted(certain):
            wrong = verdicts[asset]
            if wrong is None:
                await release_asset(pool, chain, asset, now=self._around.now())
                self._tell("asset.released", asset, "its contract says the listed decimals again")
            else:
                await hold_asset(pool, chain, asset, reason=wrong)
                self._tell("asset.held", asset, wrong)
        self._chain.assets_held = await load_held_assets(pool, chain)
        return changed == certain

    def _tell(self, kind: str, asset: AssetId, reason: str) -> None:
        log.error(kind.replace(".", "-"), chain=self._alias, asset=asset, reason=reason)
        self._around.alert(kind, {"chain": self._alias, "asset": asset, "reason": reason})
