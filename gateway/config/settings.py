"""What one configuration says, as frozen values (CONTRACT 4).

Lives here, pure: the settings of the whole program and `Secret`, a text that no log, traceback or repr shows. Does not
live here: reading the file (`file`), finding or making the secrets that were left out (`keyfiles`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from chains.rpc.node_endpoint import NodeEndpoint
from indexer.settings import FollowSettings
from relay.settings import RelaySettings


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text to be kept: shown only by `reveal`."""

    _value: str

    def reveal(self) -> str:
        """The text itself; do not log it."""
        return self._value

    def __bool__(self) -> bool:
        return self._value != ""

    def __repr__(self) -> str:
        return "Secret(…)" if self._value else "Secret()"


NO_SECRET = Secret("")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Role(StrEnum):
    """What a process does; one may do several."""

    FOLLOW = "follow"
    RELAY = "relay"
    GATEWAY = "gateway"


class ReadyWhen(StrEnum):
    """What `/readyz` waits for besides a database that takes writes."""

    EVERY_CHAIN = "every_chain"
    ANY_CHAIN = "any_chain"
    DATABASE = "database"


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Bind:
    """Where a server listens; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{shown}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`public_url` is how the outside calls this server, without a slash at its end. `trusted_proxies` are believed when
    they say whose request they pass on.
    """

    bind: Bind = Bind("127.0.0.1", 8480)
    public_url: str = "http://127.0.0.1:8480"
    health_bind: Bind | None = None
    trusted_proxies: tuple[Network, ...] = ()
    ready_when: ReadyWhen = ReadyWhen.EVERY_CHAIN


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """As configured; empty ones are generated. The first key encrypts, every key decrypts."""

    admin_token: Secret = NO_SECRET
    encryption_keys: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Where the operator is told; both may be set, or neither."""

    webhook_url: Secret = NO_SECRET
    command: str = ""


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """One followed chain: how, and whom to ask."""

    follow: FollowSettings
    endpoints: tuple[NodeEndpoint, ...]

    @property
    def alias(self) -> str:
        """Its short name in this configuration."""
        return self.follow.traits.alias


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration. `source` is the file it came from; None when the defaults hold."""

    data_dir: Path = Path("./chainbell-data")
    database_url: Secret = NO_SECRET
    redis_url: Secret = NO_SECRET
    http: HttpSettings = HttpSettings()
    secrets: SecretSettings = SecretSettings()
    relay: RelaySettings = field(default_factory=RelaySettings)
    alerts: AlertSettings = AlertSettings()
    chains: dict[str, ChainSettings] = field(default_factory=dict)
    source: Path | None = None
