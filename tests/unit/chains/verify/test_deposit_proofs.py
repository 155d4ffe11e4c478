"""Every transfer of every recorded block is proven by its hash: to both kits, and as another library builds the proof."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import rlp
from trie.hexary import HexaryTrie

from chains.evm.nodes.proof import CommittedBlock, build_proof, encode_block, find_obstacle
from chains.evm.rows.structs import RawBlock, RawReceipt
from chains.evm.verify import PROFILES, Check, Mode, Profile
from chains.evm.verify.paths import compute_path
from chains.evm.verify.trie import compute_ordered_root
from chains.model import Address, AssetId, Transfer, TransferKind, TxHash, format_position
from chains.proofs import DepositProof, TrieProof, Unprovable, UnprovableReason
from indexer.rules.identity import compute_deposit_id
from migrations.ids import encode_id
from relay.kit import verify_deposit as kit
from relay.kit.verify_deposit import ProofInvalid, verify_deposit
from tests.devnet.local import CHAIN
from tests.unit.chains.verify.recorded import (
    build,
    envelopes_of,
    hex_data,
    keccak,
    list_payload,
    needs_recorded,
    read_bytes,
    read_json,
    receipt_rows,
    rows_of_rlp_block,
    transaction_rows,
)
from tests.unit.chains.verify.test_recorded import PORTAL_BLOCKS, parse_receipt, ssz_items, wrap_list
from tests.unit.relay.deposit_verdicts import judge_in_node

MERCHANT = encode_id("mer", UUID(int=7))
MEDIAN_BYTES = range(4_000, 15_000)
"""Of the JSON without an event, in one block; of all of them it is 9 kB, as docs/proofs.md says."""
NATIVE = f"{CHAIN}/slip44:60"
TRANSFER_TOPIC = hex_data(kit.TRANSFER_TOPIC)
Json = Any
Block = tuple[RawBlock, list[RawReceipt]]


def read_rows(path: str) -> Block:
    return build(read_json(f"{path}.block.json"), read_json(f"{path}.receipts.json"))


def read_trin(number: int) -> Block:
    names = (f"ethereum/trin/block-{number}.json", f"ethereum/trin/receipts-{number}.json")
    return build(read_json(names[0]), read_json(names[1]))


def read_portal(number: int) -> Block:
    text = read_bytes(f"ethereum/portal/block-data-{number}.yaml").decode()
    values = dict(re.findall(r'^(header|body|receipts): "?0x([0-9a-f]*)', text, re.MULTILINE))
    header, body, receipts = (bytes.fromhex(values[key]) for key in ("header", "body", "receipts"))
    block = rows_of_rlp_block(wrap_list(header, list_payload(body)))
    return build(block, receipt_rows(block, [parse_receipt(item) for item in envelopes_of(receipts)]))


def read_history() -> Block:
    header = ssz_items(read_bytes("ethereum/trin/15040641.header.bin"))[0]
    transactions, uncles = ssz_items(read_bytes("ethereum/trin/15040641.body.bin"))
    block = rows_of_rlp_block(wrap_list(header, b"\xc0", uncles))
    block["transactions"] = [
        transaction_rows(item, at, block) for at, item in enumerate(ssz_items(transactions))
    ]
    receipts = [parse_receipt(item) for item in ssz_items(read_bytes("ethereum/trin/15040641.receipts.bin"))]
    return build(block, receipt_rows(block, receipts))


MAINNET: dict[str, Callable[[], Block]] = {
    "18000000": lambda: read_rows("ethereum/18000000"),
    "19433902": lambda: read_trin(19433902),
    "19433903": lambda: read_trin(19433903),
    "15040641": read_history,
    **{str(number): partial(read_portal, number) for number in PORTAL_BLOCKS},
}
OTHERS = [("polygon", "polygon/50000000", 62), ("hyperliquid", "hyperliquid/50000", 0)]


def list_transfers(block: RawBlock, receipts: list[RawReceipt]) -> Iterator[Transfer]:
    """What moved, whichever token it was, read here and not by the decoder; a created contract is the address 0."""
    for place, (transaction, receipt) in enumerate(zip(block.transactions, receipts, strict=True)):
        moves = [
            (TransferKind.NATIVE, NATIVE, transaction.to or "0x" + "00" * 20, int(transaction.value, 16))
        ]
        moves += [
            (TransferKind.TOKEN, f"{CHAIN}/erc20:{log.address}", "0x" + log.topics[2][26:], int(log.data, 16))
            for log in receipt.logs
            if len(log.topics) == 3 and log.topics[0] == TRANSFER_TOPIC and len(log.data) == 66
        ]
        seen: Counter[tuple[str, str]] = Counter()
        for kind, asset, recipient, amount in moves:
            if receipt.status == "0x1" and amount:
                n = seen[asset, recipient]
                seen[asset, recipient] += 1
                tx_hash, to = (bytes.fromhex(text[2:]) for text in (transaction.hash, recipient))
                yield Transfer(
                    TxHash(tx_hash),
                    kind,
                    AssetId(asset),
                    Address(to),
                    (),
                    n,
                    amount,
                    format_position(place),
                    (),
                )


def compose(block: RawBlock, transfer: Transfer, proof: TrieProof) -> Json:
    """The proof as the API gives it, its id made by the indexer's own rule."""
    tx_hash, recipient = hex_data(transfer.tx_hash), hex_data(transfer.recipient)
    found = compute_deposit_id(
        MERCHANT,
        CHAIN,
        transfer,
        tx_hash_text=tx_hash,
        recipient_text=recipient,
    )
    return {
        "format": kit.FORMAT,
        "deposit": {
            "id": encode_id("dep", found), "merchant_id": MERCHANT, "chain": CHAIN, "tx_hash": tx_hash,
            "kind": transfer.kind, "asset": transfer.asset, "recipient": recipient, "n": transfer.n,
            "amount_base_units": str(transfer.amount_base_units),
        },
        "chain": CHAIN,
        "block": {"height": int(block.number, 16), "hash": block.hash},
        "header": hex_data(proof.header),
        "index": proof.index,
        "transaction": [hex_data(node) for node in proof.transaction],
        "receipt": [hex_data(node) for node in proof.receipt],
    }  # fmt: skip


@dataclass
class ByOthers:
    """Both tries of a block as py-trie builds them."""

    transactions: HexaryTrie
    receipts: HexaryTrie

    def agree(self, proof: TrieProof) -> None:
        key = rlp.encode(proof.index)
        header = rlp.decode(proof.header)
        for trie, path, root in (
            (self.transactions, proof.transaction, header[4]),
            (self.receipts, proof.receipt, header[5]),
        ):
            assert trie.root_hash == root
            assert [rlp.encode(node) for node in trie.get_proof(key)] == list(path)
            assert HexaryTrie.get_from_proof(root, key, [rlp.decode(node) for node in path]) == trie[key]


def build_by_others(committed: CommittedBlock) -> ByOthers:
    """Put together by py-trie out of the encoded items."""
    tries = ByOthers(HexaryTrie(db={}, prune=False), HexaryTrie(db={}, prune=False))
    for trie, items in ((tries.transactions, committed.transactions), (tries.receipts, committed.receipts)):
        for place, item in enumerate(items):
            trie[rlp.encode(place)] = item
    return tries


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python kit with the C library's digest, which its own equals (test_deposit_kit.py): thousands in seconds."""
    monkeypatch.setattr(kit, "keccak_256", keccak)


def prove_all(profile: Profile, block: RawBlock, receipts: list[RawReceipt]) -> list[bytes]:
    """Prove every transfer as py-trie does, and to both kits; the proofs as JSON."""
    committed = encode_block(profile, block, receipts)
    assert isinstance(committed, CommittedBlock)
    transfers = list(list_transfers(block, receipts))
    proofs = {transfer.tx_hash: committed.prove(int(transfer.position)) for transfer in transfers}
    others = build_by_others(committed)
    for proof in proofs.values():
        others.agree(proof)
    texts = []
    for transfer in transfers:
        given = compose(block, transfer, proofs[transfer.tx_hash])
        if block.transactions[int(transfer.position)].to is None and transfer.kind is TransferKind.NATIVE:
            with pytest.raises(ProofInvalid):
                verify_deposit(given, block.hash)
            continue
        assert verify_deposit(given, block.hash).amount_base_units == transfer.amount_base_units
        texts.append(json.dumps(given, separators=(",", ":")).encode())
    verdicts = judge_in_node([(text, block.hash) for text in texts])
    said = [json.loads(text)["deposit"] for text in texts]
    assert [one.get("depositId") for one in verdicts] == [one["id"] for one in said]
    return texts


@needs_recorded
@pytest.mark.parametrize("name", MAINNET)
def test_every_transfer_of_a_recorded_mainnet_block_is_proven(swift: None, name: str) -> None:
    sizes = [len(text) for text in prove_all(PROFILES["full"], *MAINNET[name]())]
    assert not sizes or int(statistics.median(sizes)) in MEDIAN_BYTES


@needs_recorded
@pytest.mark.parametrize(("name", "path", "transfers_count"), OTHERS)
def test_every_transfer_of_the_recorded_blocks_of_other_chains_is_proven(
    swift: None, name: str, path: str, transfers_count: int
) -> None:
    assert len(prove_all(PROFILES[name], *read_rows(path))) == transfers_count


@needs_recorded
def test_a_block_without_a_status_proves_no_success(swift: None) -> None:
    block, receipts = read_rows("ethereum/1000000")
    for receipt in receipts:
        receipt.status = receipt.status or "0x1"  # as if somebody said so
    for transfer in list_transfers(block, receipts):
        for receipt in receipts:
            receipt.status = None
        proof = build_proof(PROFILES["full"], block, receipts, transfer.tx_hash)
        if isinstance(proof, TrieProof):
            with pytest.raises(ProofInvalid, match="whether the transaction succeeded"):
                verify_deposit(compose(block, transfer, proof), block.hash)


@needs_recorded
def test_altered_rows_and_unknown_types_give_no_proof() -> None:
    block, receipts = read_rows("ethereum/18000000")
    wanted = TxHash(bytes.fromhex(block.transactions[3].hash[2:]))
    assert isinstance(build_proof(PROFILES["full"], block, receipts, wanted), TrieProof)
    receipts[5].cumulative_gas_used = "0x1"
    refused = build_proof(PROFILES["full"], block, receipts, wanted)
    assert reason_of(refused) is UnprovableReason.NOT_COVERED
    block, receipts = read_rows("ethereum/18000000")
    few = replace(PROFILES["full"], transaction_codecs={"0x0": PROFILES["full"].transaction_codecs["0x0"]})
    refused = build_proof(few, block, receipts, wanted)
    assert reason_of(refused) is UnprovableReason.NOT_COVERED
    refused = build_proof(PROFILES["full"], block, receipts, TxHash(b"\x01" * 32))
    assert reason_of(refused) is UnprovableReason.NOT_IN_BLOCK


def reason_of(answer: DepositProof | Unprovable | None) -> UnprovableReason | None:
    return answer.reason if isinstance(answer, Unprovable) else None


def test_chains_whose_hash_covers_nothing_are_known_before_anybody_is_asked() -> None:
    reasons = {name: find_obstacle(profile, 10**9) for name, profile in PROFILES.items()}
    without = {name for name, why_not in reasons.items() if why_not is not None}
    assert without == {"agreement", "zksync"}
    older = find_obstacle(PROFILES["optimism"], 5)
    assert reason_of(older) is UnprovableReason.OLDER_RULES
    assert all(PROFILES[name].modes[Check.RECEIPTS_ROOT] is Mode.ABSENT for name in without)


def test_a_path_leads_from_the_root_that_verification_computes() -> None:
    for count in (1, 2, 15, 16, 17, 127, 128, 129, 255, 256, 257, 700):
        values = [bytes([place & 0xFF]) * (1 + place % 70) for place in range(count)]
        root = compute_ordered_root(values)
        for place in {0, 1, count // 2, count - 1} & set(range(count)):
            path = compute_path(values, place)
            assert keccak(path[0]) == root
            assert kit._walk(path, root, kit._key_of(place), "item") == values[place]
