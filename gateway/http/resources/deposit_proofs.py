"""`/v1/deposits/{id}/proof`: a deposit as anybody can check it who knows the hash of its block.

Lives here: asking a provider for what proves the transaction, within a deadline and holding nothing meanwhile; holding the
proof to the merchant's own verifier before it is given; the event that told it. Does not live here: the proof's bytes (the
chain's family, `chains.port`), the verifier (relay.kit.verify_deposit), its shape (`shapes.proofs`). Nothing is kept.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import msgspec
import structlog

from chains.errors import ChainError, Missing
from chains.families import rules_of
from chains.model import BlockRef, TransferKind
from chains.port import ChainSource
from chains.proofs import DepositProof, MerkleProof, TrieProof, Unprovable, WitnessedProof
from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.limits import PROOFS, spend
from gateway.http.edge.problem import Problem, busy
from gateway.http.resources.deposits import load_published
from gateway.http.shapes.proofs import (
    DepositProofObject,
    MerkleProofObject,
    ProvenBlock,
    ProvenTransfer,
    ToldEvent,
    TrieProofObject,
    WitnessedProofObject,
)
from indexer.rules.deposits import Deposit, Occurrence
from migrations.ids import encode_id
from relay.errors import Conflict, LogBroken, NotFound
from relay.kit.verify_deposit import (
    BY_AGREEMENT,
    FORMAT,
    ProofInvalid,
    ProvenDeposit,
    check_told,
    verify_deposit,
)
from relay.log.eventlog import load_events_of_object
from relay.proof import checkpoints, proofs

DEADLINE_S = 15.0
"""For one proof: a full block takes a provider a second or two."""

PROOF_BYTES_MAX = 1024 * 1024
"""Of what is checked here before it is given; merchants' verifiers take four times as much."""

ASKED_MAX = 2
"""Providers asked for one proof, where the first fails."""

BUSY_RETRY_AFTER_S = 5
EVENTS_MAX = 500

_log = structlog.get_logger()


async def get_deposit_proof(call: Call) -> Answer:
    """Prove a deposit; 409 with a `reason` where there is nothing to prove or the chain can not."""
    deposit = (await load_published(call)).deposit
    occurrence = find_occurrence(deposit)
    source = call.services.sources.get(deposit.chain)
    if source is None:
        _refuse("chain-not-configured", "this chain is not configured here any more, so nobody can be asked")
    await spend(call.services.limits, call.merchant_id.hex, PROOFS)
    try:
        with call.services.proving.hold(call.merchant_id):
            async with asyncio.timeout(DEADLINE_S):
                proof = await _ask(source, deposit, occurrence)
                given = await _compose(call, deposit, occurrence, proof)
                proven = await asyncio.to_thread(_check, given, occurrence)
    except TimeoutError:
        raise _unanswered("no proof could be made in time; try again") from None
    now = (await load_published(call)).deposit
    if now.occurrence is None or now.occurrence.block_hash != occurrence.block_hash:
        _refuse("block-left", "the deposit's block left the chain while its proof was made")
    return json_answer(msgspec.structs.replace(given, event=await find_told(call, proven)))


def find_occurrence(deposit: Deposit) -> Occurrence:
    """The canonical block a deposit stands in; Problem 409 where there is none, or its value is in no transaction."""
    if deposit.occurrence is None:
        _refuse("no-block", f"a deposit that is {deposit.state.value} stands in no block of the chain")
    if deposit.kind is TransferKind.INTERNAL:
        _refuse(
            "internal-value",
            "value that moved inside a contract's execution is in no transaction and no receipt: no hash covers it",
        )
    return deposit.occurrence


async def _ask(source: ChainSource, deposit: Deposit, occurrence: Occurrence) -> DepositProof:
    """The chain's material, from the first provider that has it; Problem where none has, or none can have."""
    block = BlockRef(occurrence.height, occurrence.block_hash)
    missing = False
    try:
        first = source.choose_provider()
        providers = [first, *source.second_opinions(first)][:ASKED_MAX]
    except ChainError as error:
        raise _unanswered(f"no provider of this chain answers now: {error}") from error
    for provider in providers:
        try:
            found = await provider.fetch_deposit_proof(block, deposit.tx_hash)
        except Missing as error:
            missing = True
            _log.info("proof-not-had", provider=provider.name, reason=error.detail)
            continue
        except ChainError as error:
            source.report_failure(provider, error)
            _log.warning("proof-not-had", provider=provider.name, reason=error.detail)
            continue
        source.report_success(provider)
        if isinstance(found, Unprovable):
            _refuse(found.reason.value, found.detail)
        if _measure(found) > PROOF_BYTES_MAX:
            _refuse("too-large", f"what proves the transaction is larger than {PROOF_BYTES_MAX} bytes")
        return found
    if missing:
        _refuse(
            "block-left",
            "the provider does not call the deposit's block canonical: it left the chain, or the provider is behind",
        )
    raise _unanswered("no provider of this chain gave the block now; try again")


def _measure(proof: DepositProof) -> int:
    """Bytes of what leads to the transaction."""
    match proof:
        case TrieProof():
            return sum(map(len, (proof.header, *proof.transaction, *proof.receipt)))
        case MerkleProof():
            return sum(map(len, (proof.header, proof.transaction, *proof.branch, *proof.headers)))
        case WitnessedProof():
            return sum(map(len, (proof.header, proof.signature, proof.transaction, *proof.branch)))


async def _compose(
    call: Call, deposit: Deposit, occurrence: Occurrence, proof: DepositProof
) -> DepositProofObject:
    face = await call.services.faces.of(deposit.chain, deposit.asset)
    rules = rules_of(face.family)
    about: dict[str, Any] = {
        "format": FORMAT,
        "deposit": ProvenTransfer(
            id=encode_id("dep", deposit.id),
            merchant_id=encode_id("mer", deposit.merchant_id),
            chain=deposit.chain,
            tx_hash=rules.format_tx_hash(deposit.tx_hash),
            kind=deposit.kind,
            asset=deposit.asset.lower(),
            recipient=rules.encode_identity(deposit.chain, deposit.recipient),
            n=deposit.n,
            amount_base_units=str(deposit.amount_base_units),
        ),
        "chain": deposit.chain,
        "block": ProvenBlock(height=occurrence.height, hash=rules.format_block_hash(occurrence.block_hash)),
        "header": _hex(proof.header),
        "index": proof.index,
    }
    match proof:
        case TrieProof():
            return TrieProofObject(
                **about,
                transaction=[_hex(node) for node in proof.transaction],
                receipt=[_hex(node) for node in proof.receipt],
            )
        case MerkleProof():
            return MerkleProofObject(
                **about,
                raw_transaction=_hex(proof.transaction),
                branch=[_hex(one) for one in proof.branch],
                headers=[_hex(one) for one in proof.headers],
            )
        case WitnessedProof():
            return WitnessedProofObject(
                **about,
                signature=_hex(proof.signature),
                witness=proof.witness.hex(),
                signer=proof.signer.hex(),
                count=proof.count,
                leaf=_hex(proof.transaction),
                branch=[_hex(one) for one in proof.branch],
                by_agreement=list(BY_AGREEMENT[deposit.kind]),
            )


def _check(given: DepositProofObject, occurrence: Occurrence) -> ProvenDeposit:
    """What is given is what the merchant's own program accepts; Problem 409 with its words otherwise."""
    try:
        return verify_deposit(msgspec.to_builtins(given), occurrence.block_hash)
    except ProofInvalid as error:
        _refuse("not-shown", f"the chain does not prove this deposit: {error}")


async def find_told(call: Call, proven: ProvenDeposit) -> ToldEvent | None:
    """The newest event that tells of exactly this and stands under the newest checkpoint; None where there is none."""
    async with call.pool.acquire() as conn:
        checkpoint = await checkpoints.load_last(conn, call.merchant_id)
        if checkpoint is None:
            return None
        events = await load_events_of_object(
            conn, call.merchant_id, proven.deposit_id, after_sequence=0, limit=EVENTS_MAX
        )
        for event in reversed(events):
            if event.sequence > checkpoint.size or not _tells_of(event.body, proven):
                continue
            try:
                found = await proofs.load_inclusion(
                    conn, call.merchant_id, event.event_id, size=checkpoint.size
                )
            except (Conflict, LogBroken, NotFound):
                return None
            return ToldEvent(
                body=event.body.decode(),
                path=[one.hex() for one in found.path],
                checkpoint=found.checkpoint.note + found.checkpoint.cosignatures,
            )
    return None


def _tells_of(body: bytes, proven: ProvenDeposit) -> bool:
    try:
        check_told(proven, body)
    except ProofInvalid:
        return False
    return True


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _refuse(reason: str, detail: str) -> NoReturn:
    raise Problem(409, detail, members={"reason": reason})


def _unanswered(detail: str) -> Problem:
    return busy(detail, again_s=BUSY_RETRY_AFTER_S)
