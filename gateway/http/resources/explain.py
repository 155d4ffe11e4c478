"""`/v1/explain`: why a payment is credited or not, in words a support person can forward.

Lives here: gathering what our rows and the chain's providers say. Does not live here: the reasons and their words
(indexer.explain, pure). Providers are strangers: they are asked with a time limit, and an answer without them is still an
answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from chains.errors import ChainError
from chains.families import rules_of
from chains.model import Address, AssetId, BlockHash, TransactionStory, TxHash
from chains.port import ChainSource
from gateway.faces import Face
from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.problem import Problem, not_found, unprocessable
from gateway.http.resources.addresses import find_chain, read_address
from gateway.http.shapes.explain import Explanation, FindingObject
from indexer import views
from indexer.explain import Finding, Knowledge, explain_recorded, explain_transaction
from indexer.move.registration import WatchedAddress
from indexer.rows.storage import ChainRecord
from indexer.rules.deposits import Deposit
from indexer.rules.events import count_confirmations, encode_deposit
from indexer.rules.matching import ListedAsset, Registration
from migrations.ids import encode_id

ASK_TIMEOUT_S = 5.0
ADDRESS_DEPOSITS_MAX = 20

_log = structlog.get_logger()


async def get_explanation(call: Call) -> Answer:
    """Explain a transaction, or the newest deposits of an address."""
    query = call.query
    face = find_chain(call.services.faces, query.chain)
    record = await views.load_chain(call.pool, face.chain)
    if record is None:
        raise not_found("chain")
    if (query.tx_hash is None) == (query.address is None):
        raise Problem(422, "ask for a tx_hash or for an address, one of the two")
    if query.tx_hash is not None:
        return await _explain_tx(call, face, record, query.tx_hash)
    return await _explain_address(call, face, record, query.address)


async def _explain_tx(call: Call, face: Face, record: ChainRecord, text: str) -> Answer:
    try:
        tx_hash = rules_of(face.family).parse_tx_hash(text)
    except ValueError as error:
        raise unprocessable("/query/tx_hash", str(error)) from error
    sources = call.services.sources
    told = await ask_story(sources.get(face.chain), tx_hash)
    others: list[str] = []
    if told.story is None:
        others = await _find_elsewhere(call, face, tx_hash)
    rows = await views.load_deposits_of_tx(call.pool, call.merchant_id, face.chain, tx_hash)
    known = await _gather(call, face, record, told, [row.deposit for row in rows], others)
    return _answer(face, record, explain_transaction(known), tx_hash=tx_hash, story=told.story)


async def _explain_address(call: Call, face: Face, record: ChainRecord, text: str) -> Answer:
    address = read_address(call.services.faces, face, text)
    mine = await views.load_registrations_of_merchant(call.pool, call.merchant_id, face.chain, [address])
    if not mine:
        raise not_found("address")
    rows = await views.list_newest_deposits(
        call.pool, call.merchant_id, face.chain, address, limit=ADDRESS_DEPOSITS_MAX
    )
    known = await _gather(call, face, record, Told(), [row.deposit for row in rows], [])
    findings = [finding for deposit in known.deposits for finding in explain_recorded(deposit, known)]
    return _answer(face, record, findings, address=address)


@dataclass(frozen=True, slots=True)
class Told:
    """What a chain's providers tell of a transaction; `hindrance` says why none could, where none knows it."""

    story: TransactionStory | None = None
    hindrance: str | None = None


async def ask_story(source: ChainSource | None, tx_hash: TxHash) -> Told:
    """Asks one provider of each operator, until one knows the transaction or the time is up.

    A provider that cannot say (it is away, it keeps no index of transactions) is not one that does not know.
    """
    if source is None:
        return Told(hindrance="this server has no provider of that chain")
    hindrances: list[str] = []
    is_unknown = False
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            first = source.choose_provider()
            for provider in (first, *source.second_opinions(first)):
                try:
                    story = await provider.fetch_transaction(tx_hash)
                except ChainError as error:
                    hindrances.append(str(error))
                    continue
                if story is not None:
                    return Told(story)
                is_unknown = True
    except (ChainError, TimeoutError) as error:
        hindrances.append(str(error) or "no answer in time")
    if hindrances:
        _log.info("transaction-not-asked", reason=hindrances[0])
    return Told(hindrance=None if is_unknown else hindrances[0])


async def _find_elsewhere(call: Call, face: Face, tx_hash: TxHash) -> list[str]:
    """Aliases of other configured chains of the family whose providers know the transaction."""
    found: list[str] = []
    for other in call.services.faces.configured:
        if other.chain == face.chain or other.family is not face.family:
            continue
        if (await ask_story(call.services.sources.get(other.chain), tx_hash)).story is not None:
            found.append(other.alias)
    return found


async def _gather(
    call: Call,
    face: Face,
    record: ChainRecord,
    told: Told,
    deposits: Sequence[Deposit],
    others: Sequence[str],
) -> Knowledge:
    story = told.story
    recipients: set[Address] = {d.recipient for d in deposits}
    ours: BlockHash | None = None
    if story is not None:
        recipients |= {m.recipient for m in story.movements if m.recipient is not None}
        if story.block is not None:
            ours = await views.load_canonical_hash(call.pool, face.chain, story.block.height)
    registered = await views.load_registrations_of_merchant(
        call.pool, call.merchant_id, face.chain, sorted(recipients)
    )
    starts = await views.load_asset_starts(call.pool, face.chain)
    for deposit in deposits:
        await call.services.faces.of(face.chain, deposit.asset)
    return Knowledge(
        record=record,
        naming=face.naming,
        assets=_list_assets(face, starts),
        story=story,
        deposits=deposits,
        registrations=_by_address(registered),
        ours_at_height=ours,
        other_chains=others,
        repeats=await views.load_repeats(call.pool, deposits),
        doubted_heights=await views.load_doubted_heights(call.pool, face.chain, deposits),
        hindrance=told.hindrance,
    )


def _list_assets(face: Face, starts: Mapping[AssetId, int]) -> dict[AssetId, ListedAsset]:
    assets = face.naming.assets
    return {
        asset_id: ListedAsset(assets[asset_id], start)
        for asset_id, start in starts.items()
        if asset_id in assets
    }


def _by_address(registered: Sequence[WatchedAddress]) -> dict[Address, list[Registration]]:
    grouped: dict[Address, list[Registration]] = {}
    for one in registered:
        grouped.setdefault(one.address, []).append(
            Registration(
                one.id, one.merchant_id, one.address, one.effective_start, one.watching_until, one.memo
            )
        )
    return grouped


def _answer(
    face: Face,
    record: ChainRecord,
    findings: Sequence[Finding],
    *,
    tx_hash: TxHash | None = None,
    address: Address | None = None,
    story: TransactionStory | None = None,
) -> Answer:
    return json_answer(
        Explanation(
            chain=face.chain,
            chain_alias=face.alias,
            tx_hash=None if tx_hash is None else rules_of(face.family).format_tx_hash(tx_hash),
            address=None if address is None else face.naming.address_text(address),
            asked_provider=None if story is None else story.served_by,
            findings=[_view(face, record, finding) for finding in findings],
        )
    )


def _view(face: Face, record: ChainRecord, finding: Finding) -> FindingObject:
    deposit = finding.deposit
    return FindingObject(
        reason=finding.reason.value,
        text=finding.text,
        deposit_id=None if deposit is None else encode_id("dep", deposit.id),
        deposit=None
        if deposit is None
        else encode_deposit(
            deposit,
            face.naming,
            reference=None,
            confirmations=count_confirmations(deposit, record.tip.height),
        ),
    )
