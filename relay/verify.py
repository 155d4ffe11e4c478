"""What a receiver runs: is this request from chainbell, is it fresh, does it say anything new, is anything missing?

This file stands alone: the standard library, and `cryptography` only where a public key is given. Copy it, or import it.
`kit/verify.mjs` is the same for Node; both pass `kit/vectors.json`. Lives here: `verify`, `read_event`, `challenge_of`,
`judge`, `GapTracker` and `repair`. Does not live here: making signatures (`signing`), a receiver's own storage
(docs/webhooks.md).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

TOLERANCE_S = 300
SIGNATURES_MAX = 32
"""More than any honest sender makes; what follows is not looked at."""
AHEAD_MAX = 10_000
"""Events a tracker remembers beyond a gap; more are not remembered, the gap itself is."""
PAGE_EVENTS_MAX = 500
PAGE_BYTES_MAX = 192 * 1024 * 1024
"""A page of the largest events there are; an answer beyond that is none of ours."""
PULL_TIMEOUT_S = 60


class WebhookInvalid(Exception):
    """This must not be believed; the message says why and holds no secret."""


class GapRemains(Exception):
    """What is missing could not be had from the log; the message says why."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What the signature vouches for, and the unsigned hint `prev_sequence` (None for a test)."""

    webhook_id: str
    timestamp_s: int
    prev_sequence: int | None


def verify(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: Iterable[str] = (),
    public_keys: Iterable[str] = (),
    now_s: float | None = None,
    tolerance_s: int = TOLERANCE_S,
) -> Verified:
    """Return when one of `secrets` (`whsec_…`) or `public_keys` (`whpk_…`) made a signature; WebhookInvalid otherwise.

    `body` is the bytes as received, before any parsing. Header names match in any case. The timestamp may be
    `tolerance_s` off `now_s` (Unix time; by default the clock) in either direction.
    """
    found = {name.lower(): value for name, value in headers.items()}
    webhook_id = found.get("webhook-id", "")
    timestamp = found.get("webhook-timestamp", "")
    if not webhook_id or "." in webhook_id or not webhook_id.isascii():
        raise WebhookInvalid("webhook-id is missing or malformed")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WebhookInvalid("webhook-timestamp is missing or malformed")
    clock_s = time.time() if now_s is None else now_s  # noqa: TID251  # this runs at the receiver's, on its own clock
    age_s = clock_s - int(timestamp)
    if abs(age_s) > tolerance_s:
        raise WebhookInvalid("webhook-timestamp is too old or in the future: check this machine's clock")
    content = f"{webhook_id}.{timestamp}.".encode("ascii") + body
    offered = _parse_signatures(found.get("webhook-signature", ""))
    symmetric = any(_hmac_matches(secret, content, offered.get("v1", ())) for secret in secrets)
    if not symmetric and not any(
        _ed25519_matches(key, content, offered.get("v1a", ())) for key in public_keys
    ):
        raise WebhookInvalid("no signature of this request was made with a key we know")
    return Verified(webhook_id, int(timestamp), _parse_sequence(found.get("chainbell-prev-sequence")))


def public_keys_at(document: bytes, timestamp_s: int, *, endpoint_id: str | None = None) -> list[str]:
    """The public keys of a list (`/.well-known/chainbell/…/keys.json`) that may have signed at this Unix time.

    `timestamp_s` is the request's `webhook-timestamp`, which `verify` holds against the clock. Only the keys of one
    endpoint (`end_…`) where that is given. WebhookInvalid where the document is no such list.
    """
    try:
        return [
            str(key["public_key"])
            for key in json.loads(document)["keys"]
            if key["algorithm"] == "ed25519"
            and endpoint_id in (None, key["endpoint_id"])
            and int(_unix_time_s(key["valid_from"])) <= timestamp_s
            and (key["valid_until"] is None or timestamp_s < _unix_time_s(key["valid_until"]))
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise WebhookInvalid("this is not a list of public keys") from None


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `object_id` and `version` are None where it tells of nothing that has versions (`chain.*`, a test).

    `sequence` and `prev_hash` are None for a test. `data` is as in the body.
    """

    id: str
    type: str
    sequence: int | None
    prev_hash: str | None
    log_epoch: int
    object_id: str | None
    version: int | None
    data: Mapping[str, Any]

    @property
    def place(self) -> tuple[int, int] | None:
        """(log epoch, version): of two events of one object, the greater one is newer."""
        return None if self.version is None else (self.log_epoch, self.version)


def read_event(body: bytes) -> Event:
    """A verified body as an event; WebhookInvalid where it is none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise WebhookInvalid("the body is not an event") from None
    return _event_of(parsed)


class Verdict(StrEnum):
    """What to do with an event."""

    APPLY = "apply"
    REPEAT = "repeat"  # the same event once more
    STALE = "stale"  # a newer version is applied already


def judge(event: Event, *, seen: bool, held: tuple[int, int] | None) -> Verdict:
    """Whether an event says anything new: `seen` is whether its id is stored, `held` the place its object stands at.

    Read both, and write what follows from them, in one transaction; answer 2xx in every case.
    """
    if seen:
        return Verdict.REPEAT
    if event.place is not None and held is not None and event.place <= held:
        return Verdict.STALE
    return Verdict.APPLY


def challenge_of(body: bytes) -> str | None:
    """What to answer with (status 200, this text as the whole body) if a verified request asks who we are; else None.

    Call it after `verify`: answering proves that whoever holds the key wants these webhooks.
    """
    try:
        event = json.loads(body)
        challenge = event["data"]["challenge"] if event["type"] == "endpoint.challenge" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return challenge if isinstance(challenge, str) else None


@dataclass(slots=True)
class GapTracker:
    """Finds what is missing from `chainbell-prev-sequence`; a gap is a reason to fetch, never to reject.

    Nothing is missing up to `complete_to`: keep it with `log_epoch`, and start with both again. `start` is the sequence
    your endpoint began behind. Requests may come in any order and more than once. After a restored backup a log counts
    on from what the backup held, in a new epoch; then everything behind `start` counts as missing until it is fetched.
    """

    complete_to: int
    log_epoch: int = 1
    start: int = 0
    _ahead: dict[int, int] = field(default_factory=dict)

    def saw(self, sequence: int, prev_sequence: int | None, log_epoch: int = 1) -> None:
        """Note one verified event: `sequence` and `log_epoch` of its body, and the header that came with it, if any."""
        if log_epoch > self.log_epoch:
            self.log_epoch, self.complete_to = log_epoch, min(self.complete_to, self.start)
            self._ahead.clear()
        if log_epoch < self.log_epoch or sequence <= self.complete_to:
            return
        before = sequence - 1 if prev_sequence is None else min(prev_sequence, sequence - 1)
        if before <= self.complete_to or len(self._ahead) < AHEAD_MAX:
            self._ahead[sequence] = before
            self._close()

    def repaired(self, up_to: int) -> None:
        """Note that everything up to this sequence is there now."""
        self.complete_to = max(self.complete_to, up_to)
        self._close()

    @property
    def gap(self) -> tuple[int, int] | None:
        """(after, up to): `GET /v1/events?after_sequence=after` has what is missing; None when nothing is."""
        if not self._ahead:
            return None
        return self.complete_to, self._ahead[min(self._ahead)]

    def _close(self) -> None:
        for known in sorted(self._ahead):
            if self._ahead[known] > self.complete_to:
                break
            self.complete_to = max(self.complete_to, known)
            del self._ahead[known]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Followed, a redirect would carry the API key to another server."""

    def redirect_request(self, *_refused: object) -> None:
        return None


FetchPage = Callable[[int], Mapping[str, Any]]
"""Asks `GET /v1/events` for what follows a sequence; gives the parsed answer."""


def repair(tracker: GapTracker, fetch_page: FetchPage, apply: Callable[[Event], None]) -> int:
    """Close the tracker's first gap by pulling it; returns how many events were handed to `apply`, ascending.

    `apply` must stand repeats, as it does for webhooks. The tracker advances page by page, so an exception on the way loses
    nothing. GapRemains where the log does not reach so far (yet), or answers what can not be.
    """
    applied, gap = 0, tracker.gap
    if gap is None:
        return 0
    after, up_to = gap
    while after < up_to:
        page = fetch_page(after)
        events = [_event_of(item) for item in page["items"]]
        last = after
        for event in events:
            if event.sequence is None or event.sequence <= last:
                raise GapRemains("the log does not answer in ascending order")
            last = event.sequence
            if last <= up_to:
                apply(event)
                applied += 1
        if not events and page["head_sequence"] < up_to:
            raise GapRemains(f"the log ends at {page['head_sequence']}, before {up_to}")
        after = last if events else up_to
        tracker.repaired(min(after, up_to))
    return applied


def pull_pages(base_url: str, api_key: str, *, types: Iterable[str] = ()) -> FetchPage:
    """A FetchPage by HTTP; give it the `types` of your endpoint's filter. Raises OSError, with 410 for what is not kept."""
    if not base_url.startswith(("https://", "http://")):
        raise ValueError("the address of chainbell begins with https://")
    wanted = {"types": ",".join(types)} if (types := tuple(types)) else {}

    opener = urllib.request.build_opener(_NoRedirect)

    def fetch_page(after_sequence: int) -> Mapping[str, Any]:
        query = {"after_sequence": after_sequence, "limit": PAGE_EVENTS_MAX, **wanted}
        url = f"{base_url.rstrip('/')}/v1/events?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {api_key}"})  # noqa: S310  # judged above
        with opener.open(request, timeout=PULL_TIMEOUT_S) as answer:
            found: Mapping[str, Any] = json.loads(answer.read(PAGE_BYTES_MAX))
        return found

    return fetch_page


def verify_chain(bodies: Iterable[tuple[bytes, str]], previous_body: bytes | None = None) -> None:
    """Check that consecutive bodies of one log, with the `prev_hash` each states, follow one another.

    The first is held against `previous_body` where that is known. Raises WebhookInvalid where the chain breaks.
    """
    expected = None if previous_body is None else hashlib.sha256(previous_body).hexdigest()
    for position, (body, prev_hash) in enumerate(bodies):
        if expected is not None and not hmac.compare_digest(expected, prev_hash):
            raise WebhookInvalid(f"body {position} does not follow the one before it")
        expected = hashlib.sha256(body).hexdigest()


def _parse_signatures(header: str) -> dict[str, list[bytes]]:
    offered: dict[str, list[bytes]] = {}
    for part in header.split(" ", SIGNATURES_MAX)[:SIGNATURES_MAX]:
        version, comma, text = part.partition(",")
        if not comma:
            continue
        try:
            offered.setdefault(version, []).append(_decode_base64(text))
        except (binascii.Error, ValueError):
            continue
    if not offered:
        raise WebhookInvalid("webhook-signature is missing or malformed")
    return offered


def _event_of(parsed: Any) -> Event:
    try:
        event_id, event_type, data = parsed["id"], parsed["type"], parsed["data"]
        sequence, prev_hash, log_epoch = parsed["sequence"], parsed["prev_hash"], parsed["log_epoch"]
        subjects = [one for one in data.values() if isinstance(one, dict) and {"id", "version"} <= one.keys()]
    except (TypeError, KeyError, AttributeError):
        raise WebhookInvalid("the body is not an event") from None
    object_id, version = (subjects[0]["id"], subjects[0]["version"]) if subjects else (None, None)
    texts = [event_id, event_type, "" if prev_hash is None else prev_hash, object_id if subjects else ""]
    whole = [log_epoch, 0 if sequence is None else sequence, version if subjects else 0]
    if not all(isinstance(one, str) for one in texts) or not all(type(one) is int for one in whole):
        raise WebhookInvalid("the body is not an event")
    return Event(event_id, event_type, sequence, prev_hash, log_epoch, object_id, version, data)


def _unix_time_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _decode_base64(text: str) -> bytes:
    """RFC 4648 section 4; binascii.Error or another ValueError for anything else, which Python alone would let pass."""
    if len(text) % 4:
        raise binascii.Error("its length is no multiple of four")
    return binascii.a2b_base64(text, strict_mode=True)


def _parse_sequence(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    return int(text)


def _key_bytes(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise WebhookInvalid(f"the configured key does not start with {prefix}")
    try:
        return _decode_base64(text[len(prefix) :])
    except (binascii.Error, ValueError):
        raise WebhookInvalid(f"what follows {prefix} in the configured key is not base64") from None


def _hmac_matches(secret: str, content: bytes, offered: Iterable[bytes]) -> bool:
    expected = hmac.digest(_key_bytes(secret, "whsec_"), content, "sha256")
    return any(hmac.compare_digest(expected, signature) for signature in offered)


def _ed25519_matches(public_key: str, content: bytes, offered: Iterable[bytes]) -> bool:
    raw = _key_bytes(public_key, "whpk_")
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # optional for a receiver with secrets only
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        raise WebhookInvalid("verifying v1a needs the package cryptography") from None
    try:
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise WebhookInvalid("the configured public key is not an Ed25519 key") from None
    for signature in offered:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return True
    return False
