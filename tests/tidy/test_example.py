"""The example configuration: it loads, it names every key, and what it calls a default is one."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

from gateway.config.file import load_settings
from gateway.config.settings import Settings
from gateway.config.shapes import File
from gateway.config.table import Table, fields_of
from tests.tidy import tree

EXAMPLE = "deploy/chainbell.example.toml"
ENVIRONMENT = {"ETH_RPC_HTTP": "http://node.example", "ETH_RPC_WS": "ws://node.example"}


def load(path: Path) -> Settings:
    """The settings a file gives, in an environment that has what the example asks for."""
    return load_settings(path, environment=ENVIRONMENT)


def test_the_example_loads_and_follows_both_chains() -> None:
    assert set(load(tree.ROOT / EXAMPLE).chains) == {"ethereum", "local"}


def test_values_outside_the_chains_are_the_defaults(tmp_path: Path) -> None:
    shown = load(tree.ROOT / EXAMPLE)
    (tmp_path / "chainbell.toml").write_text("")
    silent = load(tmp_path / "chainbell.toml")
    assert shown.data_dir.name == silent.data_dir.name
    for field in dataclasses.fields(Settings):
        if field.name not in {"data_dir", "source", "chains"}:
            assert _revealed(getattr(shown, field.name)) == _revealed(getattr(silent, field.name)), field.name


def test_the_example_names_every_key_that_can_be_set() -> None:
    source = tree.text(EXAMPLE)
    shown = tomllib.loads(source)
    for name, one in fields_of(File).items():
        if isinstance(one.type, type) and issubclass(one.type, Table):
            assert shown[name].keys() == fields_of(one.type).keys(), name
    shapes = [one for one in Table.__subclasses__() if one.__module__ == File.__module__ and one is not File]
    keys = {key for shape in shapes for key in (*fields_of(shape), *shape.leaves)}
    missing = sorted(key for key in keys if not re.search(rf"\b{key} = ", source))
    assert not missing


def test_every_key_of_the_example_has_its_sentence() -> None:
    bare = []
    for number, line in enumerate(tree.text(EXAMPLE).splitlines(), start=1):
        key = re.match(r"^([a-z_]+) = ", line)
        if key and "#" not in line and not _explained_before(key[1], number):
            bare.append(f"{EXAMPLE}:{number}: {key[1]}")
    assert not bare


def _explained_before(key: str, number: int) -> bool:
    earlier = tree.text(EXAMPLE).splitlines()[: number - 1]
    return any(re.match(rf"^{key} = .*# ", line) for line in earlier)


def _revealed(value: Any) -> str:
    """A value with its secrets in the clear; two Secrets of different texts show the same repr."""
    if hasattr(value, "reveal"):
        return str(value.reveal())
    if dataclasses.is_dataclass(value):
        return repr(
            [(field.name, _revealed(getattr(value, field.name))) for field in dataclasses.fields(value)]
        )
    return repr(value)
