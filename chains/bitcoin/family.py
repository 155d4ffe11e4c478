"""What Bitcoin's family brings: spelling (base58check, bech32, bare hexadecimal), its facts, and its ways to nodes.

Pure but for the doors at the end, which load clients only when they are
opened: reading a configuration needs none of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chains.bitcoin.addresses import format_address, parse_address
from chains.bitcoin.facts import FACTS, NAMESPACE, coin_of
from chains.bitcoin.value.outputs import read_spent
from chains.family import BlockSeen, FamilyRules, ShareBudget
from chains.model import Address, AssetId, BlockHash, ChainId, TxHash
from chains.port import OpenedSource
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits
from chains.trial import TrialRules

_HASH = re.compile(r"[0-9a-fA-F]{64}")


def _parse_tx_hash(text: str) -> TxHash:
    return TxHash(_parse_hash(text, "transaction"))


def _parse_block_hash(text: str) -> BlockHash:
    return BlockHash(_parse_hash(text, "block"))


def _parse_hash(text: str, what: str) -> bytes:
    if _HASH.fullmatch(text) is None:
        raise ValueError(f"a {what} hash is exactly 64 hexadecimal digits")
    return bytes.fromhex(text)


def _refuse_contract(_: str) -> Address:
    raise ValueError("chains of this family have no tokens")


def _open_source(
    traits: ChainTraits, endpoints: Sequence[NodeEndpoint], *, share_budget: ShareBudget | None = None
) -> OpenedSource:
    from chains.bitcoin.source import BitcoinSource  # noqa: PLC0415

    return BitcoinSource(traits, endpoints, share_budget=share_budget)


def _load_trial() -> TrialRules:
    from chains.bitcoin.trial import TRIAL  # noqa: PLC0415

    return TRIAL


async def _fetch_block_seen(chain: ChainId, url: str, height: int) -> BlockSeen:
    from chains.bitcoin.nodes.stranger import fetch_block_seen  # noqa: PLC0415

    return await fetch_block_seen(url, coin_of(chain), height)


BITCOIN = FamilyRules(
    namespace=NAMESPACE,
    shares_addresses=False,
    hint_schemes=("tcp",),
    parse_address=lambda chain, text: parse_address(coin_of(chain), text),
    format_address=lambda chain, script: format_address(coin_of(chain), script),
    encode_identity=lambda _, script: script.hex(),
    parse_contract=_refuse_contract,
    name_contract=bytes.hex,
    parse_asset_id=lambda text: AssetId(text.lower()),
    parse_tx_hash=_parse_tx_hash,
    format_tx_hash=bytes.hex,
    parse_block_hash=_parse_block_hash,
    format_block_hash=bytes.hex,
    parse_memo=None,
    facts=FACTS,
    open_source=_open_source,
    load_trial=_load_trial,
    fetch_block_seen=_fetch_block_seen,
    read_spent=read_spent,
)
