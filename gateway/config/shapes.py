"""Every key of the configuration, once: its type, its bounds, and what holds where the file is silent.

Lives here, pure: a shape for each table, and how a text becomes the value a key wants. A key without a default has to be
given; the default None is the catalogue's, or follows from other keys. Does not live here: reading a file by these shapes
(`table`), what keys mean together (`file`, `chains`).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field
from yarl import URL

from chains.families import rules_of
from chains.traits import Family
from gateway.config.settings import Bind, Network, ReadyWhen, Secret
from gateway.config.table import Empty, Parsed, Table, fields_of
from relay.out.tunnel import parse_proxy_url
from relay.proof.notes import COSIGNATURE
from relay.proof.witnessing import parse_verifier_key
from relay.settings import RETRY_SCHEDULE_S

AMOUNT_MAX = 2**256 - 1
ENCRYPTION_KEY_BYTES = 32
NEVER = Decimal("Infinity")


def parse_bind(text: str) -> Bind:
    """A host and a port; ValueError says what is wanted."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError('a host and a port are wanted, as in "127.0.0.1:8480" or "[::1]:8480"')
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError('an IPv6 address stands in brackets, as in "[::1]:8480"') from None
    return Bind(host, int(port))


def decode_encryption_key(text: str) -> bytes | None:
    """The key's bytes; None for what is not base64 of as many bytes as it takes. Both alphabets are read."""
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == ENCRYPTION_KEY_BYTES else None


def _parse_folder(text: str) -> Path | None:
    with suppress(RuntimeError):  # where nobody is called as "~name" says
        return Path(text).expanduser() if text and "\0" not in text else None
    return None


def _parse_coins(value: Any) -> Decimal | None:
    """Whole coins and not base units, because one line may speak of tokens whose decimals differ."""
    is_number = isinstance(value, str) and re.fullmatch(r"[0-9]{1,60}(\.[0-9]{1,77})?", value)
    return NEVER if value == "never" else Decimal(value) if is_number else None


def _parse_holds(value: Any) -> Holds | None:
    """Both limits in a word. One number for a coin worth thousands and a token worth one would be wrong for one of them."""
    coins = _parse_coins(value) if value in ("0", "never") else None
    return None if coins is None else Holds(native=coins, tokens=coins)


def _urls(*schemes: str) -> Parsed:
    *others, last = [f"{scheme}://" for scheme in schemes]
    return Parsed(
        lambda text: text if URL(text).scheme in schemes and URL(text).host else None,
        f"a URL that starts with {', '.join(others)} or {last} is wanted",
    )


def _amounts(least: int) -> Parsed:
    def parse(value: Any) -> int | None:
        number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,78}", value) else value
        return number if type(number) is int and least <= number <= AMOUNT_MAX else None

    said = f'an amount in base units is wanted, as digits in quotes ("1000000"), at least {least}'
    return Parsed(parse, said, taken=Any)


def _whole(least: int, most: int) -> Meta:
    return Meta(ge=least, le=most, description=f"a number from {least} to {most} is wanted")


def _number(*, above: float = 0, most: float) -> Meta:
    return Meta(gt=above, le=most, description=f"a number above {above:g} and up to {most:g} is wanted")


def _texts(pattern: str, said: str) -> Meta:
    return Meta(pattern=pattern, description=said)


def _up_to_64(said: str) -> Meta:
    return Meta(min_length=1, max_length=64, description=f"1 to 64 {said}")


Address = Annotated[Bind, Parsed(parse_bind)]
Folder = Annotated[Path, Parsed(_parse_folder, "a folder is wanted")]
WebUrl = Annotated[str, _urls("http", "https")]
NodeUrl = Annotated[
    str, _urls("http", "https", *(scheme for family in Family for scheme in rules_of(family).hint_schemes))
]
PostgresUrl = Annotated[str, _texts("^postgres(ql)?://", "a URL that starts with postgresql:// is wanted")]
RedisUrl = Annotated[str, _texts("^(rediss?|unix)://", "a URL that starts with redis:// is wanted")]
WitnessUrl = Annotated[str, _texts("^https?://", "a URL is wanted, to which /add-checkpoint is added")]
ProxyUrl = Annotated[str, Parsed(lambda text: parse_proxy_url(text) and text)]
VerifierKey = Annotated[str, Parsed(lambda text: parse_verifier_key(text, COSIGNATURE) and text)]
Proxy = Annotated[
    Network,
    Parsed(ipaddress.ip_network, 'a network is wanted, as in "10.0.0.0/8", "127.0.0.1" or "fd00::/8"'),
]
AdminToken = Annotated[str, _texts(r"\A[!-~]+\Z", "printable ASCII without spaces is wanted")]
EncryptionKey = Annotated[
    Secret,
    Parsed(
        lambda text: Secret(text) if decode_encryption_key(text) else None,
        f"base64 of {ENCRYPTION_KEY_BYTES} bytes is wanted: openssl rand -base64 32 makes one",
    ),
]
Ports = Annotated[
    tuple[Annotated[int, _whole(1, 65_535)], ...],
    _up_to_64("ports are wanted, each a number from 1 to 65535"),
]
Waits = Annotated[
    tuple[Annotated[int, _whole(1, 30 * 86_400)], ...],
    _up_to_64(f"whole numbers of seconds are wanted, each up to {30 * 86_400}"),
]
Days = Annotated[int, _whole(0, 36_500)]

Alias = Annotated[
    str,
    _texts(
        r"\A[a-z][a-z0-9_-]{0,31}\Z",
        "an alias is lower-case letters, digits, - and _, and starts with a letter",
    ),
]
HeaderName = Annotated[str, _texts(r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z", "not a header that HTTP can carry")]
HeaderValue = Annotated[str, _texts(r"\A[^\x00-\x1f\x7f]*\Z", "not a header that HTTP can carry")]
Reference = Annotated[
    int | str,
    Parsed(
        lambda value: value if type(value) in {int, str} else None,
        "which chain of its family is wanted, as a number or a name",
        taken=Any,
    ),
]
Symbol = Annotated[
    str,
    Parsed(
        lambda text: text if len(text) <= 32 and text.isprintable() else None,
        "at most 32 printable characters are wanted",
    ),
]
Amount = Annotated[int, _amounts(least=0)]
LeastAmount = Annotated[int, _amounts(least=1)]
Decimals = Annotated[int, _whole(0, 77)]
Coins = Annotated[
    Decimal,
    Parsed(_parse_coins, 'an amount in whole coins is wanted, in quotes ("1000" or "0.5"), or "never"', Any),
]
HoldAll = Parsed(_parse_holds, 'either "0", "never" or { native = "1", tokens = "1000" } is wanted', Any)
Confirmations = Annotated[int, _whole(1, 1_000_000)]
Count = Annotated[int, _whole(0, 2**53)]
Height = Annotated[int, Meta(ge=0, lt=2**62)]


class Database(Table, frozen=True):
    url: PostgresUrl | Empty = ""


class Redis(Table, frozen=True):
    url: RedisUrl | Empty = ""


class Http(Table, frozen=True):
    bind: Address | Empty = Bind("127.0.0.1", 8480)
    public_url: WebUrl | None = None
    health_bind: Address | Empty = ""
    trusted_proxies: tuple[Proxy, ...] = ()
    ready_when: ReadyWhen = ReadyWhen.EVERY_CHAIN


class Secrets(Table, frozen=True):
    admin_token: AdminToken | Empty = ""
    encryption_key: EncryptionKey | Empty | tuple[EncryptionKey | Empty, ...] = ""


class Witness(Table, frozen=True):
    url: WitnessUrl
    verifier_key: VerifierKey


class Relay(Table, frozen=True):
    allow_private_networks: bool = False
    allowed_ports: Ports = (443,)
    retry_schedule_s: Waits = RETRY_SCHEDULE_S
    verify_endpoints: bool = True
    witnesses: tuple[Witness, ...] = ()
    proxy_url: ProxyUrl | Empty = ""
    host_in_flight_max: Annotated[int, _whole(1, 1_000)] = 100
    attempt_timeout_s: Annotated[float, _number(most=60)] = 15.0
    retention_days: Days = 0
    retention_max_days: Days = 0


class Alerts(Table, frozen=True):
    webhook_url: WebUrl | Empty = ""
    command: str = ""


class Native(Table, frozen=True):
    symbol: Symbol | None = None
    decimals: Decimals | None = None
    slip44: Annotated[int, _whole(0, 2**31)] | None = None
    min_base_units: LeastAmount | None = None
    hold_unverified_above: Coins | None = None


class Token(Table, frozen=True):
    symbol: Symbol
    contract: str
    decimals: Decimals
    min_base_units: LeastAmount = 1
    trust_decimals: bool = False
    hold_unverified_above: Coins | None = None


class Holds(Table, frozen=True):
    native: Coins | None = None
    tokens: Coins | None = None


class Identity(Table, frozen=True):
    height: Count
    hash: str


class Final(Table, frozen=True):
    confirmations: Confirmations | None = None
    tag: Literal["finalized"] | None = None


class Rule(Table, frozen=True):
    confirmations: Confirmations | None = None
    finality: Literal["safe", "final"] | None = None
    up_to_base_units: Amount | None = None
    asset: str = ""


class Node(Table, frozen=True):
    url: NodeUrl
    operator: str = ""
    requests_per_s: Annotated[float, _number(most=1e6)] | None = None
    headers: dict[HeaderName, HeaderValue] = field(default_factory=dict)
    cookie_file: Folder | None = None


class Chain(Table, frozen=True):
    """Keys of every family; `leaves` are those that one family has, `chain_id` is spelt as its family spells it."""

    leaves: ClassVar[frozenset[str]] = frozenset(
        name for family in Family for name in fields_of(rules_of(family).facts.keys)
    )

    endpoints: tuple[NodeUrl | Node, ...] = ()
    start: Annotated[Height | Literal["head"], Meta(description='"head" or a height is wanted')] = "head"
    confirmed: Rule | tuple[Rule, ...] | None = None
    family: Family | None = None
    chain_id: Reference | None = None
    identity: Identity | None = None
    native: Native | None = None
    block_time_s: Annotated[float, _number(most=86_400)] | None = None
    poll_interval_s: Annotated[float, _number(above=0.01, most=3_600)] | None = None
    final: Final | None = None
    hold_unverified_above: Annotated[Holds, HoldAll] | Holds | None = None
    stalled_after_s: Annotated[float, _number(most=1e6)] | None = None
    ready_lag_blocks: Count | None = None
    assets: tuple[Token, ...] | None = None


class File(Table, frozen=True, kw_only=True):
    data_dir: Folder = Path("./chainbell-data")
    health_bind: Address | Empty = ""  # as in [http]: below it after a blank line, some read it as a top key
    database: Database
    redis: Redis
    http: Http
    secrets: Secrets
    relay: Relay
    alerts: Alerts
    chains: dict[Alias, Chain] = field(default_factory=dict)
