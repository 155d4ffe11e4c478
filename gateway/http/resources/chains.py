"""`/v1/chains`: where each chain stands, who serves it, and how far that is trusted.

Lives here: the view, from our chain's row and from what its follower last said. Does not live here: following
(indexer.follow.step), conditions (indexer.move.notices).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chains.catalog import entry_of
from chains.families import rules_of
from chains.family import Verification
from gateway.faces import Face
from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.problem import not_found
from gateway.http.shapes.chains import (
    ChainBlock,
    ChainCheck,
    ChainDoubt,
    ChainFee,
    ChainList,
    ChainMempool,
    ChainObject,
    ChainProvider,
    ChainState,
    Trust,
)
from gateway.http.shapes.forms import shown
from indexer import views
from indexer.rows.storage import ChainRecord
from indexer.rows.work_store import ChainStatus, load_statuses
from indexer.rules.events import format_time
from migrations.handles import Pool

SILENT_AFTER_S = 30.0
"""A follower that has said nothing for so long is not at work."""


async def get_chains(call: Call) -> Answer:
    """Every chain this server follows or has followed."""
    return json_answer(
        ChainList(items=await load_chain_objects(call.pool, call.services.faces.all, call.now))
    )


async def get_chain(call: Call) -> Answer:
    """One chain."""
    face = call.services.faces.find(call.path["alias"])
    if face is None:
        raise not_found("chain")
    return json_answer((await load_chain_objects(call.pool, [face], call.now))[0])


async def load_chain_objects(pool: Pool, faces: Sequence[Face], now: datetime) -> list[ChainObject]:
    """The objects of these chains, in their order."""
    statuses = await load_statuses(pool)
    records = {record.chain: record for record in await views.load_chains(pool)}
    counts = await views.count_unverified(pool)
    return [
        _view(face, records.get(face.chain), statuses.get(face.chain), counts.get(face.chain), now)
        for face in faces
    ]


def _view(
    face: Face,
    record: ChainRecord | None,
    status: ChainStatus | None,
    unverified_count: int | None,
    now: datetime,
) -> ChainObject:
    detail: Mapping[str, Any] = {} if status is None else status.detail
    head = None if status is None else status.head_height
    tip = None if record is None else record.tip
    if head is not None and tip is not None:
        head = max(head, tip.height)  # what was applied since the follower last spoke was a head, too
    providers = detail.get("providers", [])
    conditions = sorted(record.conditions) if record is not None else []
    silent = status is None or (now - status.reported_at).total_seconds() > SILENT_AFTER_S
    configured = (
        None if face.follow is None else rules_of(face.family).facts.describe_verification(face.follow.traits)
    )
    network = entry_of(face.chain)
    return ChainObject(
        chain=face.chain,
        alias=face.alias,
        family=face.family.value,
        state=decide_state(record, conditions, is_configured=face.follow is not None, is_silent=silent),
        head_height=head,
        tip=None
        if tip is None
        else ChainBlock(height=tip.height, hash=rules_of(face.family).format_block_hash(tip.hash)),
        final_height=None if record is None else record.final_height,
        safe_height=None if record is None else record.safe_height,
        agreed_height=None if record is None else record.agreed_height,
        lag_blocks=None if head is None or tip is None else max(0, head - tip.height),
        trust=decide_trust(record, providers),
        verification=None if configured is None else configured.profile,
        unverified=decide_unverified(providers, unverified_count),
        seen=None if network is None else network.seen.value,
        checks=[]
        if configured is None
        else _list_checks(configured, detail.get("doubts", []), () if status is None else status.checks),
        doubts=[shown(ChainDoubt, one) for one in detail.get("doubts", [])],
        held_height=None if record is None else record.held_height,
        trusted_height=None if record is None or record.trusted_height < 0 else record.trusted_height,
        providers=[_provider(one) for one in providers],
        mempools=[shown(ChainMempool, one) for one in detail.get("mempools", [])],
        fees=[shown(ChainFee, one) for one in detail.get("fees", [])],
        congested="congested" in conditions,
        conditions=conditions,
        block_interval_s=detail.get("block_interval_s"),
        halt_reason=None if record is None else record.halt_reason,
        halted_fork_height=None if record is None else record.halted_fork_height,
        last_error=detail.get("last_error"),
        reported_at=None if status is None else format_time(status.reported_at),
        moved_at=None if record is None else format_time(record.moved_at),
        assets_held=dict(detail.get("assets_held", {})),
    )


def _list_checks(
    configured: Verification, doubts: Sequence[Mapping[str, Any]], learnt: Sequence[Mapping[str, Any]]
) -> list[ChainCheck]:
    """Every check of the chain as its follower knows it, with the last reason that it could not be made.

    Before a follower has said anything, they are as configured.
    """
    reasons = {one["check"]: one["reason"] for one in doubts}
    known = {one["check"]: one for one in learnt}
    return [
        ChainCheck(
            check=one.check,
            state=known.get(one.check, {}).get("state", one.state),
            reason=reasons.get(one.check),
            enforced_since_height=known.get(one.check, {}).get("enforced_since_height"),
        )
        for one in configured.checks
    ]


def decide_state(
    record: ChainRecord | None, conditions: Sequence[str], *, is_configured: bool, is_silent: bool
) -> ChainState:
    """One word for how a chain does."""
    if not is_configured:
        return "not_configured"
    if record is not None and record.is_halted:
        return "halted"
    if is_silent:
        return "not_followed"
    if record is None:
        return "starting"
    if "disputed" in conditions or record.disputed_fork_height is not None:
        return "disputed"
    if "stalled" in conditions:
        return "stalled"
    return "following"


def decide_trust(record: ChainRecord | None, providers: Sequence[Mapping[str, Any]]) -> Trust:
    """`single` operator, `agreed` among several, or `disputed`."""
    if record is not None and record.disputed_fork_height is not None:
        return "disputed"
    return "agreed" if _are_several(providers) else "single"


def decide_unverified(providers: Sequence[Mapping[str, Any]], unverified_count: int | None) -> bool | None:
    """Whether what recent blocks pay rests on one operator's word; None where there is no block yet."""
    return None if unverified_count is None else unverified_count > 0 and not _are_several(providers)


def _are_several(providers: Sequence[Mapping[str, Any]]) -> bool:
    return len({provider.get("operator") for provider in providers}) > 1


def _provider(one: Mapping[str, Any]) -> ChainProvider:
    return ChainProvider(
        host=str(one.get("host", "")),
        operator=str(one.get("operator", "")),
        head_height=one.get("head_height"),
        lag_blocks=one.get("lag_blocks", 0),
        failures=one.get("failures", 0),
        distrusted=bool(one.get("distrusted")),
        last_error=one.get("last_error"),
        calls_per_day=one.get("calls_per_day"),
    )
