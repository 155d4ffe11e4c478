"""Alert rules: each metric exists, each label value can occur, each runbook link leads to its heading."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # published without types

from chains import errors
from gateway.process.metrics import CONDITIONS, HEIGHTS
from indexer.follow import outcomes
from indexer.rows.storage import LeaseLost
from migrations.errors import DatabaseAway, DatabaseFull
from relay.model import SHARDS, EndpointState, OutcomeKind
from tests.deploy.metrics import TARGET_LABELS, known_metrics
from tests.deploy.promql import Unreadable, read
from tests.tidy import tree
from tests.tidy.test_docs import anchor, anchors

ALERTS = "deploy/alerts.yaml"
RUNBOOK = "docs/runbook.md"
DURATION = re.compile(r"^[1-9][0-9]*[smh]$")
SEVERITIES = {"critical", "warning"}
ERROR_KINDS = {
    *(name for name, thing in vars(errors).items() if isinstance(thing, type)),
    *(one.kind for one in (DatabaseAway, DatabaseFull)),
    LeaseLost.__name__,
}
VALUES: dict[tuple[str, str], set[str]] = {
    ("chainbell_chain_condition", "condition"): set(CONDITIONS),
    ("chainbell_chain_height", "of"): set(HEIGHTS),
    ("chainbell_follow_failures_total", "kind"): ERROR_KINDS | {f"mempool-{kind}" for kind in ERROR_KINDS},
    ("chainbell_follow_step_seconds", "outcome"): {kind.__name__ for kind in outcomes.StepOutcome.__args__},
    ("chainbell_relay_attempts_total", "outcome"): set(OutcomeKind),
    ("chainbell_relay_endpoints", "state"): set(EndpointState),
    ("chainbell_relay_queue_lag", "state"): set(EndpointState),
}


def rules() -> list[dict[str, Any]]:
    """Every rule of every group."""
    return [rule for group in yaml.safe_load(tree.text(ALERTS))["groups"] for rule in group["rules"]]


def complaints(expression: str) -> list[str]:
    """What an expression asks for that the program does not have."""
    asked = read(expression)
    found: list[str] = []
    labels = set(TARGET_LABELS)
    for selector in asked.selectors:
        if selector.metric not in known_metrics():
            found.append(f"no metric {selector.metric}")
            continue
        labels |= known_metrics()[selector.metric]
        for label, operator, value in selector.matchers:
            if label not in known_metrics()[selector.metric] | TARGET_LABELS:
                found.append(f"{selector.metric} has no label {label}")
            found += _impossible_values(selector.metric, label, operator, value)
    return found + [f"nothing has the label {label}" for label in asked.grouping - labels]


def _impossible_values(metric: str, label: str, operator: str, value: str) -> list[str]:
    name = re.sub(r"_(bucket|count|sum)$", "", metric)
    possible = VALUES.get((name, label))
    if possible is None or "$" in value:
        return []
    wanted = value.split("|") if operator in ("=~", "!~") else [value]
    return [f"{metric}: {label} is never {one}" for one in wanted if one not in possible]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_asks_for_what_the_program_has(rule: dict[str, Any]) -> None:
    assert not complaints(rule["expr"])


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in SEVERITIES
    assert DURATION.match(rule.get("for", "1m"))
    assert len(rule["annotations"]["summary"]) > 20
    page, _, fragment = rule["annotations"]["runbook"].partition("#")
    assert page == RUNBOOK
    assert fragment == anchor(rule["alert"])
    assert fragment in anchors(page)


def test_alerts_are_named_once_and_the_runbook_has_no_other() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 15
    headings = re.findall(r"^### (\S+)$", tree.text(RUNBOOK), flags=re.MULTILINE)
    assert headings == names, "one heading an alert, in the order of the rules"


def test_every_runbook_entry_says_what_it_means_how_to_see_it_and_what_to_do() -> None:
    entries = re.split(r"^### ", tree.text(RUNBOOK), flags=re.MULTILINE)[1:]
    assert not [
        entry.split("\n")[0]
        for entry in entries
        if not all(f"**{part}.**" in entry for part in ("Means", "See", "Do"))
    ]


def test_the_number_of_shards_in_the_rules_is_the_relays() -> None:
    (rule,) = [rule for rule in rules() if rule["alert"] == "RelayShardsUnowned"]
    assert f"< {SHARDS}" in rule["expr"]


def test_every_condition_of_a_chain_has_its_alert() -> None:
    asked = {
        value
        for rule in rules()
        for selector in read(rule["expr"]).selectors
        for label, _, value in selector.matchers
        if label == "condition"
    }
    assert asked == set(CONDITIONS)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("chainbell_no_such_metric > 0", "no metric chainbell_no_such_metric"),
        ('chainbell_chain_condition{kind="halted"} == 1', "has no label kind"),
        ('chainbell_chain_condition{condition="sleepy"} == 1', "condition is never sleepy"),
        ("max by (colour) (chainbell_chain_lag_blocks)", "nothing has the label colour"),
        ('rate(chainbell_follow_failures_total{kind=~"Inconsistent|Bored"}[5m])', "kind is never Bored"),
    ],
)
def test_a_rule_about_something_that_does_not_exist_is_seen(expression: str, complaint: str) -> None:
    assert complaint in " ".join(complaints(expression))


@pytest.mark.parametrize("expression", ["sum(a", "sum)a(", "a{b=c}", 'a{b="c" d="e"}'])
def test_an_expression_out_of_form_is_seen(expression: str) -> None:
    with pytest.raises(Unreadable):
        read(expression)


def test_names_are_found_whatever_stands_around_them() -> None:
    asked = read(
        '2 * sum by (le, x) (rate(a_total{b="} c("}[5m] offset 1h)) / on (y) group_left (z) d > 1e3 or e:f'
    )
    assert [selector.metric for selector in asked.selectors] == ["a_total", "d", "e:f"]
    assert asked.selectors[0].matchers == (("b", "=", "} c("),)
    assert asked.grouping == {"le", "x", "y", "z"}
