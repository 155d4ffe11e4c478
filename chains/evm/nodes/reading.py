"""How the answers of one chain are read: its assets, the checks they go through, what may be left out.

Made once from a chain's traits and shared by its providers.  Asking is
`blocks`, each of the parts says what it does.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.evm.facts import facts_of
from chains.evm.rows.consistency import ConsistencyRules, rules_of_profile
from chains.evm.rows.structs import BlockDecoder, RawBlock, RawReceipts, Verdict, Verifier
from chains.evm.value.decode import AssetIndex, compute_asset_index
from chains.evm.value.ledger import Completeness, compute_completeness
from chains.evm.value.natives import BELIEVED_TYPES, TypeRules
from chains.evm.value.sparing import Sparing, compute_sparing_rules
from chains.evm.verify.profiles import PROFILES
from chains.evm.verify.verifier import BlockVerifier
from chains.model import VerificationLevel
from chains.traits import ChainTraits


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers of one chain are read; shared by its providers.

    `sparing` None: every block is fetched with its receipts.
    """

    traits: ChainTraits
    assets: AssetIndex
    rules: ConsistencyRules
    verifier: Verifier
    completeness: Completeness
    rows: BlockDecoder
    types: TypeRules
    sparing: Sparing | None = None


def believe_consistent(_block: RawBlock, _receipts: RawReceipts) -> Verdict:
    """The verifier of chains whose hashes and roots nobody recomputes here."""
    return Verdict(VerificationLevel.CONSISTENT)


def compute_reading(traits: ChainTraits, verifier: Verifier = believe_consistent) -> Reading:
    """How a chain's answers are read, from its traits."""
    profile = PROFILES[facts_of(traits).verification_profile]
    sparing = compute_sparing_rules(traits) if isinstance(verifier, BlockVerifier) else None
    return Reading(
        traits=traits,
        assets=compute_asset_index(traits),
        rules=rules_of_profile(facts_of(traits).verification_profile),
        verifier=verifier,
        completeness=compute_completeness(traits),
        rows=profile.decoder,
        types=TypeRules(profile.still_types, profile.mints) if profile.is_tried else BELIEVED_TYPES,
        sparing=None if sparing is None else Sparing(sparing),
    )
