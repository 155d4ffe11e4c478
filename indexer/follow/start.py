"""The first block of a chain: where following begins, once and for all.

From the configured height, or from the head of the provider that is asked;
where that height has no block, from the one that its successor skipped to.
The network's genesis is pinned with it.  What comes after is `step`.
"""

from __future__ import annotations

from datetime import datetime

from chains.errors import ChainError, Inconsistent
from chains.model import is_placed
from chains.port import ChainSource, Provider
from indexer.follow.outcomes import NotYet, Started, StepOutcome
from indexer.move.commit import ChainDesk


async def start_chain(desk: ChainDesk, source: ChainSource, now: datetime) -> StepOutcome:
    """Record the first canonical block; raises `ChainError` after the provider was blamed for it."""
    provider = source.choose_provider()
    try:
        return await _start_from(provider, desk, source, now)
    except ChainError as error:
        source.report_failure(provider, error)
        raise


async def _start_from(provider: Provider, desk: ChainDesk, source: ChainSource, now: datetime) -> StepOutcome:
    settings = desk.settings
    network_id = await provider.fetch_network_id()
    report = await provider.fetch_head_report(safe=False, final=False)
    height = report.head.height if settings.start_height is None else settings.start_height
    if height > report.head.height:
        return NotYet(report.head.height)
    skipped_heights_max = settings.traits.skipped_heights_max
    blocks = await provider.fetch_blocks(height, min(report.head.height, height + skipped_heights_max))
    if (
        not blocks
        or blocks[0].header.parent.height >= height
        or not is_placed(blocks[0].header, skipped_heights_max=skipped_heights_max)
    ):
        raise Inconsistent(f"shows no block that covers height {height}", provider=provider.name)
    await desk.store.create_chain(
        settings.traits.chain,
        alias=settings.traits.alias,
        network_id=network_id,
        assets=[*settings.traits.assets, settings.traits.native],
        first=blocks[0],
        at=now,
    )
    source.pin_network(network_id)
    return Started(blocks[0].header.ref)
