"""How the answers of one chain are read: its assets, and the checks they go through.

Made once from a chain's traits and shared by its providers.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.traits import ChainTraits
from chains.tron.facts import facts_of
from chains.tron.value.transfers import AssetIndex, compute_asset_index
from chains.tron.verify.checks import WITNESSED


@dataclass(frozen=True, slots=True)
class Reading:
    """`is_checked`: root, signature and schedule are checked; without, providers' agreement is all there is."""

    traits: ChainTraits
    assets: AssetIndex
    is_checked: bool


def compute_reading(traits: ChainTraits) -> Reading:
    """As the chain's traits say."""
    return Reading(traits, compute_asset_index(traits), facts_of(traits).profile == WITNESSED)
