"""Tron addresses as people and nodes write them: 21 bytes, of which the first is 0x41.  Pure.

Base58check (`T…`), hex (`41…`) and the 20 bytes of logs and of Ethereum's
tools (`0x…`) are spellings of one address; people are shown the first,
identities have the second.  TRC-10 tokens have no contract but a number,
which stands here in the place of one.  What is another family's is refused by name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from sha3 import keccak_256

from chains.base58 import format_checked, parse_checked
from chains.model import Address
from chains.strangers import SOLANA, TRON, name_stranger

PREFIX: Final = 0x41
ADDRESS_BYTES: Final = 21
TEXTS_KEPT: Final = 8_192

_HEX: Final = re.compile(r"41[0-9a-fA-F]{40}")
_SHORT: Final = re.compile(r"0[xX][0-9a-fA-F]{40}")
_CHECKED: Final = re.compile(r"T[1-9A-HJ-NP-Za-km-z]{33}")
_TOKEN_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")

_OLD_TESTNET: Final = re.compile(r"a0[0-9a-fA-F]{40}|27[1-9A-HJ-NP-Za-km-z]{33}")
_BARE: Final = re.compile(r"[0-9a-fA-F]{40}")


def parse_address(text: str) -> Address:
    """The 21 bytes of an address; raises `ValueError` with what is wrong.

    The `0x` form may carry EIP-55's checksum, and then it must fit.
    """
    if _HEX.fullmatch(text) is not None:
        return Address(bytes.fromhex(text))
    if _SHORT.fullmatch(text) is not None:
        return _parse_short(text[2:])
    if _CHECKED.fullmatch(text) is not None:
        return _parse_checked(text)
    if text != text.strip():
        raise ValueError("there is white space around the address")
    name = _name_misfit(text)
    if name is not None:
        raise ValueError(f"this looks like {name}, not a Tron address")
    if not text.isascii():
        raise ValueError("there are characters in the address that only look like letters or digits")
    if text[:1] != "T":
        raise ValueError("a Tron address is T and 33 characters, or 41 and 40 hexadecimal digits")
    return _parse_checked(text)


def _name_misfit(text: str) -> str | None:
    if _OLD_TESTNET.fullmatch(text) is not None:
        return "an address of Tron's old testnet"
    if _BARE.fullmatch(text) is not None:
        return "hex without its 41 or 0x"
    own = {TRON, SOLANA} if text.startswith("T") else {TRON}
    return name_stranger(text, own=own)


def _parse_checked(text: str) -> Address:
    payload = parse_checked(text)
    if payload[0] != PREFIX:
        raise ValueError(f"no Tron address: its first byte is {payload[0]:#04x}, not {PREFIX:#04x}")
    return Address(payload)


def _parse_short(digits: str) -> Address:
    if digits not in {digits.lower(), digits.upper()}:
        nibbles = keccak_256(digits.lower().encode("ascii")).hexdigest()
        cased = (a.upper() if b >= "8" else a for a, b in zip(digits.lower(), nibbles, strict=False))
        if "".join(cased) != digits:
            raise ValueError("the EIP-55 checksum does not fit: one character or its case is wrong")
    return lengthen(bytes.fromhex(digits))


def parse_contract(text: str) -> Address:
    """What a listed token is found by: a TRC-20's contract, or a TRC-10's number."""
    if _TOKEN_NUMBER.fullmatch(text) is not None:
        return Address(text.encode("ascii"))
    return parse_address(text)


def lengthen(short: bytes) -> Address:
    """The address of 20 bytes as logs have them."""
    assert len(short) == ADDRESS_BYTES - 1, "logs have 20 bytes of an address"
    return Address(bytes([PREFIX]) + short)


def is_address(found: bytes) -> bool:
    """Whether these bytes of a transaction are an address."""
    return len(found) == ADDRESS_BYTES and found[0] == PREFIX


@lru_cache(maxsize=TEXTS_KEPT)
def format_address(address: Address) -> str:
    """How people are shown an address, or a TRC-10's number."""
    return format_checked(address) if is_address(address) else address.decode("ascii")


def name_contract(contract: Address) -> str:
    """A listed token's namespace and reference in CAIP-19."""
    return f"trc{20 if is_address(contract) else 10}:{format_address(contract)}"


def encode_identity(address: Address) -> str:
    """How deposits' identities spell an address: hex with its 41."""
    return address.hex()
