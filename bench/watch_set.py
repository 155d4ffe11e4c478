"""What a block costs as the watch list grows, and what the list weighs.

One block of five transactions with twenty token transfers each, as a node
answers it, is decoded, held against itself as every block is, and matched
against a thousand, a million and ten million watched addresses (hashes and
roots are not recomputed here: `verify_block`).  The cost should not grow with the list.  Every size
is a process of its own; the weight is the growth of its proportional set size.

    .venv/bin/python -m bench.watch_set [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.report import print_table, write_result
from chains.evm.nodes.reading import compute_reading
from chains.evm.rows.consistency import STRICT, check_block
from chains.evm.rows.structs import decode_block, decode_receipts
from chains.evm.value.decode import decode_transfers
from chains.model import Block, VerificationLevel
from indexer.rules.matching import find_hits
from indexer.rules.watchset import WatchSet

SIZES = (1_000, 1_000_000, 10_000_000)
PAGE_ADDRESSES = 50_000
BLOCKS_TIMED = 400
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TOKEN = "0x" + "ab" * 20


def word(number: int) -> str:
    """32 bytes as the node writes them."""
    return f"0x{number:064x}"


def make_answers(recipients: list[bytes]) -> tuple[bytes, bytes]:
    """A block and its receipts as JSON, twenty transfers to a transaction."""
    block_hash = word(0xB10C)
    transactions: list[dict[str, Any]] = []
    receipts: list[dict[str, Any]] = []
    for place in range(0, len(recipients), 20):
        index, tx_hash = place // 20, word(0x7A0000 + place)
        at = {"blockHash": block_hash, "blockNumber": "0x1", "transactionIndex": hex(index)}
        transactions.append(
            {"hash": tx_hash, "nonce": "0x1", "from": "0x" + "11" * 20, "to": TOKEN, "value": "0x0", **at}
        )
        logs = [
            {
                "address": TOKEN,
                "topics": [TRANSFER, word(0x11), "0x" + "00" * 12 + recipient.hex()],
                "data": word(1_000_000),
                "transactionHash": tx_hash,
                "logIndex": hex(place + offset),
                **at,
            }
            for offset, recipient in enumerate(recipients[place : place + 20])
        ]
        receipts.append(
            {"transactionHash": tx_hash, "logs": logs, "cumulativeGasUsed": "0x1", "status": "0x1", **at}
        )
    block = {
        "hash": block_hash, "number": "0x1", "parentHash": word(1), "timestamp": "0x1", "transactionsRoot": word(2),
        "receiptsRoot": word(3), "stateRoot": word(4), "sha3Uncles": word(5), "miner": TOKEN, "logsBloom": "0x",
        "gasLimit": "0x1", "gasUsed": "0x1", "extraData": "0x", "transactions": transactions,
    }  # fmt: skip
    return json.dumps(block).encode(), json.dumps(receipts).encode()


def read_pss_mib() -> float:
    """This process's proportional set size."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def run_child(size: int) -> None:
    """Fill a list of this size, weigh it, and time blocks against it."""
    import msgspec

    from bench.follow_blocks import bench_traits

    watched = WatchSet()
    before_mib = read_pss_mib()
    for first in range(0, size, PAGE_ADDRESSES):
        count = min(PAGE_ADDRESSES, size - first)
        watched.add((os.urandom(20) for _ in range(count)), version=first + count)
    weight_mib = read_pss_mib() - before_mib
    mine = os.urandom(20)
    watched.add([mine], version=size + 1)
    index = compute_reading(bench_traits(TOKEN)).assets
    answers = [make_answers([*(os.urandom(20) for _ in range(99)), mine]) for _ in range(20)]
    began = time.perf_counter()
    for number in range(BLOCKS_TIMED):
        block_json, receipts_json = answers[number % len(answers)]
        block = decode_block(msgspec.Raw(block_json))
        receipts = decode_receipts(msgspec.Raw(receipts_json))
        check_block(STRICT, block.hash, block, receipts)
        decoded = decode_transfers(index, block, receipts)
        hits = find_hits([_as_block(decoded.transfers)], watched)
        assert len(hits) == 1, len(hits)
    cost_us = (time.perf_counter() - began) / BLOCKS_TIMED * 1e6
    print(json.dumps({"size": size, "weight_mib": weight_mib, "block_us": cost_us}))


def _as_block(transfers: Any) -> Block:
    from chains.model import BlockHash, BlockRef, Header

    header = Header(1, BlockHash(b"\1" * 32), BlockRef(0, BlockHash(b"\0" * 32)), 0)
    return Block(header, 5, 100, 0, VerificationLevel.CONSISTENT, "bench", transfers)


def main() -> None:
    """Run every size in turn, so that the machine's drift hits all alike."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        run_child(arguments.child)
        return
    runs: list[dict[str, float]] = []
    for _ in range(arguments.runs):
        for size in SIZES:
            command = [sys.executable, "-m", "bench.watch_set", "--child", str(size)]
            runs.append(
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            )
    floor_us = statistics.median(run["block_us"] for run in runs if run["size"] == SIZES[0])
    rows: list[dict[str, float]] = []
    for size in SIZES:
        mine = [run for run in runs if run["size"] == size]
        block_us = statistics.median(run["block_us"] for run in mine)
        rows.append(
            {
                "addresses": size,
                "block_us": round(block_us),
                "ratio_to_smallest": round(block_us / floor_us, 3),
                "weight_mib": round(statistics.median(run["weight_mib"] for run in mine), 1),
            }
        )
    write_result("watch_set", {"sizes": rows, "runs": runs})
    print_table(list(rows[0]), [list(row.values()) for row in rows])


if __name__ == "__main__":
    main()
