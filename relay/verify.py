"""What a receiver runs: is this request from chainbell, is it fresh, does it say anything new, is anything missing?

With `strict` it stands alone: the standard library, and `cryptography` only where a public key is given. Copy both, or import
them. `kit/verify.mjs` is the same for Node; both pass `kit/vectors.json`. Lives here: `verify`, `read_event`, `challenge_of`,
`judge`, `GapTracker` and `repair`. Does not live here: making signatures (`signing`), a receiver's own storage
(docs/webhooks.md).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from relay import strict

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
    """What a signature vouches for. `prev_sequence` is None for a test, and where no signature covers it."""

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

    `body` is the bytes as received, before any parsing. Header names match in any case; one of ours that is there twice
    is refused. The timestamp may be `tolerance_s` off `now_s` (Unix time; by default the clock) in either direction.
    """
    found = _read_headers(headers)
    webhook_id = found.get("webhook-id", "")
    timestamp = found.get("webhook-timestamp", "")
    if not _ID.fullmatch(webhook_id):
        raise WebhookInvalid("webhook-id is missing or malformed")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WebhookInvalid("webhook-timestamp is missing or malformed")
    clock_s = time.time() if now_s is None else now_s  # noqa: TID251  # this runs at the receiver's, on its own clock
    age_s = clock_s - int(timestamp)
    if abs(age_s) > tolerance_s:
        raise WebhookInvalid("webhook-timestamp is too old or in the future: check this machine's clock")
    known = tuple(secrets), tuple(public_keys)
    content = f"{webhook_id}.{timestamp}.".encode("ascii") + body
    if not _is_signed(content, found.get("webhook-signature", ""), *known):
        raise WebhookInvalid("no signature of this request was made with a key we know")
    prev, covers = found.get("chainbell-prev-sequence", ""), found.get("chainbell-covers", "")
    beside = f"chainbell-headers-1\n{webhook_id}\n{timestamp}\n{prev}\n{covers}\n".encode("ascii", "replace")
    is_vouched = "chainbell-signature" in found and _is_signed(beside, found["chainbell-signature"], *known)
    return Verified(webhook_id, int(timestamp), _parse_sequence(prev) if is_vouched else None)


def public_keys_at(document: bytes, timestamp_s: int, *, endpoint_id: str | None = None) -> list[str]:
    """The public keys of a list (`/.well-known/chainbell/…/keys.json`) that may have signed at this Unix time.

    `timestamp_s` is the request's `webhook-timestamp`, which `verify` holds against the clock. Only the keys of one
    endpoint (`end_…`) where that is given. WebhookInvalid where the document is no such list.
    """
    found = []
    try:
        keys = strict.parse_json(document)["keys"]
        if type(keys) is not list:
            keys = ["no list"]  # whose members have no names
        for key in keys:
            public_key, until, endpoint = key["public_key"], key["valid_until"], key["endpoint_id"]
            if key["algorithm"] != "ed25519" or endpoint_id not in (None, endpoint):
                continue
            begun = _unix_time_s(key["valid_from"])[0] <= timestamp_s
            if begun and (until is None or (timestamp_s, False) < _unix_time_s(until)):
                _decode_key(public_key, "whpk_")
                found.append(public_key)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WebhookInvalid("this is not a list of public keys") from None
    return found


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Its object is the member of `data` that the type names: of `deposit.final` the `deposit`.

    `object_id` and `version` are None where that has no versions (`chain.*`, a test). `sequence` and `prev_hash` are None for
    a test. `body_hash` is the SHA-256 of the body in hex; None for an event of a page, whose bytes nobody kept.
    """

    id: str
    type: str
    sequence: int | None
    prev_hash: str | None
    log_epoch: int
    object_id: str | None
    version: int | None
    data: Mapping[str, Any]
    body_hash: str | None = None

    @property
    def place(self) -> tuple[int, int] | None:
        """(log epoch, version): of two events of one object, the greater one is newer."""
        return None if self.version is None else (self.log_epoch, self.version)


def read_event(body: bytes) -> Event:
    """A verified body as an event; WebhookInvalid where it is none."""
    try:
        parsed = strict.parse_json(body)
    except ValueError:
        raise WebhookInvalid("the body is not an event") from None
    return replace(_event_of(parsed), body_hash=hashlib.sha256(body).hexdigest())


class Verdict(StrEnum):
    """What to do with an event."""

    APPLY = "apply"
    REPEAT = "repeat"  # the same event once more
    STALE = "stale"  # a newer version is applied already
    CONTRADICTS = "contradicts"  # the same id with another body: keep both, each signed, and apply neither


def judge(event: Event, *, seen: bool | str | None, held: tuple[int, int] | None) -> Verdict:
    """Whether an event says anything new: `seen` is the `body_hash` stored with its id (True where only the id was kept),
    `held` the place its object stands at.

    Read both, and write what follows from them, in one transaction; answer 2xx, but for what contradicts.
    """
    if seen:
        is_same = seen is True or event.body_hash in (None, seen)
        return Verdict.REPEAT if is_same else Verdict.CONTRADICTS
    if event.place is not None and held is not None and event.place <= held:
        return Verdict.STALE
    return Verdict.APPLY


def challenge_of(body: bytes) -> str | None:
    """What to answer with (status 200, this text as the whole body) if a verified request asks who we are; else None.

    Call it after `verify`: answering proves that whoever holds the key wants these webhooks.
    """
    try:
        event = strict.parse_json(body)
        challenge = event["data"]["challenge"] if event["type"] == "endpoint.challenge" else None
    except (ValueError, KeyError, TypeError):
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
        if expected is not None and expected != prev_hash:
            raise WebhookInvalid(f"body {position} does not follow the one before it")
        expected = hashlib.sha256(body).hexdigest()


def _read_headers(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        if (lower := name.lower()) in _HEADERS and isinstance(value, str):
            if lower in found:
                raise WebhookInvalid(f"{lower} is there twice")
            found[lower] = value
    return found


def _is_signed(content: bytes, header: str, secrets: Iterable[str], public_keys: Iterable[str]) -> bool:
    offered = _parse_signatures(header)
    return any(_hmac_matches(secret, content, offered.get("v1", ())) for secret in secrets) or any(
        _ed25519_matches(key, content, offered.get("v1a", ())) for key in public_keys
    )


def _parse_signatures(header: str) -> dict[str, list[bytes]]:
    offered: dict[str, list[bytes]] = {}
    for part in header.split(" ", SIGNATURES_MAX)[:SIGNATURES_MAX]:
        version, comma, text = part.partition(",")
        if "," in text:
            raise WebhookInvalid("a list of signatures is there twice")
        if not comma:
            continue
        try:
            signature = strict.decode_base64(text)
        except ValueError:
            continue
        offered.setdefault(version, []).append(signature)
    if not offered:
        raise WebhookInvalid("webhook-signature is missing or malformed")
    return offered


def _event_of(parsed: Any) -> Event:
    try:
        event_id, event_type, data = parsed["id"], parsed["type"], parsed["data"]
        sequence, prev_hash, log_epoch = parsed["sequence"], parsed["prev_hash"], parsed["log_epoch"]
        subject = data.get(event_type.partition(".")[0])
    except (TypeError, KeyError, AttributeError):
        raise WebhookInvalid("the body is not an event") from None
    has_versions = isinstance(subject, dict) and {"id", "version"} <= subject.keys()
    object_id, version = (subject["id"], subject["version"]) if has_versions else (None, None)
    texts = [event_id, event_type, "" if prev_hash is None else prev_hash, object_id if has_versions else ""]
    if not all(isinstance(one, str) for one in texts) or (has_versions and version is None):
        raise WebhookInvalid("the body is not an event")
    try:
        numbers = [None if one is None else strict.parse_whole(one) for one in (sequence, version)]
        epoch = strict.parse_whole(log_epoch)
    except ValueError:
        raise WebhookInvalid("the body is not an event") from None
    return Event(event_id, event_type, numbers[0], prev_hash, epoch, object_id, numbers[1], data)


_ID = re.compile(r"[!-+/-~-]+")  # what is printed, without dot and comma
_HEADERS = frozenset(
    {
        "webhook-id", "webhook-timestamp", "webhook-signature",
        "chainbell-prev-sequence", "chainbell-covers", "chainbell-signature",
    }
)  # fmt: skip
_TIME = re.compile(r"([12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)


def _unix_time_s(text: object) -> tuple[int, bool]:
    """Whole seconds, and whether there is a fraction beyond them."""
    if not isinstance(text, str) or not (found := _TIME.fullmatch(text)):
        raise ValueError("not a time")
    return int(datetime.fromisoformat(found[1] + "+00:00").timestamp()), bool((found[2] or "").strip("0"))


def _parse_sequence(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= strict.WHOLE_MAX):
        return None
    return int(text)


def _decode_key(text: str, prefix: str) -> bytes:
    try:
        return strict.decode_key(text, prefix)
    except ValueError as error:
        raise WebhookInvalid(str(error)) from None


def _hmac_matches(secret: str, content: bytes, offered: Iterable[bytes]) -> bool:
    expected = hmac.digest(_decode_key(secret, "whsec_"), content, "sha256")
    return any(hmac.compare_digest(expected, signature) for signature in offered)


def _ed25519_matches(public_key: str, content: bytes, offered: Iterable[bytes]) -> bool:
    raw = _decode_key(public_key, "whpk_")
    try:
        return strict.is_signed(raw, content, offered)
    except ImportError:
        raise WebhookInvalid("verifying v1a needs the package cryptography") from None
