"""Compiles the test contracts and the demo's token with npm's solc, offline.

Run `python tests/devnet/contracts/compile.py` after editing a `.sol` file; it
rewrites `compiled.json` here and `gateway/demo/token.json`.  A test compares
both with a fresh compilation wherever solc is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
SOLC_FOLDER = REPOSITORY / "node_modules" / "solc"
COMPILED = HERE / "compiled.json"
DEMO_SOURCE = REPOSITORY / "gateway" / "demo" / "token.sol"
DEMO_COMPILED = REPOSITORY / "gateway" / "demo" / "token.json"

_DRIVER = """
const solc = require('solc');
let input = '';
process.stdin.on('data', (part) => (input += part));
process.stdin.on('end', () => process.stdout.write(solc.compile(input)));
"""

_SETTINGS = {
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "paris",
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
}
"""Without metadata the bytecode depends on the source's code only, not on its comments."""


def has_solc() -> bool:
    """Whether node and npm's solc are here."""
    return shutil.which("node") is not None and SOLC_FOLDER.is_dir()


def compile_sources(*sources: Path) -> dict[str, dict[str, Any]]:
    """Name of each contract → its abi and creation bytecode; raises on a compiler error."""
    request = {
        "language": "Solidity",
        "sources": {source.name: {"content": source.read_text()} for source in sources},
        "settings": _SETTINGS,
    }
    run = subprocess.run(
        ["node", "-e", _DRIVER],
        input=json.dumps(request),
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
        text=True,
    )
    # Some releases greet on the first line.
    answer = json.loads(run.stdout[run.stdout.index("{") :])
    failures = [one["formattedMessage"] for one in answer.get("errors", ()) if one["severity"] == "error"]
    if failures:
        raise SystemExit("\n".join(failures))
    return {
        name: {"abi": contract["abi"], "bytecode": "0x" + contract["evm"]["bytecode"]["object"]}
        for contracts in answer["contracts"].values()
        for name, contract in sorted(contracts.items())
    }


def compile_all() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The test contracts, and the demo's token with its name beside."""
    tests = compile_sources(HERE / "tokens.sol", HERE / "native.sol")
    demo = compile_sources(DEMO_SOURCE)["DemoToken"]
    return tests, {"name": "DemoToken", **demo}


def main() -> int:
    tests, demo = compile_all()
    COMPILED.write_text(json.dumps(tests, indent=1, sort_keys=True) + "\n")
    DEMO_COMPILED.write_text(json.dumps(demo, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
