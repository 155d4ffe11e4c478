"""An event's bytes, ids and chain, without a database."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import LogBroken
from relay.log.bodies import (
    BODY_BYTES_MAX,
    LogHead,
    RelayFact,
    compute_body,
    compute_event_id,
    compute_events,
    endpoint_fact,
    format_time,
)
from relay.model import delivery_id_of, shard_of

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
MERCHANT = UUID(int=7)


def fact(version: int = 1, **changes: object) -> RelayFact:
    values: dict[str, object] = {"type": "deposit.confirmed", "data": {}, "at": NOW} | changes
    return RelayFact(MERCHANT, "dep_a", version, **values)  # type: ignore[arg-type]  # a test's shorthand


def test_the_bytes_of_an_event_are_exactly_these() -> None:
    body = compute_body(
        event_id=UUID(int=1),
        event_type="deposit.final",
        sequence=42,
        prev_hash=bytes(32),
        log_epoch=2,
        at=NOW,
        merchant_id=MERCHANT,
        data={"deposit": {"amount": "1.5", "to": "ü"}},
    )
    assert body.decode() == (
        '{"id":"evt_00000000000000000000000001","type":"deposit.final","sequence":42,"prev_hash":"'
        + "0" * 64
        + '","log_epoch":2,"timestamp":"2026-11-20T12:00:00Z","api_version":"2026-11-01",'
        '"merchant_id":"mer_00000000000000000000000007","data":{"deposit":{"amount":"1.5","to":"ü"}}}'
    )
    assert b"\n" not in body


def test_the_same_fact_has_the_same_id_and_any_difference_another() -> None:
    base = (MERCHANT, 1, "dep_a", 1, "deposit.final")
    assert compute_event_id(*base) == compute_event_id(*base)
    others = {
        compute_event_id(UUID(int=8), 1, "dep_a", 1, "deposit.final"),
        compute_event_id(MERCHANT, 2, "dep_a", 1, "deposit.final"),
        compute_event_id(MERCHANT, 1, "dep_b", 1, "deposit.final"),
        compute_event_id(MERCHANT, 1, "dep_a", 2, "deposit.final"),
        compute_event_id(MERCHANT, 1, "dep_a", 1, "deposit.moved"),
    }
    assert len(others | {compute_event_id(*base)}) == 6


def test_events_of_one_call_chain_behind_the_head() -> None:
    head = LogHead(3, 9, b"h" * 32, NOW)
    events, after = compute_events([fact(1), fact(2)], {MERCHANT: head}, reversible={}, now=NOW)
    assert [event.sequence for event in events] == [10, 11]
    assert events[0].prev_hash == b"h" * 32
    assert events[1].prev_hash == hashlib.sha256(events[0].body).digest()
    assert after[MERCHANT] == LogHead(3, 11, hashlib.sha256(events[1].body).digest(), NOW)


def test_a_reversal_without_what_it_reverses_is_refused() -> None:
    with pytest.raises(LogBroken):
        compute_events([fact(2, reverses_version=1)], {MERCHANT: LogHead()}, reversible={}, now=NOW)
    told = fact(1, type="deposit.included")
    with pytest.raises(LogBroken):
        compute_events([told, fact(2, reverses_version=1)], {MERCHANT: LogHead()}, reversible={}, now=NOW)


def test_a_fact_is_not_changed_by_being_told() -> None:
    data: dict[str, object] = {"reverses": None}
    compute_events(
        [fact(1), fact(2, type="deposit.reversed", data=data, reverses_version=1)],
        {MERCHANT: LogHead()},
        reversible={},
        now=NOW,
    )
    assert data == {"reverses": None}


def test_a_body_too_large_to_be_sent_is_refused() -> None:
    with pytest.raises(LogBroken):
        compute_events(
            [fact(data={"x": "y" * BODY_BYTES_MAX})], {MERCHANT: LogHead()}, reversible={}, now=NOW
        )


def test_an_endpoint_event_does_not_show_the_url() -> None:
    told = endpoint_fact(
        MERCHANT, UUID(int=1), version=3, event_type="endpoint.failing", state="failing", reason="r", at=NOW
    )
    assert told.data == {
        "endpoint": {"id": "end_00000000000000000000000001", "version": 3, "state": "failing", "reason": "r"}
    }


@pytest.mark.parametrize(
    "at, text",
    [
        (NOW, "2026-11-20T12:00:00Z"),
        (NOW + timedelta(microseconds=1500), "2026-11-20T12:00:00.001500Z"),
        (NOW.astimezone(timezone(timedelta(hours=2))), "2026-11-20T12:00:00Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(at: datetime, text: str) -> None:
    assert format_time(at) == text


@given(st.uuids(), st.uuids())
def test_an_endpoint_and_its_delivery_give_the_event_back(endpoint_id: UUID, event_id: UUID) -> None:
    assert delivery_id_of(endpoint_id, delivery_id_of(endpoint_id, event_id)) == event_id
    assert 0 <= shard_of(endpoint_id) < 64
