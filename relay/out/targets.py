"""Where and how one endpoint is sent to: its URL, its opened secrets, and the headers of each attempt.

Lives here: opening what is sealed, once per change of an endpoint, and composing headers (Standard Webhooks 1.0 and our
`chainbell-*`). Which custom headers a merchant may set is checked here, too, because here they meet ours. Does not live
here: signing (`signing`), the connection (`egress`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migrations.ids import encode_id
from relay.errors import Flaw, SecretUnreadable
from relay.keys import signing
from relay.keys.secretbox import Column, Place, SecretBox
from relay.lanes.hosts import ANY_HOST
from relay.model import Covers, delivery_id_of
from relay.out.addresses import host_of, names_this_machine
from relay.workers.storage import EndpointRecord

USER_AGENT = "chainbell-webhooks/1"
HEADERS_MAX = 16
HEADER_VALUE_LENGTH_MAX = 1_024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_RESERVED = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie",
        "date", "expect", "forwarded", "host", "http2-settings", "keep-alive", "origin", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    }
)  # fmt: skip
_RESERVED_PREFIXES = ("webhook-", "chainbell-", "sec-", "x-forwarded-")


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint, ready to be sent to."""

    endpoint_id: UUID
    url: str
    headers: Mapping[str, str]
    secrets: tuple[tuple[bytes, datetime | None], ...]
    signing_keys: tuple[tuple[Ed25519PrivateKey, datetime | None], ...]
    host: str = ANY_HOST  # as attempts to it are counted

    def headers_for(
        self,
        event_id: UUID,
        body: bytes,
        *,
        prev_sequence: int | None,
        covers: Covers | None = None,
        now: datetime,
    ) -> dict[str, str]:
        """All headers of an attempt made at `now`; a test has no `prev_sequence`."""
        webhook_id = encode_id("evt", event_id)
        timestamp_s = int(now.timestamp())
        secrets = [secret for secret, until in self.secrets if until is None or now < until]
        keys = [key for key, until in self.signing_keys if until is None or now < until]
        headers = {
            **self.headers,
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signing.sign(
                webhook_id, timestamp_s, body, secrets=secrets, signing_keys=keys
            ),
            "chainbell-delivery": encode_id("dlv", delivery_id_of(self.endpoint_id, event_id)),
        }
        covered = "" if covers is None else f"{covers.first_sequence}-{covers.last_sequence}"
        if covered:
            headers["chainbell-covers"] = covered
        if prev_sequence is not None:
            headers["chainbell-prev-sequence"] = str(prev_sequence)
            headers["chainbell-signature"] = signing.sign_headers(
                webhook_id, timestamp_s, prev_sequence=prev_sequence, covers=covered, secrets=secrets
            )
        return headers


def open_target(record: EndpointRecord, box: SecretBox) -> Target:
    """Open what an endpoint keeps sealed; SecretUnreadable if that cannot be done."""
    owner = record.endpoint_id
    return Target(
        endpoint_id=owner,
        url=record.url,
        host=ANY_HOST if names_this_machine(host := host_of(record.url)) else host,
        headers=open_headers(record.headers_sealed, box, owner),
        secrets=tuple(
            (box.open(one.sealed, Place(Column.ENDPOINT_SECRET, owner, one.row)), one.expires_at)
            for one in record.secrets
        ),
        signing_keys=tuple(
            (_open_key(box.open(one.sealed, Place(Column.ENDPOINT_SEED, owner, one.row))), one.expires_at)
            for one in record.signing_keys
        ),
    )


def _open_key(seed: bytes) -> Ed25519PrivateKey:
    if len(seed) != signing.SEED_BYTES:
        raise SecretUnreadable("a stored signing key has an unknown form")
    return signing.signing_key_from_seed(seed)


def seal_headers(headers: Mapping[str, str] | None, box: SecretBox, endpoint_id: UUID) -> bytes | None:
    """Custom headers as they are kept; None where there are none."""
    place = Place(Column.ENDPOINT_HEADERS, endpoint_id)
    return box.seal(msgspec.json.encode(dict(headers)), place) if headers else None


def open_headers(sealed: bytes | None, box: SecretBox, endpoint_id: UUID) -> dict[str, str]:
    """What `seal_headers` kept; SecretUnreadable."""
    if sealed is None:
        return {}
    place = Place(Column.ENDPOINT_HEADERS, endpoint_id)
    return msgspec.json.decode(box.open(sealed, place), type=dict[str, str])


def is_ours(name: str) -> bool:
    """Whether a header of a request is set by us or by HTTP, and so can not be a merchant's own."""
    return name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES)


def find_header_flaws(headers: Mapping[str, str]) -> list[Flaw]:
    """What is wrong with the custom headers a merchant asks for; each flaw points into `/headers`."""
    flaws: list[Flaw] = []
    if len(headers) > HEADERS_MAX:
        flaws.append(Flaw("/headers", f"an endpoint has at most {HEADERS_MAX} headers of its own"))
    if len({name.lower() for name in headers}) != len(headers):
        flaws.append(Flaw("/headers", "a header is named twice"))
    for name, value in headers.items():
        pointer = "/headers/" + name.replace("~", "~0").replace("/", "~1")
        if not _TOKEN.fullmatch(name):
            flaws.append(Flaw(pointer, "this is not a header name"))
        elif is_ours(name):
            flaws.append(Flaw(pointer, "this header is ours to set"))
        if len(value) > HEADER_VALUE_LENGTH_MAX:
            flaws.append(Flaw(pointer, f"a value has at most {HEADER_VALUE_LENGTH_MAX} characters"))
        elif not _VALUE.fullmatch(value):
            flaws.append(Flaw(pointer, "a value is visible ASCII, with blanks only inside"))
    return flaws
