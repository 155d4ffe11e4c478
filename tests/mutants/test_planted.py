"""The planted bugs still fit the code they are planted in."""

from __future__ import annotations

import pytest

from tests.mutants.edits import Planted
from tests.mutants.plant import ROOT
from tests.mutants.planted import PLANTED

LAWS = range(1, 14)
PLANTED_MIN = 20


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_every_edit_finds_its_text_exactly_once(planted: Planted) -> None:
    for edit in planted.edits:
        assert (ROOT / edit.file).read_text().count(edit.old) == 1, edit.file
        assert edit.new != edit.old


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_bug_is_still_python(planted: Planted) -> None:
    sources: dict[str, str] = {}
    for edit in planted.edits:
        source = sources.get(edit.file) or (ROOT / edit.file).read_text()
        sources[edit.file] = source.replace(edit.old, edit.new)
    for file, source in sources.items():
        if not file.endswith(".py"):
            continue
        compile(source, file, "exec")


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    names = [planted.name for planted in PLANTED]
    assert len(names) == len(set(names)) >= PLANTED_MIN
    assert {planted.law for planted in PLANTED} <= set(LAWS)
    assert {1, 2, 3, 4, 5, 6} <= {planted.law for planted in PLANTED}
