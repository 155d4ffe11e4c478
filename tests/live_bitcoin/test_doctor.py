"""A configured regtest node as the doctor sees it, and a stranger's node asked for one block."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chains.bitcoin.family import BITCOIN
from chains.errors import ChainError, Inconsistent, Refused, Unreachable, WrongNetwork
from gateway.config.file import load_settings
from gateway.doctor.chains import check_chain
from gateway.doctor.machine import Finding, Grade
from tests.devnet.bitcoind import PASSWORD, BitcoinNode, needs_bitcoind, start_bitcoind
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
    told = found[f"127.0.0.1:{node.p2p_port} (tcp)"]
    assert told.grade is Grade.WARN
    assert "zmqpub" in told.advice
    assert "timer finds blocks" in told.advice


async def test_a_node_that_is_not_there_or_not_ready_or_another_is_told_with_what_to_do(
    tmp_path: Path,
) -> None:
    async with start_bitcoind(ripe=False) as young:
        host = f"127.0.0.1:{young.port}"
        told = (await examine(tmp_path, by_cookie(young)))[host]
        assert (told.grade, "wait until it has the whole chain" in told.advice) == (Grade.FAIL, True), told
        await young.kill()
        told = (await examine(tmp_path, f'"{young.login_url}"'))[host]
        assert (told.grade, "server=1" in told.advice) == (Grade.FAIL, True), told


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            Refused("runs version 210501: nodes below 210505 have believed false blocks; upgrade it"),
            "upgrade",
        ),
        (Refused("HTTP 401"), "cookie_file"),
        (Refused("HTTP 403"), "rpcallowip"),
        (Refused("block 5 is pruned"), "prune=0"),
        (WrongNetwork("serves litecoin, not bitcoin: its block 0 is 12a7"), "correct its URL"),
        (Unreachable("refused the connection"), "server=1"),
        (Unreachable("still downloads the chain: it has 1 blocks and 2 headers"), "wait until"),
        (Inconsistent("its work was not done"), "another provider"),
    ],
)
def test_each_refusal_of_a_node_has_an_advice_of_its_own(error: ChainError, said: str) -> None:
    advice = BITCOIN.load_trial().advise(error, "bitcoin")
    assert advice is not None
    assert said in advice


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
