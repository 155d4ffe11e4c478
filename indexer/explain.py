"""Why a payment is credited or not, in words a support person can forward.

Pure: what a provider tells of the transaction, what we recorded and what the
merchant watches go in; findings come out.  Nothing here is used for crediting.
Asking providers and reading rows is the gateway's `explain` resource.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chains.model import Address, AssetId, BlockHash, BlockRef, Movement, TransactionStory, TransferKind
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Deposit, DepositState
from indexer.rules.events import Naming, count_confirmations, format_amount, format_memo
from indexer.rules.identity import DepositId
from indexer.rules.matching import ListedAsset, Registration
from indexer.rules.policy import ConfirmedBy


class Reason(StrEnum):
    """The machine-readable word of a finding."""

    NOT_SEEN = "not_seen"
    NOT_ASKED = "not_asked"
    PENDING = "pending"
    NOT_REACHED = "not_reached"
    OTHER_BRANCH = "other_branch"
    REVERTED = "reverted"
    OTHER_CHAIN = "other_chain"
    NO_TRANSFER = "no_transfer"
    NOT_A_TOKEN_TRANSFER = "not_a_token_transfer"
    TOKEN_NOT_LISTED = "token_not_listed"
    ADDRESS_NOT_WATCHED = "address_not_watched"
    BEFORE_START = "before_start"
    AFTER_DELETION = "after_deletion"
    MEMO_NOT_WATCHED = "memo_not_watched"
    BEFORE_LISTING = "before_listing"
    ZERO_AMOUNT = "zero_amount"
    BELOW_MINIMUM = "below_minimum"
    OWN_TRANSFER = "own_transfer"
    WAITING = "waiting"
    DISPUTED = "disputed"
    UNVERIFIED = "unverified"
    HALTED = "halted"
    ORPHANED = "orphaned"
    REPLACED = "replaced"
    DROPPED = "dropped"
    REPEATED = "repeated"
    CREDITED = "credited"
    NOT_RECORDED = "not_recorded"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: the reason, a sentence for people, and the deposit it is about, if any."""

    reason: Reason
    text: str
    deposit: Deposit | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything one explanation may look at, for one merchant and one chain.

    `other_chains` are aliases of configured chains whose providers know the
    transaction.  `ours_at_height` is our canonical hash at its height.
    `hindrance` says why no provider of the chain could tell whether it knows
    the transaction; None where one could.
    `repeats` are the other blocks of our chain that hold a deposit's transaction;
    at `doubted_heights` deposits wait for a second operator.
    """

    record: ChainRecord
    naming: Naming
    assets: Mapping[AssetId, ListedAsset]
    story: TransactionStory | None
    deposits: Sequence[Deposit]
    registrations: Mapping[Address, Sequence[Registration]]
    ours_at_height: BlockHash | None
    other_chains: Sequence[str] = ()
    repeats: Mapping[DepositId, Sequence[BlockRef]] = field(default_factory=dict)
    doubted_heights: Collection[int] = frozenset()
    hindrance: str | None = None


def explain_transaction(known: Knowledge) -> list[Finding]:
    """Every finding about one transaction, what we recorded first; never empty."""
    findings = [finding for deposit in known.deposits for finding in explain_recorded(deposit, known)]
    story = known.story
    if story is None:
        return findings or [_unseen(known)]
    place = _explain_place(story, known)
    if place is not None:
        return findings or [place]
    recorded = {(d.asset, d.recipient, d.kind, d.memo) for d in known.deposits}
    for movement in story.movements:
        if (movement.asset, movement.recipient, movement.kind, movement.memo) in recorded:
            continue
        finding = _explain_movement(movement, story, known)
        if finding is not None and finding not in findings:
            findings.append(finding)
    if findings:
        return findings
    return [
        Finding(
            Reason.NO_TRANSFER,
            "The transaction succeeded, but moved nothing to an address that you watch on this chain.",
        )
    ]


def explain_recorded(deposit: Deposit, known: Knowledge) -> list[Finding]:
    """Where one recorded deposit stands, and which other blocks hold its transaction without counting."""
    repeated = [
        Finding(
            Reason.REPEATED,
            f"Block {block.height} holds the same transaction once more. One transaction is one deposit and is "
            "credited once; if value moved twice, settle the second time by hand.",
            deposit,
        )
        for block in known.repeats.get(deposit.id, ())
    ]
    return [explain_deposit(deposit, known), *repeated]


def explain_deposit(deposit: Deposit, known: Knowledge) -> Finding:
    """Where one recorded deposit stands, and what it waits for."""
    asset = known.naming.assets[deposit.asset]
    amount = f"{format_amount(deposit.amount_base_units, asset.decimals)} {asset.symbol}"
    match deposit.state:
        case DepositState.CONFIRMED | DepositState.FINAL:
            if deposit.own_transfer:
                return Finding(
                    Reason.OWN_TRANSFER,
                    f"{amount} came from an address that you watch yourself: an own transfer is never credited.",
                    deposit,
                )
            return Finding(Reason.CREDITED, f"{amount} is credited ({deposit.state.value}).", deposit)
        case DepositState.INCLUDED:
            return _explain_waiting(deposit, amount, known)
        case DepositState.REPLACED:
            by = (
                "another transaction"
                if deposit.replaced_by is None
                else known.naming.tx_hash_text(deposit.replaced_by)
            )
            return Finding(
                Reason.REPLACED,
                f"{amount} will not arrive by this transaction: {by} used up the same nonce or coins and was mined instead.",
                deposit,
            )
        case DepositState.ORPHANED:
            return Finding(
                Reason.ORPHANED,
                f"The block that held {amount} left the chain, and no block holds the payment now. "
                "It counts again if it is mined again.",
                deposit,
            )
        case DepositState.SEEN:
            return Finding(Reason.PENDING, _explain_seen(deposit, amount), deposit)
        case DepositState.DROPPED:
            return Finding(
                Reason.DROPPED,
                f"{amount} was seen waiting and is not any more: its transaction was replaced by another that waits, or "
                "forgotten. It counts again if it is sent again.",
                deposit,
            )


def _explain_seen(deposit: Deposit, amount: str) -> str:
    waits = f"{amount} waits to be mined; nothing is credited before it is in a block."
    fees = deposit.fees
    if fees is None or fees.fee_rate_wanted_per_kvb is None or fees.fee_rate_per_kvb is None:
        return waits
    if fees.expected_blocks is not None:
        return f"{waits} By its fee it is expected within {fees.expected_blocks} blocks."
    parents = (
        " It also waits for another transaction that is not mined." if fees.has_unconfirmed_parents else ""
    )
    return (
        f"{waits} Its fee is too low for the blocks to come ({fees.fee_rate_per_kvb} base units for 1,000 virtual bytes, "
        f"and the next block wants {fees.fee_rate_wanted_per_kvb}): the payer can raise it.{parents}"
    )


def _explain_waiting(deposit: Deposit, amount: str, known: Knowledge) -> Finding:
    record = known.record
    if not deposit.published:
        minimum = known.naming.assets[deposit.asset].min_base_units
        return Finding(
            Reason.BELOW_MINIMUM,
            f"{amount} is below the minimum of {minimum} base units: recorded, and not published.",
            deposit,
        )
    if record.is_halted:
        return Finding(
            Reason.HALTED,
            f"{amount} is included; the chain is halted until its operator decides: {record.halt_reason}.",
            deposit,
        )
    confirmations = count_confirmations(deposit, record.tip.height)
    height = deposit.occurrence.height if deposit.occurrence is not None else 0
    held = record.disputed_fork_height is not None and height > record.disputed_fork_height
    if height in known.doubted_heights:
        return Finding(
            Reason.DISPUTED,
            f"{amount} is included ({confirmations} confirmations); only one operator has shown it so, and nothing is "
            f"credited before a second one shows the same. The operator of this service can look with `chainbell audit` "
            f"and decide: `chainbell chain trust --chain {known.naming.alias} --until {height}`.",
            deposit,
        )
    if record.held_height is not None and height >= record.held_height:
        return Finding(
            Reason.DISPUTED,
            f"{amount} is included ({confirmations} confirmations); it rests on rows that could not be checked, and "
            "nothing is credited before another operator shows the same.",
            deposit,
        )
    if deposit.on_one_word:
        return Finding(
            Reason.UNVERIFIED,
            f"{amount} is included ({confirmations} confirmations); its block could not be verified in full, and so "
            "large an amount is not credited on one operator's word. It is credited once a second operator shows the "
            "same, a reading that verifies its block finds it again, or this server's operator vouches for the chain "
            f"up to height {height}.",
            deposit,
        )
    if held or height > record.agreed_height:
        return Finding(
            Reason.DISPUTED,
            f"{amount} is included ({confirmations} confirmations); the providers do not agree on its block yet, "
            "and nothing is credited before they do.",
            deposit,
        )
    if deposit.requirement.by is ConfirmedBy.DEPTH:
        agreed = count_confirmations(deposit, min(record.tip.height, record.agreed_height))
        shown = "" if agreed == confirmations else f" ({confirmations} seen by one operator, not by all yet)"
        return Finding(
            Reason.WAITING,
            f"{amount} is included and waits: {agreed} of {deposit.requirement.confirmations} confirmations{shown}.",
            deposit,
        )
    return Finding(
        Reason.WAITING,
        f"{amount} is included and waits until its block is {deposit.requirement.by.value} "
        f"({confirmations} confirmations so far).",
        deposit,
    )


def _unseen(known: Knowledge) -> Finding:
    alias, where = known.naming.alias, ", ".join(known.other_chains)
    if where and known.hindrance is not None:
        return Finding(
            Reason.OTHER_CHAIN,
            f"The transaction is on {where}: the payer may have used another network. {alias} could not be asked: "
            f"{known.hindrance}.",
        )
    if where:
        return Finding(
            Reason.OTHER_CHAIN,
            f"The transaction is not on {alias}, but on {where}: the payer used another network.",
        )
    if known.hindrance is not None:
        return Finding(
            Reason.NOT_ASKED,
            f"Nothing is recorded of this transaction, and whether {alias} holds it could not be asked: "
            f"{known.hindrance}.",
        )
    return Finding(
        Reason.NOT_SEEN,
        f"No provider of {alias} knows this transaction: it was never sent there, or was dropped.",
    )


def _explain_place(story: TransactionStory, known: Knowledge) -> Finding | None:
    """Why the transaction as a whole does not count yet, or None where it stands in our chain."""
    if story.block is None:
        return Finding(
            Reason.PENDING, "The transaction waits to be mined; nothing counts before it is in a block."
        )
    if story.succeeded is False:
        return Finding(
            Reason.REVERTED,
            f"The transaction is in block {story.block.height}, but it failed and moved nothing: "
            f"{story.failure or 'it reverted'}.",
        )
    if story.block.height > known.record.tip.height:
        behind = story.block.height - known.record.tip.height
        return Finding(
            Reason.NOT_REACHED,
            f"The transaction is in block {story.block.height}; we are {behind} blocks behind and will reach it.",
        )
    if story.block.height >= known.record.start_height and known.ours_at_height != story.block.hash:
        return Finding(
            Reason.OTHER_BRANCH,
            f"{story.served_by} has the transaction in a block that is not in our chain: "
            "a fork, or a provider that is wrong.",
        )
    return None


def _explain_movement(movement: Movement, story: TransactionStory, known: Knowledge) -> Finding | None:
    """Why one movement made no deposit; None where it is nobody's business of this merchant."""
    assert story.block is not None
    if movement.recipient is None:
        return None
    registrations = known.registrations.get(movement.recipient, ())
    to = known.naming.address_text(movement.recipient)
    if not registrations:
        return Finding(
            Reason.ADDRESS_NOT_WATCHED, f"Value went to {to}, which you do not watch on this chain."
        )
    watching = [one for one in registrations if one.covers(movement.memo)]
    if not watching:
        carried = "no memo" if movement.memo is None else f"the memo {format_memo(movement.memo)}"
        return Finding(
            Reason.MEMO_NOT_WATCHED,
            f"The payment to {to} carries {carried}, and you watch that address under others only; "
            "watch it without a memo to be told of such payments too.",
        )
    if not movement.well_formed:
        return Finding(
            Reason.NOT_A_TOKEN_TRANSFER,
            f"A Transfer event names {to}, but not in the form of a fungible token (an NFT, for example).",
        )
    if movement.asset is None:
        return _explain_unlisted(movement, known)
    if movement.amount_base_units == 0:
        return Finding(Reason.ZERO_AMOUNT, f"The transfer to {to} has the amount 0, which is nothing.")
    listed = known.assets.get(movement.asset)
    height = story.block.height
    if listed is not None and height < listed.start_height:
        return Finding(
            Reason.BEFORE_LISTING,
            f"{listed.asset.symbol} counts from height {listed.start_height} on, and this is height {height}; "
            "an operator can rescan.",
        )
    if all(height < r.effective_start for r in watching):
        start = min(r.effective_start for r in watching)
        return Finding(
            Reason.BEFORE_START,
            f"{to} counts from height {start} on, and this is height {height}; "
            "register it again with a lower from_height to read history.",
        )
    if not any(r.counts_at(height) for r in watching):
        return Finding(Reason.AFTER_DELETION, f"{to} had been deleted before height {height}.")
    return Finding(
        Reason.NOT_RECORDED,
        f"The transfer to {to} should be recorded and is not: please report this; `chainbell audit` and `rescan` help.",
    )


def _explain_unlisted(movement: Movement, known: Knowledge) -> Finding:
    contract = "?" if movement.contract is None else known.naming.address_text(movement.contract)
    claimed = movement.claimed_symbol
    twin = next(
        (
            asset
            for asset in known.naming.assets.values()
            if claimed is not None and asset.symbol.casefold() == claimed.strip().casefold()
        ),
        None,
    )
    if movement.kind is TransferKind.TOKEN and twin is not None and twin.contract is not None:
        return Finding(
            Reason.TOKEN_NOT_LISTED,
            f"The token at {contract} calls itself {claimed}, but the {twin.symbol} that counts is "
            f"{known.naming.address_text(twin.contract)}: a look-alike, or another version of it.",
        )
    named = f" (calls itself {claimed})" if claimed else ""
    return Finding(
        Reason.TOKEN_NOT_LISTED, f"The token at {contract}{named} is not listed here, so it is not counted."
    )
