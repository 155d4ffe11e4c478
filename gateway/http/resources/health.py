"""`/healthz`, `/readyz`, `/metrics`: for load balancers, orchestrators and Prometheus.

Lives here: the answers, and an application of these three alone for roles without the API. Does not live here: the numbers
(`gateway.process.metrics`), what a chain's state means (`chains`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gateway import store
from gateway.config.settings import ReadyWhen
from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.resources.chains import load_chain_objects
from gateway.http.shapes.chains import ChainObject, ChainReadiness, Health, Readiness
from indexer.settings import FollowSettings
from migrations.errors import DatabaseProblem

GOOD_STATES = frozenset({"following", "disputed"})


async def get_healthz(call: Call) -> Answer:
    """The process answers."""
    del call
    return json_answer(Health(status="ok"))


async def get_readyz(call: Call) -> Answer:
    """The database takes writes, and the chains are close to their heads, as many as `http.ready_when` wants; else 503.

    Whatever the status, what is not ready is named.
    """
    try:
        writable = await store.load_is_writable(call.pool)
        objects = await load_chain_objects(call.pool, call.services.faces.configured, call.now)
    except DatabaseProblem:
        return json_answer(Readiness(status="not ready", database="away", chains=[]), 503)
    chains = []
    for face, one in zip(call.services.faces.configured, objects, strict=True):
        assert face.follow is not None, "configured"
        reason = find_reason(one, face.follow)
        chains.append(
            ChainReadiness(
                alias=one.alias,
                ready=reason is None,
                reason=reason,
                state=one.state,
                lag_blocks=one.lag_blocks,
            )
        )
    ready = writable and decide_ready(
        [chain.ready for chain in chains], call.services.settings.http.ready_when
    )
    database: Literal["ok", "read only"] = "ok" if writable else "read only"
    return json_answer(
        Readiness(status="ready" if ready else "not ready", database=database, chains=chains),
        200 if ready else 503,
    )


def decide_ready(chains: Sequence[bool], ready_when: ReadyWhen) -> bool:
    """Whether the process is, given which of its chains are; one without chains has nothing to wait for."""
    match ready_when:
        case ReadyWhen.EVERY_CHAIN:
            return all(chains)
        case ReadyWhen.ANY_CHAIN:
            return any(chains) or not chains
        case ReadyWhen.DATABASE:
            return True


def find_reason(chain: ChainObject, follow: FollowSettings) -> str | None:
    """Why a chain is not ready; None when it is."""
    if chain.state not in GOOD_STATES:
        return {
            "halted": "halted; an operator must resume it or accept the reorg",
            "not_followed": "no process follows it, or its follower is silent",
            "starting": "its first block is not recorded yet",
            "stalled": "no new block for too long",
        }.get(chain.state, chain.state)
    if chain.lag_blocks is None:
        return "its head is not known"
    if chain.lag_blocks > follow.ready_lag_blocks:
        return f"{chain.lag_blocks} blocks behind its head"
    return None


async def get_metrics(call: Call) -> Answer:
    """Prometheus' text."""
    return Answer(200, generate_latest(call.services.registry), CONTENT_TYPE_LATEST)
