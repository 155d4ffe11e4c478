"""Which checks hold on which chain, as data.

A profile names, for every check, how a mismatch is to be read: as a lie, as a
rule we have not yet seen proven, or as something that happens.  Profiles are
proven against recorded blocks in `tests/unit/chains/verify`; `docs/chains.md`
shows them as a table.  Running them is `block`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from chains.evm.rows.structs import BLOCK_ROWS, BlockDecoder
from chains.evm.verify.fields import HashedBlock
from chains.evm.verify.header import AVALANCHE_HEADER, ETHEREUM_HEADER, HeaderLayout
from chains.evm.verify.receipts import CELO_EXTRAS, NO_EXTRAS, OP_EXTRAS, ReceiptExtra
from chains.evm.verify.transactions import (
    ARBITRUM_CODECS,
    CELO_CODECS,
    ETHEREUM_CODECS,
    OP_CODECS,
    SCROLL_CODECS,
    TransactionCodec,
)


class Check(StrEnum):
    """One thing that is recomputed from a block's rows."""

    HEADER_HASH = "header-hash"
    TRANSACTION_HASHES = "transaction-hashes"
    TRANSACTIONS_ROOT = "transactions-root"
    RECEIPTS_ROOT = "receipts-root"
    LOGS_BLOOM = "logs-bloom"
    GAS_USED = "gas-used"
    WITHDRAWALS_ROOT = "withdrawals-root"
    CREATED_ADDRESSES = "created-addresses"


class Mode(StrEnum):
    """How a mismatch is read."""

    ENFORCED = "enforced"
    """A lie: the answer is refused and its provider blamed."""

    ON_TRIAL = "on-trial"
    """Unproven on this chain: unavailable, and enforced from the first block where it holds."""

    BEST_EFFORT = "best-effort"
    """Honest nodes break it at times: proves when it holds, says nothing when not."""

    ABSENT = "absent"
    """Not tried: the chain does not commit to it the Ethereum way."""


FULL_CHECKS: Final = frozenset(
    {
        Check.HEADER_HASH,
        Check.TRANSACTION_HASHES,
        Check.TRANSACTIONS_ROOT,
        Check.RECEIPTS_ROOT,
        Check.LOGS_BLOOM,
    }
)
"""What must have held for a block to count as fully verified."""


_HASHED: Final = msgspec.json.Decoder(HashedBlock)


@dataclass(frozen=True, slots=True)
class Profile:
    """How blocks of one kind of chain are verified.

    `trial_types` are transaction types whose encoding no recorded block has proven yet.
    Blocks below `first_height` followed other rules and are not recomputed.
    Where the hash covers `settled_field`, receipts are executed after their
    block and committed to by a later one (Avalanche, ACP-194).

    `opaque_types` are known and cannot be rebuilt from JSON; they exist from
    `opaque_from` on.  Below that height a bridge transaction may be shown that
    neither root covers, where `hides_state_sync`; with None the height is not
    known and both may be shown (Polygon's Madhugiri).  `still_types` move no
    value of their own by the protocol, whatever `to` and `value` are shown
    (OffchainLabs/go-ethereum arb_types.go; 0xPolygon/bor state sync
    transaction), and `mints` says that 0x7e commits to a `mint`.
    """

    name: str
    summary: str
    modes: Mapping[Check, Mode]
    header: HeaderLayout = ETHEREUM_HEADER
    transaction_codecs: Mapping[str, TransactionCodec] = field(default_factory=lambda: ETHEREUM_CODECS)
    receipt_extras: Mapping[str, ReceiptExtra] = field(default_factory=lambda: NO_EXTRAS)
    trial_types: frozenset[str] = frozenset()
    opaque_types: frozenset[str] = frozenset()
    opaque_from: int | None = None
    hides_state_sync: bool = False
    still_types: frozenset[str] = frozenset()
    mints: bool = False
    first_height: int = 0
    settled_field: str | None = None

    @property
    def is_tried(self) -> bool:
        """Whether anything is recomputed at all."""
        return any(mode is not Mode.ABSENT for mode in self.modes.values())

    @property
    def decoder(self) -> BlockDecoder:
        """Reads a block's JSON: with everything that is hashed, or only what is used."""
        return _HASHED if self.is_tried else BLOCK_ROWS

    def is_opaque(self, kind: str, height: int) -> bool:
        """Whether this type is known there and cannot be rebuilt."""
        return kind in self.opaque_types and height >= (self.opaque_from or 0)

    def may_hide_state_sync(self, height: int) -> bool:
        """Whether a bridge transaction may stand there outside of both roots."""
        return self.hides_state_sync and (self.opaque_from is None or height < self.opaque_from)

    def enforce(self, checks: frozenset[Check], types: frozenset[str]) -> Profile:
        """This profile after `checks` and `types` have been seen to hold."""
        trial = [check for check in checks if self.modes[check] is Mode.ON_TRIAL]
        if not trial and not (types & self.trial_types):
            return self
        modes = {**self.modes, **dict.fromkeys(trial, Mode.ENFORCED)}
        return replace(self, modes=MappingProxyType(modes), trial_types=self.trial_types - types)


def _modes(default: Mode, **exceptions: Mode) -> Mapping[Check, Mode]:
    modes = dict.fromkeys(Check, default)
    modes.update({Check[name.upper()]: mode for name, mode in exceptions.items()})
    return MappingProxyType(modes)


_ALL_ENFORCED: Final = _modes(Mode.ENFORCED)

FULL: Final = Profile(
    name="full",
    summary="Ethereum's own rules, every check enforced",
    modes=_ALL_ENFORCED,
)

AUTO: Final = Profile(
    name="auto",
    summary="Ethereum's rules on a chain nobody described: each check is enforced once it has held",
    modes=_modes(Mode.ON_TRIAL),
    trial_types=frozenset(ETHEREUM_CODECS),
)

BSC: Final = Profile(
    name="bsc",
    summary="Ethereum's rules; header and transactions are proven on recorded blocks, receipts on the first "
    "block that is followed",
    modes=_modes(
        Mode.ENFORCED,
        receipts_root=Mode.ON_TRIAL,
        logs_bloom=Mode.ON_TRIAL,
        gas_used=Mode.ON_TRIAL,
        created_addresses=Mode.ON_TRIAL,
        withdrawals_root=Mode.BEST_EFFORT,
    ),
)

OP_STACK: Final = Profile(
    name="op-stack",
    summary="Ethereum's rules plus deposit transactions (0x7e) and their receipts; since Isthmus the "
    "withdrawals root is a storage root, which no block answer can prove",
    modes=_modes(
        Mode.ENFORCED,
        withdrawals_root=Mode.ABSENT,
        created_addresses=Mode.ON_TRIAL,
    ),
    transaction_codecs=OP_CODECS,
    receipt_extras=OP_EXTRAS,
    mints=True,
)

OPTIMISM: Final = replace(
    OP_STACK,
    name="optimism",
    summary="op-stack from Bedrock on, block 105,235,063; older blocks are believed by agreement only",
    first_height=105_235_063,
)

CELO: Final = Profile(
    name="celo",
    summary="op-stack plus fees paid in tokens (0x7a, 0x7b) from the move to the OP stack on, block 31,056,500; "
    "older blocks are believed by agreement only",
    modes=_modes(
        Mode.ON_TRIAL,
        transaction_hashes=Mode.ENFORCED,
        withdrawals_root=Mode.ABSENT,
    ),
    transaction_codecs=CELO_CODECS,
    receipt_extras=CELO_EXTRAS,
    trial_types=frozenset({"0x7a"}),
    mints=True,
    first_height=31_056_500,
)

ARBITRUM: Final = Profile(
    name="arbitrum",
    summary="Ethereum's header; messages between the chains have types of their own (0x64 to 0x6a), of which "
    "0x6a is proven",
    modes=_modes(
        Mode.ON_TRIAL,
        header_hash=Mode.ENFORCED,
        transaction_hashes=Mode.ENFORCED,
        transactions_root=Mode.ENFORCED,
        withdrawals_root=Mode.ABSENT,
        created_addresses=Mode.BEST_EFFORT,
    ),
    transaction_codecs=ARBITRUM_CODECS,
    trial_types=frozenset({"0x64", "0x65", "0x66", "0x68", "0x69"}),
    still_types=frozenset({"0x69", "0x6a"}),
)

ARBITRUM_ONE: Final = replace(
    ARBITRUM,
    name="arbitrum-one",
    summary="arbitrum from Nitro on, block 22,207,817; older blocks are believed by agreement only",
    first_height=22_207_817,
)

POLYGON: Final = Profile(
    name="polygon",
    summary="Ethereum's rules; before block 80,084,800 bridge transactions are shown that no root "
    "covers, after it they (0x7f) cannot be rebuilt from JSON and leave the transactions root open",
    modes=_modes(Mode.ENFORCED, gas_used=Mode.BEST_EFFORT, withdrawals_root=Mode.BEST_EFFORT),
    hides_state_sync=True,
    opaque_types=frozenset({"0x7f"}),
    opaque_from=80_084_800,
    still_types=frozenset({"0x7f"}),
)

POLYGON_AMOY: Final = replace(
    POLYGON,
    name="polygon-amoy",
    summary="polygon, with bridge transactions of either kind at any height",
    opaque_from=None,
)

AVALANCHE: Final = Profile(
    name="avalanche",
    summary="the C-Chain's longer header; atomic imports are in extra data and are no transactions; with "
    "asynchronous execution (ACP-194) a block does not commit to its own receipts",
    modes=_modes(
        Mode.ON_TRIAL,
        header_hash=Mode.ENFORCED,
        withdrawals_root=Mode.ABSENT,
    ),
    header=AVALANCHE_HEADER,
    settled_field="settled_height",
)

SCROLL: Final = Profile(
    name="scroll",
    summary="Ethereum's rules plus messages from the parent chain (0x7e)",
    modes=_modes(Mode.ON_TRIAL, withdrawals_root=Mode.ABSENT),
    transaction_codecs=SCROLL_CODECS,
    trial_types=frozenset({"0x7e"}),
)

HYPERLIQUID: Final = Profile(
    name="hyperliquid",
    summary="Ethereum's header; system transactions are hidden, so roots hold in some blocks only",
    modes=_modes(Mode.BEST_EFFORT, header_hash=Mode.ENFORCED, transaction_hashes=Mode.ENFORCED),
)

ZKSYNC: Final = Profile(
    name="zksync",
    summary="block hashes and roots are not Ethereum's; only agreement between providers counts",
    modes=_modes(Mode.ABSENT),
)

AGREEMENT: Final = Profile(
    name="agreement",
    summary="nothing is recomputed; only agreement between providers counts",
    modes=_modes(Mode.ABSENT),
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            FULL, AUTO, BSC, OP_STACK, OPTIMISM, CELO, ARBITRUM, ARBITRUM_ONE, POLYGON, POLYGON_AMOY, AVALANCHE, SCROLL,
            HYPERLIQUID, ZKSYNC, AGREEMENT,
        )
    }
)  # fmt: skip
"""Every profile by the name that `EvmFacts.verification_profile` gives."""
