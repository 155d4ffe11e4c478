"""What differs between the coins of this family: their work, their limits, their spelling.  Pure data.

Sources: Bitcoin Core, Litecoin Core and Dogecoin Core, `chainparams.cpp`,
`consensus/amount.h` and `pow.cpp`; BIP 94 (testnet4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

COIN_BASE_UNITS: Final = 100_000_000
SEQUENCE_MONEY_MAX: Final = 2**63 - 1


class WorkHash(StrEnum):
    """The function whose value must lie below the target."""

    SHA256D = "sha256d"
    SCRYPT = "scrypt"


class Retargeting(StrEnum):
    """How the next block's target follows from the headers before it."""

    PERIODS = "periods"
    """Every 2016 blocks, from the time that the last 2015 took."""

    PERIODS_WHOLE = "periods-whole"
    """Litecoin: from the time that the last 2016 took, after the first period."""

    EACH_BLOCK = "each-block"
    """Dogecoin since height 145,000: from the time of one block, dampened."""

    UNKNOWN = "unknown"
    """Test networks, whose exceptions need more headers than we hold: bits are only held to the limit."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The spelling of addresses: version bytes of base58, first those we write; the human part of bech32."""

    pubkey_hash: tuple[int, ...]
    script_hash: tuple[int, ...]
    bech32: str | None


@dataclass(frozen=True, slots=True)
class Coin:
    """One network's rules, as far as they tell a true block from a false one.

    `limit_bits` is the easiest target in compact form.  `retargets_from` is
    the first height at which `retargeting` holds.  `extension_flag` says that
    transactions may carry flag 8 and blocks an extension behind their
    transactions (MWEB).  `merge_id` is the chain's number in merged mining;
    None where headers carry no other chain's work.
    """

    name: str
    genesis_hash: bytes
    prefixes: Prefixes
    work_hash: WorkHash
    limit_bits: int
    spacing_s: int
    retargeting: Retargeting
    money_max_base_units: int
    retargets_from: int = 0
    has_witness: bool = True
    extension_flag: bool = False
    merge_id: int | None = None
    coinbase_maturity_blocks: int = 100


_BITCOIN_MONEY: Final = 21_000_000 * COIN_BASE_UNITS
_LITECOIN_MONEY: Final = 84_000_000 * COIN_BASE_UNITS


def _bitcoin(
    name: str, genesis: str, prefixes: Prefixes, limit_bits: int = 0x1D00FFFF, *, periods: bool = False
) -> Coin:
    return Coin(
        name=name,
        genesis_hash=bytes.fromhex(genesis),
        prefixes=prefixes,
        work_hash=WorkHash.SHA256D,
        limit_bits=limit_bits,
        spacing_s=600,
        retargeting=Retargeting.PERIODS if periods else Retargeting.UNKNOWN,
        money_max_base_units=_BITCOIN_MONEY,
    )


def _litecoin(name: str, genesis: str, prefixes: Prefixes, limit_bits: int, *, periods: bool = False) -> Coin:
    return Coin(
        name=name,
        genesis_hash=bytes.fromhex(genesis),
        prefixes=prefixes,
        work_hash=WorkHash.SCRYPT,
        limit_bits=limit_bits,
        spacing_s=150,
        retargeting=Retargeting.PERIODS_WHOLE if periods else Retargeting.UNKNOWN,
        money_max_base_units=_LITECOIN_MONEY,
        extension_flag=True,
    )


def _dogecoin(
    name: str,
    genesis: str,
    prefixes: Prefixes,
    limit_bits: int,
    maturity_blocks: int,
    *,
    each_block: bool = False,
) -> Coin:
    return Coin(
        name=name,
        genesis_hash=bytes.fromhex(genesis),
        prefixes=prefixes,
        work_hash=WorkHash.SCRYPT,
        limit_bits=limit_bits,
        spacing_s=60,
        retargeting=Retargeting.EACH_BLOCK if each_block else Retargeting.UNKNOWN,
        # New coins have no end: what fits a transaction's field is the bound.
        money_max_base_units=SEQUENCE_MONEY_MAX,
        retargets_from=145_000,
        has_witness=False,
        merge_id=0x62,
        coinbase_maturity_blocks=maturity_blocks,
    )


COINS: Final = MappingProxyType(
    {
        coin.name: coin
        for coin in (
            _bitcoin(
                "bitcoin",
                "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
                Prefixes((0,), (5,), "bc"),
                periods=True,
            ),
            _bitcoin(
                "bitcoin-testnet3",
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
                Prefixes((111,), (196,), "tb"),
            ),
            _bitcoin(
                "bitcoin-testnet4",
                "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
                Prefixes((111,), (196,), "tb"),
            ),
            _bitcoin(
                "bitcoin-signet",
                "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
                Prefixes((111,), (196,), "tb"),
                0x1E0377AE,
            ),
            _bitcoin(
                "bitcoin-regtest",
                "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
                Prefixes((111,), (196,), "bcrt"),
                0x207FFFFF,
            ),
            _litecoin(
                "litecoin",
                "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2",
                Prefixes((48,), (50, 5), "ltc"),
                0x1E0FFFFF,
                periods=True,
            ),
            _litecoin(
                "litecoin-testnet4",
                "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0",
                Prefixes((111,), (58, 196), "tltc"),
                0x1E0FFFFF,
            ),
            _dogecoin(
                "dogecoin",
                "1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691",
                Prefixes((30,), (22,), None),
                0x1E0FFFFF,
                240,
                each_block=True,
            ),
        )
    }
)
"""Every network we know, by name."""
