"""What verifying a block costs: recorded blocks of mainnets, against reading the same JSON.

The floor is `json.loads` of the same bytes in the same run, which any program
that looks at a block pays before it knows anything.  Beside it stands the time
of reading the rows the product needs (msgspec), so the figures say what
verification adds.  Five runs each, the median counts.

    .venv/bin/python -m bench.verify_block [--runs 5] [--repeat 20]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.report import describe_machine, print_table, summarize, write_result
from chains.evm.rows.consistency import check_block, rules_of_profile
from chains.evm.rows.structs import RawBlock, RawReceipt, decode_block, decode_receipts
from chains.evm.verify import PROFILES, verify_block
from chains.model import VerificationLevel

RECORDED = Path(os.environ.get("CHAINBELL_RECORDED", Path(__file__).parents[2] / "shared" / "recorded"))
BLOCKS = (
    ("ethereum 4369999", "full", "ethereum/4369999.block.json", "ethereum/4369999.receipts.json"),
    ("ethereum 18000000", "full", "ethereum/18000000.block.json", "ethereum/18000000.receipts.json"),
    (
        "ethereum 19433902",
        "full",
        "ethereum/trin/block-19433902.json",
        "ethereum/trin/receipts-19433902.json",
    ),
    (
        "ethereum 19433903",
        "full",
        "ethereum/trin/block-19433903.json",
        "ethereum/trin/receipts-19433903.json",
    ),
    ("polygon 50000000", "polygon", "polygon/50000000.block.json", "polygon/50000000.receipts.json"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded block as a node's answer: compact JSON, as nodes send it."""

    name: str
    profile: str
    block_json: bytes
    receipts_json: bytes

    def read(self) -> tuple[RawBlock, list[RawReceipt]]:
        """The rows as the product reads them."""
        block = decode_block(msgspec.Raw(self.block_json), PROFILES[self.profile].decoder)
        return block, decode_receipts(msgspec.Raw(self.receipts_json))


def load_samples() -> list[Sample]:
    """The recorded blocks; ends the program where they are absent."""
    if not (RECORDED / "evm").is_dir():
        sys.exit("recorded chain data is not beside the repository; set CHAINBELL_RECORDED to its folder")
    return [Sample(name, profile, _read(block), _read(receipts)) for name, profile, block, receipts in BLOCKS]


def _read(path: str) -> bytes:
    document = json.loads((RECORDED / "evm" / path).read_bytes())
    if isinstance(document, dict) and "result" in document:
        document = document["result"]
    return msgspec.json.encode(document)


def measure(action: Callable[[], Any], repeat: int) -> float:
    """Milliseconds of one call: the fastest of `repeat`, which other work on the machine disturbs least."""
    best = float("inf")
    for _ in range(repeat):
        before = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - before)
    return best * 1000


def run_once(sample: Sample, repeat: int) -> dict[str, float]:
    """The four times of one block, in milliseconds."""
    block, receipts = sample.read()
    profile, rules = PROFILES[sample.profile], rules_of_profile(sample.profile)
    assert verify_block(profile, block, receipts) is VerificationLevel.FULL

    def read_any() -> None:
        json.loads(sample.block_json)
        json.loads(sample.receipts_json)

    return {
        "json_ms": measure(read_any, repeat),
        "rows_ms": measure(sample.read, repeat),
        "consistency_ms": measure(lambda: check_block(rules, None, block, receipts), repeat),
        "verify_ms": measure(lambda: verify_block(profile, block, receipts), repeat),
    }


def run(sample: Sample, runs: int, repeat: int) -> dict[str, Any]:
    """Medians over the runs, with what the block holds."""
    times = [run_once(sample, repeat) for _ in range(runs)]
    block, receipts = sample.read()
    transactions, logs = len(block.transactions), sum(len(receipt.logs) for receipt in receipts)
    medians = {name: summarize([one[name] for one in times]) for name in times[0]}
    verify_ms = medians["verify_ms"]["median"]
    return {
        "transactions": transactions,
        "logs": logs,
        "bytes": len(sample.block_json) + len(sample.receipts_json),
        **medians,
        "verify_us_per_transaction": verify_ms * 1000 / transactions,
        "verify_us_per_log": verify_ms * 1000 / logs,
        "verify_to_json": verify_ms / medians["json_ms"]["median"],
    }


def main() -> None:
    """Read the command line, measure, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    figures = {sample.name: run(sample, arguments.runs, arguments.repeat) for sample in load_samples()}
    machine = describe_machine()
    print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['python']}, load {machine['load_1m']}\n"
    )
    head = (
        "block",
        "txs",
        "logs",
        "json ms",
        "rows ms",
        "consistency ms",
        "verify ms",
        "µs/tx",
        "µs/log",
        "verify/json",
    )
    rows = [
        (
            name,
            one["transactions"],
            one["logs"],
            *(f"{one[key]['median']:.2f}" for key in ("json_ms", "rows_ms", "consistency_ms", "verify_ms")),
            f"{one['verify_us_per_transaction']:.1f}",
            f"{one['verify_us_per_log']:.1f}",
            f"{one['verify_to_json']:.2f}",
        )
        for name, one in figures.items()
    ]
    print_table(head, rows)
    print(f"\nkept in {write_result('verify_block', {'runs': arguments.runs, 'blocks': figures}).name}")


if __name__ == "__main__":
    main()
