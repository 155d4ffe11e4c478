"""What contracts say of themselves is read, compared, capped and tamed.

Contracts with odd and hostile metadata on a real node.  What a mismatch does
to a starting chain is the gateway's test.
"""

from __future__ import annotations

import pytest

from chains.errors import Unreachable
from chains.evm.nodes.tokens import (
    fetch_decimals,
    fetch_token_facts,
    tame_text,
)
from tests.devnet.local import NATIVE, payee, to_address, token
from tests.faultproxy import faults
from tests.faultproxy.faults import Reset
from tests.live_evm.conftest import Faulty, LocalChain, MakeSource

pytestmark = pytest.mark.live


async def test_a_plain_token_says_its_decimals_and_symbol(chain: LocalChain, make_source: MakeSource) -> None:
    node = make_source(chain.traits(), chain.node.url).choose_provider().node
    facts = await fetch_token_facts(node, to_address(chain.token))
    assert (facts.decimals, facts.symbol) == (6, "USDT")


async def test_case_008_other_decimals_than_configured_are_found(
    chain: LocalChain, make_source: MakeSource
) -> None:
    node = make_source(chain.traits(), chain.node.url).choose_provider().node
    listed = token(chain.token, decimals=18)
    assert await fetch_decimals(node, [NATIVE, listed]) == {listed.asset_id: 6}


async def test_an_address_without_code_says_nothing(chain: LocalChain, make_source: MakeSource) -> None:
    node = make_source(chain.traits(), chain.node.url).choose_provider().node
    facts = await fetch_token_facts(node, to_address(payee(9)))
    assert (facts.decimals, facts.symbol) == (None, None)
    assert await fetch_decimals(node, [token(payee(9))]) == {}


async def test_case_021_a_symbol_of_32_bytes_is_read(chain: LocalChain, make_source: MakeSource) -> None:
    at = await chain.deploy("Bytes32Token")
    node = make_source(chain.traits(), chain.node.url).choose_provider().node
    facts = await fetch_token_facts(node, to_address(at))
    assert (facts.decimals, facts.symbol) == (18, "MKR")


@pytest.mark.parametrize("size", [64, 1_000_000])
async def test_case_021_hostile_metadata_is_tamed_or_refused(
    chain: LocalChain, make_source: MakeSource, size: int
) -> None:
    at = await chain.deploy("HostileToken", 255, size)
    node = make_source(chain.traits(), chain.node.url).choose_provider().node
    facts = await fetch_token_facts(node, to_address(at))
    assert facts.decimals == 255
    if size == 64:
        assert facts.symbol is not None
        assert facts.symbol.startswith(
            "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e\\u202e\\u000a\\u0000"
        )
        assert facts.symbol.isprintable()
    else:
        assert facts.symbol is None


async def test_decimals_no_byte_can_hold_are_none(faulty: Faulty) -> None:
    faulty.proxy.bend("eth_call", faults.constant("0x" + "ff" * 32))
    facts = await fetch_token_facts(faulty.provider.node, to_address(faulty.chain.token))
    assert facts.decimals is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        6,
        True,
        "",
        "0x",
        "0x0",
        "6",
        "0xzz",
        "0x" + "00" * 31,
        "0x" + "f" * 4_000,
        "x" * 20_000,
        {"a": []},
    ],
)
async def test_an_answer_that_is_none_says_nothing_and_ends_nothing(faulty: Faulty, answer: object) -> None:
    faulty.proxy.bend("eth_call", faults.constant(answer))
    node = faulty.provider.node
    facts = await fetch_token_facts(node, to_address(faulty.chain.token))
    assert facts.decimals is None
    assert await fetch_decimals(node, [token(faulty.chain.token, decimals=18)]) == {}


async def test_a_contract_cannot_send_us_to_a_url(faulty: Faulty) -> None:
    lookup = {"code": 3, "message": "execution reverted", "data": "0x556f1830" + "00" * 160}
    faulty.proxy.bend("eth_call", lambda _params, _answer: {"error": lookup})
    facts = await fetch_token_facts(faulty.provider.node, to_address(faulty.chain.token))
    assert (facts.decimals, facts.symbol) == (None, None)


async def test_a_node_that_is_gone_is_weather_not_an_answer(faulty: Faulty) -> None:
    await faulty.provider.fetch_head_report()
    faulty.proxy.next_exchange(Reset())
    with pytest.raises(Unreachable):
        await fetch_token_facts(faulty.provider.node, to_address(faulty.chain.token))


@pytest.mark.parametrize(
    ("text", "tamed"),
    [
        ("USDT", "USDT"),
        ("USD₮0", "USD₮0"),
        ("a b", "a b"),
        ("\x1b[31m", "\\u001b[31m"),
        ("\u202eTDSU", "\\u202eTDSU"),
        ("a\u00a0b", "a\\u00a0b"),
        ("x" * 1000, "x" * 32),
        (b"MKR" + b"\x00" * 29, "MKR"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_text_is_capped_and_cannot_act(text: str | bytes, tamed: str) -> None:
    assert tame_text(text) == tamed
