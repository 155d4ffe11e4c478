"""The room at work: one worker, its listener, its housekeeping, and a task for every attempt under way.

Lives here: the TaskGroup and the clock. `run` returns after `stop` within the stop timeout, with everything that was
sent written down; killed instead, it loses nothing (docs/delivery.md). Does not live here: the loops' bodies (`worker`,
`prune`), what they decide.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry

from migrations.errors import DatabaseAway
from migrations.handles import Connection, Pool
from migrations.ids import encode_id, new_id
from relay.alerting import OnAlert
from relay.desk.challenges import (
    Challenge,
    claim_challenges,
    load_next_challenge_at,
    open_challenge,
    send_challenge,
    settle_challenge,
)
from relay.errors import LogBroken, SecretUnreadable
from relay.keys.secretbox import SecretBox
from relay.log import eventlog as log
from relay.log.prune import Pruned, step_prune
from relay.metrics import RelayMetrics
from relay.model import Outcome, OutcomeKind, shard_of
from relay.out.egress import Egress
from relay.proof import checkpoints
from relay.proof.cosigners import ask_witness
from relay.settings import RelaySettings, WitnessSettings
from relay.workers.dispatch import Dispatcher
from relay.workers.fresh import FreshEvents
from relay.workers.roster import Attempt, Roster
from relay.workers.shards import Shards
from relay.workers.storage import HeadSequences
from relay.workers.store import ENDPOINTS_CHANNEL, SHARDS_CHANNEL, PostgresRelayStore
from relay.workers.worker import Worker

HOUSEKEEPING_INTERVAL_S = 3600.0
SIGNING_INTERVAL_S = 60.0
"""How often logs are looked for whose hour is over, so that not all are signed in one minute."""
HOUSEKEEPING_AGAIN_S = 60.0
"""After somebody was in the way: a transaction left open, a backup, another worker."""
LISTEN_AGAIN_S = 1.0
UNSIGNED_AGAIN = timedelta(hours=1)
"""How often the operator is told of a log that can not be signed."""
NOBODY = UUID(int=0)
CHALLENGE_INTERVAL_S = 1.0
CHALLENGES_MAX = 64
"""Under way at once. URLs that never answer delay the challenges of others only beyond so many."""

_log = structlog.get_logger()


def utc_now() -> datetime:
    """The one clock of this room."""
    return datetime.now(UTC)


@contextmanager
def _going_on(what: str, **fields: str) -> Iterator[None]:
    """Say what went wrong in the block, and end nothing: what waits till the next round can wait, deliveries can not."""
    try:
        yield
    except DatabaseAway as error:
        _log.warning(f"{what}-failed", error=str(error), **fields)
    except Exception:  # noqa: BLE001  # and a bug of ours is no exception
        _log.exception(f"{what}-broken", **fields)


class RelayService:
    """One relay worker. Several may run on one database, in one process or many: shards divide the work."""

    def __init__(
        self,
        pool: Pool,
        box: SecretBox,
        settings: RelaySettings,
        *,
        registry: CollectorRegistry,
        on_alert: OnAlert,
        egress: Egress | None = None,
        fresh: FreshEvents | None = None,
    ) -> None:
        self._settings = settings
        self._box = box
        self._on_alert = on_alert
        self._unsigned: dict[UUID, datetime] = {}
        self._worker_id: UUID = new_id(int(utc_now().timestamp() * 1000))
        self._store = PostgresRelayStore(pool)
        self._fresh = FreshEvents() if fresh is None else fresh
        self._metrics = RelayMetrics(registry)
        self._egress = egress or Egress(
            timeout_s=settings.attempt_timeout_s,
            allow_private_networks=settings.allow_private_networks,
            allowed_ports=settings.allowed_ports,
            proxy_url=settings.proxy_url,
        )
        shards = Shards(self._store, self._worker_id, settings.lease_s)
        self._roster = Roster(self._store, shards, box, settings, on_alert=on_alert)
        self._dispatcher = Dispatcher(
            self._store,
            self._roster,
            settings,
            chance=random.Random().random,  # noqa: S311  # what spreads retries is no secret
            metrics=self._metrics,
            on_alert=on_alert,
            fresh=self._fresh,
        )
        self._worker = Worker(self._roster, self._dispatcher, settings, clock=utc_now, launch=self._launch)
        self._stopping = asyncio.Event()
        self._endpoint_news = asyncio.Event()
        self._log_news = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()
        self._sends: set[asyncio.Task[None]] = set()
        self._send_group: asyncio.TaskGroup | None = None

    def wake(self, heads: HeadSequences) -> None:
        """Tell in-process what was just committed (merchant → head sequence): faster than any notice."""
        if self._dispatcher.wake(heads):
            self._worker.wake()

    def hear(self, heads: HeadSequences) -> None:
        """A wake-up that may be false or from another process: only whose logs may have grown; none named: any.

        While the database's own notices are heard they say the same, and for certain.
        """
        if not heads:
            self._worker.look_around()
        elif not self._worker.hears and self._dispatcher.ask_again(heads):
            self._worker.wake()

    def stop(self) -> None:
        """Start nothing new; `run` returns once what is under way has ended, at the latest after the stop timeout."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. Cancelling it is as safe as a crash: attempts under way will be made again."""
        async with self._egress, asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._run_listener(), name="relay-listener"),
                group.create_task(self._run_housekeeping(), name="relay-housekeeping"),
                group.create_task(self._run_checkpoints(), name="relay-checkpoints"),
                *(
                    group.create_task(self._run_witness(one), name=f"relay-witness-{one.name}")
                    for one in self._settings.witnesses
                ),
            ]
            if self._settings.asks_for_proof:
                helpers.append(group.create_task(self._run_challenges(), name="relay-challenges"))
            async with asyncio.TaskGroup() as sends:
                self._send_group = sends
                worker = sends.create_task(self._worker.run(), name="relay-worker")
                stopper = sends.create_task(self._await_stop(), name="relay-stopper")
                await worker
                stopper.cancel()
            for helper in helpers:
                helper.cancel()
            await self._leave()

    async def _await_stop(self) -> None:
        await self._stopping.wait()
        self._dispatcher.stopping = True
        self._roster.close_all()
        self._worker.wake()
        await asyncio.sleep(self._settings.stop_timeout_s)
        for task in list(self._sends):
            task.cancel()

    async def _leave(self) -> None:
        with suppress(DatabaseAway):  # then the leases simply end
            await self._roster.release_all()
            await self._store.forget_worker(self._worker_id)

    # --- sending ---------------------------------------------------------------------------------------------------

    def _launch(self, attempts: Iterable[Attempt]) -> None:
        assert self._send_group is not None
        for attempt in attempts:
            self._sends.add(self._send_group.create_task(self._send(attempt)))

    async def _send(self, attempt: Attempt) -> None:
        task = asyncio.current_task()
        assert task is not None
        outcome = Outcome(OutcomeKind.INTERRUPTED, 0)
        try:
            outcome = await self._egress.post(
                attempt.url,
                attempt.headers,
                attempt.body,
                now=utc_now(),
                owner=attempt.lane.config.endpoint_id,
            )
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        except Exception:  # noqa: BLE001  # one endpoint's surprise must not end all sending
            _log.exception("attempt-failed-unexpectedly")
            outcome = Outcome(OutcomeKind.GARBLED, 0)
        finally:
            self._sends.discard(task)
            self._dispatcher.finish(attempt, outcome, utc_now())
            self._worker.wake()

    # --- notices ---------------------------------------------------------------------------------------------------

    async def _run_listener(self) -> None:
        while True:
            try:
                await self._store.listen(self._take_notice, ready=self._begin_listening)
            except DatabaseAway as error:
                _log.warning("relay-listener-lost", error=str(error))
            except Exception:  # noqa: BLE001  # the worker looks around by itself; deliveries go on
                _log.exception("relay-listener-broken")
            self._worker.hears = False
            self._tell_helpers()
            await asyncio.sleep(LISTEN_AGAIN_S)

    def _begin_listening(self) -> None:
        self._worker.hears = True
        self._worker.look_at_shards()
        self._tell_helpers()

    def _tell_helpers(self) -> None:
        self._endpoint_news.set()
        self._log_news.set()

    async def _wait_for_news(self, news: asyncio.Event, next_at: datetime | None) -> None:
        """Until something was told, or the moment comes at which something is due; at once while nothing is heard."""
        if not self._worker.hears:
            return
        wait_s = self._settings.quiet_interval_s
        if next_at is not None:
            wait_s = min(wait_s, (next_at - utc_now()).total_seconds())
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await news.wait()

    def _take_notice(self, channel: str, payload: str) -> None:
        try:
            if channel == SHARDS_CHANNEL:
                self._worker.look_at_shards()
            elif not payload:
                self._worker.look_around()
                self._tell_helpers()
            elif channel == ENDPOINTS_CHANNEL:
                self._endpoint_news.set()
                self._take_endpoint_notice(UUID(hex=payload))
            else:
                self._log_news.set()
                for merchant_id, sequence, hash_start in log.decode_proofs(payload):
                    self._fresh.prove(merchant_id, sequence, hash_start)
                self.wake(log.decode_notice(payload))
        except ValueError:
            _log.warning("notice-unreadable", channel=channel)

    def _take_endpoint_notice(self, endpoint_id: UUID) -> None:
        if self._roster.ask(endpoint_id, shard_of(endpoint_id)):
            self._worker.wake()

    # --- challenges ------------------------------------------------------------------------------------------------

    async def _run_challenges(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                next_at: datetime | None = None
                self._endpoint_news.clear()
                try:
                    claimed = await self._claim_challenges(CHALLENGES_MAX - len(self._asking))
                    if not claimed:
                        next_at = await self._load_next_challenge()
                except DatabaseAway:
                    claimed = []  # the worker says so
                except Exception:  # noqa: BLE001  # as with housekeeping: deliveries go on
                    _log.exception("relay-challenges-broken")
                    claimed = []
                for challenge in claimed:
                    task = group.create_task(self._ask(challenge))
                    self._asking.add(task)
                    task.add_done_callback(self._asking.discard)
                await asyncio.sleep(CHALLENGE_INTERVAL_S)
                if not claimed:
                    await self._wait_for_news(self._endpoint_news, next_at)

    async def _load_next_challenge(self) -> datetime | None:
        async with self._store.connection() as conn:
            return await load_next_challenge_at(conn)

    async def _claim_challenges(self, room: int) -> list[Challenge]:
        if not room:
            return []
        async with self._store.connection() as conn:
            due = await claim_challenges(conn, now=utc_now(), limit=room)
            opened = [
                await open_challenge(
                    conn, self._box, endpoint_id, asked_before=asked_before, text=secrets.token_urlsafe(32)
                )
                for endpoint_id, asked_before in due.items()
            ]
        return [challenge for challenge in opened if challenge is not None]

    async def _ask(self, challenge: Challenge) -> None:
        try:
            reply = await send_challenge(self._egress, challenge, now=utc_now())
            if reply.outcome.alert:
                self._on_alert(reply.outcome.alert, {})
            async with self._store.connection() as conn, conn.transaction():
                await settle_challenge(conn, challenge, reply, now=utc_now())
            self._endpoint_news.set()
        except DatabaseAway:
            return  # asked again once the claim has run out
        except Exception:  # noqa: BLE001  # one endpoint's surprise must not end all asking
            _log.exception("challenge-failed-unexpectedly")

    # --- housekeeping ----------------------------------------------------------------------------------------------

    async def _run_housekeeping(self) -> None:
        while True:
            pruned = Pruned.BUSY
            with _going_on("relay-housekeeping"):
                async with self._store.connection() as conn:
                    await log.make_partitions(conn, now=utc_now())
                    pruned = Pruned.MORE
                    while pruned is Pruned.MORE:
                        pruned = await step_prune(
                            conn, self._settings, now=utc_now(), on_alert=self._on_alert
                        )
            await asyncio.sleep(HOUSEKEEPING_INTERVAL_S if pruned is Pruned.DONE else HOUSEKEEPING_AGAIN_S)

    # --- checkpoints -----------------------------------------------------------------------------------------------

    async def _run_checkpoints(self) -> None:
        while True:
            next_at: datetime | None = utc_now()
            self._log_news.clear()
            with _going_on("relay-checkpoints"):
                async with self._store.connection() as conn:
                    await self._sign_logs(conn)
                    next_at = await checkpoints.load_next_signing_at(conn)
            await asyncio.sleep(SIGNING_INTERVAL_S)
            await self._wait_for_news(self._log_news, next_at)

    async def _run_witness(self, witness: WitnessSettings) -> None:
        while True:
            with _going_on("relay-witness", witness=witness.name):
                await ask_witness(self._store.connection, self._egress, witness, now=utc_now())
            await asyncio.sleep(SIGNING_INTERVAL_S)

    async def _sign_logs(self, conn: Connection) -> None:
        """Every log whose turn it is. One that contradicts itself is told to the operator, and holds up no other."""
        last = NOBODY
        while merchants := await checkpoints.load_logs_to_sign(conn, after=last, now=utc_now()):
            for last in merchants:
                try:
                    while not await checkpoints.step_checkpoint(conn, self._box, last, now=utc_now()):
                        pass
                except (LogBroken, SecretUnreadable) as error:
                    self._tell_unsigned(last, error, utc_now())

    def _tell_unsigned(self, merchant_id: UUID, error: Exception, now: datetime) -> None:
        told_at = self._unsigned.get(merchant_id)
        if told_at is None or now - told_at >= UNSIGNED_AGAIN:
            self._unsigned[merchant_id] = now
            detail = {"merchant_id": encode_id("mer", merchant_id), "detail": str(error)}
            self._on_alert("log-not-signed", detail)
