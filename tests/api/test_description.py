"""The API against its own description: whatever is sent, no 5xx, and nothing that is not documented.

Schemathesis makes the calls, valid ones and broken ones, one by one and in the order in which objects live, with all of its
checks; the seed is the run's. `make fuzz` does the same for an hour.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from gateway.http.openapi import build_document
from tests.api.fuzz import fuzz, open_fuzzed_world
from tests.api.world import ADMIN_TOKEN
from tests.depth import times

SECONDS = times(6, ci=20)
CALLS_MIN = times(10, ci=50)
"""Thousands on an idle machine; on a busy one this only says that it was at work."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", ["merchant", "admin"])
async def test_whatever_is_sent_the_answer_is_documented(
    database_url: str, tmp_path: Path, who: str, seed: int
) -> None:
    async with open_fuzzed_world(database_url, tmp_path) as (world, key):
        token = key if who == "merchant" else ADMIN_TOKEN
        result = await asyncio.to_thread(
            fuzz, world.base_url, token, seconds=SECONDS, seed=seed & 0xFFFF_FFFF
        )
    assert result.is_good, result.output
    made = re.search(r"(\d+) generated", result.output)
    assert made is not None, result.output
    assert int(made[1]) > CALLS_MIN


def test_what_must_be_given_and_what_need_not_is_described_so() -> None:
    paths = build_document()["paths"]

    def required(path: str, method: str = "get") -> set[str]:
        return {one["name"] for one in paths[path][method]["parameters"] if one["required"]}

    assert required("/v1/explain") == {"chain"}
    assert required("/v1/coverage") == {"chain"}
    assert required("/v1/events/consistency") == {"from"}
    assert required("/v1/deposits") == set()
    assert paths["/v1/addresses"]["post"]["requestBody"]["required"]
    assert not paths["/v1/merchants/{merchant_id}/keys"]["post"]["requestBody"]["required"]
