"""What merchants do with endpoints and deliveries, on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from migrations.handles import Connection
from migrations.ids import encode_id
from relay import verify
from relay.desk import endpoints, redeliver, views
from relay.desk.endpoints import Endpoint
from relay.desk.terms import EndpointTerms, Rules
from relay.desk.views import DeliveryState
from relay.errors import Conflict, NotFound, RequestFlawed, SecretUnreadable, SequencePruned
from relay.keys import signing
from relay.keys.keyring import KEYS_CHANGED, KEYS_MAX, OVERLAP_MAX_S, PublicKey, load_public_keys, rotate_key
from relay.keys.reseal import Resealed, reseal_all
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.bodies import Published
from relay.model import delivery_id_of
from relay.out.targets import open_target
from relay.workers.store import load_endpoint_records
from tests.database.relay.stages import MERCHANT, NOW, facts_of

BOX = SecretBox([b"k" * 32])
RULES = Rules({"deposit.included", "deposit.final", KEYS_CHANGED}, allow_private_networks=False)
STRANGER = UUID(int=404)
URL = "https://shop.example/hook"


def verifies(public_key: str, headers: Mapping[str, str], now: datetime) -> bool:
    """Whether a receiver with this key alone accepts an empty object."""
    try:
        verify.verify(b"{}", headers, public_keys=[public_key], now_s=now.timestamp())
    except verify.WebhookInvalid:
        return False
    return True


class Desk:
    """The functions under test, each in a transaction of its own."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    async def create(
        self, url: str = URL, *, from_sequence: int | None = None, **terms: Any
    ) -> tuple[Endpoint, str]:
        async with self.conn.transaction():
            return await endpoints.create_endpoint(
                self.conn,
                BOX,
                MERCHANT,
                EndpointTerms(url=url, **terms),
                rules=RULES,
                from_sequence=from_sequence,
                now=NOW,
            )

    async def change(self, endpoint: Endpoint, **changes: Any) -> Endpoint:
        async with self.conn.transaction():
            return await endpoints.change_endpoint(
                self.conn, BOX, MERCHANT, endpoint.endpoint_id, changes, rules=RULES, now=NOW
            )

    async def publish(self, *told: tuple[str, int, str]) -> list[Published]:
        async with self.conn.transaction():
            return await log.append(self.conn, facts_of(*told), now=NOW)

    async def many(self, count: int) -> list[Published]:
        return await self.publish(*[(f"dep_{n}", 1, "deposit.included") for n in range(count)])

    async def place(self, endpoint: Endpoint, sequence: int) -> None:
        await self.conn.execute(
            "update endpoint_cursors set sequence = $2 where endpoint_id = $1", endpoint.endpoint_id, sequence
        )

    async def exception(self, endpoint: Endpoint, event: Published, state: str, attempts: int = 1) -> None:
        await self.conn.execute(
            """insert into delivery_exceptions (endpoint_id, merchant_id, sequence, event_id, event_at, object_id,
            version, type, prev_sequence, state, attempts, retry_at, exhausted_at, created_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, $12, $5)""",
            endpoint.endpoint_id,
            MERCHANT,
            event.sequence,
            event.event_id,
            event.created_at,
            event.object_id,
            event.version,
            event.type,
            state,
            attempts,
            NOW + timedelta(hours=5) if state in {"retrying", "sending"} else None,
            NOW if state == "exhausted" else None,
        )


@pytest_asyncio.fixture
async def desk(conn: Connection) -> AsyncIterator[Desk]:
    yield Desk(conn)


async def test_an_endpoint_is_shown_with_its_secret_once_and_never_with_header_values(desk: Desk) -> None:
    made, secret = await desk.create(headers={"authorization": "Bearer x"}, description="shop", rate_per_s=5)
    assert len(signing.decode_secret(secret)) == 32
    assert made.header_names == ("authorization",)
    assert made.public_key.startswith("whpk_")
    assert (made.state, made.enabled, made.sequence, made.rate_per_s) == ("active", True, 0, 5)
    again = await endpoints.load_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id)
    assert again == made
    (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
    target = open_target(record, BOX)
    assert target.secrets == ((signing.decode_secret(secret), None),)
    assert target.headers == {"authorization": "Bearer x"}


@pytest.mark.parametrize(
    "terms, pointers",
    [
        ({"url": "http://127.0.0.1/"}, ["/url"]),
        ({"url": "ftp://x.example/"}, ["/url"]),
        ({"event_types": ("deposit.final", "deposit.nope")}, ["/event_types/1"]),
        ({"event_types": ("deposit.*",)}, ["/event_types/0"]),
        ({"event_types": ("test.ping",)}, ["/event_types/0"]),
        ({"event_types": ()}, ["/event_types"]),
        ({"description": "x" * 501}, ["/description"]),
        ({"max_in_flight": 0}, ["/max_in_flight"]),
        ({"rate_per_s": 0}, ["/rate_per_s"]),
        ({"headers": {"host": "x"}}, ["/headers/host"]),
        ({"headers": {"Webhook-Id": "x"}}, ["/headers/Webhook-Id"]),
        ({"headers": {"a b": "x"}}, ["/headers/a b"]),
        ({"headers": {"a/b~": "x"}}, ["/headers/a~1b~0"]),
        ({"headers": {"x": "a\r\nevil: 1"}}, ["/headers/x"]),
        ({"headers": {"x": "a\x00"}}, ["/headers/x"]),
        ({"headers": {"x": ""}}, ["/headers/x"]),
        ({"headers": {"x": " a"}}, ["/headers/x"]),
        ({"headers": {"x": "é"}}, ["/headers/x"]),
        ({"headers": {"x": "a" * 1025}}, ["/headers/x"]),
        ({"headers": {"x": "1", "X": "2"}}, ["/headers"]),
        ({"headers": {f"x{n}": "1" for n in range(17)}}, ["/headers"]),
        ({"url": "nope", "max_in_flight": 1001}, ["/url", "/max_in_flight"]),
    ],
)
async def test_every_flaw_of_a_request_is_named_where_it_is(
    desk: Desk, terms: dict[str, Any], pointers: list[str]
) -> None:
    with pytest.raises(RequestFlawed) as refused:
        await desk.create(**terms)
    assert [flaw.pointer for flaw in refused.value.flaws] == pointers
    made, _ = await desk.create()
    with pytest.raises(RequestFlawed):
        await desk.change(made, **terms)


async def test_a_place_to_start_must_be_in_the_log(desk: Desk) -> None:
    await desk.many(3)
    assert (await desk.create())[0].sequence == 3
    assert (await desk.create(from_sequence=1))[0].sequence == 0
    assert (await desk.create(from_sequence=4))[0].sequence == 3
    for sequence in (0, 5):
        with pytest.raises(RequestFlawed):
            await desk.create(from_sequence=sequence)
    await desk.conn.execute("alter table events disable trigger user")
    await desk.conn.execute("update event_days set first_sequence = 2")
    with pytest.raises(SequencePruned) as refused:
        await desk.create(from_sequence=1)
    assert refused.value.oldest_sequence == 2


async def test_changes_raise_the_revision_and_a_filter_holds_from_the_place_on(desk: Desk) -> None:
    made, _ = await desk.create(headers={"x": "1"})
    await desk.many(5)
    await desk.place(made, 4)
    changed = await desk.change(made, event_types=("deposit.final",), description="new")
    assert (changed.event_types, changed.description, changed.header_names) == (
        ("deposit.final",),
        "new",
        ("x",),
    )
    filters = await desk.conn.fetch("select after_sequence, event_types from endpoint_filters order by 1")
    assert [tuple(row) for row in filters] == [(0, None), (4, ["deposit.final"])]
    (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
    assert (record.revision, record.filter_revision) == (2, 2)
    await desk.change(made, headers=None)
    (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
    assert (record.headers_sealed, record.filter_revision) == (None, 2)


async def test_pausing_and_resuming_are_told_once_each(desk: Desk) -> None:
    made, _ = await desk.create()
    async with desk.conn.transaction():
        await endpoints.pause_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id, now=NOW)
        paused = await endpoints.pause_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id, now=NOW)
    assert (paused.state, paused.state_reason, paused.version) == ("paused", "paused by request", 1)
    async with desk.conn.transaction():
        await endpoints.resume_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id, now=NOW)
        resumed = await endpoints.resume_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id, now=NOW)
    assert (resumed.state, resumed.state_reason, resumed.version) == ("active", None, 2)
    told = await log.load_events_after(desk.conn, MERCHANT, after_sequence=0, types=None, limit=9)
    assert [one.type for one in told] == ["endpoint.paused", "endpoint.resumed"]


async def test_rotating_keeps_old_secrets_for_the_overlap_and_bounds_them(desk: Desk) -> None:
    made, first = await desk.create()

    async def rotate(overlap_s: int) -> str:
        async with desk.conn.transaction():
            return await endpoints.rotate_secret(
                desk.conn, BOX, MERCHANT, made.endpoint_id, overlap_s=overlap_s, now=NOW
            )

    second = await rotate(60)
    (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
    secrets = open_target(record, BOX).secrets
    assert secrets == (
        (signing.decode_secret(second), None),
        (signing.decode_secret(first), NOW + timedelta(seconds=60)),
    )
    third = await rotate(0)
    target = open_target((await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id]))[0], BOX)
    assert signing.decode_secret(second) not in [secret for secret, _ in target.secrets]
    assert target.secrets[0] == (signing.decode_secret(third), None)
    for overlap_s in (-1, 7 * 86_400 + 1):
        with pytest.raises(RequestFlawed):
            await rotate(overlap_s)
    for _ in range(8):
        await rotate(3600)
    with pytest.raises(Conflict):
        await rotate(3600)


async def test_a_former_key_signs_along_for_the_overlap_and_stays_listed_with_its_window(desk: Desk) -> None:
    made, _ = await desk.create()

    async def rotate(overlap_s: int, now: datetime) -> PublicKey:
        async with desk.conn.transaction():
            return await rotate_key(desk.conn, BOX, MERCHANT, made.endpoint_id, overlap_s=overlap_s, now=now)

    async def signers(now: datetime) -> list[str]:
        (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
        headers = open_target(record, BOX).headers_for(UUID(int=1), b"{}", prev_sequence=None, now=now)
        keys = await load_public_keys(desk.conn, MERCHANT)
        offered = {**headers, "webhook-signature": ""}
        found = []
        for part in headers["webhook-signature"].split(" ")[1:]:
            offered["webhook-signature"] = part
            found += [key.public_key for key in keys if verifies(key.public_key, offered, now)]
        return found

    soon, end = NOW + timedelta(seconds=1), NOW + timedelta(seconds=61)
    second = await rotate(60, soon)
    assert await signers(soon) == [second.public_key, made.public_key]
    assert await signers(end) == [second.public_key]
    third = await rotate(0, end)
    assert await signers(end) == [third.public_key]
    listed = await load_public_keys(desk.conn, MERCHANT)
    assert [(key.public_key, key.valid_from, key.valid_until) for key in listed] == [
        (third.public_key, end, None),
        (second.public_key, soon, end),
        (made.public_key, NOW, end),
    ]
    assert (
        await endpoints.load_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id)
    ).public_key == third.public_key
    assert await desk.conn.fetchval("select count(*) from endpoint_keys where seed_sealed is not null") == 1


async def test_the_list_of_keys_is_bounded_by_the_ended_ones_and_keys_that_hold_are_never_dropped(
    desk: Desk,
) -> None:
    made, _ = await desk.create()

    async def rotate(overlap_s: int) -> None:
        async with desk.conn.transaction():
            await rotate_key(desk.conn, BOX, MERCHANT, made.endpoint_id, overlap_s=overlap_s, now=NOW)

    for overlap_s in (-1, OVERLAP_MAX_S + 1):
        with pytest.raises(RequestFlawed):
            await rotate(overlap_s)
    for _ in range(KEYS_MAX + 2):
        await rotate(0)
    assert len(await load_public_keys(desk.conn, MERCHANT)) == KEYS_MAX
    for _ in range(KEYS_MAX - 1):
        await rotate(3600)
    assert all(key.valid_until != NOW for key in await load_public_keys(desk.conn, MERCHANT))
    with pytest.raises(Conflict):
        await rotate(3600)
    assert len(await load_public_keys(desk.conn, MERCHANT)) == KEYS_MAX


async def test_a_deleted_endpoint_is_gone_with_its_secrets_and_rows(desk: Desk) -> None:
    made, _ = await desk.create(headers={"x": "1"})
    (event,) = await desk.many(1)
    await desk.exception(made, event, "retrying")
    async with desk.conn.transaction():
        await endpoints.delete_endpoint(desk.conn, MERCHANT, made.endpoint_id, now=NOW)
    with pytest.raises(NotFound):
        await endpoints.load_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id)
    assert await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id]) == []
    assert await load_public_keys(desk.conn, MERCHANT) == []
    for table in ("endpoint_secrets", "endpoint_keys", "delivery_exceptions", "endpoint_cursors"):
        assert await desk.conn.fetchval(f"select count(*) from {table}") == 0
    with pytest.raises(NotFound):
        await views.load_delivery(desk.conn, MERCHANT, delivery_id_of(made.endpoint_id, event.event_id))


async def test_no_merchant_reaches_anothers_endpoint_or_delivery(desk: Desk) -> None:
    made, _ = await desk.create()
    (event,) = await desk.many(1)
    await desk.place(made, 1)
    delivery = delivery_id_of(made.endpoint_id, event.event_id)
    endpoint_id = made.endpoint_id
    conn = desk.conn
    for attempt in (
        lambda: endpoints.load_endpoint(conn, BOX, STRANGER, endpoint_id),
        lambda: endpoints.change_endpoint(conn, BOX, STRANGER, endpoint_id, {}, rules=RULES, now=NOW),
        lambda: endpoints.delete_endpoint(conn, STRANGER, endpoint_id, now=NOW),
        lambda: endpoints.rotate_secret(conn, BOX, STRANGER, endpoint_id, overlap_s=0, now=NOW),
        lambda: rotate_key(conn, BOX, STRANGER, endpoint_id, overlap_s=0, now=NOW),
        lambda: endpoints.pause_endpoint(conn, BOX, STRANGER, endpoint_id, now=NOW),
        lambda: endpoints.resume_endpoint(conn, BOX, STRANGER, endpoint_id, now=NOW),
        lambda: redeliver.replay(conn, STRANGER, endpoint_id, from_sequence=1, now=NOW),
        lambda: redeliver.retry_delivery(conn, STRANGER, delivery, now=NOW),
        lambda: views.load_delivery(conn, STRANGER, delivery),
    ):
        with pytest.raises(NotFound):
            async with conn.transaction():
                await attempt()
    assert await endpoints.load_endpoints(conn, BOX, STRANGER, limit=9) == []
    assert await load_public_keys(conn, STRANGER) == []


async def test_endpoints_are_listed_oldest_first_page_by_page(desk: Desk) -> None:
    made = [(await desk.create())[0].endpoint_id for _ in range(5)]
    first = await endpoints.load_endpoints(desk.conn, BOX, MERCHANT, limit=3)
    rest = await endpoints.load_endpoints(desk.conn, BOX, MERCHANT, after=first[-1].endpoint_id, limit=3)
    assert [one.endpoint_id for one in [*first, *rest]] == sorted(made)


async def test_a_delivery_has_the_state_its_cursor_filter_and_row_give_it(desk: Desk) -> None:
    made, _ = await desk.create(event_types=("deposit.included",))
    told = await desk.publish(
        ("dep_a", 1, "deposit.included"),
        ("dep_a", 2, "deposit.final"),
        ("dep_b", 1, "deposit.included"),
        ("dep_c", 1, "deposit.included"),
        ("dep_c", 2, "deposit.included"),
        ("dep_d", 1, "deposit.included"),
    )
    await desk.place(made, 5)
    await desk.exception(made, told[2], "retrying", attempts=2)
    await desk.exception(made, told[3], "exhausted", attempts=10)
    await desk.exception(made, told[4], "waiting", attempts=0)
    every = await views.load_deliveries(desk.conn, made.endpoint_id, limit=10)
    assert [(one.sequence, one.state, one.attempts) for one in every] == [
        (1, "delivered", 0),
        (3, "retrying", 2),
        (4, "exhausted", 10),
        (5, "waiting", 0),
        (6, "pending", 0),
    ]
    for one in every:
        alone = await views.load_deliveries(desk.conn, made.endpoint_id, state=one.state, limit=10)
        assert alone == [one]
        assert (await views.load_delivery(desk.conn, MERCHANT, one.delivery_id))[0] == one
    page = await views.load_deliveries(desk.conn, made.endpoint_id, after_sequence=3, limit=2)
    assert [one.sequence for one in page] == [4, 5]
    with pytest.raises(NotFound):
        await views.load_delivery(desk.conn, MERCHANT, delivery_id_of(made.endpoint_id, told[1].event_id))
    totals = await views.load_queue_totals(desk.conn)
    assert (totals.events_behind, totals.troubled, totals.exhausted, totals.failing_endpoints) == (1, 2, 1, 0)


async def test_a_changed_filter_does_not_rewrite_what_was_a_delivery(desk: Desk) -> None:
    made, _ = await desk.create()
    await desk.publish(("dep_a", 1, "deposit.included"))
    await desk.place(made, 1)
    await desk.change(made, event_types=("deposit.final",))
    await desk.publish(("dep_a", 2, "deposit.included"), ("dep_a", 3, "deposit.final"))
    await desk.place(made, 3)
    found = await views.load_deliveries(desk.conn, made.endpoint_id, limit=10)
    assert [one.sequence for one in found] == [1, 3]


async def test_retrying_by_hand_depends_on_what_became_of_the_delivery(desk: Desk) -> None:
    made, _ = await desk.create()
    told = await desk.many(6)
    await desk.place(made, 5)
    for event, state in zip(told[1:5], ("retrying", "exhausted", "waiting", "sending"), strict=True):
        await desk.exception(made, event, state)

    async def retry(event: Published) -> views.Delivery:
        async with desk.conn.transaction():
            return await redeliver.retry_delivery(
                desk.conn, MERCHANT, delivery_id_of(made.endpoint_id, event.event_id), now=NOW
            )

    delivered, retrying, exhausted, sending = [await retry(told[n]) for n in (0, 1, 2, 4)]
    assert (delivered.state, delivered.retry_at) == (DeliveryState.RETRYING, NOW)
    assert (retrying.state, retrying.retry_at) == (DeliveryState.RETRYING, NOW)
    assert (exhausted.state, exhausted.retry_at) == (DeliveryState.RETRYING, NOW)
    assert sending.state is DeliveryState.SENDING
    for event in (told[3], told[5]):
        with pytest.raises(Conflict):
            await retry(event)
    rows = await desk.conn.fetch(
        "select sequence, replay, free, failures from delivery_exceptions order by 1"
    )
    assert [tuple(row) for row in rows][:3] == [(1, True, False, 0), (2, False, True, 0), (3, True, False, 0)]
    (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
    assert record.revision == 5


async def test_a_replay_is_clamped_to_the_place_and_refused_where_it_makes_no_sense(desk: Desk) -> None:
    made, _ = await desk.create()
    await desk.many(10)
    await desk.place(made, 8)

    async def replay(from_sequence: int, to_sequence: int | None = None) -> redeliver.Replay:
        async with desk.conn.transaction():
            return await redeliver.replay(
                desk.conn,
                MERCHANT,
                made.endpoint_id,
                from_sequence=from_sequence,
                to_sequence=to_sequence,
                now=NOW,
            )

    assert await replay(3) == redeliver.Replay(made.endpoint_id, 3, 8)
    assert await replay(3, 99) == redeliver.Replay(made.endpoint_id, 3, 8)
    assert await replay(5, 5) == redeliver.Replay(made.endpoint_id, 5, 5)
    for flawed in ((0, None), (9, None), (5, 4)):
        with pytest.raises(RequestFlawed):
            await replay(*flawed)
    (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
    assert record.replaying
    assert await desk.conn.fetchval("select sequence from endpoint_cursors") == 8
    for _ in range(7):
        await replay(1)
    with pytest.raises(Conflict):
        await replay(1)


async def test_disabling_a_merchant_wakes_its_lanes_and_enabling_frees_what_waits(desk: Desk) -> None:
    made, _ = await desk.create()
    for enabled in (False, False, True):
        await endpoints.set_merchant_enabled(desk.conn, MERCHANT, enabled, now=NOW)
        assert (await endpoints.load_endpoint(desk.conn, BOX, MERCHANT, made.endpoint_id)).enabled is enabled
    (record,) = await load_endpoint_records(desk.conn, endpoints=[made.endpoint_id])
    assert (record.revision, record.wakes) == (4, 1)


async def test_every_secret_moves_to_a_new_key_and_the_old_one_may_go(desk: Desk) -> None:
    made = [(await desk.create(headers={"x": "1"}))[0] for _ in range(3)]
    both, new = SecretBox([b"n" * 32, b"k" * 32]), SecretBox([b"n" * 32])
    (record, *_) = await load_endpoint_records(desk.conn, endpoints=[made[0].endpoint_id])
    with pytest.raises(SecretUnreadable):
        open_target(record, new)
    assert await reseal_all(desk.conn, both) == Resealed(9, 0)
    assert await reseal_all(desk.conn, both) == Resealed(0, 0)
    for endpoint in made:
        (record,) = await load_endpoint_records(desk.conn, endpoints=[endpoint.endpoint_id])
        assert open_target(record, new).headers == {"x": "1"}


async def test_a_merchant_has_so_many_endpoints_at_most(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "ENDPOINTS_MAX", 2)
    await desk.create()
    await desk.create()
    with pytest.raises(Conflict):
        await desk.create()


async def test_every_change_of_keys_is_told_and_a_first_key_where_an_endpoint_names_the_type(
    desk: Desk,
) -> None:
    quiet, _ = await desk.create()
    assert (await log.load_head(desk.conn, MERCHANT)).sequence == 0
    async with desk.conn.transaction():
        await rotate_key(desk.conn, BOX, MERCHANT, quiet.endpoint_id, overlap_s=60, now=NOW)
    asking, _ = await desk.create(event_types=(KEYS_CHANGED,))
    async with desk.conn.transaction():
        new = await rotate_key(desk.conn, BOX, MERCHANT, quiet.endpoint_id, overlap_s=60, now=NOW)
        await endpoints.delete_endpoint(desk.conn, MERCHANT, quiet.endpoint_id, now=NOW)
    bodies = await desk.conn.fetch("select body from events order by sequence")
    told = [verify.read_event(row["body"]) for row in bodies]
    ids = [encode_id("end", one.endpoint_id) for one in (quiet, asking, quiet, quiet)]
    assert [(one.type, one.version) for one in told] == [(KEYS_CHANGED, version) for version in (1, 1, 2, 3)]
    assert [one.object_id for one in told] == ids
    assert [len(one.data["keys"]) for one in told] == [2, 1, 3, 0]
    assert told[2].data["keys"][0]["public_key"] == new.public_key
