"""The changes the mutation run makes: each is one change, each still parses, and none touches prose."""

from __future__ import annotations

import ast

from tests.mutants.operators import find_mutants

SOURCE = '''"""A card with 1 number and a < b."""

LIMIT_BLOCKS = 12


def decide(height: int, tip: int = 0) -> bool:
    """Docstring > 3."""
    assert height >= 0, "message 7"
    if not height and tip is None:
        raise ValueError("at least 1 × ü")
    return "é" == "é" and tip - height + 1 >= LIMIT_BLOCKS
'''


def test_every_change_parses_and_differs() -> None:
    mutants = find_mutants(SOURCE)
    changed = [mutant.apply(SOURCE) for mutant in mutants]
    assert len(set(changed)) == len(mutants) > 10
    for text in changed:
        ast.parse(text)
        assert text != SOURCE


def test_comparisons_constants_and_connectives_are_changed() -> None:
    changed = [mutant.apply(SOURCE) for mutant in find_mutants(SOURCE)]
    assert any("LIMIT_BLOCKS = 13" in text for text in changed)
    assert any("tip is not None" in text for text in changed)
    assert any("+ 1 > LIMIT_BLOCKS" in text for text in changed)
    assert any("tip + height + 1" in text for text in changed)
    assert any('"é" == "é" or tip' in text for text in changed)


def test_prose_and_messages_stay_as_they_are() -> None:
    for mutant in find_mutants(SOURCE):
        changed = mutant.apply(SOURCE)
        assert '"""A card with 1 number and a < b."""' in changed
        assert '"""Docstring > 3."""' in changed
        assert '"message 7"' in changed
        assert '"at least 1 × ü"' in changed
