"""Proofs of outputs of Bitcoin's family, by a writer of blocks that the product does not share.

Here: a block that pays the shop, its proof and that of any claim about it, and the first blocks of Bitcoin, whose work is real.
Not here: what must hold of such proofs (`test_output_proofs.py`), blocks as a node writes them (tests/unit/chains/bitcoin).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from migrations.ids import encode_id
from tests.unit.chains.bitcoin.making import Tx, coinbase_for, header, pay, root_of, twice

Json = Any
MERCHANT = encode_id("mer", UUID(int=7))
BITCOIN = "bip122:000000000019d6689c085ae165831e93"
REGTEST = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328"
SHOP_SCRIPT = bytes.fromhex("0014") + b"\x55" * 20
OTHER_SCRIPT = bytes.fromhex("76a914") + b"\x66" * 20 + bytes.fromhex("88ac")

FIRST_HEADERS = [
    bytes.fromhex(
        "01000000"
        + 64 * "0"
        + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
    ),
    bytes.fromhex(
        "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"
        "982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299"
    ),
]
"""Bitcoin's blocks 0 and 1."""

FIRST_COINBASE = bytes.fromhex(
    "0100000001" + 64 * "0" + "ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f"
    "72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000"
    "434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c"
    "702b6bf11d5fac00000000"
)  # fmt: skip


def branch_of(ids: list[bytes], index: int) -> list[bytes]:
    """What stands beside the way from one of these to their root."""
    beside, level = [], list(ids)
    while len(level) > 1:
        level += level[-1:] * (len(level) % 2)
        beside.append(level[index ^ 1])
        level = [twice(level[place] + level[place + 1]) for place in range(0, len(level), 2)]
        index //= 2
    return beside


@dataclass
class OutputCase:
    """A block under construction: its transactions behind the coinbase, and how many blocks follow."""

    txs: list[Tx]
    following: int = 2
    chain: str = REGTEST
    height: int = 1_234
    everything: list[Tx] = field(init=False)

    def __post_init__(self) -> None:
        self.everything = [coinbase_for(self.txs, commits=any(tx.witnesses for tx in self.txs)), *self.txs]

    def headers(self) -> list[bytes]:
        found = [header(b"\x09" * 32, root_of([tx.id for tx in self.everything]))]
        for number in range(self.following):
            found.append(header(twice(found[-1]), bytes([number]) * 32))
        return found

    def prove(self, index: int, n: int, amount: int, *, to: bytes = SHOP_SCRIPT) -> Json:
        """The proof that output `n` of the transaction at `index` pays so much to a script, whether or not it is so."""
        block, *following = self.headers()
        core = self.everything[index].bare
        branch = branch_of([tx.id for tx in self.everything], index)
        return write_proof(self.chain, self.height, block, index, core, branch, following, n, amount, to)


def write_proof(
    chain: str, height: int, block: bytes, index: int, core: bytes, branch: list[bytes], following: list[bytes],
    n: int, amount: int, to: bytes,
) -> Json:  # fmt: skip
    from tests.unit.relay.deposit_cases import hexed, identify  # which takes vectors from here

    deposit = {
        "merchant_id": MERCHANT,
        "chain": chain,
        "tx_hash": twice(core)[::-1].hex(),
        "kind": "utxo",
        "asset": f"{chain}/slip44:{0 if chain == BITCOIN else 1}",
        "recipient": to.hex(),
        "n": n,
    }
    return {
        "format": "chainbell-proof-1",
        "deposit": {"id": identify(deposit), **deposit, "amount_base_units": str(amount)},
        "chain": chain,
        "block": {"height": height, "hash": twice(block)[::-1].hex()},
        "header": hexed(block),
        "index": index,
        "raw_transaction": hexed(core),
        "branch": [hexed(one) for one in branch],
        "headers": [hexed(one) for one in following],
        "event": None,
    }


def prove_first() -> Json:
    """Bitcoin's first output, under its first block, with the second behind it."""
    script = FIRST_COINBASE[-71:-4]
    return write_proof(
        BITCOIN, 0, FIRST_HEADERS[0], 0, FIRST_COINBASE, [], FIRST_HEADERS[1:], 0, 50 * 10**8, script
    )


def busy_outputs(count: int = 5, *, witness: bool = True) -> OutputCase:
    """Other people's payments, and one to the shop as the second output of the third."""
    txs = [pay((number + 1, OTHER_SCRIPT), spends=f"coin {number}") for number in range(count)]
    txs[2 % count] = pay((9, OTHER_SCRIPT), (5, SHOP_SCRIPT), (0, b"\x6a"), spends="shop", witness=witness)
    return OutputCase(txs)


def list_output_vectors() -> list[tuple[str, Json, int | None]]:
    """What must be accepted, with its amount, and one example of each kind of lie."""
    from tests.unit.relay.deposit_cases import changed, hexed

    case = busy_outputs()
    proof, place = case.prove(3, 1, 5), ("deposit", "amount_base_units")
    ambiguous = OutputCase([Tx(((b"\1" * 36, b""),), (b"\5" + bytes(7) + b"\x04" + SHOP_SCRIPT[:4],))])
    lies = {
        "another amount": changed(proof, *place, to="6"),
        "another script": changed(proof, "deposit", "recipient", to=OTHER_SCRIPT.hex()),
        "another output": changed(proof, "deposit", "n", to=0),
        "no such output": changed(proof, "deposit", "n", to=3),
        "another transaction": changed(proof, "deposit", "tx_hash", to="01" * 32),
        "the witnesses with it": changed(proof, "raw_transaction", to=hexed(case.everything[3].raw)),
        "another place": changed(proof, "index", to=2),
        "a place outside of the tree": changed(proof, "index", to=3 + 8),
        "a hash too few": changed(proof, "branch", to=proof["branch"][:-1]),
        "headers that do not follow": changed(proof, "headers", to=proof["headers"][::-1]),
        "another kind": changed(proof, "deposit", "kind", to="native"),
        "an inner node that looks like a transaction": ambiguous.prove(1, 0, 5, to=SHOP_SCRIPT[:4]),
        "no work": changed({**proof, "chain": BITCOIN}, "deposit", "chain", to=BITCOIN),
    }
    lies["no work"] = changed(lies["no work"], "deposit", "asset", to=f"{BITCOIN}/slip44:0")
    return [
        ("output: the second of a transaction with witnesses", proof, 5),
        ("output: alone in its block but for the coinbase", busy_outputs(1).prove(1, 1, 5), 5),
        ("output: of a coinbase", busy_outputs().prove(0, 0, 50, to=b"\x51"), 50),
        ("output: Bitcoin's first, with its work", prove_first(), 50 * 10**8),
        *((f"refused: output: {name}", lie, None) for name, lie in lies.items()),
    ]
