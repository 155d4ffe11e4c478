"""Who may sign blocks, asked of the node that tells them and kept until the next maintenance.

Witnesses are elected every maintenance period; a header signed by one of them
is what a stranger cannot make.  The schedule itself is the node's word.
Checking a block against it is `verify.block`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, field

from chains.errors import Inconsistent, Refused
from chains.model import Address
from chains.rpc.throttle import Priority
from chains.tron.address import parse_address
from chains.tron.nodes.node import FULL, TronNode
from chains.tron.rows.blocks import TronHeader
from chains.tron.verify.block import Schedule, recover_signer

MAINTENANCE_MS: Final = 21_600_000
"""Six hours, where the network does not say otherwise."""

SETTLING_MS: Final = 81_000
"""A round of 27 slots: the first block behind a maintenance is still signed by the old schedule."""

ASK_AGAIN_S: Final = 3_600.0
"""After a node refused to tell its schedule."""

INTERVAL_KEY: Final = "getMaintenanceTimeInterval"


class _Witness(Struct):
    address: str
    is_active: bool = field(name="isJobs", default=False)


class _Witnesses(Struct):
    witnesses: list[_Witness] = []


class _Time(Struct):
    num: int = 0


class _Parameter(Struct):
    key: str = ""
    value: int = 0


class _Parameters(Struct):
    parameters: list[_Parameter] = field(name="chainParameter", default=[])


class _Key(Struct):
    address: str


class _Permission(Struct):
    keys: list[_Key] = []


class _Account(Struct):
    permission: _Permission = field(name="witness_permission", default_factory=_Permission)


_WITNESSES: Final = msgspec.json.Decoder(_Witnesses)
_TIME: Final = msgspec.json.Decoder(_Time)
_PARAMETERS: Final = msgspec.json.Decoder(_Parameters)
_ACCOUNT: Final = msgspec.json.Decoder(_Account)


async def fetch_schedule(node: TronNode, header: TronHeader, priority: Priority) -> Schedule | None:
    """The schedule by which this header is judged; None where the node tells none.

    A witness that is not in what was kept is looked for in what the node tells now, before anybody is blamed.
    """
    # Blocks are read several at once, and all of them want it at the same moment.
    async with node.schedule_lock:
        refused_at_s = node.schedule_refused_at_s
        if refused_at_s is not None and node.clock() - refused_at_s < ASK_AGAIN_S:
            return None
        try:
            schedule = node.schedule
            if schedule is None or _is_over(node, schedule, header) or _is_strange(schedule, header):
                schedule = node.schedule = await _ask_schedule(node, priority)
                node.schedule_told_at_s = node.clock()
            await _learn_key(node, schedule, header, priority)
        except Refused:
            node.schedule_refused_at_s = node.clock()
            return None
        return schedule


def _is_over(node: TronNode, kept: Schedule, header: TronHeader) -> bool:
    """Whether it ended, by the block's time or by our own clock: a node could say that it holds for ever."""
    return header.time_ms >= kept.until_ms or node.clock() - node.schedule_told_at_s >= MAINTENANCE_MS / 1_000


def _is_strange(kept: Schedule, header: TronHeader) -> bool:
    return kept.covers(header.time_ms) and Address(header.witness) not in kept.witnesses


async def _ask_schedule(node: TronNode, priority: Priority) -> Schedule:
    listed = await node.ask(f"{FULL}/listwitnesses", {}, _WITNESSES, priority)
    until = await node.ask(f"{FULL}/getnextmaintenancetime", {}, _TIME, priority)
    said = await node.ask(f"{FULL}/getchainparameters", {}, _PARAMETERS, priority)
    if listed is None or until is None or not 0 < until.num < 1 << 53:
        raise Refused("does not tell who is scheduled")
    told = [] if said is None else [one.value for one in said.parameters if one.key == INTERVAL_KEY]
    interval_ms = next((one for one in told if one > 0), MAINTENANCE_MS)
    active = frozenset(_read_address(one.address) for one in listed.witnesses if one.is_active)
    if not active:
        raise Refused("does not tell who is scheduled")
    return Schedule(until.num - interval_ms + SETTLING_MS, until.num, active)


async def _learn_key(node: TronNode, schedule: Schedule, header: TronHeader, priority: Priority) -> None:
    """A witness may let another key sign for it; asked once a period, and only where its own did not."""
    witness = Address(header.witness)
    if witness not in schedule.witnesses or witness in schedule.keys or recover_signer(header) == witness:
        return
    account = await node.ask(f"{FULL}/getaccount", {"address": witness.hex()}, _ACCOUNT, priority)
    keys = [] if account is None else account.permission.keys
    schedule.keys[witness] = _read_address(keys[0].address) if len(keys) == 1 else witness


def _read_address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise Inconsistent(f"a witness that is no address: {error}") from None
