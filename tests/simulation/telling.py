"""What merchants were told, read from the bytes of their logs alone, and whether it was a legal story.

Lives here: one reader a merchant, which checks sequence, hash chain, ids, versions, moves, types, credit and
`reverses` of every event against CONTRACT 2, 5 and 6, and keeps what the events add up to. Does not live here: whether
that equals what is recorded (`laws.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.simulation.log import LOG_EPOCH, NOTHING_BEFORE, Event, compute_event_id
from tests.simulation.oracle import AFTER_ACCEPTED_REORG, LEGAL_MOVES
from tests.simulation.troubles import Tally, Trouble

_decode = msgspec.json.Decoder().decode

CREDITED_STATES = ("confirmed", "final")
COUNTED = {
    "deposit.moved": Trouble.TOLD_MOVED,
    "deposit.amended": Trouble.TOLD_AMENDED,
    "deposit.orphaned": Trouble.TOLD_ORPHANED,
    "deposit.replaced": Trouble.TOLD_REPLACED,
    "deposit.reversed": Trouble.TOLD_REVERSED,
}


@dataclass(slots=True)
class Told:
    """One deposit as its events add up; `granted_by` is the event whose credit stands."""

    deposit: dict[str, Any]
    credited: int
    granted_by: str | None


class Reader:
    """Reads one merchant's log from its first byte on."""

    def __init__(self, merchant_text: str, tally: Tally) -> None:
        self.merchant_text = merchant_text
        self.deposits: dict[str, Told] = {}
        self.read_count = 0
        self._tally = tally
        self._head_hash = NOTHING_BEFORE
        self._versions: dict[str, int] = {}
        self._ids: set[str] = set()

    def read(self, event: Event, *, final_may_leave: bool, tip_height: int | None) -> None:
        """Check one event and remember what it says; `tip_height` is that of the move that told it, where known."""
        body = _decode(event.body)
        assert body["sequence"] == self.read_count + 1, "a sequence has a hole"
        assert body["prev_hash"] == self._head_hash, "the hash chain is broken"
        assert body["merchant_id"] == self.merchant_text, "an event of somebody else"
        assert body["log_epoch"] == LOG_EPOCH
        self.read_count += 1
        self._head_hash = hashlib.sha256(event.body).hexdigest()
        kind = body["type"].split(".")[0]
        is_deposit = kind == "deposit"
        if kind == "chain":
            object_id, version = body["data"]["chain"], event.version
        else:
            object_id, version = body["data"][kind]["id"], body["data"][kind]["version"]
        assert (object_id, version) == (event.object_id, event.version)
        assert body["id"] == compute_event_id(self.merchant_text, object_id, version, body["type"])
        assert body["id"] not in self._ids, "one fact told twice"
        self._ids.add(body["id"])
        before = self._versions.get(object_id, 0)
        assert version == before + 1 or (version > before and (before == 0 or not is_deposit)), (
            "a version is missing"
        )
        self._versions[object_id] = version
        if is_deposit:
            self._read_deposit(body, final_may_leave=final_may_leave)
            block = body["data"]["deposit"]["block"]
            if tip_height is not None:
                frozen = 0 if block is None else tip_height - block["height"] + 1
                assert body["data"]["deposit"]["confirmations"] == frozen, (
                    "confirmations are not of this move"
                )

    def _read_deposit(self, body: dict[str, Any], *, final_may_leave: bool) -> None:
        deposit, event_type = body["data"]["deposit"], body["type"]
        told = self.deposits.get(deposit["id"])
        state = deposit["state"]
        state_before = None if told is None else told.deposit["state"]
        assert body["data"]["previous_state"] == state_before, "previous_state is not what was told before"
        credited = int(deposit["credited_base_units"])
        amount = int(deposit["amount_base_units"])
        due = amount if state in CREDITED_STATES and not deposit["own_transfer"] else 0
        assert credited == due, "credit is the amount while confirmed or final, and nothing else"
        credited_before = 0 if told is None else told.credited
        self._check_move(told, deposit, event_type, final_may_leave=final_may_leave)
        assert event_type == _type_of(told, deposit), f"{event_type}, where {_type_of(told, deposit)} is true"
        granted_by = None if told is None else told.granted_by
        if credited_before and not credited:
            assert granted_by is not None
            assert body["data"]["reverses"] == granted_by, (
                "reversed names another event than the one that granted"
            )
            granted_by = None
        else:
            assert body["data"]["reverses"] is None
        if credited and not credited_before:
            assert granted_by is None, "a second credit while one stands"
            assert event_type == "deposit.confirmed", "credit begins with deposit.confirmed"
            granted_by = body["id"]
        assert (deposit["block"] is None) == (state in ("seen", "orphaned", "replaced", "dropped"))
        assert (deposit["replaced_by"] is not None) == (state == "replaced")
        assert (deposit["confirmed_at"] is not None) == (state in CREDITED_STATES)
        assert (deposit["final_at"] is not None) == (state == "final")
        self._count(event_type, deposit, told)
        self.deposits[deposit["id"]] = Told(deposit, credited, granted_by)

    @staticmethod
    def _check_move(
        told: Told | None, deposit: dict[str, Any], event_type: str, *, final_may_leave: bool
    ) -> None:
        state = deposit["state"]
        before = None if told is None else told.deposit["state"]
        if told is not None and before == state:
            same = all(
                told.deposit[key] == deposit[key]
                for key in ("block", "position", "amount_base_units", "credited_base_units", "own_transfer")
            )
            assert not same, "an event that tells nothing new"
            assert state != "final" or final_may_leave, "what is final does not change"
            return
        legal = LEGAL_MOVES[before]
        if before == "final" and final_may_leave:
            legal = AFTER_ACCEPTED_REORG
        assert state in legal, f"{before} to {state} is not a legal move"

    def _count(self, event_type: str, deposit: dict[str, Any], told: Told | None) -> None:
        if event_type in COUNTED:
            self._tally.count(COUNTED[event_type])
        if deposit["own_transfer"]:
            self._tally.count(Trouble.OWN_TRANSFER)
        if deposit["state"] == "final" and deposit["confirmed_at"] == deposit["final_at"]:
            self._tally.count(Trouble.TOLD_FINAL_AT_ONCE)


def _type_of(told: Told | None, deposit: dict[str, Any]) -> str:
    """CONTRACT 6: which event tells this change."""
    if told is not None and told.credited and deposit["credited_base_units"] == "0":
        return "deposit.reversed"
    if told is None or told.deposit["state"] != deposit["state"]:
        return f"deposit.{deposit['state']}"
    if told.credited == 0 and deposit["credited_base_units"] != "0":
        return "deposit.confirmed"
    if any(told.deposit[key] != deposit[key] for key in ("amount_base_units", "own_transfer")):
        return "deposit.amended"
    return "deposit.moved"
