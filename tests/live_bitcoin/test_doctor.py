"""A configured regtest node as the doctor sees it, and a stranger's node asked for one block."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chains.bitcoin.family import BITCOIN
from chains.errors import Refused, WrongNetwork
from gateway.config.file import load_settings
from gateway.doctor.chains import check_chain
from gateway.doctor.machine import Finding, Grade
from tests.devnet.bitcoind import PASSWORD, BitcoinNode, needs_bitcoind
from tests.live_bitcoin.world import regtest_traits

pytestmark = [pytest.mark.live, needs_bitcoind]

CHAIN = """
[chains.bitcoin-regtest]
endpoints = [{endpoints}]
start = 1
"""


async def examine(folder: Path, *endpoints: str) -> dict[str, Finding]:
    """All findings by what they are about."""
    file = folder / "chainbell.toml"
    file.write_text(CHAIN.format(endpoints=", ".join(endpoints)))
    settings = load_settings(file, environment={}).chains["bitcoin-regtest"]
    findings = await check_chain(settings, None, now=datetime.now(UTC))
    return {one.check.removeprefix("bitcoin-regtest").strip(): one for one in findings}


def by_cookie(node: BitcoinNode, path: Path | None = None) -> str:
    return f'{{ url = "{node.url}", cookie_file = "{path or node.cookie_file}" }}'


async def test_a_healthy_node_and_its_publisher_have_nothing_to_be_told(
    node: BitcoinNode, tmp_path: Path
) -> None:
    found = await examine(tmp_path, by_cookie(node), f'"{node.zmq_url}"')
    host = f"127.0.0.1:{node.port}"
    assert found.pop("").grade is Grade.WARN, "one operator is trusted blindly"
    assert {name: one for name, one in found.items() if one.grade is not Grade.OK} == {}
    assert f"127.0.0.1:{node.zmq_port} (tcp)" in found
    assert {host, f"{host} blocks", f"{host} batches"} <= set(found)


async def test_who_is_not_let_in_is_told_how_and_no_secret(node: BitcoinNode, tmp_path: Path) -> None:
    host = f"127.0.0.1:{node.port}"
    wrong = node.login_url.replace(PASSWORD, "another-word")
    for endpoint in (f'"{wrong}"', f'"{node.url}"', by_cookie(node, tmp_path / "none")):
        found = (await examine(tmp_path, endpoint))[host]
        assert found.grade is Grade.FAIL
        assert "cookie_file" in found.advice
        assert "another-word" not in found.found + found.advice


async def test_a_publisher_that_is_not_there_is_said(node: BitcoinNode, tmp_path: Path) -> None:
    found = await examine(tmp_path, by_cookie(node), f'"tcp://127.0.0.1:{node.p2p_port}"')
    assert found[f"127.0.0.1:{node.p2p_port} (tcp)"].grade is not Grade.OK


async def test_a_strangers_node_is_asked_for_one_block(node: BitcoinNode) -> None:
    chain = regtest_traits().chain
    seen = await BITCOIN.fetch_block_seen(chain, node.login_url, 7)
    assert seen.block_hash == await node.call("getblockhash", 7)
    assert (seen.head_height, seen.final_height) == (await node.height(), None)
    assert (await BITCOIN.fetch_block_seen(chain, node.login_url, 10_000)).block_hash is None
    with pytest.raises(WrongNetwork):
        await BITCOIN.fetch_block_seen(
            BITCOIN.facts.parse_chain("000000000019d6689c085ae165831e93"), node.login_url, 7
        )
    with pytest.raises(Refused, match="401"):
        await BITCOIN.fetch_block_seen(chain, node.url, 7)
