"""The relay's rows in a schedule: its own store in memory, over the one log that both sides of the product share.

Lives here: the joint log, written by the product's code and by ours from the contract, byte for byte the same; and the
laws of what endpoints hold. Does not live here: the worker (`delivery.py`), the store's questions (the relay's
properties).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from indexer.rules.events import Fact
from indexer.rules.identity import MerchantId
from relay.log.bodies import CREDITED, LogHead, RelayFact, compute_events
from relay.model import EndpointState, RowState, Settlement, shard_of
from relay.workers.storage import SealedSecret, SettleResult
from tests.properties.relay.constraints import check_heads
from tests.properties.relay.memory import MemoryStore, StoredShard, move_state, write_rows
from tests.simulation.log import MerchantLogs
from tests.simulation.receivers import Receiver
from tests.simulation.troubles import Tally, Trouble

SEALED = SealedSecret(b"sealed", None)
ENDPOINT_TROUBLES = {
    EndpointState.FAILING: Trouble.ENDPOINT_FAILING,
    EndpointState.PAUSED: Trouble.ENDPOINT_PAUSED,
    EndpointState.ACTIVE: Trouble.ENDPOINT_RECOVERED,
}


class RelayRows(MemoryStore):
    """The relay's tables, with the logs of this schedule; `now` tells the time of what indexers publish."""

    def __init__(self, now: Callable[[], datetime], tally: Tally) -> None:
        super().__init__()
        self.logs = JointLogs(self)
        self._now = now
        self._tally = tally
        self._confirmed: dict[tuple[UUID, str, int], UUID] = {}
        self._checked: dict[UUID, int] = {}
        self.shards = {}

    def add_receiver(self, receiver: Receiver) -> None:
        """An endpoint that starts behind the log's head, and its shard; shards without endpoints are left out."""
        self.shards.setdefault(shard_of(receiver.endpoint_id), StoredShard())
        self.add_endpoint(
            receiver.endpoint_id,
            receiver.merchant_id,
            event_types=receiver.event_types,
            sealed=SEALED,
            signing_key_sealed=b"sealed",
        )

    def tell(self, facts: Sequence[Fact | RelayFact], now: datetime | None = None) -> None:
        """Append to the logs, by the product's code and by the contract, and hold one against the other."""
        for fact in facts:
            self.heads.setdefault(fact.merchant_id, LogHead())
        events, self.heads = compute_events(
            facts, self.heads, reversible=self._confirmed, now=self._now() if now is None else now
        )
        MerchantLogs.append(self.logs, facts)
        for event in events:
            self.events.setdefault(event.merchant_id, []).append(event)
            ours = self.logs.of(MerchantId(event.merchant_id)).events[event.sequence - 1]
            assert event.body == ours.body, "the product's bytes are not the contract's"
            if event.type == CREDITED:
                self._confirmed[event.merchant_id, event.object_id, event.version] = event.event_id

    async def settle(self, batch: Sequence[Settlement], *, now: datetime) -> SettleResult:
        self.fault("settle", False)
        fenced, stale = set(), set()
        facts: list[RelayFact] = []
        for one in batch:
            if self.shards[one.shard].epoch != one.epoch:
                fenced.add(one.shard)
                continue
            stored = self.endpoints[one.endpoint_id]
            moved = move_state(stored, one, now)
            if moved:
                self._tally.count(ENDPOINT_TROUBLES[stored.record.state])
            facts += moved
            if stored.record.filter_revision != one.filter_revision:
                stale.add(one.endpoint_id)
                continue
            write_rows(stored, one, now)
            check_heads(stored.rows.values())
            assert 0 <= stored.matched <= stored.cursor
        self.tell(facts, now)
        self.fault("settle", True)
        return SettleResult(frozenset(fenced), frozenset(stale))

    def check(self, receivers: Sequence[Receiver]) -> None:
        """A cursor passes only what arrived or is kept in a row."""
        for receiver in receivers:
            stored = self.endpoints[receiver.endpoint_id]
            first = self._checked.get(receiver.endpoint_id, 0)
            for event in self.events.get(receiver.merchant_id, ())[first : stored.cursor]:
                if receiver.wants(event.type) and event.sequence not in receiver.sequences:
                    assert event.sequence in stored.rows, "a cursor passed what nobody has"
            self._checked[receiver.endpoint_id] = stored.cursor

    def is_delivered(self, receiver: Receiver) -> bool:
        """Everything the endpoint wants arrived, or ran out of tries and is kept."""
        stored = self.endpoints[receiver.endpoint_id]
        head = self.heads.get(receiver.merchant_id, LogHead())
        return stored.cursor == head.sequence and all(
            row.state is RowState.EXHAUSTED for row in stored.rows.values()
        )

    def exhausted(self, receiver: Receiver) -> set[int]:
        """Sequences that ran out of tries."""
        rows = self.endpoints[receiver.endpoint_id].rows
        return {sequence for sequence, row in rows.items() if row.state is RowState.EXHAUSTED}


class JointLogs(MerchantLogs):
    """The logs as the indexer's store knows them: appending goes through the product's code too."""

    def __init__(self, rows: RelayRows) -> None:
        super().__init__()
        self._rows = rows

    def append(self, facts: Sequence[Fact | RelayFact]) -> None:
        self._rows.tell(facts)
