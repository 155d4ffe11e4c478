"""The page people read says what the catalogue says."""

from __future__ import annotations

from chains import catalog
from chains.evm.verify import PROFILES
from docs.render_chains import BLOCK, PAGE, RENDERERS, render_page


def test_the_page_is_in_step_with_the_catalogue() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert render_page(text) == text, "run: python -m docs.render_chains --write"


def test_the_page_holds_every_generated_part_once() -> None:
    found = [match[2] for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(RENDERERS)


def test_every_network_and_profile_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for alias in catalog.aliases():
        assert f"`{alias}`" in text
    for name in PROFILES:
        assert f"- `{name}`: " in text
