"""Which recorded blocks of public chains need their receipts, for lists of watched addresses of several lengths.

Nobody in the lists is paid: they are addresses of chance, so what is counted is how often a block that
concerns nobody says so.  The lists are held against each block as the follower holds them, with the
catalogue's tokens; calls and bytes a block follow from that, with receipts in a second exchange where
enough can be spared and along with the block where not.  Beside it stands what the blooms alone would
spare, whatever else of a block takes its receipts.

    .venv/bin/python -m bench.spared_receipts [--lists 200]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.report import print_table, write_result
from bench.verify_block import RECORDED
from chains.catalog import entry
from chains.evm.facts import facts_of
from chains.evm.nodes.window import SPARED_SHARE_MIN
from chains.evm.rows.structs import RawBlock, decode_block
from chains.evm.value.sparing import SparingRules, compute_sparing_rules, read_spared
from chains.evm.verify import PROFILES
from chains.evm.verify.bloom import parse_bloom
from chains.evm.verify.fields import HashedBlock
from chains.model import Address, Sought
from indexer.rules.watchset import SOUGHT_MAX
from tests.unit.chains.verify.recorded import transaction_rows

LENGTHS = (10, 100, 1_000, 1_000_000)
SEED = 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """One block as a node would answer it; `receipts_bytes` None where they were not recorded."""

    name: str
    block: RawBlock
    block_bytes: int
    receipts_bytes: int | None

    @property
    def bloom_bits(self) -> int:
        """How many of the bloom's 2,048 bits are set."""
        assert isinstance(self.block, HashedBlock)
        return parse_bloom(self.block.logs_bloom or "").bit_count()


def read_blocks(alias: str) -> Iterator[Recorded]:
    """The recorded blocks of a chain that have a bloom and are not older than its tokens."""
    folder = RECORDED / "evm"
    if alias == "optimism-sepolia":
        yield from read_fixtures(folder / "op_sepolia")
        return
    paths = sorted((folder / alias).rglob("*.block.json")) + sorted(
        (folder / alias / "trin").glob("block-*.json")
    )
    for path in paths:
        rows = unpack(json.loads(path.read_bytes()))
        if "forks" in path.parts or not rows.get("transactions") or isinstance(rows["transactions"][0], str):
            continue
        if alias == "ethereum" and int(rows["number"], 16) < 12_000_000:
            continue
        beside = [path.with_name(path.name.replace("block", "receipts"))]
        receipts = next((unpack(json.loads(one.read_bytes())) for one in beside if one.exists()), None)
        yield make(alias, rows, receipts)


def read_fixtures(folder: Path) -> Iterator[Recorded]:
    """Blocks recorded as payloads; the header of one stands in the next one's fixture."""
    fixtures = {
        path.name.split(".")[0]: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))
    }
    for name, fixture in fixtures.items():
        following = fixtures.get(str(int(name) + 1))
        if following is None:
            continue
        block = {**following["parent_header"], "hash": fixture["expected_block_hash"], "withdrawals": []}
        envelopes = [bytes.fromhex(item[2:]) for item in fixture["executing_payload"]["transactions"]]
        block["transactions"] = [transaction_rows(item, at, block) for at, item in enumerate(envelopes)]
        for row in block["transactions"]:
            row["from"] = row.get("from") or "0x" + "00" * 20
        yield make("optimism-sepolia", block, None)


def unpack(document: Any) -> Any:
    """The result, where a whole answer was recorded."""
    document = (
        document[0] if isinstance(document, list) and document and "jsonrpc" in document[0] else document
    )
    return document["result"] if isinstance(document, dict) and "result" in document else document


def make(alias: str, rows: dict[str, Any], receipts: Any) -> Recorded:
    """The block as it is read, and what it and its receipts weigh as compact JSON."""
    known = entry(alias)
    assert known is not None
    body = json.dumps(rows, separators=(",", ":")).encode()
    decoder = PROFILES[facts_of(known.traits).verification_profile].decoder
    weight = None if receipts is None else len(json.dumps(receipts, separators=(",", ":")))
    return Recorded(
        f"{alias} {int(rows['number'], 16)}", decode_block(msgspec.Raw(body), decoder), len(body), weight
    )


def draw_list(rng: random.Random, length: int) -> Sought:
    """A watch list of chance."""
    return Sought(frozenset(Address(rng.randbytes(20)) for _ in range(length)), 1)


def count_needing(
    rules: SparingRules, blocks: list[Recorded], lists: list[Sought], *, bloom_alone: bool
) -> list[float]:
    """Of each block the share of the lists for which its receipts are needed."""
    shares = []
    for one in blocks:
        needing = 0
        for sought in lists:
            spared = read_spared(rules, one.block, sought)
            needing += may_log(rules, one.block, sought) if bloom_alone else spared is None
        shares.append(needing / len(lists))
    return shares


def may_log(rules: SparingRules, block: RawBlock, sought: Sought) -> bool:
    """Whether the bloom admits a listed token's transfer to somebody sought."""
    bare = msgspec.structs.replace(block, transactions=[], number="0x7fffffff")
    return read_spared(rules, bare, sought) is None


def measure(alias: str, lists_count: int) -> Iterator[dict[str, Any]]:
    """One row a length of list."""
    known = entry(alias)
    assert known is not None
    rules = compute_sparing_rules(known.traits)
    assert rules is not None
    blocks = list(read_blocks(alias))
    weighed = [one for one in blocks if one.receipts_bytes is not None]
    ratio = sum(one.receipts_bytes or 0 for one in weighed) / max(1, sum(one.block_bytes for one in weighed))
    for length in LENGTHS:
        rng = random.Random(SEED)
        if length <= SOUGHT_MAX:
            lists = [draw_list(rng, length) for _ in range(max(1, lists_count * 10 // length or 1))]
            needing = count_needing(rules, blocks, lists, bloom_alone=False)
            by_bloom = count_needing(rules, blocks, lists, bloom_alone=True)
        else:
            needing = by_bloom = [1.0] * len(blocks)
        share = sum(needing) / len(needing)
        is_apart = 1 - share >= SPARED_SHARE_MIN
        block_bytes = sum(one.block_bytes for one in blocks) / len(blocks)
        receipts_bytes = block_bytes * ratio if weighed else None
        yield {
            "chain": alias,
            "blocks": len(blocks),
            "tokens": len(rules.token_masks),
            "bloom_bits_set": round(sum(one.bloom_bits for one in blocks) / len(blocks)),
            "addresses": length,
            "share_needing_receipts": round(share, 3),
            "share_by_bloom_alone": round(sum(by_bloom) / len(by_bloom), 3),
            "calls_a_block_before": 2,
            "calls_a_block": round(1 + share, 2) if is_apart else 2,
            "block_bytes": round(block_bytes),
            "receipts_bytes": None if receipts_bytes is None else round(receipts_bytes),
            "bytes_a_block_before": None if receipts_bytes is None else round(block_bytes + receipts_bytes),
            "bytes_a_block": None
            if receipts_bytes is None
            else round(block_bytes + receipts_bytes * (share if is_apart else 1)),
        }


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lists", type=int, default=200, help="of ten addresses; fewer of longer ones")
    parser.add_argument("--name", default="spared_receipts", help="of the result file")
    arguments = parser.parse_args()
    found = [
        row
        for alias in ("ethereum", "polygon", "optimism-sepolia")
        for row in measure(alias, arguments.lists)
    ]
    write_result(arguments.name, {"seed": SEED, "rows": found})
    columns = (
        "chain", "blocks", "bloom_bits_set", "addresses", "share_needing_receipts", "share_by_bloom_alone",
        "calls_a_block", "bytes_a_block_before", "bytes_a_block",
    )  # fmt: skip
    print_table(columns, [[row[name] for name in columns] for row in found])


if __name__ == "__main__":
    main()
