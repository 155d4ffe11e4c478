"""EVM addresses as people write them: EIP-55 parse, format, normalise.  Pure.

All lower case and all upper case are accepted, mixed case must carry a right
checksum; what looks like another family's address is refused by that name.
Other rooms come here through `chains.families`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import add

import sha3

from chains.model import Address
from chains.strangers import EVM, name_stranger

ADDRESS_BYTES = 20

TEXTS_KEPT = 8_192
"""A checksum costs a hash: whoever is paid again and again, or pays, is spelled once."""

_CASED = {
    digit + nibble: digit.upper() if nibble >= "8" else digit
    for digit in "0123456789abcdef"
    for nibble in "0123456789abcdef"
}
"""A digit of an address as the digit of the hash at its place wants it written."""

_HEX_FORM = re.compile(r"0[xX][0-9a-fA-F]{40}")

# Ordered: the first form that fits names the misfit; None stands for the other families.
_MISFITS: tuple[tuple[str, re.Pattern[str]] | None, ...] = (
    ("an ICAP address", re.compile(r"XE[0-9]{2}[0-9A-Z]{16,31}")),
    ("an XDC address (write 0x instead of xdc)", re.compile(r"xdc[0-9a-fA-F]{40}")),
    None,
    ("an ENS name, which is not resolved here", re.compile(r"[^\s.]+(?:\.[^\s.]+)*\.eth")),
    ("an address without its 0x", re.compile(r"[0-9a-fA-F]{40}")),
)


def parse_address(text: str) -> Address:
    """The 20 bytes of an address; raises `ValueError` with what is wrong.

    Source of the checksum: EIP-55.
    """
    if _HEX_FORM.fullmatch(text) is None:
        raise ValueError(_describe_misfit(text))
    digits = text[2:]
    value = Address(bytes.fromhex(digits))
    if digits not in (digits.lower(), digits.upper()) and format_address(value)[2:] != digits:
        raise ValueError("the EIP-55 checksum does not fit: one character or its case is wrong")
    return value


@lru_cache(maxsize=TEXTS_KEPT)
def format_address(address: Address) -> str:
    """How people are shown an address: 0x and EIP-55 mixed case."""
    assert len(address) == ADDRESS_BYTES, "an EVM address has 20 bytes"
    digits = address.hex()
    nibbles = sha3.keccak_256(digits.encode("ascii")).hexdigest()
    return "0x" + "".join(map(_CASED.__getitem__, map(add, digits, nibbles)))


def encode_identity(address: Address) -> str:
    """How identities and CAIP ids spell an address: 0x and lower case."""
    assert len(address) == ADDRESS_BYTES, "an EVM address has 20 bytes"
    return "0x" + address.hex()


def _describe_misfit(text: str) -> str:
    if text != text.strip():
        return "there is white space around the address"
    for misfit in _MISFITS:
        name = name_stranger(text, own={EVM}) if misfit is None else misfit[0]
        if name is not None and (misfit is None or misfit[1].fullmatch(text) is not None):
            return f"this looks like {name}, not an EVM address"
    if not text.isascii():
        return "there are characters in the address that only look like letters or digits"
    if text[:2].lower() == "0x":
        return "an EVM address is 0x and exactly 40 hexadecimal digits"
    return "this is not an EVM address (0x and 40 hexadecimal digits)"
