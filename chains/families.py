"""The families there are: the one table by which other rooms come to what a family brings.

Nobody else imports a family's folder.  A new family is a folder, a member of
`Family`, and a line here.
"""

from __future__ import annotations

from chains.bitcoin.family import BITCOIN
from chains.evm.family import EVM
from chains.family import FamilyRules
from chains.model import AssetId, ChainId
from chains.traits import Family
from chains.tron.family import TRON

_RULES = {Family.EVM: EVM, Family.BITCOIN: BITCOIN, Family.TRON: TRON}
_BY_NAMESPACE = {rules.namespace: family for family, rules in _RULES.items()}


def rules_of(family: Family) -> FamilyRules:
    """What a family brings."""
    return _RULES[family]


def family_of(chain: ChainId) -> Family | None:
    """The family of a CAIP-2 id; None where nobody here knows its namespace."""
    return _BY_NAMESPACE.get(chain.partition(":")[0])


def parse_asset_id(text: str) -> AssetId:
    """An asset's id in the one spelling that is kept: its family's, where its chain is of one."""
    family = family_of(ChainId(text.lower()))
    return AssetId(text.lower()) if family is None else rules_of(family).parse_asset_id(text)
