"""
Blocks of networks none is recorded of, made by our own encoder: consistent headers, roots, hashes, signatures.

What a family's blocks look like is `networks`; here is how rows become a block. A made block shows that the rules
hold together. That a network really hashes so, only a recorded one can show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from coincurve import PrivateKey

from chains.evm.rows.structs import RawReceipt
from chains.evm.value.signers import compute_created_address
from chains.evm.verify.bloom import BloomMasks, add_blooms, format_bloom
from chains.evm.verify.fields import HashedTransaction, Withdrawal
from chains.evm.verify.header import compute_header_hash
from chains.evm.verify.profiles import Profile
from chains.evm.verify.receipts import encode_receipt
from chains.evm.verify.transactions import encode_signing_payload, encode_transaction, encode_withdrawal
from chains.evm.verify.trie import compute_ordered_root
from chains.model import Address
from tests.unit.chains.verify.recorded import Rows, build_block, hex_data, keccak

NOWHERE = "0x" + "00" * 32
PLACE = {"blockHash": NOWHERE, "blockNumber": "0x0", "transactionIndex": "0x0"}
PAYER, VALIDATOR = PrivateKey(b"\x11" * 32), PrivateKey(b"\x22" * 32)
PAYEE = "0x" + "a1" * 20
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
GAS_EACH = 60_000

_MASKS = BloomMasks()


@dataclass(frozen=True, slots=True)
class Part:
    """One transaction before it is placed: its row, its receipt's own fields, and its envelope."""

    row: Rows
    envelope: bytes
    logs: Sequence[Rows] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)
    status: str = "0x1"


def word(text: str) -> str:
    """An address as a topic."""
    return "0x" + text[2:].lower().rjust(64, "0")


def address_of(key: PrivateKey) -> str:
    return hex_data(keccak(key.public_key.format(compressed=False)[1:])[12:])


def log(emitter: str, to: str, amount: int, topic: str = TRANSFER) -> Rows:
    """What a token logs when the payer moves some of it."""
    topics = [topic, word(address_of(PAYER)), word(to)]
    return {"address": emitter, "topics": topics, "data": f"0x{amount:064x}", "removed": False}


def signed(profile: Profile, chain: int, kind: str, key: PrivateKey = PAYER, **fields: Any) -> Rows:
    """A transaction of a type that has a signature, signed."""
    row: Rows = {**PLACE, "type": kind, "from": address_of(key), "to": PAYEE, "value": "0x0", "gas": "0x5208"}
    row |= {"nonce": "0x7", "input": "0x", "hash": NOWHERE, "chainId": hex(chain)}
    if int(kind, 16) < 2:
        row["gasPrice"] = "0x3b9aca00"
    else:
        row |= {"maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x1", "gasPrice": "0x3b9aca00"}
    if kind == "0x0":
        row["v"] = hex(35 + 2 * chain)
    else:
        row |= {"accessList": [], "yParity": "0x0"}
    row |= fields
    payload, _ = encode_signing_payload(_typed(row))
    signature = key.sign_recoverable(keccak(payload), hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    row |= {"r": hex(r), "s": hex(s)}
    if kind == "0x0":
        row["v"] = hex(35 + 2 * chain + signature[64])
    else:
        row |= {"yParity": hex(signature[64]), "v": hex(signature[64])}
    return named(profile, row)


def unsigned(profile: Profile, kind: str, **fields: Any) -> Rows:
    """A transaction that the protocol itself makes; nodes show an empty signature."""
    row = {
        **PLACE,
        "type": kind,
        "hash": NOWHERE,
        "to": PAYEE,
        "value": "0x0",
        "gas": "0xf4240",
        "input": "0x",
    }
    row |= {"nonce": "0x0", "gasPrice": "0x0", "v": "0x0", "r": "0x0", "s": "0x0"}
    return named(profile, row | fields)


def named(profile: Profile, row: Rows) -> Rows:
    """The row under the hash that its envelope gives."""
    return {**row, "hash": hex_data(keccak(envelope_of(profile, row)))}


def envelope_of(profile: Profile, row: Rows) -> bytes:
    return encode_transaction(profile.transaction_codecs[row["type"]], _typed(row))


def part(profile: Profile, row: Rows, *logs: Rows, status: str = "0x1", **receipt: Any) -> Part:
    """A transaction that can be rebuilt, with what it did."""
    return Part(row, envelope_of(profile, row), logs, receipt, status)


def seal(profile: Profile, header: Rows, parts: Sequence[Part], *, settles: bool) -> tuple[Rows, list[Rows]]:
    """A block and its receipts whose hashes and roots fit; where it settles later, not those of receipts."""
    receipts = [_receipt(at, one) for at, one in enumerate(parts)]
    number_logs(receipts)
    block = {**header, "hash": NOWHERE, "transactions": [dict(one.row) for one in parts]}
    block["transactionsRoot"] = hex_data(compute_ordered_root([one.envelope for one in parts]))
    place(block, receipts)
    typed = [msgspec.json.decode(json.dumps(one), type=RawReceipt) for one in receipts]
    extras = profile.receipt_extras
    encoded = [
        encode_receipt(one, str(one.type), str(one.logs_bloom), extras.get(str(one.type))) for one in typed
    ]
    block["receiptsRoot"] = NOWHERE if settles else hex_data(compute_ordered_root(encoded))
    block["logsBloom"] = "0x" + format_bloom(
        0 if settles else add_blooms([one["logsBloom"] for one in receipts])
    )
    block["gasUsed"] = "0x1" if settles else hex(GAS_EACH * len(parts))
    if "withdrawalsRoot" not in block and "withdrawals" in block:
        items = [msgspec.json.decode(json.dumps(one), type=Withdrawal) for one in block["withdrawals"]]
        block["withdrawalsRoot"] = hex_data(compute_ordered_root([encode_withdrawal(item) for item in items]))
    block["hash"] = hex_data(compute_header_hash(profile.header, build_block(block)))
    place(block, receipts)
    return block, receipts


def place(block: Rows, receipts: Sequence[Rows]) -> None:
    """Say in every row which block and which transaction it belongs to."""
    of_block = {"blockHash": block["hash"], "blockNumber": block["number"]}
    for at, row in enumerate(block["transactions"]):
        row |= {**of_block, "transactionIndex": hex(at)}
    for at, receipt in enumerate(receipts):
        receipt |= {**of_block, "transactionIndex": hex(at)}
        for one in receipt["logs"]:
            one |= {**of_block, "transactionHash": receipt["transactionHash"], "transactionIndex": hex(at)}


def append(block: Rows, receipts: list[Rows], one: Part, *, is_listed: bool = True) -> None:
    """A transaction and its receipt behind the others, whatever the roots say; maybe the receipt alone."""
    receipts.append(_receipt(len(receipts), one))
    if is_listed:
        block["transactions"].append(dict(one.row))
    number_logs(receipts)
    place(block, receipts)


def _receipt(at: int, one: Part) -> Rows:
    logs = [dict(item) for item in one.logs]
    words = {text for item in logs for text in [item["address"], *item["topics"]]}
    creates = one.row.get("to") is None
    return {
        "transactionHash": one.row["hash"],
        "transactionIndex": hex(at),
        "type": one.row["type"],
        "status": one.status,
        "from": one.row["from"],
        "to": one.row["to"],
        "cumulativeGasUsed": hex(GAS_EACH * (at + 1)),
        "gasUsed": hex(GAS_EACH),
        "effectiveGasPrice": "0x3b9aca00",
        "contractAddress": created_by(one.row["from"], one.receipt.get("depositNonce", one.row["nonce"]))
        if creates
        else None,
        "logs": logs,
        "logsBloom": "0x" + format_bloom(_MASKS.compute_bloom(words)),
        **one.receipt,
    }


def created_by(sender: str, nonce: str) -> str:
    """Where a contract comes to lie."""
    return hex_data(compute_created_address(Address(bytes.fromhex(sender[2:])), int(nonce, 16)))


def number_logs(receipts: Sequence[Rows]) -> None:
    """The indexes that an honest answer with these logs would have."""
    for at, one in enumerate(one for receipt in receipts for one in receipt["logs"]):
        one["logIndex"] = hex(at)


def _typed(row: Rows) -> HashedTransaction:
    return msgspec.json.decode(json.dumps(row), type=HashedTransaction)
