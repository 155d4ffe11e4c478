"""What proves a transaction and its outcome to somebody who knows only the block's hash.

Built from the rows of one block, fetched and verified for this one question and
kept nowhere: the header's bytes, and the way from its two roots to the item.
Everything is held against the hash and the roots here as well, so that what
this gives is a proof whatever the chain's profile lets pass.  Encodings are
`verify`, the form merchants are given is the gateway's, checking it is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chains.errors import Missing
from chains.evm.facts import facts_of
from chains.evm.nodes.blocks import fetch_checked_rows
from chains.evm.nodes.node import EvmNode
from chains.evm.nodes.reading import Reading
from chains.evm.rows.structs import (
    RawBlock,
    RawReceipt,
    RawReceipts,
    RawTransaction,
    decode_header,
    encode_word,
    spell_type,
)
from chains.evm.verify.bloom import BloomMasks, format_bloom
from chains.evm.verify.fields import HashedBlock
from chains.evm.verify.hashing import compute_keccak
from chains.evm.verify.header import find_committed_tail
from chains.evm.verify.paths import compute_path
from chains.evm.verify.profiles import PROFILES, Check, Mode, Profile
from chains.evm.verify.receipts import check_words, encode_receipt
from chains.evm.verify.rlp import EMPTY, encode_list, to_bytes
from chains.evm.verify.transactions import encode_transaction
from chains.evm.verify.trie import compute_ordered_root
from chains.model import BlockRef, TxHash
from chains.proofs import DepositProof, TrieProof, Unprovable, UnprovableReason
from chains.rpc.jsonrpc import Call, expect_result, is_null
from chains.rpc.throttle import Priority

_NEEDED: Final = (
    Check.HEADER_HASH,
    Check.TRANSACTION_HASHES,
    Check.TRANSACTIONS_ROOT,
    Check.RECEIPTS_ROOT,
)


_NOT_COVERED: Final = Unprovable(
    UnprovableReason.NOT_COVERED,
    "the block's hash covers something else than its rows show: a system transaction, or rules not known here",
)


async def fetch_deposit_proof(
    node: EvmNode, priority: Priority, reading: Reading, block: BlockRef, tx_hash: TxHash
) -> DepositProof | Unprovable:
    """The proof of one transaction of a canonical block; raises `Missing` where the node calls another canonical."""
    profile = PROFILES[facts_of(reading.traits).verification_profile]
    why_not = find_obstacle(profile, block.height)
    if why_not is not None:
        return why_not
    rows, receipts = await fetch_checked_rows(node, priority, reading, block.hash)
    (outcome,) = await node.ask([Call("eth_getBlockByNumber", (hex(block.height), False))], priority)
    raw = expect_result(outcome)
    if is_null(raw) or decode_header(raw).hash != block.hash:
        raise Missing(f"does not call the block {encode_word(block.hash)} canonical")
    return build_proof(profile, rows, receipts, tx_hash)


def find_obstacle(profile: Profile, height: int) -> Unprovable | None:
    """Why no block of this height is ever proven on this kind of chain; None where it may be."""
    if any(profile.modes[check] is Mode.ABSENT for check in _NEEDED):
        return Unprovable(
            UnprovableReason.AGREEMENT_ONLY,
            "this chain's block hash does not cover its transactions and receipts: "
            "its blocks are believed because providers agree",
        )
    if height < profile.first_height:
        return Unprovable(
            UnprovableReason.OLDER_RULES,
            f"blocks below {profile.first_height} followed other rules, which are not recomputed here",
        )
    return None


@dataclass(frozen=True, slots=True)
class CommittedBlock:
    """The bytes a block's hash commits to: its header, and the items under its two roots."""

    header: bytes
    transactions: Sequence[bytes]
    receipts: Sequence[bytes]

    def prove(self, place: int) -> TrieProof:
        """The way to one transaction and its receipt."""
        paths = (compute_path(self.transactions, place), compute_path(self.receipts, place))
        return TrieProof(self.header, place, *paths)


def build_proof(
    profile: Profile, block: RawBlock, receipts: RawReceipts, tx_hash: TxHash
) -> DepositProof | Unprovable:
    """The proof of one transaction out of a block's rows with their JSON; what does not give the hash is no proof."""
    place = find_place(block.transactions, encode_word(tx_hash))
    if place is None:
        return Unprovable(UnprovableReason.NOT_IN_BLOCK, "the block holds no such transaction")
    committed = encode_block(profile, block, receipts)
    if isinstance(committed, CommittedBlock) and place < len(committed.transactions):
        return committed.prove(place)
    return committed if isinstance(committed, Unprovable) else _NOT_COVERED


def encode_block(profile: Profile, block: RawBlock, receipts: RawReceipts) -> CommittedBlock | Unprovable:
    """What the block's hash commits to, as these rows show it; Unprovable where that is something else."""
    if not isinstance(block, HashedBlock):
        return _NOT_COVERED
    hashed = block
    if profile.settled_field is not None and getattr(hashed, profile.settled_field) is not None:
        return Unprovable(
            UnprovableReason.SETTLED_LATER, "this block does not commit to its own receipts (ACP-194)"
        )
    try:
        header = encode_header(profile, hashed, to_bytes(block.hash[2:]))
        for count in _list_counts(profile, len(hashed.transactions), len(receipts)):
            transactions = _encode_transactions(profile, hashed, count)
            encoded = _encode_receipts(profile, receipts[:count])
            roots = (compute_ordered_root(transactions), compute_ordered_root(encoded))
            if header and roots == tuple(map(_read_root, (hashed.transactions_root, hashed.receipts_root))):
                return CommittedBlock(header, transactions, encoded)
    except (ValueError, TypeError, KeyError, IndexError):
        pass  # a type or a field that nobody told us about
    return _NOT_COVERED


def find_place(transactions: Sequence[RawTransaction], text: str) -> int | None:
    """Where a transaction stands in its block."""
    places = (place for place, one in enumerate(transactions) if one.hash.lower() == text)
    return next(places, None)


def encode_header(profile: Profile, hashed: HashedBlock, block_hash: bytes) -> bytes | None:
    """The bytes that `block_hash` is the hash of; None where the fields do not give it.

    Some nodes show fields of a later fork, which the hash does not cover.
    """
    layout = profile.header
    texts = [(getattr(hashed, name), encode) for name, encode in layout.tail]
    while texts and texts[-1][0] is None:
        texts.pop()
    fixed = "".join([encode(getattr(hashed, name)) for name, encode in layout.fixed])
    tail = [EMPTY if text is None else encode(text) for text, encode in texts]
    covered = find_committed_tail(layout, hashed, block_hash)
    header = to_bytes(encode_list(fixed + "".join(tail[:covered])))
    return header if compute_keccak(header) == block_hash else None


def _list_counts(profile: Profile, transactions_count: int, receipts_count: int) -> list[int]:
    """How many rows the roots may cover: all, or all but a bridge transaction that is only shown (Polygon)."""
    if transactions_count != receipts_count:
        return []
    return [transactions_count, transactions_count - 1] if profile.hides_state_sync else [transactions_count]


def _encode_transactions(profile: Profile, hashed: HashedBlock, count: int) -> list[bytes]:
    codecs = profile.transaction_codecs
    return [encode_transaction(codecs[spell_type(one.type)], one) for one in hashed.transactions[:count]]


def _encode_receipts(profile: Profile, receipts: Sequence[RawReceipt]) -> list[bytes]:
    check_words(receipts)
    encoded = []
    for receipt in receipts:
        kind = spell_type(receipt.type)
        bloom = receipt.logs_bloom or _compute_bloom(receipt)
        encoded.append(encode_receipt(receipt, kind, bloom, profile.receipt_extras.get(kind)))
    return encoded


def _compute_bloom(receipt: RawReceipt) -> str:
    words = {word for log in receipt.logs for word in (log.address, *log.topics)}
    return "0x" + format_bloom(BloomMasks().compute_bloom(words))


def _read_root(text: str | None) -> bytes:
    return b"" if text is None else to_bytes(text[2:])
