"""How each schedule's chains are set up: drawn from the seed, small, and unlike each other.

Lives here: merchants, addresses, assets, policies, finality, providers of a schedule, and the settings that make the
product follow them. Does not live here: what happens next (`world.py`).
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from uuid import UUID

from chains.model import Address, Asset, AssetId, ChainId, Transfer
from chains.traits import ChainTraits, FinalAtDepth, FinalByTag, FinalityRule
from indexer.rules.events import Naming
from indexer.rules.identity import DepositId, MerchantId, compute_deposit_id
from indexer.rules.policy import ConfirmedBy, ConfirmRule, Requirement
from indexer.settings import FollowSettings
from migrations.ids import encode_id
from tests.simulation.chain import Economy
from tests.simulation.kinds import ANY, Kind
from tests.simulation.oracle import PolicyRule

MERCHANTS = tuple(MerchantId(UUID(int=0xA11CE + number)) for number in range(2))
WATCHABLE = tuple(Address(b"watchable-address-%02d" % number) for number in range(4))
STRANGERS = tuple(Address(b"a-stranger-address%02d" % number) for number in range(3))

OPERATOR_LAYOUTS = ("abc", "abc", "abc", "aab", "abb", "aaa", "aaa", "abbc")
"""One letter a provider, one operator a letter; several weights by repetition."""

HOLD_ABOVE = 120
"""Base units that one operator's word is good for, where blocks can not all be checked."""

encode_id_once = functools.lru_cache(maxsize=1 << 14)(encode_id)


@dataclass(frozen=True, slots=True)
class ChainSetup:
    """One chain of one schedule."""

    number: int
    chain: ChainId
    economy: Economy
    operators: str
    liar: str | None
    finality: FinalityRule
    final_depth: int
    rules: tuple[PolicyRule, ...]
    settings: FollowSettings
    naming: Naming
    late_asset: AssetId | None
    blocks_before: int
    compact_above: int
    hold_above: int | None
    kind: Kind = ANY

    def deposit_id(self, merchant_id: MerchantId, transfer: Transfer) -> DepositId:
        """The product's own identity, with this family's text forms."""
        return compute_deposit_id(
            encode_id_once("mer", merchant_id),
            self.chain,
            transfer,
            tx_hash_text="0x" + transfer.tx_hash.hex(),
            recipient_text="0x" + transfer.recipient.hex(),
        )


def draw_setup(number: int, rng: random.Random, kind: Kind = ANY) -> ChainSetup:
    """A chain's facts, policy and providers."""
    chain = ChainId(f"eip155:{1000 + number}")
    dust = 0 if kind.has_tokens else 80
    native = Asset(AssetId(f"{chain}/slip44:60"), "ETH", 18, None, min_base_units=dust or 1)
    plain = Asset(AssetId(f"{chain}/erc20:0xaa"), "AAA", 6, Address(b"token-aa"))
    choosy = Asset(AssetId(f"{chain}/erc20:0xbb"), "BBB", 2, Address(b"token-bb"), min_base_units=80)
    late = Asset(AssetId(f"{chain}/erc20:0xcc"), "CCC", 0, Address(b"token-cc"))
    final_depth = rng.randrange(3, 8)
    finality = _draw_finality(rng, kind, final_depth)
    operators = rng.choice(OPERATOR_LAYOUTS)
    rules = draw_rules(rng, plain.asset_id if kind.has_tokens else native.asset_id, has_safe=kind.has_safe)
    traits = ChainTraits(
        chain=chain,
        alias=f"chain{number}",
        family=kind.family,
        native=native,
        assets=(plain, choosy) if kind.has_tokens else (),
        block_time_s=2.0,
        finality=finality,
        reorg_window_blocks=24,
        skipped_heights_max=_draw_skipped_heights_max(rng) if kind.may_skip else 0,
    )
    # Chance of its own, of the same seed: worlds in which every block is verified stay the worlds they were.
    is_doubtful = len(set(operators)) == 1 and random.Random(repr(rng.getstate())).random() < 0.6
    blocks_before = rng.randrange(3, 9)
    settings = FollowSettings(
        traits=traits,
        confirm_rules=tuple(as_confirm_rule(rule) for rule in rules),
        finality=finality,
        start_height=None if rng.random() < 0.6 else rng.randrange(1, blocks_before + 2),
        batch_blocks_max=rng.choice((2, 3, 8)),
        rewind_blocks_max=rng.choice((6, 64)),
        backfill_blocks_max=rng.choice((3, 8)),
        hold_limits={one.asset_id: HOLD_ABOVE for one in (native, plain, choosy, late)},
    )
    return ChainSetup(
        number=number,
        chain=chain,
        economy=Economy(
            WATCHABLE,
            STRANGERS,
            native.asset_id,
            (plain.asset_id, choosy.asset_id, late.asset_id) if kind.has_tokens else (),
            _draw_memos(rng) if kind.has_memos else (None,),
        ),
        operators=operators,
        liar=rng.choice(sorted(set(operators))),
        finality=finality,
        final_depth=final_depth,
        rules=rules,
        settings=settings,
        naming=Naming(
            chain=chain,
            alias=traits.alias,
            assets={asset.asset_id: asset for asset in (native, plain, choosy, late)},
            encode_id=encode_id_once,
            address_text=_hex,
            tx_hash_text=_hex,
            block_hash_text=_hex,
        ),
        late_asset=late.asset_id if kind.has_tokens else None,
        blocks_before=blocks_before,
        compact_above=1 if rng.random() < 0.3 else 1000,
        hold_above=HOLD_ABOVE if is_doubtful else None,
        kind=kind,
    )


def _draw_finality(rng: random.Random, kind: Kind, final_depth: int) -> FinalityRule:
    """Either, where the kind has both."""
    is_by_depth = rng.random() < 0.5 or not kind.has_tags
    return FinalAtDepth(final_depth + 1) if kind.has_depth and is_by_depth else FinalByTag()


def _draw_skipped_heights_max(rng: random.Random) -> int:
    """0 for most; chance of its own, of the same seed, so that worlds without gaps stay the worlds they were."""
    return random.Random(repr(rng.getstate()) + "skips").choice((0, 0, 0, 1, 2, 5))


def _draw_memos(rng: random.Random) -> tuple[bytes | None, ...]:
    """What payments may carry: nothing on most chains."""
    return random.Random(repr(rng.getstate()) + "memos").choice(((None,), (None,), (None, b"7", b"8")))


def draw_rules(rng: random.Random, token: AssetId, *, has_safe: bool = True) -> tuple[PolicyRule, ...]:
    """A policy, plain or by amount."""
    depth = rng.randrange(1, 5)
    match rng.randrange(5):
        case 0:
            return (PolicyRule("final"),)
        case 1 if has_safe:
            return (PolicyRule("safe"),)
        case 2:
            return (
                PolicyRule("depth", 1, token, up_to_base_units=100),
                PolicyRule("depth", depth, up_to_base_units=120),
            )
        case _:
            return (PolicyRule("depth", depth),)


def as_confirm_rule(rule: PolicyRule) -> ConfirmRule:
    """A rule as the product is configured with it."""
    return ConfirmRule(
        Requirement(ConfirmedBy(rule.by), rule.confirmations), rule.asset, rule.up_to_base_units
    )


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
