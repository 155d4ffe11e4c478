"""One TOML file to frozen settings; every error names its key, and one run shows them all.

Lives here: where the file is looked for, and every table but the chains. Does not live here: `[chains.*]`
(`chains`), reading single values (`table`), generating the secrets that were left out (`keyfiles`).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yarl import URL

from chains import catalog
from gateway.config.chains import Known, read_chain
from gateway.config.settings import (
    AlertSettings,
    Bind,
    ChainSettings,
    HttpSettings,
    Network,
    ReadyWhen,
    Secret,
    SecretSettings,
    Settings,
)
from gateway.config.table import MISSING, ConfigInvalid, Flaws, Table, describe
from relay.log.retention import WARNED_BEFORE
from relay.out.tunnel import parse_proxy_url
from relay.proof.notes import COSIGNATURE
from relay.proof.witnessing import parse_verifier_key
from relay.settings import RETRY_SCHEDULE_S, RelaySettings, RetrySettings, WitnessSettings

CONFIG_VARIABLE = "CHAINBELL_CONFIG"
DEFAULT_FILE = Path("chainbell.toml")
ENCRYPTION_KEY_BYTES = 32
RETENTION_DAYS_MAX = 36_500
RETRIES_MAX = 64
PORTS_MAX = 64
PROXIES_MAX = 64
RETRY_WAIT_S_MAX = 30 * 86_400


def find_config(given: str | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read: as given, else as the environment says, else ./chainbell.toml if it exists."""
    named = given or environment.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def load_settings(
    path: Path | None, *, environment: Mapping[str, str] = os.environ, known: Known | None = None
) -> Settings:
    """Read a file; None gives the defaults. Raises ConfigInvalid, which names every wrong key."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigInvalid([f"can not be read: {error.strerror}"], source=str(path)) from error
        except UnicodeDecodeError as error:
            raise ConfigInvalid(["is not UTF-8 text"], source=str(path)) from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigInvalid([f"is not TOML: {error}"], source=str(path)) from error
    flaws = Flaws()
    settings = read_settings(Table("", values, environment, flaws), path, known or catalog.entry)
    if flaws:
        raise ConfigInvalid(flaws, source=str(path) if path else "")
    return settings


def read_settings(table: Table, source: Path | None, known: Known) -> Settings:
    """The whole file; what is wrong is added to the table's flaws."""
    settings = Settings(
        data_dir=_read_data_dir(table, source),
        database_url=_read_url(table, "database", ("postgresql", "postgres")),
        redis_url=_read_url(table, "redis", ("redis", "rediss", "unix")),
        http=_read_http(table),
        secrets=_read_secrets(table),
        relay=_read_relay(table),
        alerts=_read_alerts(table),
        chains=_read_chains(table, known),
        source=source,
    )
    table.refuse_the_rest()
    return settings


def _read_data_dir(table: Table, source: Path | None) -> Path:
    text = table.take_text("data_dir", "./chainbell-data")
    if not text or "\0" in text:
        table.complain("data_dir", "a folder is wanted")
    # Beside the file it is named in, so that commands run from elsewhere find the same database.
    return Path(text) if source is None else source.parent / Path(text).expanduser()


def _open(table: Table, name: str) -> Table:
    return table.take_table(name) or Table(name, {}, table.environment, table.flaws)


def _read_url(table: Table, name: str, schemes: tuple[str, ...]) -> Secret:
    section = _open(table, name)
    text = section.take_text("url")
    if text and text.partition("://")[0] not in schemes:
        section.complain("url", f"a URL that starts with {schemes[0]}:// is wanted")
    section.refuse_the_rest()
    return Secret(text)


def _read_http(table: Table) -> HttpSettings:
    section = _open(table, "http")
    default = HttpSettings()
    bind = _read_bind(section, "bind") or default.bind
    public = section.take_text("public_url", f"http://{bind}").rstrip("/")
    if not public.startswith(("http://", "https://")) or not _has_host(public):
        section.complain("public_url", "a URL that starts with http:// or https:// is wanted")
    # The page of the contract shows this key below [http], after a blank line; some will read it as a top key.
    health = _read_bind(section, "health_bind")
    outer = _read_bind(table, "health_bind")
    trusted = _read_networks(section, "trusted_proxies")
    ready_when = section.take_choice("ready_when", ReadyWhen.EVERY_CHAIN, list(ReadyWhen))
    section.refuse_the_rest()
    return HttpSettings(bind, public, health or outer, trusted, ReadyWhen(ready_when))


def _read_networks(table: Table, name: str) -> tuple[Network, ...]:
    items = table.take_list(name) or []
    try:
        if len(items) <= PROXIES_MAX and all(isinstance(item, str) for item in items):
            return tuple(ipaddress.ip_network(item) for item in items)
    except ValueError:
        pass
    table.complain(
        name, f'at most {PROXIES_MAX} networks are wanted, as in ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]'
    )
    return ()


def _has_host(url: str) -> bool:
    try:
        return bool(URL(url).host)
    except ValueError:
        return False


def _read_bind(table: Table, name: str) -> Bind | None:
    text = table.take_text(name)
    if not text:
        return None
    try:
        return parse_bind(text)
    except ValueError as error:
        table.complain(name, str(error))
        return None


def parse_bind(text: str) -> Bind:
    """A host and a port; ValueError says what is wanted."""
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError('a host and a port are wanted, as in "127.0.0.1:8480" or "[::1]:8480"')
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError('an IPv6 address stands in brackets, as in "[::1]:8480"') from None
    return Bind(host, int(port))


def _read_secrets(table: Table) -> SecretSettings:
    section = _open(table, "secrets")
    admin_token = section.take_text("admin_token")
    if admin_token and (not admin_token.isascii() or not admin_token.isprintable() or " " in admin_token):
        section.complain("admin_token", "printable ASCII without spaces is wanted")
    value = section.take("encryption_key")
    section.refuse_the_rest()
    keys: list[Secret] = []
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        name = f"encryption_key[{index}]" if isinstance(value, list) else "encryption_key"
        key = section.key_of("encryption_key") + name.removeprefix("encryption_key")
        if item is MISSING or item == "":
            continue
        if not isinstance(item, str):
            section.flaws.add(key, f"a string is wanted, not {describe(item)}")
        elif decode_encryption_key(item) is None:
            section.flaws.add(
                key, f"base64 of {ENCRYPTION_KEY_BYTES} bytes is wanted: openssl rand -base64 32 makes one"
            )
        else:
            keys.append(Secret(item))
    given_by_url = _says_database_url(table)
    if given_by_url and not admin_token:
        section.complain(
            "admin_token", "must be given with database.url, since other hosts need the same one"
        )
    if given_by_url and not keys:
        section.complain(
            "encryption_key", "must be given with database.url, since other hosts need the same one"
        )
    return SecretSettings(Secret(admin_token), tuple(keys))


def _says_database_url(table: Table) -> bool:
    database = table.take("database")
    return isinstance(database, Mapping) and database.get("url", "") != ""


def decode_encryption_key(text: str) -> bytes | None:
    """The key's bytes; None for what is not base64 of as many bytes as it takes. Both alphabets are read."""
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == ENCRYPTION_KEY_BYTES else None


def _read_relay(table: Table) -> RelaySettings:
    section = _open(table, "relay")
    settings = RelaySettings(
        allow_private_networks=section.take_flag("allow_private_networks", False),
        allowed_ports=_read_ports(section),
        attempt_timeout_s=section.take_number("attempt_timeout_s", 15.0, most=60),
        retry=RetrySettings(schedule_s=_read_schedule(section)),
        proxy_url=_read_proxy(section),
        witnesses=_read_witnesses(section),
        verify_endpoints=section.take_flag("verify_endpoints", True),
        host_in_flight_max=section.take_count("host_in_flight_max", 100, least=1, most=1_000),
        retention_days=section.take_count("retention_days", 0, most=RETENTION_DAYS_MAX) or None,
        retention_max_days=section.take_count("retention_max_days", 0, most=RETENTION_DAYS_MAX) or None,
    )
    _check_retention(section, settings)
    section.refuse_the_rest()
    return settings


def _read_witnesses(section: Table) -> tuple[WitnessSettings, ...]:
    found = []
    for index, item in enumerate(section.take_list("witnesses") or []):
        table = section.open_item("witnesses", index, item)
        if table is None:
            continue
        url, verifier_key = table.take_text("url"), table.take_text("verifier_key")
        try:
            found.append(WitnessSettings(url.rstrip("/"), *parse_verifier_key(verifier_key, COSIGNATURE)))
        except ValueError as error:
            table.complain("verifier_key", str(error))
        if not url.startswith(("https://", "http://")):
            table.complain("url", "a URL is wanted, to which /add-checkpoint is added")
        table.refuse_the_rest()
    return tuple(found)


def _read_proxy(section: Table) -> str:
    url = section.take_text("proxy_url")
    if url:
        try:
            parse_proxy_url(url)
        except ValueError as error:
            section.complain("proxy_url", str(error))
            return ""
    return url


def _read_ports(section: Table) -> frozenset[int]:
    default = RelaySettings().allowed_ports
    items = section.take_list("allowed_ports")
    if items is None:
        return default
    usable = all(
        isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= 65_535 for item in items
    )
    if not usable or not 1 <= len(items) <= PORTS_MAX:
        section.complain("allowed_ports", f"1 to {PORTS_MAX} ports are wanted, each a number from 1 to 65535")
        return default
    return frozenset(items)


def _check_retention(section: Table, settings: RelaySettings) -> None:
    kept, kept_at_most = settings.retention_days, settings.retention_max_days
    if kept_at_most is None:
        return
    least = (kept or 0) + WARNED_BEFORE.days
    if kept is None:
        section.complain("retention_max_days", "does nothing without retention_days")
    elif kept_at_most < least:
        section.complain(
            "retention_max_days",
            f"{least} or more is wanted: {WARNED_BEFORE.days} days above retention_days, to warn in time",
        )


def _read_schedule(section: Table) -> tuple[int, ...]:
    items = section.take_list("retry_schedule_s")
    if items is None:
        return RETRY_SCHEDULE_S
    usable = all(
        isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= RETRY_WAIT_S_MAX
        for item in items
    )
    if not usable or not 1 <= len(items) <= RETRIES_MAX:
        section.complain(
            "retry_schedule_s",
            f"1 to {RETRIES_MAX} whole numbers of seconds are wanted, each up to {RETRY_WAIT_S_MAX}",
        )
        return RETRY_SCHEDULE_S
    return tuple(items)


def _read_alerts(table: Table) -> AlertSettings:
    section = _open(table, "alerts")
    url = section.take_text("webhook_url")
    if url and (not url.startswith(("http://", "https://")) or not _has_host(url)):
        section.complain("webhook_url", "a URL that starts with http:// or https:// is wanted")
    command = section.take_text("command")
    section.refuse_the_rest()
    return AlertSettings(Secret(url), command)


def _read_chains(table: Table, known: Known) -> dict[str, ChainSettings]:
    section = _open(table, "chains")
    chains: dict[str, ChainSettings] = {}
    taken: dict[str, str] = {}
    for alias in section.names():
        one = section.take_table(alias)
        chain = None if one is None else read_chain(alias, one, known)
        if chain is None:
            continue
        number = chain.follow.traits.chain
        if number in taken:
            section.complain(alias, f"is the same chain as {taken[number]} ({number})")
        taken[number] = alias
        chains[alias] = chain
    return chains
