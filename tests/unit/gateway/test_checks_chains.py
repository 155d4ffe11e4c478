"""What the doctor asks of providers: all of them at once, so that one that hangs costs its own time only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chains.catalog import entries, entry_of
from chains.families import rules_of
from chains.model import ChainId
from chains.tron.verify.checks import describe
from gateway.config.file import load_settings
from gateway.doctor import chains as checks_chains
from gateway.doctor.machine import Grade
from gateway.http.shapes.chains import CheckState

CHAIN = """
[chains.local]
family = "evm"
chain_id = 31337
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = [{endpoints}]
"""


async def test_each_provider_is_asked_while_the_other_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks_chains, "PROVIDER_TIMEOUT_S", 10.0)
    asked = [asyncio.Event(), asyncio.Event()]

    def serve(own: asyncio.Event, others: asyncio.Event) -> TestServer:
        async def answer(_request: web.Request) -> web.Response:
            own.set()
            await others.wait()
            return web.Response(status=403)

        app = web.Application()
        app.router.add_post("/", answer)
        return TestServer(app)

    async with serve(*asked) as one, serve(*reversed(asked)) as other:
        file = tmp_path / "chainbell.toml"
        urls = ", ".join(f'"{server.make_url("/")}"' for server in (one, other))
        file.write_text(CHAIN.format(endpoints=urls))
        settings = load_settings(file, environment={})
        findings = await checks_chains.check_chain(
            settings.chains["local"], None, now=datetime(2026, 11, 20, tzinfo=UTC)
        )
    failed = [finding.found for finding in findings if finding.grade is Grade.FAIL]
    assert len(failed) == 2
    assert not any("no answers within" in found for found in failed)


@pytest.mark.parametrize(
    ("more", "operators", "said"),
    [
        ('verification = "agreement"', 1, True),
        ('verification = "agreement"', 2, False),
        ("", 1, False),
    ],
)
async def test_one_operator_whose_blocks_nothing_proves_is_a_warning_with_what_to_do(
    tmp_path: Path, more: str, operators: int, *, said: bool
) -> None:
    urls = ", ".join(
        f'{{ url = "http://127.0.0.1:1/{one}", operator = "{one}" }}' for one in range(operators)
    )
    (tmp_path / "chainbell.toml").write_text(CHAIN.format(endpoints=urls) + more)
    settings = load_settings(tmp_path / "chainbell.toml", environment={})
    findings = await checks_chains.check_chain(
        settings.chains["local"], None, now=datetime(2026, 11, 20, tzinfo=UTC)
    )
    told = [one for one in findings if one.check == "local verification"]
    assert [(one.grade, "another operator" in one.advice) for one in told] == [(Grade.WARN, True)] * said


@pytest.mark.parametrize(
    ("alias", "unverified_count", "is_said"),
    [
        ("base", None, True),
        ("base", 3, True),
        ("base", 0, False),
        ("bitcoin-signet", None, True),
        ("tron-nile", None, True),
        ("tron", None, False),
        ("bitcoin", 64, False),
        ("sepolia", None, False),
        ("bitcoin-regtest", None, False),
    ],
)
def test_a_network_that_no_test_has_read_is_warned_of_until_its_own_blocks_were_verified(
    tmp_path: Path, alias: str, unverified_count: int | None, *, is_said: bool
) -> None:
    (tmp_path / "chainbell.toml").write_text(f'[chains.{alias}]\nendpoints = ["http://127.0.0.1:1"]')
    settings = load_settings(tmp_path / "chainbell.toml", environment={}).chains[alias]
    found = checks_chains.judge_seen(settings, unverified_count)
    assert [one.grade for one in found] == [Grade.WARN] * is_said


def test_a_network_of_ones_own_is_in_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "chainbell.toml").write_text(CHAIN.format(endpoints='"http://127.0.0.1:1"'))
    settings = load_settings(tmp_path / "chainbell.toml", environment={}).chains["local"]
    assert checks_chains.judge_seen(settings, None) == []


def test_a_network_is_known_by_its_id_whatever_it_is_called() -> None:
    found = entry_of(ChainId("eip155:8453"))
    assert found is not None
    assert (found.name, entry_of(ChainId("eip155:84530"))) == ("Base", None)


@pytest.mark.parametrize("shows_since", [None, 7])
def test_every_state_of_a_check_is_one_that_the_api_describes(shows_since: int | None) -> None:
    states = {
        check.state
        for found in entries()
        for check in rules_of(found.traits.family).facts.describe_verification(found.traits).checks
    }
    states |= {one.state for one in describe("witnessed", shows_internal_since=shows_since)}
    assert states <= set(get_args(CheckState))
