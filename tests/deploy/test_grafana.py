"""The board: it loads, no panel covers another, and every panel asks for what the program has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.deploy.metrics import known_metrics
from tests.deploy.promql import read
from tests.deploy.test_alerts import complaints, rules
from tests.tidy import tree

BOARD: dict[str, Any] = json.loads(tree.text("deploy/grafana.json"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
INTERVAL = "[$__rate_interval]"
WIDTH = 24


def expressions() -> list[tuple[str, str]]:
    """(panel's title, expression) of every target."""
    return [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_every_panel_asks_for_what_the_program_has(title: str, expression: str) -> None:
    assert not complaints(expression)


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_rates_are_taken_over_the_boards_own_interval(title: str, expression: str) -> None:
    assert all(found == INTERVAL for found in re.findall(r"\[[^\]]*\]", expression))


def test_panels_lie_beside_each_other_and_have_a_unit() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)


def test_panels_have_one_name_and_targets_one_letter_each() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert panel["datasource"]["uid"] == "${datasource}", "whoever imports it chooses"


def test_what_an_alert_watches_is_on_the_board() -> None:
    shown = {_family(selector.metric) for _, expr in expressions() for selector in read(expr).selectors}
    watched = {_family(selector.metric) for rule in rules() for selector in read(rule["expr"]).selectors}
    assert {name for name in watched if name.startswith("chainbell_")} <= shown


def test_every_metric_of_ours_is_on_the_board() -> None:
    shown = {_family(selector.metric) for _, expr in expressions() for selector in read(expr).selectors}
    ours = {_family(name) for name in known_metrics() if name.startswith("chainbell_")}
    assert ours == shown - {name for name in shown if not name.startswith("chainbell_")}


def _family(metric: str) -> str:
    return re.sub(r"_(bucket|count|sum|total|created)$", "", metric)
