"""How each family spells what the model keeps as bytes.

The one door for other rooms to addresses and transaction ids of any chain, so
that nobody imports a family's folder.  How a family checks its spelling lives
in that folder (`chains.evm.address`).
"""

from __future__ import annotations

import re

from chains.evm import address as evm_address
from chains.model import Address, BlockHash, TxHash
from chains.traits import Family

_EVM_HASH = re.compile(r"0[xX][0-9a-fA-F]{64}")


def parse_address(family: Family, text: str) -> Address:
    """An address as a person wrote it; raises `ValueError` saying what is wrong."""
    match family:
        case Family.EVM:
            return evm_address.parse_address(text)


def format_address(family: Family, address: Address) -> str:
    """An address as people are shown it (EVM: EIP-55)."""
    match family:
        case Family.EVM:
            return evm_address.format_address(address)


def encode_identity(family: Family, address: Address) -> str:
    """An address as identities and CAIP-19 spell it (EVM: lower-case 0x hex)."""
    match family:
        case Family.EVM:
            return evm_address.encode_identity(address)


def format_tx_hash(family: Family, tx_hash: TxHash) -> str:
    """A transaction id as the node's RPC shows it, in lower case."""
    match family:
        case Family.EVM:
            return "0x" + tx_hash.hex()


def parse_tx_hash(family: Family, text: str) -> TxHash:
    """A transaction id as a person wrote it; raises `ValueError`."""
    return TxHash(_parse_hash(family, text, "transaction"))


def format_block_hash(family: Family, block_hash: BlockHash) -> str:
    """A block hash as the node's RPC shows it, in lower case."""
    match family:
        case Family.EVM:
            return "0x" + block_hash.hex()


def parse_block_hash(family: Family, text: str) -> BlockHash:
    """A block hash as a person wrote it; raises `ValueError`."""
    return BlockHash(_parse_hash(family, text, "block"))


def _parse_hash(family: Family, text: str, what: str) -> bytes:
    match family:
        case Family.EVM:
            if _EVM_HASH.fullmatch(text) is None:
                raise ValueError(f"a {what} hash is 0x and exactly 64 hexadecimal digits")
            return bytes.fromhex(text[2:])
