"""The traits of the local chain that tests follow, and addresses to pay.

Facts only: starting the node is `anvil`, contracts are `compiled`.  Chain
31337 with 18 decimals, final by the node's own tags.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.evm.facts import EvmFacts
from chains.model import Address, Asset, AssetId, ChainId
from chains.traits import ChainTraits, Family, FinalByTag, FinalityRule

CHAIN = ChainId("eip155:31337")
NATIVE = Asset(AssetId(f"{CHAIN}/slip44:60"), "ETH", 18, None)


def local_traits(
    tokens: Sequence[Asset] = (),
    *,
    traces: bool = False,
    profile: str = "agreement",
    finality: FinalityRule | None = None,
    excluded_emitters: Sequence[str] = (),
    number: int = 31337,
    block_time_s: float = 1.0,
) -> ChainTraits:
    """The local chain with these listed tokens."""
    return ChainTraits(
        chain=ChainId(f"eip155:{number}"),
        alias="local",
        family=Family.EVM,
        native=NATIVE,
        assets=tuple(tokens),
        block_time_s=block_time_s,
        finality=FinalByTag() if finality is None else finality,
        reorg_window_blocks=64,
        facts=EvmFacts(
            excluded_emitters=tuple(to_address(one) for one in excluded_emitters),
            verification_profile=profile,
            traces=traces,
        ),
    )


def token(contract: str, symbol: str = "USDT", decimals: int = 6) -> Asset:
    """A listed token at this contract."""
    return Asset(AssetId(f"{CHAIN}/erc20:{contract.lower()}"), symbol, decimals, to_address(contract))


def to_address(text: str) -> Address:
    """An address from its 0x text."""
    return Address(bytes.fromhex(text[2:]))


def payee(number: int) -> str:
    """The 0x text of an address nobody else uses."""
    return f"0x{0xBEEF0000 + number:040x}"
