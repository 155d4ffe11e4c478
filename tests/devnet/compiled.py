"""Compiled contracts as tests use them: bytecode to deploy, calls as data.

Sources, bytecode and the compiler's script stand together in `contracts/`; the
plain ERC-20 is the demo's (`gateway/demo/token.json`).  Putting them on a node
is `anvil.AnvilNode.deploy`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import sha3
from eth_abi.abi import encode

HERE = Path(__file__).resolve().parent
DEMO_TOKEN = HERE.parents[1] / "gateway" / "demo" / "token.json"


@dataclass(frozen=True, slots=True)
class Contract:
    """One compiled contract."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str

    def creation(self, *arguments: object) -> str:
        """Data of the transaction that creates it."""
        types = [_types(one) for one in self.abi if one["type"] == "constructor"]
        return self.bytecode + (encode(types[0], arguments).hex() if types else "")

    def call(self, function: str, *arguments: object) -> str:
        """Data of a call; addresses as 0x text."""
        entry = next(one for one in self.abi if one.get("name") == function and one["type"] == "function")
        types = _types(entry)
        selector = sha3.keccak_256(f"{function}({','.join(types)})".encode()).digest()[:4]
        return f"0x{(selector + encode(types, arguments)).hex()}"


@cache
def load_contract(name: str) -> Contract:
    """A contract of `contracts/*.sol`, or `DemoToken`."""
    if name == "DemoToken":
        found = json.loads(DEMO_TOKEN.read_text())
    else:
        found = json.loads((HERE / "contracts" / "compiled.json").read_text())[name]
    return Contract(name, found["abi"], found["bytecode"])


def _types(entry: dict[str, Any]) -> list[str]:
    return [str(one["type"]) for one in entry["inputs"]]
