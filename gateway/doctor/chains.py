"""What `doctor` asks of each provider: reachable, the right network, in time, and able to do what we need.

Lives here: the checks, all providers at once, each within bounds. Does not live here: how each can be asked
(`ways`), following (indexer), the rest of the doctor (`machine`). Providers are shown by host only.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from datetime import datetime

from chains.catalog import Seen, entry_of
from chains.errors import ChainError
from chains.families import rules_of
from chains.model import HeadReport
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits, FinalByTag
from gateway.compose_chains import build_source
from gateway.config.settings import ChainSettings
from gateway.doctor.machine import Finding, Grade
from gateway.doctor.ways import Ways, advise
from indexer import views
from indexer.rows.storage import ChainRecord
from indexer.rules.policy import ConfirmedBy
from migrations.handles import Pool

PROVIDER_TIMEOUT_S = 30.0
HINT_TIMEOUT_S = 15.0
HEAD_OLD_FACTOR = 10.0
HEAD_OLD_MIN_S = 60.0
ADVICE_UNVERIFIED = (
    "add a provider of another operator: deposits above hold_unverified_above wait for one, or for `chainbell chain trust`, "
    "and smaller ones are credited on one operator's word"
)
ADVICE_UNSEEN = (
    "make a small payment first and look at `checks` and `doubts` in /v1/chains; "
    "this is said until its newest blocks were verified in full here"
)
ADVICE_AGREE = "add a provider of another operator: one operator alone is trusted blindly"


async def check_chain(settings: ChainSettings, pool: Pool | None, *, now: datetime) -> list[Finding]:
    """Every provider of one chain."""
    alias, traits = settings.alias, settings.follow.traits
    record = None if pool is None else await views.load_chain(pool, traits.chain)
    findings: list[Finding] = []
    operators = {one.operator_name for one in settings.endpoints if not one.only_hints}
    shown = f"{len(operators)} operator" + ("s" if len(operators) > 1 else "")
    findings.append(
        Finding(f"{alias}", Grade.OK, f"{traits.chain}, {shown}")
        if len(operators) > 1
        else Finding(f"{alias}", Grade.WARN, f"{traits.chain}, {shown}", ADVICE_AGREE)
    )
    unverified_count = None if pool is None else (await views.count_unverified(pool)).get(traits.chain)
    findings += _judge_verification(settings, len(operators), unverified_count)
    findings += judge_seen(settings, unverified_count)
    if record is not None and record.halt_reason is not None:
        advice = f"chainbell chain status --chain {alias} shows the two ways out"
        findings.append(Finding(f"{alias} state", Grade.FAIL, record.halt_reason, advice))
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(_check_endpoint(settings, endpoint, record, now))
            for endpoint in settings.endpoints
        ]
    return [*findings, *itertools.chain.from_iterable(task.result() for task in asked)]


def _judge_verification(
    settings: ChainSettings, operators_count: int, unverified_count: int | None
) -> list[Finding]:
    """With one operator: whether something else than its word stands behind what recent blocks pay."""
    if operators_count > 1:
        return []
    traits = settings.follow.traits
    verification = rules_of(traits.family).facts.describe_verification(traits)
    if unverified_count:
        found = f"unverified: {unverified_count} of its newest {views.RECENT_BLOCKS} blocks not in full, one operator"
    elif unverified_count is None and not verification.may_prove:
        found = f"unverified: the profile {verification.profile} cannot prove a block, one operator"
    else:
        return []
    return [Finding(f"{settings.alias} verification", Grade.WARN, found, ADVICE_UNVERIFIED)]


def judge_seen(settings: ChainSettings, unverified_count: int | None) -> list[Finding]:
    """Whether anything has shown yet that the network is as its catalogue page says: tests here, or its own blocks."""
    network = entry_of(settings.follow.traits.chain)
    if network is None or network.seen is not Seen.NOTHING or unverified_count == 0:
        return []
    found = (
        f"no block of {network.name} was read by the tests of this program: it is held to its family's rules"
    )
    return [Finding(f"{settings.alias} network", Grade.WARN, found, ADVICE_UNSEEN)]


async def _check_endpoint(
    settings: ChainSettings, endpoint: NodeEndpoint, record: ChainRecord | None, now: datetime
) -> list[Finding]:
    name = f"{settings.alias} {endpoint.host}" + (f" ({endpoint.scheme})" if endpoint.only_hints else "")
    if endpoint.only_hints:
        return [await _check_hints(name, settings.follow.traits, endpoint)]
    return await _check_provider(name, settings, endpoint, record, now)


async def _check_provider(
    name: str, settings: ChainSettings, endpoint: NodeEndpoint, record: ChainRecord | None, now: datetime
) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with (
            asyncio.timeout(PROVIDER_TIMEOUT_S),
            build_source(replace(settings, endpoints=(endpoint,))) as source,
        ):
            if record is not None:
                source.pin_network(record.network_id)
            provider = source.choose_provider()
            ways = Ways(name, settings, provider, findings)
            await _ask(ways, record, now)
    except ChainError as error:
        findings.append(Finding(name, Grade.FAIL, error.detail, advise(error, settings)))
    except TimeoutError:
        found = f"no answers within {PROVIDER_TIMEOUT_S:g} s" + (" to the rest" if findings else "")
        findings.append(Finding(name, Grade.FAIL, found, "choose a faster provider"))
    return findings


async def _ask(ways: Ways, record: ChainRecord | None, now: datetime) -> None:
    name, settings, provider = ways.name, ways.settings, ways.provider
    started_s = time.monotonic()
    await provider.fetch_network_id()
    report = await provider.fetch_head_report()
    took_ms = (time.monotonic() - started_s) * 1000
    ways.findings.append(Finding(name, Grade.OK, f"head {report.head.height}, {took_ms:.0f} ms"))
    ways.findings += _judge_head(name, settings.follow.traits, report, now)
    ways.findings += _judge_tags(name, settings, report)
    await ways.try_all(report, record)


def _judge_head(name: str, traits: ChainTraits, report: HeadReport, now: datetime) -> list[Finding]:
    age_s = now.timestamp() - report.head.time_s
    if age_s < -rules_of(traits.family).load_trial().head_early_s:
        advice = "one of the clocks is wrong: run an NTP client here"
        return [Finding(f"{name} clock", Grade.WARN, f"its head is {-age_s:.0f} s in the future", advice)]
    if age_s > max(HEAD_OLD_MIN_S, HEAD_OLD_FACTOR * traits.block_time_s):
        advice = "the node may be syncing or stuck, or the clock here is wrong"
        return [Finding(f"{name} head", Grade.WARN, f"its head is {age_s:.0f} s old", advice)]
    return []


def _judge_tags(name: str, settings: ChainSettings, report: HeadReport) -> list[Finding]:
    findings = []
    wants_safe = any(rule.requirement.by is ConfirmedBy.SAFE for rule in settings.follow.confirm_rules)
    if wants_safe and report.safe is None:
        advice = "use confirmations in `confirmed`, or a provider that knows safe blocks"
        findings.append(Finding(f"{name} safe", Grade.WARN, "does not know a safe block", advice))
    if isinstance(settings.follow.finality, FinalByTag) and report.final is None:
        advice = "give `final = { confirmations = … }`, or use a provider that knows finalized blocks"
        findings.append(Finding(f"{name} finality", Grade.WARN, "does not know a finalized block", advice))
    return findings


async def _check_hints(name: str, traits: ChainTraits, endpoint: NodeEndpoint) -> Finding:
    trial = rules_of(traits.family).load_trial()
    trouble = await trial.hear_head(traits, endpoint, HINT_TIMEOUT_S)
    if trouble is None:
        return Finding(name, Grade.OK, "tells new heads")
    if not trouble and traits.block_time_s > HINT_TIMEOUT_S / 2:
        return Finding(name, Grade.OK, f"no head within {HINT_TIMEOUT_S:g} s, which may be chance")
    return Finding(
        name,
        Grade.WARN,
        f"no head within {HINT_TIMEOUT_S:g} s" + (f": {trouble}" if trouble else ""),
        f"{trial.hints_advice}; without hints the timer finds blocks, up to poll_interval_s later",
    )
