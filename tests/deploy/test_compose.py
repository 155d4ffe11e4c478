"""The composition: its services fit the program, each other, and the configuration beside it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # published without types

from gateway.cli import build_parser
from gateway.config.file import load_settings
from gateway.config.settings import Role, Settings
from tests.tidy import tree

COMPOSE: dict[str, Any] = yaml.safe_load(tree.text("deploy/compose.yaml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "chainbell"}
CONFIGURATION = "deploy/chainbell.compose.toml"
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([?-])([^}]*))?\}")
GIVEN = {
    "POSTGRES_PASSWORD": "0" * 64,
    "REDIS_PASSWORD": "1" * 64,
    "CHAINBELL_ADMIN_TOKEN": "2" * 64,
    "CHAINBELL_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "ETH_RPC_HTTP": "https://node.example/key",
}


def fill_in(text: str) -> str:
    """Compose's own interpolation, as far as this file uses it."""

    def value_of(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        if name in GIVEN:
            return GIVEN[name]
        assert kind == "-", f"{name} has no default and was not given"
        return str(default)

    return VARIABLE.sub(value_of, text).replace("$$", "$")


def load_configuration() -> Settings:
    """What a container of ours would read, with its environment."""
    environment = {name: fill_in(value) for name, value in OURS["gateway"]["environment"].items()}
    return load_settings(tree.ROOT / CONFIGURATION, environment=environment)


def test_every_role_has_a_service_that_the_command_line_accepts() -> None:
    roles = set()
    for service in OURS.values():
        asked = build_parser().parse_args(service["command"])
        roles |= {role for group in asked.role for role in group}
    assert roles == set(Role)


def test_the_configuration_loads_with_the_environment_that_services_have() -> None:
    settings = load_configuration()
    assert settings.database_url.reveal().startswith("postgresql://chainbell:0000")
    assert settings.redis_url.reveal() == f"redis://:{'1' * 64}@redis:6379/0"
    assert set(settings.chains) == {"ethereum"}
    assert settings.secrets.admin_token.reveal() == "2" * 64


def test_databases_are_called_by_the_names_of_their_services() -> None:
    settings = load_configuration()
    for url in (settings.database_url, settings.redis_url):
        host = url.reveal().rpartition("@")[2].partition(":")[0]
        assert host in SERVICES


def test_health_is_asked_where_each_role_answers() -> None:
    settings = load_configuration()
    assert settings.http.health_bind is not None
    for name, service in OURS.items():
        bind = settings.http.bind if name == "gateway" else settings.http.health_bind
        assert bind.host == "0.0.0.0"
        assert f"http://127.0.0.1:{bind.port}/healthz" in " ".join(service["healthcheck"]["test"])


def test_every_service_has_a_health_check_and_a_bound_on_its_log() -> None:
    for service in SERVICES.values():
        assert service["healthcheck"]["test"]
        assert service["logging"]["options"]["max-size"]
        assert service["restart"] == "unless-stopped"


def test_our_containers_may_do_as_little_as_they_need() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] <= 512
        assert service["mem_limit"]
        assert "privileged" not in service
        assert "user" not in service, "the image's own, which is not root"
        assert not any("docker.sock" in volume for volume in service["volumes"])


def test_databases_are_reached_from_inside_only() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in ("postgres", "redis"):
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8480:8480"], "this machine only; a proxy with TLS stands before it"


def test_nobody_waits_for_redis_to_be_healthy() -> None:
    for service in OURS.values():
        assert service["depends_on"]["redis"]["condition"] == "service_started"
        assert service["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_what_services_name_is_there() -> None:
    for service in SERVICES.values():
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (tree.ROOT / "deploy" / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]
    for service in OURS.values():
        build = service["build"]
        assert (tree.ROOT / "deploy" / build["context"]).resolve() == tree.ROOT
        assert (tree.ROOT / build["dockerfile"]).exists()


def test_no_secret_has_a_default_and_every_one_is_in_the_example() -> None:
    text = tree.text("deploy/compose.yaml")
    asked = {name: kind for name, kind, _ in VARIABLE.findall(text)}
    example = dict(
        line.partition("=")[::2]
        for line in tree.text("deploy/compose.env.example").splitlines()
        if line and not line.startswith("#")
    )
    assert set(asked) == set(example)
    assert {name for name, kind in asked.items() if kind == "?"} == set(GIVEN)
    for name in GIVEN:
        assert not example[name].split("#")[0].strip(), f"{name} has a value that somebody will keep"


def test_images_of_others_have_a_version() -> None:
    for service in SERVICES.values():
        if service["image"] != "chainbell":
            assert re.search(r":[0-9]+", service["image"]), service["image"]


def test_connections_of_all_processes_fit_the_server() -> None:
    from gateway.compose import POOL_SIZE

    (setting,) = [word for word in SERVICES["postgres"]["command"] if word.startswith("max_connections=")]
    assert (POOL_SIZE + 4) * len(OURS) * 2 <= int(setting.partition("=")[2]), "with room for a second of each"


def test_the_configuration_without_redis_loads_too(tmp_path: Path) -> None:
    environment = {name: fill_in(value) for name, value in OURS["relay"]["environment"].items()}
    settings = load_settings(
        tree.ROOT / CONFIGURATION, environment=os.environ | environment | {"CHAINBELL_REDIS_URL": ""}
    )
    assert not settings.redis_url


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_stop_has_the_time_it_needs(name: str) -> None:
    from gateway.compose import STOP_TIMEOUT_S

    assert int(OURS[name]["stop_grace_period"].removesuffix("s")) > STOP_TIMEOUT_S
