"""What is covered of a chain that skips heights: a block answers for every height down to its parent."""

from __future__ import annotations

import random
from dataclasses import replace

from indexer.views import CoverageRange, load_coverage
from tests.database.indexer.scene import NOW, Scene, open_scene
from tests.simulation.blocks import SimBlock
from tests.simulation.chain import SimChain
from tests.simulation.troubles import Tally

HEIGHTS_SKIPPED_MAX = 4


async def record_gapped_chain(scene: Scene) -> list[SimBlock]:
    """A chain with gaps in the rows from its fourth block on, written as the follower writes it."""
    chain = SimChain(
        0, random.Random(3), scene.setup.economy, Tally(), final_depth=90, skipped_heights_max=HEIGHTS_SKIPPED_MAX
    )  # fmt: skip
    chain.extend(14)
    blocks = chain.tip.ancestors(0, chain.tip.height)[3:]
    assert len(blocks) < blocks[-1].height - blocks[0].height, "some heights are skipped"
    await scene.store.create_chain(
        scene.id, alias="x", network_id=b"n", assets=(), first=blocks[0].block, at=NOW
    )
    epoch = await scene.store.acquire_lease(scene.id, holder="x", lease_s=60)
    assert epoch is not None
    async with scene.store.open_move(scene.id, lease_epoch=epoch) as move:
        await move.insert_blocks([one.block for one in blocks[1:]], at=NOW, watch_version=0)
        await move.write_chain(replace(move.record, tip=blocks[-1].header.ref))
    return blocks


async def test_every_height_between_linked_blocks_is_covered(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        blocks = await record_gapped_chain(scene)
        first, last = blocks[0].header.parent.height + 1, blocks[-1].height
        record = await scene.store.load_chain(scene.id)
        assert record is not None
        assert record.start_height == first
        for low in range(first, last + 1):
            for high in range(low, last + 1):
                count = sum(low <= one.height <= high for one in blocks)
                found = await load_coverage(scene.pool, scene.id, height_first=low, height_last=high)
                assert found == [CoverageRange(low, high, "full", count)]


async def test_a_block_that_is_not_there_is_a_hole_down_to_its_parent(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        blocks = await record_gapped_chain(scene)
        first, last = blocks[0].header.parent.height + 1, blocks[-1].height
        lost = next(
            number for number, one in enumerate(blocks[2:-1], 2) if one.height > blocks[number - 1].height + 1
        )
        await scene.pool.execute("delete from blocks where height = $1", blocks[lost].height)
        found = await load_coverage(scene.pool, scene.id, height_first=first, height_last=last)
        assert [(one.height_first, one.height_last) for one in found] == [
            (first, blocks[lost - 1].height),
            (blocks[lost + 1].height, last),
        ]


async def test_ranges_part_where_verification_changes(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        blocks = await record_gapped_chain(scene)
        await scene.pool.execute("update blocks set level = 'partial' where height = $1", blocks[4].height)
        first, last = blocks[0].header.parent.height + 1, blocks[-1].height
        found = await load_coverage(scene.pool, scene.id, height_first=first, height_last=last)
        assert found == [
            CoverageRange(first, blocks[3].height, "full", 4),
            CoverageRange(blocks[3].height + 1, blocks[4].height, "partial", 1),
            CoverageRange(blocks[4].height + 1, last, "full", len(blocks) - 5),
        ]
