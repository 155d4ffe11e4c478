"""What is true of one EVM chain only: its facts, the catalogue's and the operator's keys for them, and what is supposed.

Pure.  The rest of the family reads facts by `facts_of`; nobody outside it does.  What a profile checks is
`verify.profiles`; keys that every family has are `chains.catalog` and the gateway's configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec
from msgspec import Struct

from chains.evm.address import format_address, parse_address
from chains.evm.verify.profiles import FULL_CHECKS, PROFILES, Mode
from chains.family import FactsRules, Verification
from chains.model import Address, Asset, AssetId, ChainId
from chains.port import CheckState
from chains.traits import ChainTraits, Family, FinalByTag

NAMESPACE: Final = "eip155"
NUMBER_MAX: Final = 2**53

REORG_WINDOW_BLOCKS: Final = 1_024
"""How deep a rewind may go on a chain of which we know nothing, while nothing is known to be final."""

BLOCK_TIME_S: Final = 12.0


@dataclass(frozen=True, slots=True)
class EvmFacts:
    """`safe_tag`: `safe` means something on this chain.  `verification_profile` names the checks that hold there.

    `excluded_emitters` are contracts whose `Transfer` logs mirror native moves and must not be counted as tokens.
    `traces`: providers are asked for the calls inside transactions.  `spare_receipts`: a block may go without receipts
    that provably cannot matter.
    """

    safe_tag: bool = True
    excluded_emitters: tuple[Address, ...] = ()
    verification_profile: str = "full"
    traces: bool = False
    spare_receipts: bool = True


class PageKeys(Struct, forbid_unknown_fields=True):
    """A catalogue page's keys that only this family has, all of them required."""

    chain_id: int
    safe_tag: bool
    verification: str
    traces: bool
    excluded_emitters: list[str]


class OperatorKeys(Struct, frozen=True):
    """The keys of `[chains.*]` that only this family has."""

    traces: bool | None = None
    spare_receipts: bool | None = None
    verification: Literal["auto", "agreement"] = "auto"


def facts_of(traits: ChainTraits) -> EvmFacts:
    """The facts of a chain of this family."""
    assert isinstance(traits.facts, EvmFacts), "an EVM chain has the facts of its family"
    return traits.facts


def number_of(chain: ChainId) -> int:
    """The chain's EIP-155 number."""
    return int(chain.removeprefix(f"{NAMESPACE}:"))


def change_facts(
    traits: ChainTraits,
    *,
    verification_profile: str | None = None,
    traces: bool | None = None,
    spare_receipts: bool | None = None,
) -> ChainTraits:
    """The traits with these facts instead; None leaves one as it is."""
    facts = facts_of(traits)
    changed = replace(
        facts,
        verification_profile=verification_profile or facts.verification_profile,
        traces=facts.traces if traces is None else traces,
        spare_receipts=facts.spare_receipts if spare_receipts is None else spare_receipts,
    )
    return replace(traits, facts=changed)


def _parse_chain(said: object) -> ChainId:
    if type(said) is not int or not 1 <= said <= NUMBER_MAX:
        raise ValueError(f"a number from 1 to {NUMBER_MAX} is wanted")
    return ChainId(f"{NAMESPACE}:{said}")


def _suppose(chain: ChainId, alias: str) -> ChainTraits:
    return ChainTraits(
        chain=chain,
        alias=alias,
        family=Family.EVM,
        native=Asset(AssetId(f"{chain}/slip44:60"), "ETH", 18, None),
        assets=(),
        block_time_s=BLOCK_TIME_S,
        finality=FinalByTag(),
        reorg_window_blocks=REORG_WINDOW_BLOCKS,
        facts=EvmFacts(),
    )


def _override(traits: ChainTraits, said: Struct) -> ChainTraits:
    assert isinstance(said, OperatorKeys), "the keys were read by this family's shape"
    profile = "agreement" if said.verification == "agreement" else None
    return change_facts(
        traits, verification_profile=profile, traces=said.traces, spare_receipts=said.spare_receipts
    )


def _parse_page(values: Mapping[str, object], contracts: Collection[str]) -> tuple[ChainId, EvmFacts]:
    page = msgspec.convert(values, PageKeys)
    if page.chain_id < 1:
        raise ValueError("chain_id: not positive")
    if page.verification not in PROFILES:
        raise ValueError(f"verification: there is no profile {page.verification!r}")
    excluded = tuple(_parse_emitter(text) for text in page.excluded_emitters)
    if set(contracts) & set(page.excluded_emitters):
        raise ValueError("excluded_emitters: a listed token cannot be excluded")
    facts = EvmFacts(page.safe_tag, excluded, page.verification, page.traces)
    return ChainId(f"{NAMESPACE}:{page.chain_id}"), facts


def _parse_emitter(text: str) -> Address:
    try:
        address = parse_address(text)
    except ValueError as error:
        raise ValueError(f"excluded_emitters: {text}: {error}") from None
    if format_address(address) != text:
        raise ValueError(f"excluded_emitters: {text} is not written with its checksum")
    return address


def _describe_verification(traits: ChainTraits) -> Verification:
    name = facts_of(traits).verification_profile
    modes = PROFILES[name].modes
    return Verification(
        profile=name,
        checks=tuple(CheckState(check.value, mode.value, None) for check, mode in modes.items()),
        may_prove=all(modes[check] in (Mode.ENFORCED, Mode.ON_TRIAL) for check in FULL_CHECKS),
    )


FACTS: Final = FactsRules(
    keys=OperatorKeys,
    parse_chain=_parse_chain,
    suppose=_suppose,
    override=_override,
    parse_page=_parse_page,
    tells_safe=lambda traits: facts_of(traits).safe_tag,
    describe_verification=_describe_verification,
)
