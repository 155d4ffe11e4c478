"""One TOML file to frozen settings; every error names its key, and one run shows them all.

Lives here: where the file is looked for, and what its keys mean together. Does not live here: which keys there are
(`shapes`), `[chains.*]` (`chains`), generating the secrets that were left out (`keyfiles`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from gateway.config.chains import build_chain
from gateway.config.settings import (
    AlertSettings,
    ChainSettings,
    HttpSettings,
    Secret,
    SecretSettings,
    Settings,
)
from gateway.config.shapes import File, Relay
from gateway.config.table import ConfigInvalid, Reading, read_table
from relay.log.retention import WARNED_BEFORE
from relay.proof.notes import COSIGNATURE
from relay.proof.witnessing import parse_verifier_key
from relay.settings import RelaySettings, RetrySettings, WitnessSettings

CONFIG_VARIABLE = "CHAINBELL_CONFIG"
DEFAULT_FILE = Path("chainbell.toml")
PROXIES_MAX = 64


def find_config(given: str | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read: as given, else as the environment says, else ./chainbell.toml if it exists."""
    named = given or environment.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def load_settings(path: Path | None, *, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a file; None gives the defaults. Raises ConfigInvalid, which names every wrong key."""
    try:
        values = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid([f"can not be read: {error.strerror}"], source=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(["is not UTF-8 text"], source=str(path)) from error
    except RecursionError as error:
        raise ConfigInvalid(["nests too deep"], source=str(path)) from error
    except ValueError as error:  # TOMLDecodeError, and what numbers of thousands of digits raise
        raise ConfigInvalid([f"is not TOML: {error}"], source=str(path)) from error
    reading = Reading(environment)
    settings = _build(read_table(File, values, "", reading), path)
    if reading.flaws:
        raise ConfigInvalid(reading.flaws, source=str(path) if path else "")
    return settings


def _build(file: File, source: Path | None) -> Settings:
    return Settings(
        # Beside the file it is named in, so that commands run from elsewhere find the same database.
        data_dir=file.data_dir if source is None else source.parent / file.data_dir,
        database_url=Secret(file.database.url),
        redis_url=Secret(file.redis.url),
        http=_build_http(file),
        secrets=_build_secrets(file),
        relay=_build_relay(file.relay),
        alerts=AlertSettings(Secret(file.alerts.webhook_url), file.alerts.command),
        chains=_build_chains(file),
        source=source,
    )


def _build_http(file: File) -> HttpSettings:
    http = file.http
    if len(http.trusted_proxies) > PROXIES_MAX:
        http.complain("trusted_proxies", f"at most {PROXIES_MAX} networks are wanted")
    bind = http.bind or HttpSettings().bind
    return HttpSettings(
        bind=bind,
        public_url=(http.public_url or f"http://{bind}").rstrip("/"),
        health_bind=http.health_bind or file.health_bind or None,
        trusted_proxies=http.trusted_proxies,
        ready_when=http.ready_when,
    )


def _build_secrets(file: File) -> SecretSettings:
    secrets = file.secrets
    listed = secrets.encryption_key if isinstance(secrets.encryption_key, tuple) else [secrets.encryption_key]
    keys = tuple(key for key in listed if key)
    if file.database.url or file.reading.is_wrong("database.url"):
        for name, given in (("admin_token", secrets.admin_token), ("encryption_key", keys)):
            if not given:
                secrets.complain(name, "must be given with database.url, since other hosts need the same one")
    return SecretSettings(Secret(secrets.admin_token), keys)


def _build_relay(relay: Relay) -> RelaySettings:
    least = relay.retention_days + WARNED_BEFORE.days
    if relay.retention_max_days and not relay.retention_days:
        relay.complain("retention_max_days", "does nothing without retention_days")
    elif 0 < relay.retention_max_days < least:
        relay.complain(
            "retention_max_days",
            f"{least} or more is wanted: {WARNED_BEFORE.days} days above retention_days, to warn in time",
        )
    return RelaySettings(
        allow_private_networks=relay.allow_private_networks,
        allowed_ports=frozenset(relay.allowed_ports),
        attempt_timeout_s=relay.attempt_timeout_s,
        retry=RetrySettings(schedule_s=relay.retry_schedule_s),
        verify_endpoints=relay.verify_endpoints,
        proxy_url=relay.proxy_url,
        witnesses=tuple(
            WitnessSettings(one.url.rstrip("/"), *parse_verifier_key(one.verifier_key, COSIGNATURE))
            for one in relay.witnesses
            if one.verifier_key
        ),
        host_in_flight_max=relay.host_in_flight_max,
        retention_days=relay.retention_days or None,
        retention_max_days=relay.retention_max_days or None,
    )


def _build_chains(file: File) -> dict[str, ChainSettings]:
    chains: dict[str, ChainSettings] = {}
    taken: dict[str, str] = {}
    for alias, table in file.chains.items():
        chain = build_chain(alias, table)
        if chain is None:
            continue
        number = chain.follow.traits.chain
        if number in taken:
            file.reading.complain(table.key, f"is the same chain as {taken[number]} ({number})")
        taken[number] = alias
        chains[alias] = chain
    return chains
