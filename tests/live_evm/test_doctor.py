"""What the doctor says of each dialect: what works, what is done instead, and what to do.

The real checks on a real node behind fronts; how the fronts are understood is
`test_dialects.py`.
"""

from __future__ import annotations

import http
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import websockets.asyncio.server as ws
from websockets.http11 import Response

from chains.rpc import batches
from gateway.config.file import load_settings
from gateway.doctor import chains as checks_chains
from gateway.doctor.chains import check_chain
from gateway.doctor.machine import Finding, Grade
from tests.faultproxy import faults
from tests.faultproxy.fronts import allowing, barring, error, per_call, plain, refusing, say
from tests.faultproxy.proxy import FaultProxy
from tests.live_evm.conftest import Faulty

pytestmark = pytest.mark.live

CHAIN = """
[chains.local]
family = "evm"
chain_id = {chain_id}
native = {{ symbol = "ETH", decimals = 18, slip44 = 60 }}
endpoints = ["{url}"]
final = {{ confirmations = 12 }}
block_time_s = 86400
{more}
"""

RECEIPTS, TRACE, BY_NUMBER = "eth_getBlockReceipts", "debug_traceBlockByHash", "eth_getBlockByNumber"


async def examine(faulty: Faulty, folder: Path, more: str = "", chain_id: int = 31337) -> dict[str, Finding]:
    """All findings of one provider by what they are about."""
    file = folder / "chainbell.toml"
    file.write_text(CHAIN.format(url=faulty.proxy.url, more=more, chain_id=chain_id))
    settings = load_settings(file, environment={}).chains["local"]
    findings = await check_chain(settings, None, now=datetime.now(UTC))
    name = f"local 127.0.0.1:{faulty.proxy.port}"
    return {one.check.removeprefix(name).strip(): one for one in findings if one.check.startswith(name)}


async def test_a_healthy_node_has_nothing_to_be_told(faulty: Faulty, tmp_path: Path) -> None:
    await faulty.chain.pay(5)
    found = await examine(faulty, tmp_path, "traces = true\nstart = 1")
    assert {one.grade for one in found.values()} == {Grade.OK}
    assert set(found) == {"", "blocks", "batches", "catching up", "history"}


Inflict = Callable[[FaultProxy], None]


def front(given: object) -> Inflict:
    return lambda proxy: setattr(proxy, "front", given)


TROUBLES: dict[str, tuple[Inflict, str, str, Grade, str, str]] = {
    # what is wrong, further settings, the finding: about, grade, words found, words of advice
    "receipts refused": (
        front(refusing(RECEIPTS, error(-32001, "rpc method is not whitelisted"))),
        "", "receipts", Grade.WARN, "one by one, 2 calls for a block of 1", "eth_getBlockReceipts costs less",
    ),
    "receipts forbidden": (
        front(barring(RECEIPTS, error(-32052, "add-on required"), 403)),
        "", "receipts", Grade.WARN, "add-on required", "found all the same",
    ),
    "few at once": (
        front(allowing(3, lambda _: say("", 413, "text/plain"))), "", "batches", Grade.OK, "3 calls", "parts",
    ),
    "no batches": (
        front(allowing(1, lambda _: say("nope", 405, "text/plain"))),
        "", "batches", Grade.WARN, "no batches", "round trip a call",
    ),
    "no genesis": (
        front(per_call(lambda call: {"result": None} if call["params"][:1] == ["0x0"] else None)),
        "", "", Grade.FAIL, "block 0, which tells its network", "chains.local.identity",
    ),
    "no traces": (
        front(refusing(TRACE, error(-32601, "the method debug_traceBlockByHash does not exist"))),
        "traces = true", "blocks", Grade.FAIL, "does not exist", "traces = false",
    ),
    "pruned": (
        front(
            per_call(
                lambda call: {"result": None} if call["params"] == ["0x1", True] else None
            )
        ),
        "start = 1", "history", Grade.FAIL, "block 1 comes next", "keeps old blocks",
    ),
    "too fast for it": (
        lambda proxy: proxy.next_exchange(*[faults.Status(429)] * 90),
        "", "", Grade.FAIL, "HTTP 429", "requests_per_s",
    ),
    "a liar": (
        lambda proxy: proxy.bend(RECEIPTS, faults.altered_amount),
        "", "blocks", Grade.FAIL, "", "verification",
    ),
    "forbidden": (
        lambda proxy: proxy.next_exchange(*[faults.Status(403, "your key has expired")] * 90),
        "", "", Grade.FAIL, "your key has expired", "its key and what its plan allows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TROUBLES)
async def test_each_dialect_is_told_with_what_to_do(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(batches, "PAUSE_S", 0.0)
    inflict, more, about, grade, words, advice = TROUBLES[name]
    await faulty.chain.node.mine(4)
    await faulty.chain.pay(5)
    inflict(faulty.proxy)
    told = (await examine(faulty, tmp_path, more))[about]
    assert told.grade is grade, told
    assert words in told.found, told
    assert advice in told.found + told.advice, told


async def test_another_network_is_told_by_name(faulty: Faulty, tmp_path: Path) -> None:
    told = (await examine(faulty, tmp_path, chain_id=4321))[""]
    assert told.grade is Grade.FAIL
    assert "serves chain 31337" in told.found
    assert "chain_id" in told.advice


async def test_a_rate_too_small_for_the_chain_is_told(faulty: Faulty, tmp_path: Path) -> None:
    await faulty.chain.pay(5)
    faulty.proxy.front = plain
    more = f'endpoints = [{{ url = "{faulty.proxy.url}", requests_per_s = 40 }}]\nblock_time_s = 0.1'
    file = tmp_path / "chainbell.toml"
    text = CHAIN.format(url="", more="", chain_id=31337).replace('endpoints = [""]', "")
    file.write_text(text.replace("block_time_s = 86400", more))
    findings = await check_chain(
        load_settings(file, environment={}).chains["local"], None, now=datetime.now(UTC)
    )
    (told,) = [one for one in findings if one.check.endswith(" rate")]
    assert told.grade is Grade.WARN
    assert "about 40 calls a second; this chain takes 75.0" in told.found


@pytest.mark.parametrize("block_time_s", ["0.1", "12"])
async def test_a_websocket_that_is_forbidden_is_told_with_its_status(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_time_s: str
) -> None:
    monkeypatch.setattr(checks_chains, "HINT_TIMEOUT_S", 0.5)

    def forbid(socket: ws.ServerConnection, _request: object) -> Response:
        return socket.respond(http.HTTPStatus.FORBIDDEN, "no websockets in your plan")

    async with ws.serve(lambda socket: socket.close(), "127.0.0.1", 0, process_request=forbid) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        more = CHAIN.format(url=f'{faulty.proxy.url}", "ws://127.0.0.1:{port}', more="", chain_id=31337)
        file = tmp_path / "chainbell.toml"
        file.write_text(more.replace("block_time_s = 86400", f"block_time_s = {block_time_s}"))
        findings = await check_chain(
            load_settings(file, environment={}).chains["local"], None, now=datetime.now(UTC)
        )
    (told,) = [one for one in findings if one.check.endswith("(ws)")]
    assert told.grade is Grade.WARN
    assert "HTTP 403" in told.found
    assert "timer finds blocks" in told.advice
