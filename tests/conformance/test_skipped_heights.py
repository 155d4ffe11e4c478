"""What a source of a chain that skips heights must do besides `test_chain_source`: gaps are short answers, never refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.errors import Missing
from chains.model import is_linked
from chains.scripted import ScriptedChain, ScriptedProvider
from tests.devnet.local import local_traits

SKIPPED_MAX = 3


def open_provider(skipped_heights_max: int) -> ScriptedProvider:
    """Blocks at 0, 1, 4 and 5."""
    chain = ScriptedChain(replace(local_traits(), skipped_heights_max=skipped_heights_max))
    chain.mine()
    chain.mine(skipped=2)
    chain.mine()
    return ScriptedProvider(chain)


async def test_heights_without_a_block_are_left_out_and_parents_link_across_them() -> None:
    provider = open_provider(SKIPPED_MAX)
    headers = await provider.fetch_headers(0, 5)
    assert [header.height for header in headers] == [0, 1, 4, 5]
    assert is_linked(headers, skipped_heights_max=SKIPPED_MAX)
    assert [block.header for block in await provider.fetch_blocks(1, 4)] == headers[1:3]
    assert await provider.fetch_headers(2, 3) == []
    provider.chain.set_final(3, safe_height=4)
    report = await provider.fetch_head_report()
    assert (report.safe, report.final) == (headers[2], headers[1]), "a tag names a block"


async def test_beyond_the_head_is_missing_and_not_skipped() -> None:
    provider = open_provider(SKIPPED_MAX)
    for fetch in (provider.fetch_headers, provider.fetch_blocks):
        with pytest.raises(Missing):
            await fetch(5, 6)


async def test_where_every_height_has_a_block_one_that_is_not_told_is_missing() -> None:
    provider = open_provider(0)
    for fetch in (provider.fetch_headers, provider.fetch_blocks):
        with pytest.raises(Missing):
            await fetch(0, 5)
        assert len(await fetch(4, 5)) == 2
