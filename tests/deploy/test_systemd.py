"""The units: accepted by systemd where it is there to ask, hardened, and of one mind about what a clean stop is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.cli import BAD_USE, build_parser
from gateway.compose import STOP_TIMEOUT_S
from gateway.config.settings import Role
from tests.tidy import tree

UNITS = sorted(
    path for path in tree.files() if path.startswith("deploy/systemd/") and path.endswith(".service")
)
PROGRAM = "/opt/chainbell/bin/chainbell"
EXPOSURE_MAX = 1.5
HARDENED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "UMask": "0077",
    "User": "chainbell",
}


def settings(path: str) -> dict[str, list[str]]:
    """Key → values, in their order."""
    found: dict[str, list[str]] = {}
    for line in tree.text(path).splitlines():
        if match := re.match(r"^([A-Za-z]+)=(.*)$", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def test_there_is_a_unit_for_everything_for_a_role_and_for_a_chain() -> None:
    names = [Path(path).name for path in UNITS]
    assert names == ["chainbell-follow@.service", "chainbell.service", "chainbell@.service"]


@pytest.mark.parametrize("path", UNITS)
def test_a_unit_may_do_as_little_as_it_needs(path: str) -> None:
    found = settings(path)
    assert {key: found.get(key) for key in HARDENED} == {key: [value] for key, value in HARDENED.items()}
    assert found["SystemCallFilter"][0] == "@system-service"
    assert "RemoveIPC" not in found, "it would take the memory of another unit's PostgreSQL"


@pytest.mark.parametrize("path", UNITS)
def test_a_unit_starts_what_the_command_line_accepts(path: str) -> None:
    (command,) = settings(path)["ExecStart"]
    for instance in Role if path.endswith("chainbell@.service") else ("ethereum",):
        words = shlex.split(command.replace("%i", instance))
        assert words[0] == PROGRAM
        assert build_parser().parse_args(words[1:]).config.startswith("/etc/chainbell/")


@pytest.mark.parametrize("path", UNITS)
def test_a_unit_restarts_after_everything_but_a_wrong_configuration(path: str) -> None:
    found = settings(path)
    assert found["Restart"] == ["always"]
    assert found["RestartPreventExitStatus"] == [str(BAD_USE)]
    assert found["KillMode"] == ["mixed"]
    assert int(found["TimeoutStopSec"][0]) > STOP_TIMEOUT_S


@pytest.mark.parametrize("path", UNITS)
def test_a_unit_writes_only_where_its_data_is(path: str) -> None:
    found = settings(path)
    assert found["StateDirectory"] == ["chainbell"]
    assert found["StateDirectoryMode"] == ["0700"]
    assert found["WorkingDirectory"] == ["/var/lib/chainbell"]
    assert "ReadWritePaths" not in found


if shutil.which(
    "systemd-analyze"
):  # there is no systemd in most images; what it says is checked above as text

    @pytest.mark.parametrize("path", UNITS)
    def test_systemd_accepts_the_unit(path: str, tmp_path: Path) -> None:
        program = tmp_path / "chainbell"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        name = Path(path).name.replace("@.", "@relay.")
        (tmp_path / name).write_text(tree.text(path).replace(PROGRAM, str(program)))
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=False,
        )
        about_us = [line for line in verified.stderr.splitlines() if "chainbell" in line]
        assert not about_us

    @pytest.mark.parametrize("path", UNITS)
    def test_systemd_finds_little_exposed(path: str) -> None:
        judged = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(tree.ROOT / path)],
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"Overall exposure level for .*: ([0-9.]+)", judged.stdout)
        assert found, judged.stderr
        assert float(found[1]) <= EXPOSURE_MAX
