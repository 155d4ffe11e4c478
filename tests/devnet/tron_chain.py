"""Tron blocks made from nothing, with true ids, roots and signatures, as a node would tell them.

Lives here: protobuf bytes, transactions and their receipts, witnesses who sign, a chain with branches. Written from
`Tron.proto` and sharing no code with the product. Does not live here: answering over HTTP (`tron_node`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from coincurve import PrivateKey
from sha3 import keccak_256

from chains.model import Address, Asset, AssetId, ChainId
from chains.traits import ChainTraits, Family, FinalByTag
from chains.tron.address import name_contract
from chains.tron.facts import TronFacts

Rows = dict[str, Any]

GENESIS_MS = 1_700_000_000_000
BLOCK_MS = 3_000
PERIOD_MS = 21_600_000
TRANSFER_TOPIC = keccak_256(b"Transfer(address,address,uint256)").hexdigest()


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def number(at: int, value: int) -> bytes:
    return varint(at * 8) + varint(value) if value else b""


def text(at: int, value: bytes) -> bytes:
    return varint(at * 8 + 2) + varint(len(value)) + value


def account(name: str) -> Address:
    """Somebody's address."""
    return Address(b"\x41" + sha256(name.encode()).digest()[:20])


PAYER = account("payer")
TOKEN = account("token contract")


@dataclass(frozen=True)
class MadeTx:
    """A transaction as its bytes, its result as JSON, and its receipt as JSON but for where it stands."""

    raw: bytes
    ret: Rows = field(default_factory=lambda: {"contractRet": "SUCCESS"})
    info: Rows = field(default_factory=dict)
    ret_tail: bytes = b""
    tail: bytes = b""
    strange: Rows = field(default_factory=dict)

    @property
    def id(self) -> bytes:
        return sha256(self.raw).digest()

    @property
    def signature(self) -> bytes:
        return sha256(b"signature" + self.raw).digest() * 2 + b"\x01"

    @property
    def body(self) -> bytes:
        outcome = OUTCOMES.get(self.ret.get("contractRet", ""), 0)
        ret = number(2, int(self.ret.get("ret") == "FAILED")) + number(3, outcome) + self.ret_tail
        return text(1, self.raw) + text(2, self.signature) + text(5, ret) + self.tail

    @property
    def leaf(self) -> bytes:
        return sha256(self.body).digest()

    @property
    def row(self) -> Rows:
        return {
            "ret": [self.ret], "signature": [self.signature.hex()], "txID": self.id.hex(),
            "raw_data": {"data": "what nobody may read"}, "raw_data_hex": self.raw.hex(), **self.strange,
        }  # fmt: skip


OUTCOMES = {"SUCCESS": 1, "REVERT": 2, "OUT_OF_ENERGY": 10, "OUT_OF_TIME": 11, "TRANSFER_FAILED": 14}


def make_raw(kind: int, name: str, parameter: bytes, *, nonce: int, memo: bytes = b"") -> bytes:
    any_ = text(1, f"type.googleapis.com/protocol.{name}".encode()) + text(2, parameter)
    contract = number(1, kind) + text(2, any_)
    data = text(10, memo) if memo else b""
    return (
        text(1, b"\x8b\x57")
        + number(8, 1_767_879_468_000)
        + data
        + text(11, contract)
        + number(14, 1_000 + nonce)
    )


def pay(to: Address, amount: int, *, nonce: int = 0, sender: Address = PAYER, memo: bytes = b"") -> MadeTx:
    """TRX."""
    parameter = text(1, sender) + text(2, to) + number(3, amount)
    return MadeTx(make_raw(1, "TransferContract", parameter, nonce=nonce, memo=memo))


def pay_numbered(to: Address, amount: int, token: bytes, *, nonce: int = 0) -> MadeTx:
    """A TRC-10 by its number."""
    parameter = text(1, token) + text(2, PAYER) + text(3, to) + number(4, amount)
    return MadeTx(make_raw(2, "TransferAssetContract", parameter, nonce=nonce))


def log(to: Address, amount: int, *, sender: Address = PAYER, contract: Address = TOKEN) -> Rows:
    """A TRC-20's event."""
    topics = [TRANSFER_TOPIC, sender[1:].hex().rjust(64, "0"), to[1:].hex().rjust(64, "0")]
    return {"address": contract[1:].hex(), "topics": topics, "data": f"{amount:064x}"}


def log_event(signature: str, *topics: str, data: str = "", contract: Address = TOKEN) -> Rows:
    """Another event of a TRC-20; topics and data are words of hex."""
    return {
        "address": contract[1:].hex(),
        "topics": [keccak_256(signature.encode()).hexdigest(), *topics],
        "data": data,
    }


def internal(to: Address, amount: int, *, note: str = "call", **more: object) -> Rows:
    """What a contract sent on."""
    return {
        "hash": "00" * 32, "caller_address": TOKEN.hex(), "transferTo_address": to.hex(),
        "callValueInfo": [{"callValue": amount}], "note": note.encode().hex(), **more,
    }  # fmt: skip


def call(
    *logs: Rows,
    outcome: str = "SUCCESS",
    internals: Sequence[Rows] = (),
    nonce: int = 0,
    memo: bytes = b"",
    data: bytes = b"",
) -> MadeTx:
    """A contract's run, asked for by this data."""
    asked = text(1, PAYER) + text(2, TOKEN) + (text(4, data) if data else b"")
    raw = make_raw(31, "TriggerSmartContract", asked, nonce=nonce, memo=memo)
    info: Rows = {"receipt": {"result": outcome, "energy_fee": 13_500_000, "net_fee": 345_000}}
    if outcome != "SUCCESS":
        info["result"] = "FAILED"
    if logs:
        info["log"] = list(logs)
    if internals:
        info["internal_transactions"] = list(internals)
    return MadeTx(raw, {"contractRet": outcome}, info)


def root_of(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return bytes(32)
    level = list(leaves)
    while len(level) > 1:
        above = []
        while level:
            pair, level = level[:2], level[2:]
            above.append(pair[0] if len(pair) == 1 else sha256(pair[0] + pair[1]).digest())
        level = above
    return level[0]


@dataclass(frozen=True)
class MadeBlock:
    """One block as JSON, with the receipts of its transactions."""

    height: int
    id: bytes
    parent: bytes
    time_ms: int
    txs: tuple[MadeTx, ...]
    header: Rows
    raw: bytes = b""

    @property
    def row(self) -> Rows:
        """As `getblock` tells it with its transactions."""
        return {**self.bare, **({"transactions": [tx.row for tx in self.txs]} if self.txs else {})}

    @property
    def bare(self) -> Rows:
        return {"blockID": self.id.hex(), "block_header": self.header}

    @property
    def infos(self) -> list[Rows]:
        """As `gettransactioninfobyblocknum` tells them."""
        return [
            {"id": tx.id.hex(), "blockNumber": self.height, "blockTimeStamp": self.time_ms, "receipt": {"net_usage": 268},
             **tx.info}
            for tx in self.txs
        ]  # fmt: skip


class TronChain:
    """Blocks on branches; `blocks` are the canonical ones from block 0 on."""

    def __init__(self, name: str = "made", witnesses: int = 3) -> None:
        self.keys = [PrivateKey(sha256(f"{name}{at}".encode()).digest()) for at in range(witnesses)]
        self.delegates: dict[Address, PrivateKey] = {}
        self.scheduled: set[Address] = {address_of(key) for key in self.keys}
        self.maintenance_ms = GENESIS_MS + PERIOD_MS - 100_000
        self.by_id: dict[bytes, MadeBlock] = {}
        self.blocks: list[MadeBlock] = []
        self.solid_height = 0
        genesis = self.make(sha256(name.encode()).digest(), 0, ())
        self._enter(genesis)

    @property
    def head(self) -> MadeBlock:
        return self.blocks[-1]

    @property
    def chain(self) -> ChainId:
        return ChainId(f"tron:0x{self.blocks[0].id[-4:].hex()}")

    def make(
        self,
        parent: bytes,
        height: int,
        txs: Sequence[MadeTx],
        *,
        branch: int = 0,
        key: PrivateKey | None = None,
    ) -> MadeBlock:
        """A block with its id, its root and its witness's signature."""
        witness = self.keys[height % len(self.keys)]
        name = address_of(witness)
        root = root_of([tx.leaf for tx in txs])
        time_ms = GENESIS_MS + BLOCK_MS * height + branch
        raw = (
            number(1, time_ms)
            + text(2, root)
            + text(3, parent)
            + number(7, height)
            + text(9, name)
            + number(10, 32)
        )
        block_id = height.to_bytes(8, "big") + sha256(raw).digest()[8:]
        signer = key or self.delegates.get(name) or witness
        signature = signer.sign_recoverable(sha256(raw).digest(), hasher=None)
        told: Rows = {
            "timestamp": time_ms,
            "txTrieRoot": root.hex(),
            "parentHash": parent.hex(),
            "version": 32,
        }
        told |= {"number": height} if height else {}
        header = {"raw_data": {**told, "witness_address": name.hex()}, "witness_signature": signature.hex()}
        return MadeBlock(height, block_id, parent, time_ms, tuple(txs), header, raw)

    def mine(self, *txs: MadeTx, branch: int = 0) -> MadeBlock:
        """One more block upon the head; what lies two blocks below is solidified."""
        block = self.make(self.head.id, self.head.height + 1, txs, branch=branch)
        self._enter(block)
        self.solid_height = max(self.solid_height, block.height - 2)
        return block

    def reorg(self, depth: int, *blocks: Sequence[MadeTx]) -> None:
        """Leave so many blocks for these."""
        del self.blocks[-depth:]
        for txs in blocks:
            self.mine(*txs, branch=1)

    def _enter(self, block: MadeBlock) -> None:
        self.blocks.append(block)
        self.by_id[block.id] = block

    def find_tx(self, tx_id: bytes) -> tuple[MadeBlock, int] | None:
        """The canonical block of a transaction, and its place there."""
        for block in self.blocks:
            for place, tx in enumerate(block.txs):
                if tx.id == tx_id:
                    return block, place
        return None

    def traits(self, *, tokens: Sequence[Asset] = (), facts: TronFacts | None = None) -> ChainTraits:
        """This chain's traits, with the token listed."""
        usdt = Asset(AssetId(f"{self.chain}/{name_contract(TOKEN)}"), "USDT", 6, TOKEN)
        return ChainTraits(
            chain=self.chain,
            alias="made-tron",
            family=Family.TRON,
            native=Asset(AssetId(f"{self.chain}/slip44:195"), "TRX", 6, None),
            assets=(usdt, *tokens),
            block_time_s=3.0,
            finality=FinalByTag(),
            reorg_window_blocks=64,
            facts=facts or TronFacts(),
        )


def address_of(key: PrivateKey) -> Address:
    """Whose key this is."""
    return Address(b"\x41" + keccak_256(key.public_key.format(compressed=False)[1:]).digest()[12:])


def lie_about(tx: MadeTx, **info: object) -> MadeTx:
    """The same transaction with another receipt."""
    return replace(tx, info={**tx.info, **info})
