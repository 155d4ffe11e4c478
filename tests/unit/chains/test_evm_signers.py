"""Who signed, held against another implementation (eth-account, pure Python)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from eth_account import Account

from chains.evm.rows.structs import Authorization, decode_block
from chains.evm.value.decode import compute_asset_index, compute_spends, decode_transfers
from chains.evm.value.natives import TypeRules
from chains.evm.value.signers import (
    CURVE_ORDER,
    compute_created_address,
    recover_authority,
    recover_sender,
    recover_signer,
)
from chains.evm.verify import PROFILES
from chains.evm.verify.fields import HashedBlock
from chains.evm.verify.transactions import SIGNED_FIELDS
from chains.model import Address, ConflictKey
from tests.devnet.local import local_traits
from tests.unit.chains.rows import BlockRows
from tests.unit.chains.verify.recorded import build, needs_recorded, read_json

KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
AUTHORITY = bytes.fromhex("70997970C51812dc3A010C7d01b50e0d17dc79C8")
CHAIN = 31337


def signed(chain: int = CHAIN, nonce: int = 5) -> dict[str, Any]:
    """One authorisation as a node's row shows it."""
    made = Account.from_key(KEY).sign_authorization(
        {"chainId": chain, "address": "0x" + "de" * 20, "nonce": nonce}
    )
    return {
        "chainId": hex(chain),
        "address": "0x" + "de" * 20,
        "nonce": hex(nonce),
        "yParity": hex(made.y_parity),
        "r": hex(made.r),
        "s": hex(made.s),
    }


def recover(row: dict[str, Any]) -> bytes | None:
    return recover_authority(msgspec.convert(row, Authorization), CHAIN)


@pytest.mark.parametrize("chain", [0, CHAIN])
@pytest.mark.parametrize("nonce", [0, 5, 0x80, 2**64 - 2])
def test_an_authorisations_authority_is_who_signed_it(chain: int, nonce: int) -> None:
    assert recover(signed(chain, nonce)) == AUTHORITY


def test_the_signature_may_be_spelled_otherwise() -> None:
    row = signed()
    assert recover(row | {"r": "0X00" + row["r"][2:].upper(), "nonce": "0x05"}) == AUTHORITY
    row["v"] = row.pop("yParity")
    assert recover(row) == AUTHORITY


def test_what_the_chain_would_skip_names_nobody() -> None:
    row = signed()
    flipped = {"s": hex(CURVE_ORDER - int(row["s"], 16)), "yParity": hex(1 - int(row["yParity"], 16))}
    for bent in (
        signed(chain=1),
        signed(nonce=2**64 - 1),
        row | flipped,
        row | {"r": "0x0"},
        row | {"s": "0x0"},
        row | {"r": hex(CURVE_ORDER)},
        row | {"yParity": "0x2"},
        row | {"yParity": "0x1b"},
        row | {"r": None},
        row | {"address": "0xde"},
        row | {"chainId": "one"},
    ):
        assert recover(bent) is None, bent
    assert recover(row | {"nonce": "0x6"}) != AUTHORITY


def test_a_signature_of_anything_names_somebody_or_nobody() -> None:
    for r in (1, 2, 3, CURVE_ORDER - 1):
        signer = recover_signer(b"\x01" * 32, r, 1, 0)
        assert signer is None or len(signer) == 20


def test_a_nonce_that_its_owner_used_is_the_owners() -> None:
    rows = BlockRows()
    by_authority = rows.add(type="0x4", nonce="0x9", authorizationList=[signed(), signed(nonce=6)])
    owners = rows.add(nonce="0x5")
    rows.transactions[-1]["from"] = "0x" + AUTHORITY.hex()
    rows.add(type="0x2", authorizationList=[signed(nonce=7)])
    spends = compute_spends(CHAIN, rows.block().transactions)
    by_nonce = {nonce: ConflictKey(AUTHORITY + nonce.to_bytes(8, "big")) for nonce in (5, 6, 7)}
    assert spends[by_nonce[5]].hex() == owners[2:]
    assert spends[by_nonce[6]].hex() == by_authority[2:]
    assert by_nonce[7] not in spends, "only a set-code transaction authorises"
    assert len(spends) == 5 - 1


@needs_recorded
@pytest.mark.parametrize(
    "path",
    ["ethereum/{}1000000", "ethereum/{}18000000", "polygon/{}50000000", "ethereum/trin/{}19433902"],
)
def test_every_recorded_transaction_was_signed_by_whom_its_row_names(path: str) -> None:
    """Unprotected and protected legacy ones, access lists, fee markets, blobs; and every creation's address."""
    if "trin" in path:
        names = (path.format("block-") + ".json", path.format("receipts-") + ".json")
    else:
        names = (path.format("") + ".block.json", path.format("") + ".receipts.json")
    block, receipts = build(*(read_json(name) for name in names))
    assert block.transactions
    for transaction, receipt in zip(block.transactions, receipts, strict=True):
        if transaction.type not in SIGNED_FIELDS or int(transaction.r or "0x0", 16) == 0:
            continue
        sender = recover_sender(transaction)
        assert sender is not None
        assert "0x" + sender.hex() == transaction.sender.lower(), transaction.hash
        if receipt.contract_address is not None:
            created = compute_created_address(sender, int(transaction.nonce or "", 16))
            assert "0x" + created.hex() == receipt.contract_address.lower()


def test_a_transaction_without_a_signature_names_nobody() -> None:
    (transaction,) = wide(type="0x7e").transactions
    assert recover_sender(transaction) is None
    (transaction,) = wide(type="0x2").transactions
    assert recover_sender(transaction) is None


def test_a_created_address_is_computed_and_never_believed() -> None:
    block = wide(to=None, value=7, nonce="0x5")
    receipts = BlockRows()
    receipts.add(to=None)
    receipts.receipts[0]["contractAddress"] = "0x" + "c0" * 20
    table = decode_transfers(compute_asset_index(local_traits()), block, receipts.rows()).transfers
    assert table.recipients == [compute_created_address(Address(bytes.fromhex("aa" * 20)), 5)]


def test_a_creation_whose_nonce_no_hash_covers_is_told_and_not_counted() -> None:
    """Arbitrum's 0x66 and 0x68, and 0x7e before its receipt commits to a nonce."""
    for kind in ("0x66", "0x68", "0x7e"):
        block = wide(to=None, value=7, type=kind)
        receipts = BlockRows()
        receipts.add(to=None)
        receipts.receipts[0] |= {"contractAddress": "0x" + "c0" * 20, "depositNonce": "0x9"}
        decoded = decode_transfers(compute_asset_index(local_traits()), block, receipts.rows())
        assert list(decoded.transfers.recipients) == []
        assert decoded.unread == (f"created-address: type {kind}",)


def test_the_creation_of_a_deposit_follows_from_the_nonce_its_receipt_commits_to() -> None:
    block = wide(to=None, value=7, type="0x7e")
    receipts = BlockRows()
    receipts.add(to=None)
    receipts.receipts[0] |= {"depositNonce": "0x9", "depositReceiptVersion": "0x1"}
    table = decode_transfers(compute_asset_index(local_traits()), block, receipts.rows()).transfers
    assert table.recipients == [compute_created_address(Address(bytes.fromhex("aa" * 20)), 9)]


def test_a_mint_counts_only_where_its_hash_covers_it() -> None:
    """Scroll's 0x7e is no deposit of the OP stack: its hash knows no mint."""
    rows = BlockRows()
    rows.add(type="0x7e", mint=hex(10))
    index, block, receipts = compute_asset_index(local_traits()), rows.block(), rows.rows()
    assert len(decode_transfers(index, block, receipts).transfers.recipients) == 1
    scroll = TypeRules(frozenset(), mints=False)
    assert len(decode_transfers(index, block, receipts, (), scroll).transfers.recipients) == 0


def wide(**others: Any) -> HashedBlock:
    """A block of one transaction, read with all that is hashed."""
    rows = BlockRows()
    rows.add(**others)
    block = decode_block(msgspec.Raw(msgspec.json.encode(rows.header())), PROFILES["full"].decoder)
    assert isinstance(block, HashedBlock)
    return block
