"""A file made to break the reader: every key with everything TOML knows, and texts that are hardly TOML.

What is wrong is told and never shown; nothing but ConfigInvalid comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args, get_origin

import msgspec
import pytest

from chains.families import rules_of
from chains.traits import Family
from gateway.config.file import load_settings
from gateway.config.shapes import Chain, File
from gateway.config.table import ConfigInvalid, Reading, Table, fields_of, read_table

SECRET = "s3cr3t-value"
JUNK = (
    "true", "0", "-1", "0.5", "1.0", "inf", "-inf", "nan", "1e400", "9" * 40, "9" * 400, "1979-05-27",
    "1979-05-27T07:32:00Z", "07:32:00", '""', r'"\u0000"', '"é\\n"', '"$UNSET"', '"$EMPTY"', '"~nobody-here/x"',
    '"http://["', '"http://:0"', f'"{SECRET}"', f'"http://u:{SECRET}@["', "[]", "[[[]]]", f'["{SECRET}"]', '["$UNSET"]',
    "{}", "{ a = 1 }", f'{{ a = "{SECRET}" }}', f'[{{ "ü" = "{SECRET}" }}]',
)  # fmt: skip


def places(kind: Any) -> Iterator[tuple[str, str]]:
    """Every key below a type: its name, and TOML with @ where its value stands."""
    yield "", "@"
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Table):
        for name, one in fields_of(kind).items():
            for key, text in places(one.type):
                yield f".{name}{key}", f"{{ {name} = {text} }}"
        for family in Family if kind is Chain else ():
            for name, one in fields_of(rules_of(family).facts.keys).items():
                for key, text in places(one.type):
                    yield f".{name}{key}", f'{{ family = "{family}", {name} = {text} }}'
    elif origin is tuple:
        yield from ((f"[0]{key}", f"[{text}]") for key, text in places(parts[0]))
    elif origin is dict:
        yield from ((f".local{key}", f"{{ local = {text} }}") for key, text in places(parts[1]))
    else:
        for part in parts:
            yield from places(part)


PLACES = sorted({(key, text) for key, text in places(File) if key})


def load_flaws(file: Path, text: str) -> tuple[str, ...]:
    """What is wrong with this text."""
    file.write_text(text, encoding="utf-8")
    try:
        load_settings(file, environment={"EMPTY": ""})
    except ConfigInvalid as error:
        return error.flaws
    return ()


def test_the_places_are_all_keys_of_the_file() -> None:
    deep = {".relay.witnesses[0].verifier_key", ".secrets.encryption_key[0]", ".chains.local.native.slip44"}
    assert deep <= {key for key, _ in PLACES}
    assert len(PLACES) > 80


@pytest.mark.parametrize("junk", JUNK)
def test_any_value_at_any_key_is_taken_or_refused_and_never_shown(tmp_path: Path, junk: str) -> None:
    for key, text in PLACES:
        # The top is written in lines, everything below in one.
        flaws = load_flaws(tmp_path / "c.toml", text.removeprefix("{ ").removesuffix(" }").replace("@", junk))
        assert SECRET not in "".join(flaws), key
        assert not any("\n" in flaw or flaw.endswith(": ") for flaw in flaws), key


@pytest.mark.parametrize(("key", "text"), PLACES)
def test_a_date_is_nowhere_what_is_wanted_and_is_told_at_its_key(tmp_path: Path, key: str, text: str) -> None:
    flaws = load_flaws(
        tmp_path / "c.toml", text.removeprefix("{ ").removesuffix(" }").replace("@", "1979-05-27")
    )
    whole, part = (
        f"{key[1:]}: ",
        key[1:].removesuffix("[0]") + ": ",
    )  # lists of ports and waits are told as one
    assert any(flaw.startswith((whole, part)) for flaw in flaws), flaws


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = " + "[" * 5_000, "nests too deep"),
        ("x = " + "{ a = " * 5_000, "nests too deep"),
        (".".join(["a"] * 2_000) + " = 1", "a: unknown key"),
        ("x = " + "1" * 5_000, "is not TOML"),
        ("x = 2024-02-30", "is not TOML"),
        ("[relay]\n[relay]", "is not TOML"),
        ("[relay]\nretention_days = 1\nretention_days = 2", "is not TOML"),
        ("[[relay]]", "relay: a table is wanted, not a list"),
        ("relay = 1\nalerts = true", "alerts: a table is wanted, not true or false"),
        ('"a\\nb" = 1', r'"a\nb": unknown key'),
        ('"däta_dir" = 1', '"däta_dir": unknown key; did you mean data_dir?'),
        ('[chains."ü"]\nendpoints = ["http://x"]', 'chains."ü": an alias is lower-case letters'),
        ('[http]\nbind = "h:' + "1" * 5_000 + '"', "http.bind: a host and a port are wanted"),
        ("\0", "is not TOML"),
    ],
)
def test_what_is_hardly_toml_is_told_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    flaws = load_flaws(tmp_path / "c.toml", text)
    assert any(flaw.startswith(said) for flaw in flaws), flaws


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match="is not UTF-8 text"):
        load_settings(tmp_path / "c.toml", environment={})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('endpoints = ["$UNSET"]', ["endpoints[0]"]),
        ('endpoints = ["htp://x", "ws://y"]', ["endpoints[0]"]),
        ('endpoints = ["http://x"]\nconfirmed = { confirmations = 0 }', ["confirmed.confirmations"]),
        ('endpoints = ["http://x"]\nfinal = { tag = 1 }', ["final.tag"]),
        ('endpoints = ["http://x"]\nfinal = { }\nfinale = 1', ["finale", "final"]),
        ('endpoints = ["http://x"]\nnative = { min_base_units = "0" }', ["native.min_base_units"]),
    ],
)
def test_what_is_wrong_by_itself_is_told_once(tmp_path: Path, text: str, told: list[str]) -> None:
    flaws = load_flaws(tmp_path / "c.toml", f"[chains.ethereum]\n{text}")
    assert [flaw.split(": ")[0] for flaw in flaws] == [f"chains.ethereum.{key}" for key in told]


def test_a_wrong_key_hides_no_other(tmp_path: Path) -> None:
    text = (
        'data_dir = 1\n[http]\nbind = 2\nbnid = 3\n[relay]\nattempt_timeout_s = "x"\nwitnesses = [{ }, 4]\n'
        '[database]\nurl = "$UNSET"\n'
        '[chains.local]\nchain_id = 5\nfinal = { tag = "x" }\nassets = [{ contract = "0x" }]\n'
        'confirmed = [{ }, { confirmations = 0 }]\nendpoints = [7, { url = "ws://x" }, { operator = "me" }]\n'
        '[chains.ethereum]\nchain_id = 5\nendpoints = ["ws://x"]\nassets = [{ contract = "0x" }]\nverification = "x"\n'
        'confirmed = { finality = "safe", confirmations = 1, asset = "x" }\nidentity = { hash = "x" }\n'
        '[chains.eth]\nendpoints = ["http://x"]\npolling = 1\n'
    )
    assert sorted(flaw.split(": ")[0] for flaw in load_flaws(tmp_path / "c.toml", text)) == [
        "chains.eth",
        "chains.eth.polling",
        "chains.ethereum.assets[0].contract",
        "chains.ethereum.assets[0].decimals",
        "chains.ethereum.assets[0].symbol",
        "chains.ethereum.chain_id",
        "chains.ethereum.confirmed",
        "chains.ethereum.confirmed.asset",
        "chains.ethereum.endpoints",
        "chains.ethereum.identity.hash",
        "chains.ethereum.identity.height",
        "chains.ethereum.verification",
        "chains.local.assets[0].decimals",
        "chains.local.assets[0].symbol",
        "chains.local.confirmed[1].confirmations",
        "chains.local.endpoints[0]",
        "chains.local.endpoints[2].url",
        "chains.local.family",
        "chains.local.final.tag",
        "chains.local.native",
        "data_dir",
        "database.url",
        "http.bind",
        "http.bnid",
        "relay.attempt_timeout_s",
        "relay.witnesses[0].url",
        "relay.witnesses[0].verifier_key",
        "relay.witnesses[1]",
        "secrets.admin_token",
        "secrets.encryption_key",
    ]


class Left(Table, frozen=True):
    """A table that leaves keys to whoever turns out to read them."""

    leaves: ClassVar[frozenset[str]] = frozenset({"gas", "energy"})

    kind: str = ""


class Burning(msgspec.Struct):
    gas: Annotated[int, msgspec.Meta(description="gas is wanted")] = 7


def test_keys_that_are_left_are_read_by_one_shape_and_foreign_to_another() -> None:
    reading = Reading({"GAS": "x"})
    table = read_table(Left, {"kind": "a", "gas": "$GAS", "energy": 1, "gos": 2}, "t", reading)
    assert reading.flaws == ["t.gos: unknown key; did you mean gas?"]
    assert table.read_rest(Burning).gas == 7
    assert [flaw.split(": ")[0] for flaw in reading.flaws] == ["t.gos", "t.energy", "t.gas"]


def test_a_familys_keys_are_told_beside_what_else_is_wrong(tmp_path: Path) -> None:
    text = '[chains.local]\nfamily = "evm"\nchain_id = "31337"\nverification = "x"\ntraces = 1\n'
    assert [flaw.split(": ")[0] for flaw in load_flaws(tmp_path / "c.toml", text)] == [
        "chains.local.endpoints",
        "chains.local.traces",
        "chains.local.verification",
        "chains.local.native",
        "chains.local.chain_id",
    ]
