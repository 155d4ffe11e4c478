"""Who signed: addresses recovered from signatures, by libsecp256k1.

A signer is in no row that a hash covers; it follows from the signature.  It
costs tens of microseconds, so it is asked only where it decides something.
What a signature is of is written out here; the encodings are `verify.rlp`.
"""

from __future__ import annotations

from typing import Final

from coincurve import PublicKey

from chains.evm.rows.quantities import read_quantity
from chains.evm.rows.structs import Authorization
from chains.evm.verify.fields import HashedTransaction
from chains.evm.verify.hashing import compute_keccak
from chains.evm.verify.rlp import encode_address, encode_list, encode_scalar, to_bytes
from chains.evm.verify.transactions import encode_signing_payload
from chains.model import Address

CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1 (SEC 2, section 2.4.1)."""

NONCE_MAX: Final = 2**64 - 1
"""No account can use this one up (EIP-2681)."""

_AUTHORIZATION_MAGIC: Final = "05"


def recover_signer(digest: bytes, r: int, s: int, parity: int) -> Address | None:
    """Whose signature of `digest` this is; None where it is nobody's.  High values of `s` count (Frontier)."""
    if not (0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER and parity in {0, 1}):
        return None
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001  # coincurve raises a bare Exception
        return None
    return Address(compute_keccak(key.format(compressed=False)[1:])[12:])


def recover_sender(transaction: HashedTransaction) -> Address | None:
    """Who signed a transaction; None for a type without a signature, or one that nobody made."""
    try:
        payload, parity = encode_signing_payload(transaction)
        r, s = read_quantity(transaction.r or ""), read_quantity(transaction.s or "")
    except (ValueError, TypeError):
        return None
    return recover_signer(compute_keccak(payload), r, s, parity)


def compute_created_address(sender: Address, nonce: int) -> Address:
    """Where the contract lies that `sender` created with its `nonce` (Yellow Paper, 7)."""
    identity = encode_list(encode_address(f"0x{sender.hex()}") + encode_scalar(hex(nonce)))
    return Address(compute_keccak(to_bytes(identity))[12:])


def recover_authority(authorization: Authorization, chain_number: int) -> Address | None:
    """Whose nonce an authorisation uses up if it is the next one; None where it is void (EIP-7702)."""
    a = authorization
    try:
        chain, nonce = read_quantity(a.chain_id or ""), read_quantity(a.nonce or "")
        r, s = read_quantity(a.r or ""), read_quantity(a.s or "")
        parity = read_quantity(a.y_parity or a.v or "")
        fields = f"{encode_scalar(a.chain_id)}{encode_address(a.address)}{encode_scalar(a.nonce)}"
        digest = compute_keccak(to_bytes(_AUTHORIZATION_MAGIC + encode_list(fields)))
    except (ValueError, TypeError):
        return None
    if chain not in {0, chain_number} or nonce >= NONCE_MAX or s > CURVE_ORDER // 2:
        return None
    return recover_signer(digest, r, s, parity)
