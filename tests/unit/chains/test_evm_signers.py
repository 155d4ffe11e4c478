"""Who signed, held against another implementation (eth-account, pure Python)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from eth_account import Account

from chains.evm.decode import compute_spends
from chains.evm.rows import Authorization
from chains.evm.signers import CURVE_ORDER, recover_authority, recover_signer
from chains.model import ConflictKey
from tests.unit.chains.rows import BlockRows

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
