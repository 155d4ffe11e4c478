"""What holds a deposit against its chain: did this value reach that address, in the block with this hash?

This file stands alone: the standard library, nothing else. Copy it, or import it. Lives here: `verify_deposit` over the
proof of `GET /v1/deposits/{id}/proof`, `check_told` for the event in it, and what they need: Keccak, RLP and tries for EVM
chains; transactions, Merkle branches and headers for Bitcoin and its like, signed headers for Tron (docs/proofs.md has the same
in words). Does not
live here: where the block's hash comes from, which must be somebody else than whoever gave the proof. `verify_deposit.mjs`
is the same for Node. All of it raises `ProofInvalid` only. It is long because it is one file to copy.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

FORMAT = "chainbell-proof-1"
PROOF_BYTES_MAX = 4 * 1024 * 1024
"""Of header and nodes together; the largest receipt of a mainnet block is a few hundred kilobytes."""
TEXT_LENGTH_MAX = 12 * 1024 * 1024
DEPTH_MAX = 32
"""Of the JSON; a proof needs three."""
OPENINGS_MAX = 2_000
"""Of brackets and braces in the text, those in strings too: some parsers answer deep nesting by ending their process."""
NODES_MAX = 12
"""Of one path; the key of item 65,535 has six half bytes."""
HEIGHT_MAX = 2**53 - 1
AMOUNT_MAX = 2**256 - 1
BRANCH_MAX = 30
"""Hashes beside the way from a transaction of Bitcoin's family to its root: no block has a deeper tree."""
HEADERS_MAX = 144
"""That follow the block in a proof of Bitcoin's family: a day of them."""
SIGNED_HEADER_BYTES_MAX = 1_024
"""Of Tron's; one has about 105."""
LEAF_BYTES_MAX = 512 * 1024
FIELDS_MAX = 1_000
"""Of one message of Tron's; a transaction has a dozen."""
HEADER_FIELDS = range(15, 27)
"""Ethereum's has 15 to 23, Avalanche's up to 26; from its 27th on it does not commit to its own receipts (ACP-194)."""

TRANSFER_TOPIC = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""keccak("Transfer(address,address,uint256)")"""


class ProofInvalid(Exception):
    """This shows no deposit in the block with that hash; the message says why."""


@dataclass(frozen=True, slots=True)
class ProvenDeposit:
    """What the block proves: this amount reached `recipient` in this transaction.

    Hashes and recipient are lower-case hex as the chain's nodes show them: "0x…" on EVM chains; bare, and the output's
    script, in Bitcoin's family; bare, and with its 41, on Tron. `time_s` is the block's own Unix time, and `merchant_id` a
    part of the id that no chain knows. In Bitcoin's family `height` is only claimed, `headers_count` headers are linked to
    the block, itself among them, and `work` is how many hashes they stand for, 0 where it is not checked. On Tron `signer`
    made the block's signature, for the `witness` that the header names (often the same), and `by_agreement` says what no
    header covers: "witness-schedule" (whether it was that witness's turn), and of a token "logs" (shown is a call that
    succeeded and asked for this transfer, not what the contract logged).
    """

    deposit_id: str
    merchant_id: str
    chain: str
    asset: str
    kind: str
    recipient: str
    n: int
    amount_base_units: int
    tx_hash: str
    height: int
    block_hash: str
    time_s: int
    headers_count: int = 1
    work: int = 0
    witness: str = ""
    signer: str = ""
    by_agreement: tuple[str, ...] = ()


def verify_deposit(
    proof: Mapping[str, Any] | str | bytes, block_hash: str | bytes, *, signers: Collection[str] | None = None
) -> ProvenDeposit:
    """What `proof` shows of the block with `block_hash` (hex or 32 bytes); ProofInvalid where it shows nothing.

    `proof` is the JSON as received, or parsed. `block_hash` is what a node you trust calls the canonical block of the
    proof's chain at the proof's height; whether that block is final is a question to the same node. `signers` are the
    addresses (T…, or hex with 41) whose keys you accept under a block of Tron's; without them any key will do, and the
    answer names it. Where nobody signs blocks, a proof with `signers` is refused.
    """
    found = parse_proof(proof)
    claim = _read_claim(found)
    if claim.chain.startswith("tron:"):
        return _verify_signed(found, claim, _wanted_hash(block_hash, prefix=""), signers)
    if signers is not None:
        raise ProofInvalid("blocks of this chain are signed by nobody who could be named")
    if claim.kind == "utxo":
        return _verify_output(found, claim, _wanted_hash(block_hash, prefix=""))
    wanted = _wanted_hash(block_hash)
    parts = [_bytes_of(found.get("header"), "header")]
    paths = [_nodes_of(found.get(name), name) for name in ("transaction", "receipt")]
    if sum(map(len, [*parts, *paths[0], *paths[1]])) > PROOF_BYTES_MAX:
        raise ProofInvalid(f"a proof has at most {PROOF_BYTES_MAX} bytes")
    block = _member(found, "block")
    if _bytes_of(block.get("hash"), "block.hash") != wanted or keccak_256(parts[0]) != wanted:
        raise ProofInvalid("this is the proof of another block")
    header = _read_header(parts[0])
    if _whole_of(block.get("height"), "block.height") != header.height:
        raise ProofInvalid("the block has another height than the proof says")
    key = _key_of(_whole_of(found.get("index"), "index"))
    envelope = _walk(paths[0], header.transactions_root, key, "transaction")
    receipt = _walk(paths[1], header.receipts_root, key, "receipt")
    if keccak_256(envelope) != claim.tx_hash:
        raise ProofInvalid("another transaction stands at that place of the block")
    _check_amount(claim, _find_amount(claim, envelope, receipt))
    return _prove(claim, block_hash="0x" + wanted.hex(), height=header.height, time_s=header.time_s)


def _check_amount(claim: _Claim, amount: int) -> None:
    if amount != claim.amount_base_units:
        raise ProofInvalid(f"the chain says {amount} base units, and the proof {claim.amount_base_units}")


def _prove(claim: _Claim, **seen: Any) -> ProvenDeposit:
    prefix = _prefix_of(claim.chain)
    return ProvenDeposit(
        deposit_id=claim.deposit_id,
        merchant_id=claim.merchant_id,
        chain=claim.chain,
        asset=claim.asset,
        kind=claim.kind,
        recipient=prefix + claim.recipient.hex(),
        n=claim.n,
        amount_base_units=claim.amount_base_units,
        tx_hash=prefix + claim.tx_hash.hex(),
        **seen,
    )


def check_told(proven: ProvenDeposit, body: str | bytes) -> None:
    """Check that this event, by itself believed (`verify`, `verify_inclusion`), tells of what was proven; ProofInvalid."""
    try:
        event = json.loads(body if isinstance(body, str) else body.decode("utf-8"))
        told, merchant_id = event["data"]["deposit"], event["merchant_id"]
        said = (merchant_id, told["id"], told["tx_hash"], told["amount_base_units"], told["block"]["hash"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProofInvalid("this is not the body of an event about a deposit in a block") from None
    amount = str(proven.amount_base_units)
    if said != (proven.merchant_id, proven.deposit_id, proven.tx_hash, amount, proven.block_hash):
        raise ProofInvalid("this event tells of something else")


def parse_proof(proof: Mapping[str, Any] | str | bytes) -> Mapping[str, Any]:
    """The members of a proof as received, or as parsed before; ProofInvalid for what is no JSON object, or nested deeply."""
    found: Any = proof
    if isinstance(proof, (str, bytes)):
        if len(proof) > TEXT_LENGTH_MAX:
            raise ProofInvalid(f"a proof has at most {TEXT_LENGTH_MAX} bytes as text")
        try:
            text = proof if isinstance(proof, str) else proof.decode("utf-8")
            if text.count("[") + text.count("{") > OPENINGS_MAX:
                raise ProofInvalid("no proof has so many lists and objects")
            found = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise ProofInvalid("this is not JSON") from None
    if not isinstance(found, Mapping):
        raise ProofInvalid("a proof is a JSON object")
    level: list[Any] = [found]
    for _ in range(DEPTH_MAX):
        level = [child for one in level for child in _children(one)]
    if level:
        raise ProofInvalid(f"a proof is nested at most {DEPTH_MAX} deep")
    return found


def _children(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return (one for one in inner if isinstance(one, (Mapping, list)))


def _refuse_constant(_: str) -> None:
    raise ValueError


# --- what the proof says ------------------------------------------------------------------------------------------

_CHAIN = re.compile(r"eip155:[1-9][0-9]{0,31}|bip122:[0-9a-f]{32}|tron:0x[0-9a-f]{8}")
_NATIVE = re.compile(r"/slip44:(?:0|[1-9][0-9]{0,9})")
_MERCHANT = re.compile(r"mer_[0-7][0-9a-hjkmnp-tv-z]{25}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,77}")
_TOKENS = {"token": "trc20", "trc10": "trc10"}
_REFERENCES = {
    "trc20": re.compile(r"t[1-9a-z]{33}"),
    "trc10": re.compile(r"[1-9][0-9]{0,18}"),
}  # in lower case
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def _contract_of(reference: str, form: re.Pattern[str] | None) -> bytes:
    return _text_of(reference, form, "contract").encode() if form else _bytes_of(reference, "contract", 20)


def _prefix_of(chain: str) -> str:
    return "0x" if chain.startswith("eip155:") else ""


class _Claim(NamedTuple):
    deposit_id: str
    merchant_id: str
    chain: str
    asset: str
    kind: str
    contract: bytes
    recipient: bytes
    tx_hash: bytes
    n: int
    amount_base_units: int


def _read_claim(proof: Mapping[str, Any]) -> _Claim:
    """Who the deposit is, its id computed anew (the first 16 bytes of SHA-256 over what identifies it)."""
    if proof.get("format") != FORMAT:
        raise ProofInvalid(f"this is no proof of the format {FORMAT}")
    chain = _text_of(proof.get("chain"), _CHAIN, "chain")
    deposit = _member(proof, "deposit")
    if deposit.get("chain") != chain:
        raise ProofInvalid("the deposit is of another chain than the proof")
    kind, asset = str(deposit.get("kind")), deposit.get("asset")
    prefix, contract = _prefix_of(chain), b""
    is_utxo, is_tron = chain.startswith("bip122:"), chain.startswith("tron:")
    name = "" if is_utxo else _TOKENS.get(kind, "") if is_tron else "erc20" if kind == "token" else ""
    if name and isinstance(asset, str) and asset.startswith(f"{chain}/{name}:"):
        contract = _contract_of(asset[len(chain) + len(name) + 2 :], _REFERENCES.get(name))
    elif not (
        kind == ("utxo" if is_utxo else "native")
        and isinstance(asset, str)
        and asset.startswith(chain)
        and _NATIVE.fullmatch(asset[len(chain) :])
    ):
        raise ProofInvalid("a proof is of a token's transfer or of the chain's coin, and its asset says so")
    recipient_bytes = None if is_utxo else 21 if is_tron else 20
    claim = _Claim(
        deposit_id=str(deposit.get("id")),
        merchant_id=_text_of(deposit.get("merchant_id"), _MERCHANT, "merchant_id"),
        chain=chain,
        asset=asset,
        kind=kind,
        contract=contract,
        recipient=_bytes_of(deposit.get("recipient"), "recipient", recipient_bytes, prefix=prefix),
        tx_hash=_bytes_of(deposit.get("tx_hash"), "tx_hash", 32, prefix=prefix),
        n=_whole_of(deposit.get("n"), "n"),
        amount_base_units=int(_text_of(deposit.get("amount_base_units"), _AMOUNT, "amount_base_units")),
    )
    lines = (
        "chainbell-deposit-1",
        claim.merchant_id,
        chain,
        prefix + claim.tx_hash.hex(),
        kind,
        asset,
        prefix + claim.recipient.hex(),
        str(claim.n),
    )
    number = int.from_bytes(hashlib.sha256("\n".join(lines).encode()).digest()[:16], "big")
    computed = "dep_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
    if claim.deposit_id != computed:
        raise ProofInvalid("the deposit's id is not the id of what is proven")
    return claim


def _member(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    if not isinstance(value, Mapping):
        raise ProofInvalid(f"{name} is missing or no object")
    return value


def _text_of(value: Any, form: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ProofInvalid(f"{what} is missing or malformed")
    return value


def _whole_of(value: Any, what: str) -> int:
    """A whole number as JSON has them: `7.0` is 7, as in other languages."""
    if type(value) not in (int, float) or not 0 <= value <= HEIGHT_MAX or value != int(value):
        raise ProofInvalid(f"{what} is no whole number from 0 to 2^53 - 1")
    return int(value)


def _bytes_of(value: Any, what: str, length: int | None = None, *, prefix: str = "0x") -> bytes:
    """Bytes in lower-case hex behind `prefix`; of this length, where one is given."""
    if isinstance(value, str) and len(value) <= 2 * PROOF_BYTES_MAX + 2 and value.startswith(prefix):
        digits = value[len(prefix) :]
        try:
            data = bytes.fromhex(digits)
        except ValueError:
            data = b""
        if data.hex() == digits and length in (None, len(data)):
            return data
    raise ProofInvalid(f"{what} is missing or no bytes in lower-case hex{' after 0x' if prefix else ''}")


def _nodes_of(value: Any, what: str) -> list[bytes]:
    if not isinstance(value, list) or not 1 <= len(value) <= NODES_MAX:
        raise ProofInvalid(f"{what} is no list of 1 to {NODES_MAX} nodes")
    return [_bytes_of(one, what) for one in value]


def _list_of(value: Any, what: str, length: int, items_max: int) -> list[bytes]:
    if not isinstance(value, list) or len(value) > items_max:
        raise ProofInvalid(f"{what} is no list of at most {items_max} items")
    return [_bytes_of(one, what, length) for one in value]


def _wanted_hash(block_hash: str | bytes, *, prefix: str = "0x") -> bytes:
    if isinstance(block_hash, bytes) and len(block_hash) == 32:
        return block_hash
    text = block_hash.lower() if isinstance(block_hash, str) and block_hash.isascii() else None
    return _bytes_of(text, "the block hash to hold it against", 32, prefix=prefix)


# --- Bitcoin and its like: an output under its block's Merkle root, and the headers behind it ----------------------

_WORKED: Mapping[str, str] = {
    "bip122:000000000019d6689c085ae165831e93": "sha256d",  # Bitcoin
    "bip122:12a765e31ffd4059bada1e25190f6e98": "scrypt",  # Litecoin
}
"""Whose headers carry their own work; of others (test networks, merged mining) only the links are checked."""

_HEADER_BYTES = 80
_CORE_BYTES_AMBIGUOUS = 64
"""A transaction of this size may be an inner node of the tree (CVE-2017-12842); it shows nothing."""


def _verify_output(found: Mapping[str, Any], claim: _Claim, wanted: bytes) -> ProvenDeposit:
    header = _bytes_of(found.get("header"), "header", _HEADER_BYTES)
    core = _bytes_of(found.get("raw_transaction"), "raw_transaction")
    branch = _list_of(found.get("branch"), "branch", 32, BRANCH_MAX)
    headers = _list_of(found.get("headers"), "headers", _HEADER_BYTES, HEADERS_MAX)
    block = _member(found, "block")
    block_hash = _bytes_of(block.get("hash"), "block.hash", 32, prefix="")
    if block_hash != wanted or _hash_twice(header)[::-1] != wanted:
        raise ProofInvalid("this is the proof of another block")
    tx_hash = _hash_twice(core)
    if len(core) == _CORE_BYTES_AMBIGUOUS or tx_hash[::-1] != claim.tx_hash:
        raise ProofInvalid("raw_transaction is not the transaction of the deposit")
    index, node = _whole_of(found.get("index"), "index"), tx_hash
    for beside in branch:
        node = _hash_twice(beside + node if index & 1 else node + beside)
        index >>= 1
    if index or node != header[36:68]:
        raise ProofInvalid("the branch does not lead to the block's Merkle root")
    outputs = _read_outputs(core)
    if claim.n >= len(outputs) or outputs[claim.n][1] != claim.recipient:
        raise ProofInvalid("this transaction has no such output to the recipient")
    _check_amount(claim, outputs[claim.n][0])
    return _prove(
        claim,
        block_hash=wanted.hex(),
        height=_whole_of(block.get("height"), "block.height"),
        time_s=int.from_bytes(header[68:72], "little"),
        headers_count=1 + len(headers),
        work=_check_headers([header, *headers], _WORKED.get(claim.chain)),
    )


def _hash_twice(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def _check_headers(headers: Sequence[bytes], function: str | None) -> int:
    """How many hashes these headers stand for; ProofInvalid where one does not follow the other, or lacks its work."""
    work = 0
    for before, header in zip((None, *headers), headers, strict=False):
        if before is not None and header[4:36] != _hash_twice(before):
            raise ProofInvalid("the headers do not follow each other")
        if function is None:
            continue
        bits = int.from_bytes(header[72:76], "little")
        size, mantissa = bits >> 24, bits & 0x7FFFFF
        target = mantissa << 8 * (size - 3) if 3 <= size <= 32 else 0
        worked = _hash_twice(header) if function == "sha256d" else _scrypt(header)
        if bits & 0x800000 or not 0 < target < 1 << 256 or int.from_bytes(worked, "little") > target:
            raise ProofInvalid("a header has not the work that it claims")
        work += (1 << 256) // (target + 1)
    return work


def _scrypt(header: bytes) -> bytes:
    return hashlib.scrypt(header, salt=header, n=1024, r=1, p=1, dklen=32)


def _read_outputs(core: bytes) -> list[tuple[int, bytes]]:
    """Amounts and scripts of a transaction without witnesses, which must be all of `core`."""
    at = 4
    inputs_count, at = _count_at(core, at)
    if not 0 < inputs_count <= len(core) // 41:
        raise ProofInvalid("raw_transaction is none, or has its witnesses with it")
    for _ in range(inputs_count):
        size, at = _count_at(core, at + 36)
        at += size + 4
    outputs_count, at = _count_at(core, at)
    outputs: list[tuple[int, bytes]] = []
    while len(outputs) < outputs_count and at <= len(core):
        amount = int.from_bytes(core[at : at + 8], "little")
        size, at = _count_at(core, at + 8)
        outputs.append((amount, core[at : at + size]))
        at += size
    if outputs_count != len(outputs) or at + 4 != len(core):
        raise ProofInvalid("raw_transaction is none, or has its witnesses with it")
    return outputs


def _count_at(data: bytes, at: int) -> tuple[int, int]:
    """A count in its shortest form, and the place behind it."""
    first = data[at] if at < len(data) else 0xFF
    if first < 0xFD:
        return first, at + 1
    size = 2 << first - 0xFD
    count = int.from_bytes(data[at + 1 : at + 1 + size], "little")
    if at + 1 + size > len(data) or count < (0xFD, 0x10000, 1 << 32)[first - 0xFD]:
        raise ProofInvalid("raw_transaction holds a count in another form than the shortest, or ends in one")
    return count, at + 1 + size


# --- Tron: a transaction with its result under the root of a header that a witness signed ---------------------------

BY_AGREEMENT: Mapping[str, tuple[str, ...]] = {
    "native": ("witness-schedule",),
    "trc10": ("witness-schedule",),
    "token": ("witness-schedule", "logs"),
}
"""What no header of Tron's covers, by the deposit's kind; words as in `/v1/chains`."""

_CONTRACTS = {
    "native": 1,
    "trc10": 2,
    "token": 31,
}  # TransferContract, TransferAssetContract, TriggerSmartContract
_TRANSFER_CALL = bytes.fromhex("a9059cbb")  # keccak("transfer(address,uint256)"), its first four bytes

_Field = tuple[int, int, int | bytes]  # number, wire type, value


def _verify_signed(
    found: Mapping[str, Any], claim: _Claim, wanted: bytes, signers: Collection[str] | None
) -> ProvenDeposit:
    header, leaf = (_bytes_of(found.get(name), name) for name in ("header", "leaf"))
    branch = _list_of(found.get("branch"), "branch", 32, BRANCH_MAX)
    if len(header) > SIGNED_HEADER_BYTES_MAX or len(leaf) > LEAF_BYTES_MAX or len(leaf) == 64:
        raise ProofInvalid("header or leaf has a size that none on this chain has")  # 64: an inner node
    digest, fields = hashlib.sha256(header).digest(), _read_fields(header, "header")
    height, time_ms, block = _number_of(fields, 7), _number_of(fields, 1), _member(found, "block")
    told = _bytes_of(block.get("hash"), "block.hash", 32, prefix="")
    if min(height, time_ms) < 0 or told != wanted or height.to_bytes(8, "big") + digest[8:] != wanted:
        raise ProofInvalid("this is the proof of another block")
    if _whole_of(block.get("height"), "block.height") != height:
        raise ProofInvalid("the block has another height than the proof says")
    witness = _last_bytes(fields, 9)
    signer = b"\x41" + _recover(digest, _bytes_of(found.get("signature"), "signature", 65))
    if (found.get("witness"), found.get("signer")) != (witness.hex(), signer.hex()):
        raise ProofInvalid("the block has another witness or signer than the proof says")
    named = (signers,) if isinstance(signers, str) else signers
    if named is not None and signer.hex() not in named and _show_address(signer) not in named:
        raise ProofInvalid("the block is signed by nobody whom you named")
    if found.get("by_agreement") != list(BY_AGREEMENT[claim.kind]):
        raise ProofInvalid("the proof says of other things than it must that they rest on agreement")
    index, count = _whole_of(found.get("index"), "index"), _whole_of(found.get("count"), "count")
    if _climb(hashlib.sha256(leaf).digest(), branch, index, count) != (_last_bytes(fields, 2) or None):
        raise ProofInvalid("the branch does not lead to the block's root")
    _check_amount(claim, _read_amount(claim, leaf))
    about = {"witness": witness.hex(), "signer": signer.hex(), "by_agreement": BY_AGREEMENT[claim.kind]}
    return _prove(claim, block_hash=wanted.hex(), height=height, time_s=time_ms // 1000, **about)


def _climb(node: bytes, branch: Sequence[bytes], index: int, count: int) -> bytes:
    """The root above a leaf, nothing for too many hashes or too few; a node alone at the end of its level goes up as it is."""
    if not index < count <= 1 << BRANCH_MAX:
        raise ProofInvalid(f"index is no place among at most 2^{BRANCH_MAX} transactions")
    rest = list(branch)
    while count > 1:
        if index ^ 1 < count:
            if not rest:
                return b""
            beside = rest.pop(0)
            node = hashlib.sha256(beside + node if index & 1 else node + beside).digest()
        index, count = index >> 1, (count + 1) >> 1
    return b"" if rest else node


def _read_amount(claim: _Claim, leaf: bytes) -> int:
    """What the one contract of a transaction moves to the recipient; ProofInvalid where it is another one, or failed."""
    fields = _read_fields(leaf, "leaf")
    raws, results = (_list_bytes(fields, number) for number in (1, 5))
    if len(raws) != 1 or len(results) > 1 or hashlib.sha256(raws[0]).digest() != claim.tx_hash:
        raise ProofInvalid("leaf is not the transaction of the deposit")
    result = _read_fields(b"".join(results), "result")
    if _number_of(result, 2) or _number_of(result, 3) not in ((1,) if claim.kind == "token" else (0, 1)):
        raise ProofInvalid("the transaction failed")
    contracts = _list_bytes(_read_fields(raws[0], "transaction"), 11)
    if len(contracts) != 1:
        raise ProofInvalid("the transaction has not exactly one contract")
    contract = _read_fields(contracts[0], "contract")
    if _number_of(contract, 1) != _CONTRACTS[claim.kind]:
        raise ProofInvalid("the transaction is no transfer of this kind")
    wrapped = b"".join(_list_bytes(contract, 2))
    parameter = _read_fields(_last_bytes(_read_fields(wrapped, "contract"), 2), "contract")
    asset, recipient, amount = b"", _last_bytes(parameter, 2), _number_of(parameter, 3)
    if claim.kind == "trc10":
        asset, recipient, amount = (
            _last_bytes(parameter, 1),
            _last_bytes(parameter, 3),
            _number_of(parameter, 4),
        )
    elif claim.kind == "token":
        called, data = _last_bytes(parameter, 2), _last_bytes(parameter, 4)
        asset = _show_address(called).lower().encode() if len(called) == 21 else b""
        is_plain = len(data) == 68 and data[:15] == _TRANSFER_CALL + bytes(11) and data[15] in (0, 0x41)
        if not is_plain:
            raise ProofInvalid("the transaction is no plain call of transfer(address,uint256)")
        recipient, amount = b"\x41" + data[16:36], int.from_bytes(data[36:], "big")
    if (
        asset != claim.contract
        or recipient != claim.recipient
        or recipient[:1] != b"\x41"
        or claim.n
        or amount <= 0
    ):
        raise ProofInvalid("this transaction moved no such thing to the recipient")
    return amount


def _read_fields(data: bytes, what: str) -> list[_Field]:
    """Number, wire type and value of each field of one Protocol Buffers message, numbers without sign."""
    fields: list[_Field] = []
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at, what)
        number, wire = (key & 0xFFFFFFFF) >> 3, key & 7
        size = {1: 8, 5: 4}.get(wire, 0)
        value: int | bytes = 0
        if wire in (0, 2):
            value, at = _varint_at(data, at, what)
            size = value if wire == 2 else 0
        if wire not in (0, 1, 2, 5) or not number or size > len(data) - at or len(fields) >= FIELDS_MAX:
            raise ProofInvalid(f"the {what} holds what is no field")
        fields.append((number, wire, data[at : at + size] if wire == 2 else value))
        at += size
    return fields


def _varint_at(data: bytes, at: int, what: str) -> tuple[int, int]:
    value = 0
    for place in range(at, min(at + 10, len(data))):
        value |= (data[place] & 0x7F) << 7 * (place - at)
        if data[place] < 0x80:
            return value & 2**64 - 1, place + 1
    raise ProofInvalid(f"the {what} holds a number that is cut off or has no end")


def _number_of(fields: Sequence[_Field], number: int) -> int:
    """The int64 that counts, which is the last; 0 where there is none."""
    found = [value for place, wire, value in fields if place == number and wire == 0]
    value = int(found[-1]) if found else 0
    return value - 2**64 if value >> 63 else value


def _list_bytes(fields: Sequence[_Field], number: int) -> list[bytes]:
    return [value for place, _, value in fields if place == number and isinstance(value, bytes)]


def _last_bytes(fields: Sequence[_Field], number: int) -> bytes:
    return _list_bytes(fields, number)[-1] if _list_bytes(fields, number) else b""


def _show_address(address: bytes) -> str:
    """Base58check."""
    checked = address + _hash_twice(address)[:4]
    number, text = int.from_bytes(checked, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    return text


# --- whose key signed (SEC 1, 4.1.6, on secp256k1) ------------------------------------------------------------------

_P = 2**256 - 2**32 - 977
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_G_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
_G_Y = 0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8
_Point = tuple[int, int] | None


def _recover(digest: bytes, signature: bytes) -> bytes:
    """The last 20 bytes of Keccak of the key that made this signature: r, s (the lower of two) and 0, 1, 27 or 28."""
    r, s, recovery = *(int.from_bytes(signature[at : at + 32], "big") for at in (0, 32)), signature[64]
    square = (pow(r, 3, _P) + 7) % _P
    y = pow(square, (_P + 1) // 4, _P)
    if (
        not 0 < r < _ORDER
        or not 0 < s <= _ORDER // 2
        or recovery not in (0, 1, 27, 28)
        or y * y % _P != square
    ):
        raise ProofInvalid("nobody made this signature")
    point = (r, y if y & 1 == recovery % 27 else _P - y)
    inverse = pow(r, -1, _ORDER)
    by_g, by_point = -int.from_bytes(digest, "big") * inverse % _ORDER, s * inverse % _ORDER
    table, key = (None, (_G_X, _G_Y), point, _add((_G_X, _G_Y), point)), None
    for bit in range(255, -1, -1):
        key = _add(_add(key, key), table[(by_g >> bit & 1) + 2 * (by_point >> bit & 1)])
    if key is None:
        raise ProofInvalid("nobody made this signature")
    return keccak_256(key[0].to_bytes(32, "big") + key[1].to_bytes(32, "big"))[12:]


def _add(one: _Point, other: _Point) -> _Point:
    if one is None or other is None:
        return one or other
    if one[0] == other[0]:
        if one[1] != other[1]:
            return None
        slope = 3 * one[0] * one[0] * pow(2 * one[1], -1, _P) % _P
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P) % _P
    x = (slope * slope - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P


# --- RLP, read strictly (Yellow Paper, appendix B) ----------------------------------------------------------------


class _Item(NamedTuple):
    is_list: bool
    encoded: bytes
    payload: bytes


def _split_list(encoded: bytes, what: str) -> list[_Item]:
    """The items of one list that is all of `encoded`; lists inside stay encoded, so depth costs nothing."""
    whole = _read_item(encoded, 0, what)
    if not whole.is_list or len(whole.encoded) != len(encoded):
        raise ProofInvalid(f"the {what} is not one RLP list")
    items, at, payload = [], 0, whole.payload
    while at < len(payload):
        item = _read_item(payload, at, what)
        items.append(item)
        at += len(item.encoded)
    return items


def _read_item(data: bytes, at: int, what: str) -> _Item:
    if at >= len(data):
        raise ProofInvalid(f"the {what} ends within an RLP item")
    first = data[at]
    base = 0xC0 if first >= 0xC0 else 0x80
    start, size = at + 1, first - base
    if first < 0x80:
        start, size = at, 1
    elif size > 55:
        digits = data[start : start + size - 55]
        start, size = start + len(digits), int.from_bytes(digits, "big")
        if size < 56 or not digits[0]:
            raise ProofInvalid(f"the {what} has a length in another form than RLP's shortest")
    if start + size > len(data):
        raise ProofInvalid(f"the {what} ends within an RLP item")
    payload = data[start : start + size]
    if base == 0x80 and size == 1 and start > at and payload[0] < 0x80:
        raise ProofInvalid(f"the {what} has a byte in another form than RLP's shortest")
    return _Item(first >= 0xC0, data[at : start + size], payload)


def _string(items: Sequence[_Item], place: int, what: str, length: int | None = None) -> bytes:
    if place >= len(items) or items[place].is_list or length not in (None, len(items[place].payload)):
        raise ProofInvalid(f"the {what} has another form than a proof needs")
    return items[place].payload


def _scalar(items: Sequence[_Item], place: int, what: str) -> int:
    data = _string(items, place, what)
    if len(data) > 32 or data[:1] == b"\x00":
        raise ProofInvalid(f"the {what} has a number in another form than RLP's shortest")
    return int.from_bytes(data, "big")


# --- header and tries (Yellow Paper, 4.4 and appendix D) ----------------------------------------------------------


class _Header(NamedTuple):
    transactions_root: bytes
    receipts_root: bytes
    height: int
    time_s: int


def _read_header(encoded: bytes) -> _Header:
    fields = _split_list(encoded, "header")
    if len(fields) not in HEADER_FIELDS:
        raise ProofInvalid("the header is of a kind this program does not know")
    return _Header(
        transactions_root=_string(fields, 4, "header", 32),
        receipts_root=_string(fields, 5, "header", 32),
        height=_scalar(fields, 8, "header"),
        time_s=_scalar(fields, 11, "header"),
    )


def _key_of(index: int) -> str:
    """The half bytes of rlp(index), as hex digits."""
    data = index.to_bytes((index.bit_length() + 7) // 8, "big")
    if len(data) == 1 and data[0] < 0x80:
        return data.hex()
    return bytes((0x80 + len(data),)).hex() + data.hex()


def _walk(nodes: Sequence[bytes], root: bytes, key: str, what: str) -> bytes:
    """What stands at `key` under `root`, led there by these nodes and no others, each named by its hash in the one before."""
    expected, rest = root, key
    for position, node in enumerate(nodes):
        if position and len(node) < 32:
            raise ProofInvalid(f"the {what}'s path holds a node that stands inside another")
        if keccak_256(node) != expected:
            raise ProofInvalid(f"the {what}'s path does not lead from the block's root")
        child = _Item(is_list=True, encoded=node, payload=b"")
        while child.is_list:  # a node of less than 32 bytes stands inside the one that names it
            ends, child, rest = _step(_split_list(child.encoded, what), rest, what)
            if child.is_list and len(child.encoded) >= 32:
                raise ProofInvalid(f"the {what}'s path holds what is no node")
            if ends:
                if position != len(nodes) - 1:
                    raise ProofInvalid(f"the {what}'s path goes on behind its end")
                if child.is_list or not child.payload:
                    raise ProofInvalid(f"the {what} at the end of the path is none")
                return child.payload
        if len(child.payload) != 32:
            raise ProofInvalid(f"nothing stands in the block at this place of the {what}s")
        expected = child.payload
    raise ProofInvalid(f"the {what}'s path ends before its end")


def _step(node: Sequence[_Item], rest: str, what: str) -> tuple[bool, _Item, str]:
    """One node deeper: whether that is the end, what it names or holds, and what is left of the key."""
    if len(node) == 17:
        if not rest:
            return True, node[16], rest
        return False, node[int(rest[0], 16)], rest[1:]
    if len(node) != 2:
        raise ProofInvalid(f"the {what}'s path holds what is no node")
    path = _string(node, 0, what).hex()
    flag = path[:1]
    if flag not in {"0", "1", "2", "3"} or (flag in "02" and path[1] != "0"):
        raise ProofInvalid(f"the {what}'s path holds what is no node")
    shared = path[2:] if flag in "02" else path[1:]
    is_leaf = flag in "23"
    if not rest.startswith(shared) or (is_leaf and shared != rest) or (not is_leaf and not shared):
        raise ProofInvalid(f"nothing stands in the block at this place of the {what}s")
    return is_leaf, node[1], rest[len(shared) :]


# --- what moved ---------------------------------------------------------------------------------------------------

_CALLS: Mapping[tuple[int, int], tuple[int, int]] = {
    (0x00, 9): (3, 4),  # legacy: nonce, gas price, gas, to, value, data, signature
    (0x01, 11): (4, 5),  # EIP-2930
    (0x02, 12): (5, 6),  # EIP-1559
    (0x03, 14): (5, 6),  # EIP-4844
    (0x04, 13): (5, 6),  # EIP-7702
    (0x64, 5): (3, 4),  # Arbitrum: a deposit from the parent chain
    (0x65, 8): (5, 6),  # Arbitrum: unsigned
    (0x66, 8): (5, 6),  # Arbitrum: a contract of the parent chain
    (0x68, 12): (5, 6),  # Arbitrum: a retry
    (0x7A, 14): (5, 6),  # Celo, CIP-66
    (0x7B, 13): (5, 6),  # Celo, CIP-64
    (0x7E, 6): (2, 3),  # Scroll: a message from the parent chain
    (0x7E, 8): (2, 4),  # OP stack: a deposit from the parent chain
}
"""Where `to` and `value` stand, by type and number of fields; other types carry value outside of what their hash covers."""

_OP_DEPOSIT = (0x7E, 8)


def _find_amount(claim: _Claim, envelope: bytes, receipt: bytes) -> int:
    outcome = _split_list(_open_envelope(receipt)[1], "receipt")
    status = _string(outcome, 0, "receipt")
    if len(outcome) < 4 or status not in {b"", b"\x01"}:
        raise ProofInvalid("the receipt does not say whether the transaction succeeded")
    if claim.kind == "native":
        moves = _list_native(envelope, succeeded=bool(status))
    else:
        moves = _list_tokens(outcome[3], claim.contract) if status else iter(())
    amounts = [amount for recipient, amount in moves if recipient == claim.recipient and amount]
    if claim.n >= len(amounts):
        failed = "" if status else ": it failed"
        raise ProofInvalid(f"this transaction moved no such thing to the recipient{failed}")
    return amounts[claim.n]


def _open_envelope(encoded: bytes) -> tuple[int, bytes]:
    """The type and the list of a transaction or receipt (EIP-2718)."""
    if encoded[0] >= 0xC0:
        return 0, encoded
    if not 0 < encoded[0] < 0x80:
        raise ProofInvalid("a transaction or receipt in an envelope that does not exist")
    return encoded[0], encoded[1:]


def _list_native(envelope: bytes, *, succeeded: bool) -> Iterator[tuple[bytes, int]]:
    """Recipients and amounts of the native coin that the transaction itself carries, in their order."""
    kind, encoded = _open_envelope(envelope)
    fields = _split_list(encoded, "transaction")
    form = (kind, len(fields))
    if form not in _CALLS:
        raise ProofInvalid(f"what a transaction of type {kind:#x} moves is not covered by its hash")
    if form == _OP_DEPOSIT:  # minted to its sender, whether or not the rest succeeds
        yield _string(fields, 1, "transaction", 20), _scalar(fields, 3, "transaction")
    to, value = _CALLS[form]
    recipient = _string(fields, to, "transaction")
    if succeeded and len(recipient) == 20:
        yield recipient, _scalar(fields, value, "transaction")


def _list_tokens(logs: _Item, contract: bytes) -> Iterator[tuple[bytes, int]]:
    """Recipients and amounts of one token's ERC-20 transfers, in their order."""
    for log in _split_list(logs.encoded, "receipt"):
        fields = _split_list(log.encoded, "receipt")
        if len(fields) != 3:
            raise ProofInvalid("the receipt holds what is no log")
        if _string(fields, 0, "receipt", 20) != contract:
            continue
        topics = [_string([one], 0, "receipt", 32) for one in _split_list(fields[1].encoded, "receipt")]
        data = _string(fields, 2, "receipt")
        if len(topics) == 3 and topics[0] == TRANSFER_TOPIC and len(data) == 32:
            yield topics[2][12:], int.from_bytes(data, "big")


# --- Keccak-256 (the original padding, as Ethereum uses it; hashlib has the later one of FIPS 202 only) --------------

_RATE = 136
_MASK = 2**64 - 1


def _list_rounds() -> list[int]:
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << ((1 << power) - 1)
            register = register << 1 ^ (0x171 if register >> 7 else 0)
        constants.append(constant)
    return constants


def _list_moves() -> list[tuple[int, int, int]]:
    """From which lane to which, turned by how much, beginning with lane 0 which stays."""
    moves, x, y = [(0, 0, 0)], 1, 0
    for step in range(24):
        turned_x, turned_y = y, (2 * x + 3 * y) % 5
        moves.append((x + 5 * y, turned_x + 5 * turned_y, (step + 1) * (step + 2) // 2 % 64))
        x, y = turned_x, turned_y
    return moves


_ROUNDS = _list_rounds()
_MOVES = _list_moves()


def keccak_256(data: bytes) -> bytes:
    """The 32-byte digest of `data`; about 0.3 ms for each 136 bytes."""
    padded = bytearray(data + b"\x01" + bytes(_RATE - 1 - len(data) % _RATE))
    padded[-1] |= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE):
        for lane in range(_RATE // 8):
            at = start + 8 * lane
            lanes[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permute(lanes: list[int]) -> list[int]:
    turned = [0] * 25
    for constant in _ROUNDS:
        sums = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [sums[x - 1] ^ (sums[(x + 1) % 5] << 1 & _MASK) ^ (sums[(x + 1) % 5] >> 63) for x in range(5)]
        for source, target, by in _MOVES:
            lane = lanes[source] ^ mixed[source % 5]
            turned[target] = (lane << by & _MASK) | lane >> (64 - by)
        for row in range(0, 25, 5):
            a, b, c, d, e = turned[row : row + 5]
            lanes[row : row + 5] = (a ^ (~b & c), b ^ (~c & d), c ^ (~d & e), d ^ (~e & a), e ^ (~a & b))
        lanes[0] ^= constant
    return lanes
