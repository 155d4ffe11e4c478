"""
Recorded chain data as the rows a node would have answered with: our own, of anvil, and that of public chains.

Blocks recorded as JSON are read as they are; blocks recorded as RLP are parsed here, independently of the code
under test, and written out as JSON-RPC rows. What RLP does not hold (`from`, `contractAddress`) is left null.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from sha3 import keccak_256

from chains.evm.rows.structs import RawReceipt, decode_block, decode_receipts
from chains.evm.verify import PROFILES
from chains.evm.verify.fields import HashedBlock

RECORDED = Path(os.environ.get("CHAINBELL_RECORDED", Path(__file__).parents[5] / "shared" / "recorded"))

Rows = dict[str, Any]

OWN_FILE = Path(__file__).parents[3] / "recorded" / "anvil.json"
OWN = "own/"
"""How the path of a block begins that `tests.devnet.record` made; every clone has those."""

IS_RECORDED = (RECORDED / "evm").is_dir()
REASON = "recorded chain data is not beside the repository; set CHAINBELL_RECORDED to its folder"
needs_recorded = pytest.mark.skipif(not IS_RECORDED, reason=REASON)

Item = TypeVar("Item")

HEADER_NAMES = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas",
    "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
HEADER_QUANTITIES = {
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas",
}  # fmt: skip


def public(*items: Item) -> list[Item]:
    """Parameters that are blocks of public chains: more of the same where they are at hand, and none where not."""
    return list(items) if IS_RECORDED else []


def own(name: str) -> tuple[str, str]:
    """The paths of a block of ours and of its receipts."""
    return f"{OWN}{name}/block", f"{OWN}{name}/receipts"


@lru_cache(maxsize=1)
def read_own() -> Rows:
    """Everything that `tests.devnet.record` wrote; not to be changed."""
    document: Rows = json.loads(OWN_FILE.read_bytes())
    return document


def read_bytes(path: str) -> bytes:
    return (RECORDED / "evm" / path).read_bytes()


def read_hex(path: str) -> bytes:
    """The bytes a recorded file spells in hex."""
    return bytes.fromhex(read_bytes(path).decode().strip())


@lru_cache(maxsize=4)
def _read_text(path: str) -> str:
    return read_bytes(path).decode()


def read_json(path: str) -> Any:
    """A recorded JSON document, fresh each time; an RPC envelope or a batch of one is taken off."""
    if path.startswith(OWN):
        name, _, part = path.removeprefix(OWN).partition("/")
        return copy.deepcopy(read_own()["blocks"][name][part])
    document = json.loads(_read_text(path))
    if isinstance(document, list) and len(document) == 1 and "jsonrpc" in document[0]:
        document = document[0]
    return document["result"] if isinstance(document, dict) and "result" in document else document


def read_answer(path: str) -> Any:
    """The result in a recorded request and response pair."""
    answers = [line[3:] for line in _read_text(path).splitlines() if line.startswith("<< ")]
    return json.loads(answers[-1])["result"]


def build_block(rows: Rows) -> HashedBlock:
    """A block as the provider would hold it."""
    block = decode_block(msgspec.Raw(json.dumps(rows).encode()), PROFILES["full"].decoder)
    assert isinstance(block, HashedBlock)
    return block


def build_receipts(rows: list[Rows]) -> list[RawReceipt]:
    return decode_receipts(msgspec.Raw(json.dumps(rows).encode()))


def build(block: Rows, receipts: list[Rows]) -> tuple[HashedBlock, list[RawReceipt]]:
    """Both, with the JSON of both, as `chains.evm.nodes.blocks` hands them to a verifier."""
    built = build_block(block)
    raw = msgspec.Raw(json.dumps(receipts).encode())
    built.receipts_raw = (raw,)
    return built, decode_receipts(raw)


def keccak(data: bytes) -> bytes:
    return bytes(keccak_256(data).digest())


def decode_rlp(data: bytes) -> Any:
    """One RLP item as bytes or nested lists."""
    item, rest = _split_rlp(data)
    assert not rest
    return item


def iterate_rlp(data: bytes) -> Iterator[bytes]:
    """The encoded items of a concatenation, undecoded."""
    while data:
        _, rest = _split_rlp(data)
        yield data[: len(data) - len(rest)]
        data = rest


def list_payload(data: bytes) -> bytes:
    """The concatenated items inside one encoded list."""
    head, size = _head(data)
    return data[head : head + size]


def _head(data: bytes) -> tuple[int, int]:
    first = data[0]
    if first < 0x80:
        return 0, 1
    base = 0x80 if first < 0xC0 else 0xC0
    if first < base + 56:
        return 1, first - base
    width = first - base - 55
    return 1 + width, int.from_bytes(data[1 : 1 + width], "big")


def _split_rlp(data: bytes) -> tuple[Any, bytes]:
    head, size = _head(data)
    payload, rest = data[head : head + size], data[head + size :]
    if data[0] < 0xC0:
        return payload, rest
    items = []
    while payload:
        item, payload = _split_rlp(payload)
        items.append(item)
    return items, rest


def hex_data(value: bytes) -> str:
    return "0x" + value.hex()


def hex_quantity(value: bytes) -> str:
    return hex(int.from_bytes(value, "big"))


def header_rows(fields: list[bytes]) -> Rows:
    rows = {
        name: hex_quantity(value) if name in HEADER_QUANTITIES else hex_data(value)
        for name, value in zip(HEADER_NAMES, fields, strict=False)
    }
    assert len(fields) <= len(HEADER_NAMES)
    return rows


def _named(names: str, values: list[Any]) -> Rows:
    rows: Rows = {}
    for name, value in zip(names.split(), values, strict=True):
        match name:
            case "to":
                rows["to"] = hex_data(value) if value else None
            case "input" | "sourceHash" | "from":
                rows[name] = hex_data(value)
            case "isSystemTx":
                rows[name] = bool(value)
            case "accessList":
                rows[name] = [
                    {"address": hex_data(address), "storageKeys": [hex_data(key) for key in keys]}
                    for address, keys in value
                ]
            case "blobVersionedHashes":
                rows[name] = [hex_data(item) for item in value]
            case "authorizationList":
                rows[name] = [
                    {
                        "chainId": hex_quantity(item[0]),
                        "address": hex_data(item[1]),
                        **_named("nonce yParity r s", item[2:]),
                    }
                    for item in value
                ]
            case _:
                rows[name] = hex_quantity(value)
    return rows


TRANSACTION_NAMES = {
    0: "nonce gasPrice gas to value input v r s",
    1: "chainId nonce gasPrice gas to value input accessList yParity r s",
    2: "chainId nonce maxPriorityFeePerGas maxFeePerGas gas to value input accessList yParity r s",
    3: "chainId nonce maxPriorityFeePerGas maxFeePerGas gas to value input accessList maxFeePerBlobGas "
    "blobVersionedHashes yParity r s",
    4: "chainId nonce maxPriorityFeePerGas maxFeePerGas gas to value input accessList authorizationList yParity r s",
    0x7E: "sourceHash from to mint value gas isSystemTx input",
}


def transaction_rows(envelope: bytes, position: int, block: Rows) -> Rows:
    """One transaction from its envelope: a list for legacy ones, a type byte and a list otherwise."""
    kind = 0 if envelope[0] >= 0xC0 else envelope[0]
    fields = decode_rlp(envelope if kind == 0 else envelope[1:])
    return {
        "nonce": "0x0",
        "from": "0x" + "00" * 20,
        "type": hex(kind),
        **_named(TRANSACTION_NAMES[kind], fields),
        "hash": hex_data(keccak(envelope)),
        "blockHash": block["hash"],
        "blockNumber": block["number"],
        "transactionIndex": hex(position),
    }


def block_rows(header: list[bytes], envelopes: list[bytes], withdrawals: list[Any] | None) -> Rows:
    rows = header_rows(header)
    encoded = _encode_list([_encode_string(field) for field in header])
    rows["hash"] = hex_data(keccak(encoded))
    rows["transactions"] = [transaction_rows(item, at, rows) for at, item in enumerate(envelopes)]
    if withdrawals is not None:
        rows["withdrawals"] = [
            {
                "index": hex_quantity(index),
                "validatorIndex": hex_quantity(validator),
                "address": hex_data(address),
                "amount": hex_quantity(amount),
            }
            for index, validator, address, amount in withdrawals
        ]
    return rows


def receipt_rows(block: Rows, receipts: list[tuple[int, list[Any]]]) -> list[Rows]:
    """Rows from (type, fields); the fields are with or without a bloom."""
    rows: list[Rows] = []
    log_index = 0
    for position, ((kind, fields), transaction) in enumerate(
        zip(receipts, block["transactions"], strict=True)
    ):
        outcome, cumulative, *bloom, logs = fields
        place = {
            "blockHash": block["hash"],
            "blockNumber": block["number"],
            "transactionHash": transaction["hash"],
            "transactionIndex": hex(position),
        }
        built = []
        for address, topics, data in logs:
            log = {
                "address": hex_data(address),
                "topics": [hex_data(topic) for topic in topics],
                "data": hex_data(data),
            }
            built.append({**log, **place, "logIndex": hex(log_index)})
            log_index += 1
        root = {"root": hex_data(outcome)} if len(outcome) == 32 else {"status": hex_quantity(outcome)}
        blooms = {"logsBloom": hex_data(bloom[0])} if bloom else {}
        rows.append(
            {
                "type": hex(kind),
                **place,
                **root,
                **blooms,
                "cumulativeGasUsed": hex_quantity(cumulative),
                "logs": built,
            }
        )
    return rows


def _encode_string(data: bytes) -> bytes:
    return data if len(data) == 1 and data[0] < 0x80 else _encode_head(len(data), 0x80) + data


def _encode_list(items: list[bytes]) -> bytes:
    payload = b"".join(items)
    return _encode_head(len(payload), 0xC0) + payload


def _encode_head(length: int, base: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(size)]) + size


def envelopes_of(encoded_transactions: bytes) -> list[bytes]:
    """The envelopes in an encoded list of transactions: typed ones are wrapped in a string there."""
    items = iterate_rlp(list_payload(encoded_transactions))
    return [item if item[0] >= 0xC0 else decode_rlp(item) for item in items]


def rows_of_rlp_block(encoded: bytes) -> Rows:
    """A block from its network encoding: [header, transactions, uncles, withdrawals?]."""
    parts = list(iterate_rlp(list_payload(encoded)))
    withdrawals = decode_rlp(parts[3]) if len(parts) > 3 else None
    return block_rows(decode_rlp(parts[0]), envelopes_of(parts[1]), withdrawals)
