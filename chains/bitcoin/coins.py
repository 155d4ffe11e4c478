"""What differs between the coins of this family: their work, their limits, their spelling.  Pure data.

Sources: Bitcoin Core, Litecoin Core and Dogecoin Core, `chainparams.cpp`,
`consensus/amount.h`, `consensus/consensus.h` and `pow.cpp`; BIP 34; BIP 94
(testnet4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

COIN_BASE_UNITS: Final = 100_000_000
VALUE_MAX_BASE_UNITS: Final = 2**63 - 1
"""What a transaction's field holds."""


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
    transactions (MWEB).  `heights_from` is the first height whose coinbase must
    say it.  `extension_maturity_blocks` is the age at which what came out of an
    extension can be spent.  `node_version_min`: older nodes are known to have
    believed false blocks.  `merge_id` is the chain's number in merged mining;
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
    extension_maturity_blocks: int = 0
    heights_from: int = 1
    node_version_min: int = 0


_BITCOIN: Final = Coin(
    name="bitcoin",
    genesis_hash=bytes.fromhex("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
    prefixes=Prefixes((0,), (5,), "bc"),
    work_hash=WorkHash.SHA256D,
    limit_bits=0x1D00FFFF,
    spacing_s=600,
    retargeting=Retargeting.PERIODS,
    money_max_base_units=21_000_000 * COIN_BASE_UNITS,
    heights_from=227_931,
    node_version_min=16_03_00,  # CVE-2018-17144: coins out of nothing
)
_LITECOIN: Final = Coin(
    name="litecoin",
    genesis_hash=bytes.fromhex("12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"),
    prefixes=Prefixes((48,), (50, 5), "ltc"),
    work_hash=WorkHash.SCRYPT,
    limit_bits=0x1E0FFFFF,
    spacing_s=150,
    retargeting=Retargeting.PERIODS_WHOLE,
    money_max_base_units=84_000_000 * COIN_BASE_UNITS,
    extension_flag=True,
    extension_maturity_blocks=6,
    heights_from=710_000,
    node_version_min=21_05_05,  # peg-outs that were never pegged in, April 2026
)
_DOGECOIN: Final = Coin(
    name="dogecoin",
    genesis_hash=bytes.fromhex("1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691"),
    prefixes=Prefixes((30,), (22,), None),
    work_hash=WorkHash.SCRYPT,
    limit_bits=0x1E0FFFFF,
    spacing_s=60,
    retargeting=Retargeting.EACH_BLOCK,
    money_max_base_units=VALUE_MAX_BASE_UNITS,  # new coins have no end
    retargets_from=145_000,
    has_witness=False,
    merge_id=0x62,
    heights_from=1_034_383,
    coinbase_maturity_blocks=240,
)


def _try_out(
    coin: Coin,
    network: str,
    genesis: str,
    prefixes: Prefixes,
    limit_bits: int | None = None,
    *,
    heights_from: int = 1,
) -> Coin:
    """A network of the same coin on which it is tried out."""
    return replace(
        coin,
        name=f"{coin.name}-{network}",
        genesis_hash=bytes.fromhex(genesis),
        prefixes=prefixes,
        limit_bits=coin.limit_bits if limit_bits is None else limit_bits,
        retargeting=Retargeting.UNKNOWN,
        heights_from=heights_from,
    )


_TB: Final = Prefixes((111,), (196,), "tb")

COINS: Final = MappingProxyType(
    {
        coin.name: coin
        for coin in (
            _BITCOIN,
            _try_out(
                _BITCOIN,
                "testnet3",
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
                _TB,
                heights_from=21_111,
            ),
            _try_out(
                _BITCOIN, "testnet4", "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043", _TB
            ),
            _try_out(
                _BITCOIN,
                "signet",
                "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
                _TB,
                0x1E0377AE,
            ),
            _try_out(
                _BITCOIN,
                "regtest",
                "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
                replace(_TB, bech32="bcrt"),
                0x207FFFFF,
            ),
            _LITECOIN,
            _try_out(
                _LITECOIN,
                "testnet4",
                "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0",
                Prefixes((111,), (58, 196), "tltc"),
                heights_from=76,
            ),
            _DOGECOIN,
        )
    }
)
"""Every network we know, by name."""
