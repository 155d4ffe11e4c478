"""
The honest answers that lies are told about: recorded blocks of public chains, made ones of every network.

Recorded bodies without receipts carry plain ones, and what reads receipts is not tried on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from chains.evm.value.signers import recover_sender
from chains.model import Hold
from chains.traits import ChainTraits
from tests.devnet.local import local_traits, token
from tests.unit.chains.verify.chained import SHAPES, chain_of
from tests.unit.chains.verify.made import GAS_EACH
from tests.unit.chains.verify.networks import TRAITS, Maker, Sample
from tests.unit.chains.verify.recorded import (
    IS_RECORDED,
    Rows,
    build_block,
    iterate_rlp,
    list_payload,
    read_bytes,
    read_hex,
    read_json,
    rows_of_rlp_block,
    transaction_rows,
)

VECTORS = Path(__file__).parents[3] / "vectors"


def whole(traits: ChainTraits, path: str) -> Sample:
    """A block recorded with its receipts; all that logged there is listed, so that every forged log could pay."""
    return _recorded(traits, path, read_json(f"{path}.block.json"), read_json(f"{path}.receipts.json"))


def body(alias: str, name: str, block: Rows) -> Sample:
    """A block recorded without receipts, and maybe without senders: whoever signed is filled in."""
    for row, typed in zip(block["transactions"], build_block(block).transactions, strict=True):
        signer = recover_sender(typed)
        if signer is not None:
            row["from"] = f"0x{signer.hex()}"
    receipts = [_plain_receipt(block, at) for at in range(len(block["transactions"]))]
    return replace(_recorded(TRAITS[alias], name, block, receipts), has_receipts=False)


def _recorded(traits: ChainTraits, name: str, block: Rows, receipts: list[Rows]) -> Sample:
    emitters = {log["address"].lower() for receipt in receipts for log in receipt["logs"]}
    tokens = tuple(token(emitter, f"T{number}") for number, emitter in enumerate(sorted(emitters)))
    listed = replace(traits, assets=tokens)
    return Sample(name, listed, msgspec.json.encode(block), msgspec.json.encode(receipts))


def _plain_receipt(block: Rows, at: int) -> Rows:
    transaction = block["transactions"][at]
    return {
        "transactionHash": transaction["hash"],
        "transactionIndex": hex(at),
        "blockHash": block["hash"],
        "blockNumber": block["number"],
        "cumulativeGasUsed": hex(GAS_EACH * (at + 1)),
        "status": "0x1",
        "type": transaction["type"],
        "logs": [],
    }


def arbitrum() -> Sample:
    return body(
        "arbitrum", "arbitrum body", json.loads((VECTORS / "evm_arbitrum_block.json").read_text())["block"]
    )


def op_stack() -> Sample:
    blocks = json.loads((VECTORS / "evm_op_deposits.json").read_text())["blocks"]
    traits = local_traits(profile="op-stack")
    return _recorded(traits, "an OP-stack network's deposit", blocks[0]["block"], blocks[0]["receipts"])


def op_sepolia() -> Sample:
    fixture = json.loads(read_bytes("op_sepolia/26207960.fixture.json"))
    header = json.loads(read_bytes("op_sepolia/26207961.fixture.json"))["parent_header"]
    block = {**header, "hash": fixture["expected_block_hash"], "withdrawals": []}
    envelopes = [bytes.fromhex(item[2:]) for item in fixture["executing_payload"]["transactions"]]
    block["transactions"] = [transaction_rows(item, at, block) for at, item in enumerate(envelopes)]
    return body("optimism-sepolia", "optimism-sepolia body", block)


def bsc() -> Sample:
    message = read_hex("bsc/bsc_new_block_network_one.hex")
    return body("bsc", "bsc body", rows_of_rlp_block(next(iterate_rlp(list_payload(message)))))


def make_sample(name: str) -> Sample:
    """A block of this kind alone, made."""
    chain = chain_of(name)
    block, receipts = chain.shape(Maker(chain.traits))
    hold = Hold.HITS if "settledHeight" in block or "bridging" in name else Hold.NONE
    return Sample(name, chain.traits, msgspec.json.encode(block), msgspec.json.encode(receipts), hold)


BODIES: dict[str, tuple[str, Callable[[], Sample]]] = {
    "arbitrum body": ("arbitrum", arbitrum),
    "optimism-sepolia body": ("optimism-sepolia", op_sepolia),
    "bsc body": ("bsc", bsc),
}
"""Recorded without receipts, and of which network."""

WHOLE: dict[str, tuple[str, Callable[[], Sample]]] = {
    path: (alias, partial(whole, TRAITS[alias], path))
    for path, alias in (
        ("ethereum/18000000", "ethereum"), ("ethereum/4369999", "ethereum"), ("polygon/50000000", "polygon"),
    )
}  # fmt: skip
"""Recorded with receipts, and of which network."""

OTHERS: dict[str, Callable[[], Sample]] = {
    "an OP-stack network's deposit": op_stack,
    "hyperliquid/50000": lambda: whole(local_traits(profile="hyperliquid"), "hyperliquid/50000"),
}
"""Recorded on networks that are not in the catalogue, under profiles that serve it or anybody's own table."""

IN_THE_REPOSITORY = {"arbitrum body", "an OP-stack network's deposit"}

RECORDED = {
    name: make
    for name, make in {**{name: make for name, (_, make) in (BODIES | WHOLE).items()}, **OTHERS}.items()
    if IS_RECORDED or name in IN_THE_REPOSITORY
}
"""What is at hand here."""

MADE: dict[str, Callable[[], Sample]] = {name: partial(make_sample, name) for name in SHAPES}


def compute_table() -> list[str]:
    """What each network rests on, as `docs/chains.md` says it."""
    whole_of = {alias for alias, _ in WHOLE.values()}
    body_of = {alias for alias, _ in BODIES.values()}
    rows = []
    for alias in TRAITS:
        recorded = "whole" if alias in whole_of else "header and transactions" if alias in body_of else "–"
        rows.append(f"| `{alias}` | {recorded} | {'agreement only' if alias == 'zksync' else 'yes'} |")
    return rows
