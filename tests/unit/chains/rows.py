"""Builds the JSON rows a node would answer with, for tests of decoding.

`BlockRows` grows a block transaction by transaction and hands out the structs
the decoder reads; tests then bend single fields.  Recorded blocks are beside
the repository, real nodes in `tests/live_evm`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from chains.evm.rows.structs import RawBlock, RawReceipts, decode_block, decode_receipts

BLOCK_HASH = "0x" + "b1" * 32
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TOKEN = "0x" + "70" * 20
PAYER = "0x" + "aa" * 20
SHOP = "0x" + "55" * 20
ZERO = "0x" + "00" * 20
EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


def word(value: int | str) -> str:
    """A 32-byte word of a number or of an address."""
    return f"0x{value:064x}" if isinstance(value, int) else "0x" + value[2:].rjust(64, "0")


def transfer(
    amount: int, *, to: str = SHOP, sender: str = PAYER, emitter: str = TOKEN, **others: Any
) -> dict[str, Any]:
    """An ERC-20 Transfer log."""
    log: dict[str, Any] = {
        "address": emitter,
        "topics": [TRANSFER, word(sender), word(to)],
        "data": word(amount),
    }
    return log | others


class BlockRows:
    """One block in the making; rows are plain dictionaries until `block`."""

    def __init__(self, *, height: int = 7, block_hash: str = BLOCK_HASH) -> None:
        self.place = {"blockHash": block_hash, "blockNumber": hex(height)}
        self.transactions: list[dict[str, Any]] = []
        self.receipts: list[dict[str, Any]] = []
        self.logs_count = 0

    def add(self, *logs: dict[str, Any], value: int = 0, status: str | None = "0x1", **others: Any) -> str:
        """One transaction with its receipt; `others` override its fields; returns its hash."""
        position = len(self.transactions)
        tx_hash = f"0x{position + 1:064x}"
        place = self.place | {"transactionIndex": hex(position)}
        self.transactions.append(
            place
            | {"hash": tx_hash, "from": PAYER, "to": SHOP, "nonce": hex(position), "value": hex(value)}
            | {"type": "0x2"}
            | others
        )
        place["transactionHash"] = tx_hash
        self.receipts.append(
            place
            | {
                "status": status,
                "cumulativeGasUsed": "0x1",
                "logs": [self._place(log, place) for log in logs],
            }
            | {"contractAddress": None, "type": "0x2"}
        )
        return tx_hash

    def header(self) -> dict[str, Any]:
        """The block as the node would write it."""
        filled = dict.fromkeys(
            (
                "receiptsRoot", "stateRoot", "sha3Uncles", "miner", "logsBloom", "gasLimit",
                "gasUsed", "extraData", "futureField",
            ),
            "0x0",
        )  # fmt: skip
        return filled | {
            "hash": self.place["blockHash"],
            "number": self.place["blockNumber"],
            "parentHash": "0x" + "b0" * 32,
            "timestamp": "0x65000000",
            "transactionsRoot": "0x" + "cc" * 32 if self.transactions else EMPTY_ROOT,
            "transactions": self.transactions,
        }

    def block(self) -> RawBlock:
        """The block as the decoder reads it."""
        return decode_block(msgspec.Raw(msgspec.json.encode(self.header())))

    def rows(self) -> RawReceipts:
        """Its receipts as the decoder reads them."""
        return decode_receipts(msgspec.Raw(msgspec.json.encode(self.receipts)))

    def _place(self, log: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
        log = place | {"logIndex": hex(self.logs_count), "removed": False} | log
        self.logs_count += 1
        return log
