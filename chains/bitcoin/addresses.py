"""Addresses as people write them, and the output scripts they stand for.  Pure.

A deposit is found by its exact script, so an address is only a spelling of
one; scripts without a usual spelling are written `script:` and hex.  Of two
spellings of one script (Litecoin's P2SH) both are read and one is written.
Sources: BIP 13, 173, 350; base58check is `chains.base58`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chains.base58 import format_checked, parse_checked
from chains.bitcoin.coins import COINS, Coin
from chains.model import Address
from chains.strangers import BITCOIN, DOGECOIN, LITECOIN, SOLANA, name_stranger

SCRIPT_PREFIX: Final = "script:"
SCRIPT_BYTES_MAX: Final = 1_024
"""Longer than a bare multisig of fifteen keys, and short enough for an index of a database."""

_OWN_FORMS: Final = frozenset({BITCOIN, LITECOIN, DOGECOIN})
_CHECKED_LENGTH_MAX: Final = 35
"""So long are this family's own in base58, mistyped ones included; Solana's are a little longer."""

_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_VALUES: Final = {letter: value for value, letter in enumerate(_BECH32)}
_BECH32_LENGTH_MAX: Final = 90
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECK_OF_VERSION_0: Final = 1
_CHECK_OF_OTHERS: Final = 0x2BC830A3


def parse_address(coin: Coin, text: str) -> Address:
    """The script that an address of this network stands for; raises `ValueError` saying what is wrong."""
    if text.startswith(SCRIPT_PREFIX):
        return _parse_script(text[len(SCRIPT_PREFIX) :])
    if "1" in text and (human := text.rpartition("1")[0].lower()) in _HUMAN_PARTS:
        if human != coin.prefixes.bech32:
            raise ValueError(f"an address of {_HUMAN_PARTS[human]}, not of {coin.name}")
        return Address(_parse_bech32(text))
    stranger = name_stranger(
        text, own=_OWN_FORMS if len(text) > _CHECKED_LENGTH_MAX else {*_OWN_FORMS, SOLANA}
    )
    if stranger is not None:
        raise ValueError(f"this looks like {stranger}, not an address of {coin.name}")
    payload = parse_checked(text)
    version, digest = payload[0], payload[1:]
    if version in coin.prefixes.pubkey_hash:
        return Address(b"\x76\xa9\x14" + digest + b"\x88\xac")
    if version in coin.prefixes.script_hash:
        return Address(b"\xa9\x14" + digest + b"\x87")
    owner = _VERSIONS.get(version)
    raise ValueError(
        f"an address of {owner}, not of {coin.name}"
        if owner
        else f"no address of {coin.name}: its first byte is {version}"
    )


def format_address(coin: Coin, script: Address) -> str:
    """How people are shown a script."""
    prefixes = coin.prefixes
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return format_checked(bytes([prefixes.pubkey_hash[0]]) + script[3:23])
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return format_checked(bytes([prefixes.script_hash[0]]) + script[2:22])
    program = _read_program(script)
    if program is not None and prefixes.bech32 is not None:
        return _format_bech32(prefixes.bech32, *program)
    return SCRIPT_PREFIX + script.hex()


def _parse_script(digits: str) -> Address:
    try:
        script = bytes.fromhex(digits)
    except ValueError:
        script = b""
    if not script or len(script) * 2 != len(digits):
        raise ValueError("a script is written as script: and whole bytes of hex")
    if len(script) > SCRIPT_BYTES_MAX:
        raise ValueError(f"a script has at most {SCRIPT_BYTES_MAX} bytes")
    return Address(script)


def _parse_bech32(text: str) -> bytes:
    if text not in (text.lower(), text.upper()):
        raise ValueError("an address has upper or lower case, not both")
    human, _, letters = text.lower().rpartition("1")
    if len(text) > _BECH32_LENGTH_MAX or len(letters) < 7:
        raise ValueError("no address: it is too short or too long")
    values: list[int] = []
    for letter in letters:
        value = _BECH32_VALUES.get(letter)
        if value is None:
            raise ValueError(f"no address: {letter!r} is not a letter of bech32")
        values.append(value)
    version, check = values[0], _compute_check(human, values)
    if check not in (_CHECK_OF_VERSION_0, _CHECK_OF_OTHERS):
        raise ValueError("the checksum does not fit: one character is wrong")
    if check != _check_due(version):
        raise ValueError("the checksum is one of another version: a wallet has spelled it wrongly")
    program = _join_bits(values[1:-6])
    if version > 16 or not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise ValueError("no address: its program has a length that no version has")
    return bytes([0x50 + version if version else 0, len(program)]) + program


def _format_bech32(human: str, version: int, program: bytes) -> str:
    values = [version, *_split_bits(program)]
    check = _compute_check(human, [*values, 0, 0, 0, 0, 0, 0]) ^ _check_due(version)
    values += [check >> shift & 31 for shift in range(25, -1, -5)]
    return f"{human}1{''.join(_BECH32[value] for value in values)}"


def _read_program(script: bytes) -> tuple[int, bytes] | None:
    """A witness program's version and bytes (BIP 141)."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    if script[0] and not 0x51 <= script[0] <= 0x60:
        return None
    version = script[0] - 0x50 if script[0] else 0
    if version == 0 and len(script) not in (22, 34):
        return None
    return version, script[2:]


def _check_due(version: int) -> int:
    return _CHECK_OF_OTHERS if version else _CHECK_OF_VERSION_0


def _compute_check(human: str, values: Iterable[int]) -> int:
    check = 1
    for value in (*(ord(one) >> 5 for one in human), 0, *(ord(one) & 31 for one in human), *values):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATOR):
            if top >> place & 1:
                check ^= generator
    return check


def _join_bits(values: Iterable[int]) -> bytes:
    number, bits = 0, 0
    for value in values:
        number, bits = number << 5 | value, bits + 5
    rest = bits % 8
    if rest > 4 or number & ((1 << rest) - 1):
        raise ValueError("no address: there is more in it than its program")
    return (number >> rest).to_bytes(bits // 8, "big")


def _split_bits(program: bytes) -> list[int]:
    padding = -len(program) * 8 % 5
    number, count = int.from_bytes(program, "big") << padding, (len(program) * 8 + padding) // 5
    return [number >> 5 * place & 31 for place in range(count - 1, -1, -1)]


def _name_owners() -> tuple[dict[str, str], dict[int, str]]:
    """Whose an address is, by its human part and by its first byte; of several networks that share one, the first."""
    human: dict[str, str] = {}
    versions: dict[int, str] = {}
    for coin in COINS.values():
        if coin.prefixes.bech32 is not None:
            human.setdefault(coin.prefixes.bech32, coin.name)
        for version in (*coin.prefixes.pubkey_hash, *coin.prefixes.script_hash):
            versions.setdefault(version, coin.name)
    return human, versions


_HUMAN_PARTS, _VERSIONS = _name_owners()
