"""What the EVM family brings: spelling (EIP-55, 0x), its facts, and its ways to nodes.

Pure but for the doors at the end, which load clients only when they are
opened: reading a configuration needs none of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chains.evm.address import encode_identity, format_address, parse_address
from chains.evm.facts import FACTS, NAMESPACE, facts_of, number_of
from chains.family import BlockSeen, FamilyRules, ShareBudget
from chains.model import AssetId, BlockHash, ChainId, TxHash
from chains.port import OpenedSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from chains.trial import TrialRules

_HASH = re.compile(r"0[xX][0-9a-fA-F]{64}")


def _parse_tx_hash(text: str) -> TxHash:
    return TxHash(_parse_hash(text, "transaction"))


def _parse_block_hash(text: str) -> BlockHash:
    return BlockHash(_parse_hash(text, "block"))


def _parse_hash(text: str, what: str) -> bytes:
    if _HASH.fullmatch(text) is None:
        raise ValueError(f"a {what} hash is 0x and exactly 64 hexadecimal digits")
    return bytes.fromhex(text[2:])


def _format_hash(word: bytes) -> str:
    return "0x" + word.hex()


def _open_source(
    traits: ChainTraits, endpoints: Sequence[NodeEndpoint], *, share_budget: ShareBudget | None = None
) -> OpenedSource:
    from chains.evm.source import EvmSource  # noqa: PLC0415
    from chains.evm.verify import PROFILES, BlockVerifier  # noqa: PLC0415

    verifier = BlockVerifier(PROFILES[facts_of(traits).verification_profile])
    return EvmSource(traits, endpoints, verifier=verifier, share_budget=share_budget)


def _load_trial() -> TrialRules:
    from chains.evm.trial import TRIAL  # noqa: PLC0415

    return TRIAL


async def _fetch_block_seen(chain: ChainId, url: str, height: int) -> BlockSeen:
    from chains.evm.nodes.stranger import fetch_block_seen  # noqa: PLC0415

    return await fetch_block_seen(url, number_of(chain), height)


EVM = FamilyRules(
    namespace=NAMESPACE,
    shares_addresses=True,
    hint_schemes=("ws", "wss"),
    parse_address=lambda _, text: parse_address(text),
    format_address=lambda _, address: format_address(address),
    encode_identity=lambda _, address: encode_identity(address),
    parse_contract=parse_address,
    name_contract=lambda contract: f"erc20:{encode_identity(contract)}",
    parse_asset_id=lambda text: AssetId(text.lower()),
    parse_tx_hash=_parse_tx_hash,
    format_tx_hash=_format_hash,
    parse_block_hash=_parse_block_hash,
    format_block_hash=_format_hash,
    parse_memo=None,
    facts=FACTS,
    open_source=_open_source,
    load_trial=_load_trial,
    fetch_block_seen=_fetch_block_seen,
)
