"""Blocks made up for proofs of deposits, by other people's code: `rlp` encodes them, `trie` proves them.

Here: building a block from transactions and receipts, the proof of any claim about it, and the vectors that everybody's
verifier should pass (`python -m tests.unit.relay.deposit_cases --write`; a test compares). Not here: what must hold of
such proofs (`test_deposit_kit.py`), recorded blocks (tests/unit/chains/verify).
"""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import rlp
from sha3 import keccak_256
from trie.hexary import HexaryTrie

from migrations.ids import encode_id
from relay import kit
from tests.unit.relay.output_cases import list_output_vectors

Json = Any
VECTORS = Path(kit.__file__).with_name("deposit_vectors.json")
ABOUT = (
    "Vectors for verifiers of chainbell's proofs of deposits (docs/proofs.md): each proof is held against block_hash. "
    "proven is what it shows, or null where it must be refused."
)
CHAIN = "eip155:1"
ETHER = f"{CHAIN}/slip44:60"
MERCHANT = encode_id("mer", UUID(int=7))
SHOP, OTHER, TOKEN = b"\x55" * 20, b"\x66" * 20, b"\x77" * 20
TRANSFER: bytes = keccak_256(b"Transfer(address,address,uint256)").digest()
SIGNATURE = [b"\x01", b"\x11" * 32, b"\x22" * 32]
DATA: bytes = b"\xaa" * 68


def keccak(data: bytes) -> bytes:
    """The C library's digest."""
    digest: bytes = keccak_256(data).digest()
    return digest


def typed(kind: int, fields: Sequence[Any]) -> bytes:
    """An envelope: a list alone for legacy ones, behind its type otherwise."""
    encoded: bytes = rlp.encode(list(fields))
    return bytes([kind]) + encoded if kind else encoded


def legacy(to: bytes, value: int, *, nonce: int = 1) -> bytes:
    return typed(0, [nonce, 10**9, 21_000, to, value, DATA, *SIGNATURE])


def carriers(to: bytes, value: int) -> dict[str, bytes]:
    """One transaction of every form that carries value under its hash."""
    market = [1, 1, 10**9, 2 * 10**9, 21_000, to, value, DATA, [[OTHER, [b"\x01" * 32]]]]
    word = b"\x99" * 32
    return {
        "legacy": legacy(to, value),
        "access-list": typed(1, [1, 1, 10**9, 21_000, to, value, DATA, [], *SIGNATURE]),
        "fee-market": typed(2, [*market, *SIGNATURE]),
        "blob": typed(3, [*market, 1, [word], *SIGNATURE]),
        "set-code": typed(4, [*market, [[1, OTHER, 1, *SIGNATURE]], *SIGNATURE]),
        "arbitrum-deposit": typed(0x64, [1, word, OTHER, to, value]),
        "arbitrum-unsigned": typed(0x65, [1, OTHER, 1, 10**9, 21_000, to, value, DATA]),
        "arbitrum-contract": typed(0x66, [1, word, OTHER, 10**9, 21_000, to, value, DATA]),
        "arbitrum-retry": typed(0x68, [1, 1, OTHER, 10**9, 21_000, to, value, DATA, word, OTHER, 1, 1]),
        "celo-66": typed(0x7A, [*market, OTHER, 10**9, *SIGNATURE]),
        "celo-64": typed(0x7B, [*market, OTHER, *SIGNATURE]),
        "scroll-message": typed(0x7E, [1, 21_000, to, value, DATA, OTHER]),
        "op-deposit": typed(0x7E, [word, OTHER, to, 0, value, 21_000, 0, DATA]),
    }


def token_log(to: bytes, amount: int, *, contract: bytes = TOKEN, topics: Sequence[bytes] = ()) -> list[Any]:
    words = topics or (TRANSFER, OTHER.rjust(32, b"\x00"), to.rjust(32, b"\x00"))
    return [contract, list(words), amount.to_bytes(32, "big")]


def receipt(*logs: Any, kind: int = 0, status: Any = b"\x01", extra: Sequence[Any] = ()) -> bytes:
    return typed(kind, [status, 21_000, bytes(256), list(logs), *extra])


@dataclass(slots=True)
class Case:
    """A block under construction: `(transaction, receipt)` in order, and its header's other fields."""

    items: list[tuple[bytes, bytes]]
    height: int = 1_234
    tail: list[Any] = field(default_factory=lambda: [7, b"\x0a" * 32])
    roots: list[bytes] = field(default_factory=list)

    def header(self) -> bytes:
        roots = self.roots or [self.trie(0).root_hash, self.trie(1).root_hash]
        hashes = [b"\x01" * 32, b"\x02" * 32, b"\x03" * 20, b"\x04" * 32]
        fields = [*hashes, *roots, bytes(256), 0, self.height, 30_000_000, 21_000, 1_700_000_000, b"extra"]
        encoded: bytes = rlp.encode([*fields, b"\x05" * 32, b"\x06" * 8, *self.tail])
        return encoded

    def trie(self, part: int) -> HexaryTrie:
        return build_trie(tuple(item[part] for item in self.items))

    def path(self, part: int, index: int) -> list[str]:
        """Nodes root first; those that stand inside others are listed by `trie` and left out here."""
        nodes = [rlp.encode(node) for node in self.trie(part).get_proof(rlp.encode(index))]
        return [hexed(node) for place, node in enumerate(nodes) if not place or len(node) >= 32]

    def prove(
        self, index: int, amount: int, *, token: bytes | None = None, n: int = 0, to: bytes = SHOP
    ) -> Json:
        """The proof that the transaction at `index` paid `amount` to somebody, whether or not it is so."""
        header = self.header()
        asset = ETHER if token is None else f"{CHAIN}/erc20:{hexed(token)}"
        deposit = {
            "merchant_id": MERCHANT,
            "chain": CHAIN,
            "tx_hash": hexed(keccak(self.items[index][0])),
            "kind": "native" if token is None else "token",
            "asset": asset,
            "recipient": hexed(to),
            "n": n,
        }
        return {
            "format": "chainbell-proof-1",
            "deposit": {"id": identify(deposit), **deposit, "amount_base_units": str(amount)},
            "chain": CHAIN,
            "block": {"height": self.height, "hash": hexed(keccak(header))},
            "header": hexed(header),
            "index": index,
            "transaction": self.path(0, index),
            "receipt": self.path(1, index),
            "event": None,
        }


@lru_cache(maxsize=16)
def build_trie(values: tuple[bytes, ...]) -> HexaryTrie:
    """These values under rlp(0), rlp(1), …"""
    found = HexaryTrie(db={}, prune=False)
    for place, value in enumerate(values):
        found[rlp.encode(place)] = value
    return found


def identify(deposit: Json) -> str:
    """The id of what these members say, as CONTRACT 2 lists them."""
    lines = ("merchant_id", "chain", "tx_hash", "kind", "asset", "recipient", "n")
    text = "\n".join(["chainbell-deposit-1", *(str(deposit[line]) for line in lines)])
    return encode_id("dep", UUID(bytes=hashlib.sha256(text.encode()).digest()[:16]))


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def changed(proof: Json, *path: Any, to: Json) -> Json:
    """A copy with one member changed, and the id made right again."""
    found = copy.deepcopy(proof)
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    if path[0] == "deposit" and len(path) > 1 and path[-1] != "id":
        found["deposit"]["id"] = identify(found["deposit"])
    return found


def encode(proof: Json) -> bytes:
    return json.dumps(proof).encode()


def build_vectors() -> Json:
    """Every form of transaction and of token transfer, and one example of each kind of lie."""
    vectors = [
        _vector(f"native: {name}", _pair(paying=one).prove(1, 5), 5)
        for name, one in carriers(SHOP, 5).items()
    ]
    logs = (token_log(SHOP, 0), token_log(OTHER, 9), token_log(SHOP, 7), token_log(SHOP, 3))
    case = _pair(logs=logs)
    minting = _pair(paying=typed(0x7E, [b"\x09" * 32, SHOP, SHOP, 50, 30, 21_000, 0, b""]), status=b"")
    tiny = Case([(typed(0x55, [n]), receipt(token_log(SHOP, n + 1), kind=0x55)) for n in range(20)])
    long = Case([(legacy(SHOP, n + 1, nonce=n), receipt()) for n in range(131)])
    vectors += [
        _vector(
            "token: n counts transfers to one recipient, empty ones left out",
            case.prove(1, 3, token=TOKEN, n=1),
            3,
        ),
        _vector("token: nodes inside nodes", tiny.prove(7, 8, token=TOKEN), 8),
        _vector("native: the first of all", long.prove(0, 1), 1),
        _vector("native: a key of two bytes", long.prove(130, 131), 131),
        _vector("native: a mint survives the failure of its transaction", minting.prove(1, 50), 50),
    ]
    proof, failed = case.prove(1, 5), _pair(logs=logs, status=b"")
    later, many = _pair(), [*proof["transaction"], proof["transaction"][-1]]
    later.tail = [1] * 12
    lies = {
        "another amount": changed(proof, "deposit", "amount_base_units", to="6"),
        "another recipient": changed(proof, "deposit", "recipient", to=hexed(OTHER)),
        "another transaction": changed(proof, "deposit", "tx_hash", to=hexed(b"\x01" * 32)),
        "another n": changed(proof, "deposit", "n", to=1),
        "another id": changed(proof, "deposit", "id", to="dep_" + "0" * 26),
        "another height": changed(proof, "block", "height", to=7),
        "another place": changed(proof, "index", to=0),
        "a token of another contract": case.prove(1, 7, token=b"\x78" * 20),
        "a transaction that failed": failed.prove(1, 5),
        "a token of a transaction that failed": failed.prove(1, 7, token=TOKEN),
        "value of a contract's creation": _pair(paying=legacy(b"", 5)).prove(1, 5),
        "a type that carries value outside of its hash": _pair(paying=typed(0x55, [1, SHOP, 5])).prove(1, 5),
        "a header that commits to other receipts": later.prove(1, 5),
        "a node too many": changed(proof, "transaction", to=many),
        "a node too few": changed(proof, "receipt", to=proof["receipt"][:-1]),
        "a receipt of another place": changed(proof, "receipt", to=case.path(1, 0)),
        "capital letters": changed(proof, "header", to=proof["header"].replace("b", "B")),
    }
    vectors += [_vector(*one) for one in list_output_vectors()]
    refused = [_vector(f"refused: {name}", lie, None) for name, lie in lies.items()]
    other = {**_vector("refused: a block of another hash", proof, None), "block_hash": hexed(b"\x01" * 32)}
    return {"about": ABOUT, "proofs": [*vectors, *refused, other]}


def _pair(*, paying: bytes | None = None, logs: Sequence[Any] = (), status: Any = b"\x01") -> Case:
    """Somebody else's transaction, and one to the shop behind it."""
    return Case([(legacy(OTHER, 1), receipt()), (paying or legacy(SHOP, 5), receipt(*logs, status=status))])


def _vector(name: str, proof: Json, amount: int | None) -> Json:
    wanted = proof["block"]["hash"]
    proven = (
        None if amount is None else {"deposit_id": proof["deposit"]["id"], "amount_base_units": str(amount)}
    )
    return {"name": name, "block_hash": wanted, "proof": proof, "proven": proven}


if __name__ == "__main__":
    if "--write" in sys.argv:
        VECTORS.write_text(json.dumps(build_vectors(), indent=1) + "\n")
