"""The compiled contracts stand beside their sources and say the same.

Wherever npm's solc is installed they are compiled again and compared; a
difference means `python tests/devnet/contracts/compile.py` was forgotten.
"""

from __future__ import annotations

import json

import pytest

from tests.devnet.compiled import DEMO_TOKEN, load_contract
from tests.devnet.contracts.compile import COMPILED, compile_all, has_solc


def test_bytecode_and_sources_agree() -> None:
    if not has_solc():
        pytest.skip("solc is not installed: run `npm ci` in the repository")
    tests, demo = compile_all()
    assert tests == json.loads(COMPILED.read_text())
    assert demo == json.loads(DEMO_TOKEN.read_text())


def test_the_demo_token_is_data_anybody_can_read() -> None:
    found = json.loads(DEMO_TOKEN.read_text())
    assert set(found) == {"name", "abi", "bytecode"}
    assert bytes.fromhex(found["bytecode"][2:])
    assert load_contract("DemoToken").call("transfer", "0x" + "55" * 20, 1).startswith("0xa9059cbb")
