"""What a busy Tron block costs to follow: the recorded mainnet block of 619 transactions, against reading the same JSON.

The floor is `json.loads` of the same bytes in the same run.  Measured is all
that is done between a node's answer and a hit: rows, the transactions root, the
witness's signature, what moved, and the watch list.  Receipts were not
recorded; they are made of each token call's own words.  Calls a block are
counted on a made chain over loopback.

    CHAINBELL_RECORDED=... .venv/bin/python -m bench.follow_tron [--runs 5] [--repeat 10]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

import msgspec

from bench.report import describe_machine, print_table, summarize, write_result
from chains.catalog import entry
from chains.model import Block, Header, VerificationLevel
from chains.tron.address import parse_address
from chains.tron.nodes.blocks import order_infos
from chains.tron.rows.blocks import BLOCK, INFOS, read_header, read_transactions
from chains.tron.source import TronSource
from chains.tron.value.transfers import compute_asset_index, decode_transfers, read_all_asked
from chains.tron.verify.block import Schedule, check_root, check_witness
from indexer.rules.matching import find_hits
from indexer.rules.watchset import WatchSet
from tests.devnet.tron_chain import TronChain, account, call, log, pay
from tests.devnet.tron_node import start_tron_node
from tests.unit.chains.tron.oracle import HEIGHT, list_calls, print_block, read_recorded
from tests.unit.chains.verify.recorded import IS_RECORDED, REASON

TOPIC = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
USDT = parse_address("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t")
WATCHED = 10_000
BLOCKS_COUNTED = 20


def make_answers() -> tuple[bytes, bytes]:
    """The block as a node prints it, and receipts for it."""
    recorded = read_recorded()
    block = print_block(recorded)
    calls = {tx: (payer, payee, amount) for tx, payer, payee, amount, _ in list_calls(recorded, bytes(USDT))}
    infos = []
    for one in block["transactions"]:
        info: dict[str, Any] = {"id": one["txID"], "blockNumber": HEIGHT, "receipt": {"net_usage": 268}}
        info["receipt"]["result"] = one["ret"][0].get("contractRet", "DEFAULT")
        if one["txID"] in calls:
            payer, payee, amount = calls[one["txID"]]
            topics = [TOPIC, payer[2:].rjust(64, "0"), payee[2:].rjust(64, "0")]
            info["log"] = [{"address": USDT[1:].hex(), "topics": topics, "data": f"{amount:064x}"}]
        infos.append(info)
    return msgspec.json.encode(block), msgspec.json.encode(infos)


def measure_once(block_json: bytes, infos_json: bytes, watched: WatchSet) -> dict[str, float]:
    """Milliseconds of each stage of one block."""
    found = entry("tron")
    assert found is not None
    index = compute_asset_index(found.traits)
    marks = [time.perf_counter()]
    json.loads(block_json)
    json.loads(infos_json)
    marks.append(time.perf_counter())
    block, infos = BLOCK.decode(block_json), INFOS.decode(infos_json)
    marks.append(time.perf_counter())
    header, transactions = read_header(block), read_transactions(block)
    doubts = check_root(header, block, transactions, block_json)
    schedule = Schedule(0, 1 << 60, frozenset({parse_address(header.witness.hex())}))
    doubts += check_witness(header, schedule)
    marks.append(time.perf_counter())
    ordered = order_infos(transactions, infos, HEIGHT)
    assert ordered is not None
    decoded = decode_transfers(index, transactions, read_all_asked(transactions), ordered)
    marks.append(time.perf_counter())
    hits = find_hits([_as_block(header.header, decoded.transfers)], watched)
    marks.append(time.perf_counter())
    assert doubts == []
    assert len(decoded.transfers.recipients) > 380
    assert hits
    names = ("json_ms", "rows_ms", "check_ms", "decode_ms", "match_ms")
    times = {name: (marks[at + 1] - marks[at]) * 1000 for at, name in enumerate(names)}
    return {**times, "follow_ms": (marks[-1] - marks[1]) * 1000}


def _as_block(header: Header, transfers: Any) -> Block:
    return Block(header, 619, 152, 0, VerificationLevel.PARTIAL, "bench", transfers)


def make_watched() -> WatchSet:
    """Ten thousand addresses, of which the block pays one."""
    payee = list_calls(read_recorded(), bytes(USDT))[0][2]
    watched = WatchSet()
    watched.add([*(account(str(at)) for at in range(WATCHED)), parse_address(payee)], version=1)
    return watched


async def count_calls() -> dict[str, float]:
    """Calls a block where a contract ran in each, and where none did."""
    counted = {}
    for name, txs in (("with contracts", [call(log(account("x"), 1))]), ("without", [pay(account("x"), 1)])):
        chain = TronChain()
        async with start_tron_node(chain) as node, TronSource(chain.traits(), [node.endpoint()]) as source:
            provider = source.choose_provider()
            await provider.fetch_head_report()
            before = node.asked.total()
            for _ in range(BLOCKS_COUNTED):
                chain.mine(*txs)
                report = await provider.fetch_head_report()
                await provider.fetch_blocks_at([report.head.ref])
            counted[name] = (node.asked.total() - before) / BLOCKS_COUNTED
    return counted


def main() -> None:
    """Read the command line, measure, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=10)
    arguments = parser.parse_args()
    if not IS_RECORDED:
        sys.exit(REASON)
    block_json, infos_json = make_answers()
    watched = make_watched()
    runs = []
    for _ in range(arguments.runs):
        times = [measure_once(block_json, infos_json, watched) for _ in range(arguments.repeat)]
        runs.append({name: min(one[name] for one in times) for name in times[0]})
    figures = {name: summarize([one[name] for one in runs]) for name in runs[0]}
    calls = asyncio.run(count_calls())
    machine = describe_machine()
    print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['python']}, load {machine['load_1m']}\n"
    )
    ratio = figures["follow_ms"]["median"] / figures["json_ms"]["median"]
    print_table(
        ("transactions", *figures, "follow/json"),
        [(619, *(f"{one['median']:.2f}" for one in figures.values()), f"{ratio:.1f}")],
    )
    print("\n" + ", ".join(f"{name}: {count:.2f} calls a block" for name, count in calls.items()))
    kept = {
        "runs": arguments.runs,
        "bytes": len(block_json) + len(infos_json),
        **figures,
        "calls_per_block": calls,
    }
    print(f"\nkept in {write_result('follow_tron', kept).name}")


if __name__ == "__main__":
    main()
