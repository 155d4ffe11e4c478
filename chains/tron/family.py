"""What the Tron family brings: spelling (base58check, 41-hex), its facts, and its ways to nodes.

Pure but for the doors at the end, which load clients only when they are opened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chains.family import BlockSeen, FamilyRules, ShareBudget
from chains.model import AssetId, BlockHash, ChainId, TxHash
from chains.port import OpenedSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from chains.trial import TrialRules
from chains.tron.address import encode_identity, format_address, name_contract, parse_address, parse_contract
from chains.tron.facts import FACTS, NAMESPACE
from chains.tron.value.contracts import MEMO_BYTES_MAX

_HASH = re.compile(r"(?:0[xX])?[0-9a-fA-F]{64}")
_TOKEN = re.compile(r"(tron:0x[0-9a-f]{8})/(trc10|trc20):([0-9A-Za-z]{1,64})", re.IGNORECASE)


def _parse_tx_hash(text: str) -> TxHash:
    return TxHash(_parse_hash(text, "transaction"))


def _parse_block_hash(text: str) -> BlockHash:
    return BlockHash(_parse_hash(text, "block"))


def _parse_hash(text: str, what: str) -> bytes:
    if _HASH.fullmatch(text) is None:
        raise ValueError(f"a {what}'s id is exactly 64 hexadecimal digits")
    return bytes.fromhex(text[-64:])


def _parse_asset_id(text: str) -> AssetId:
    """Base58check keeps its case, and a contract may be written in hex."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return AssetId(text.lower())
    try:
        return AssetId(f"{found[1].lower()}/{name_contract(parse_contract(found[3]))}")
    except ValueError:
        return AssetId(text)


def _parse_memo(text: str) -> bytes:
    memo = text.encode("utf-8")
    if not 1 <= len(memo) <= MEMO_BYTES_MAX:
        raise ValueError(f"a memo has 1 to {MEMO_BYTES_MAX:,} bytes")
    return memo


def _open_source(
    traits: ChainTraits, endpoints: Sequence[NodeEndpoint], *, share_budget: ShareBudget | None = None
) -> OpenedSource:
    from chains.tron.source import TronSource  # noqa: PLC0415

    return TronSource(traits, endpoints, share_budget=share_budget)


def _load_trial() -> TrialRules:
    from chains.tron.trial import TRIAL  # noqa: PLC0415

    return TRIAL


async def _fetch_block_seen(chain: ChainId, url: str, height: int) -> BlockSeen:
    from chains.tron.nodes.stranger import fetch_block_seen  # noqa: PLC0415

    return await fetch_block_seen(chain, url, height)


TRON = FamilyRules(
    namespace=NAMESPACE,
    shares_addresses=False,
    hint_schemes=(),
    parse_address=lambda _, text: parse_address(text),
    format_address=lambda _, address: format_address(address),
    encode_identity=lambda _, address: encode_identity(address),
    parse_contract=parse_contract,
    name_contract=name_contract,
    parse_asset_id=_parse_asset_id,
    parse_tx_hash=_parse_tx_hash,
    format_tx_hash=bytes.hex,
    parse_block_hash=_parse_block_hash,
    format_block_hash=bytes.hex,
    parse_memo=_parse_memo,
    facts=FACTS,
    open_source=_open_source,
    load_trial=_load_trial,
    fetch_block_seen=_fetch_block_seen,
)
