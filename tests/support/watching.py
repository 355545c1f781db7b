"""The dashboard and the alert rules of deploy/, and what their expressions ask for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
OF_PROMETHEUS = {"up", "ALERTS"}
"""Prometheus makes these itself."""
TARGET_LABELS = {"job", "instance", "le", "alertstate"}

_SUFFIX = re.compile("_(bucket|sum|count)$")
_METRIC = re.compile(r"\b(?:exchange_\w+|process_\w+|python_\w+|up|ALERTS)\b")
_LABELS = re.compile(r"by \(([^)]*)\)|{([^}]*)}")


def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DEPLOY / "grafana" / "exchange.json").read_text())
    return content


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    content = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    """All that is asked of Prometheus."""
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (rule["expr"] for rule in rules())


def metrics_of(expression: str) -> set[str]:
    """The metrics that it names; of a histogram the name without what is of a bucket."""
    return {_SUFFIX.sub("", name) for name in _METRIC.findall(expression)}


def labels_of(expression: str) -> set[str]:
    """The labels by which it groups or selects."""
    found: set[str] = set()
    for grouped, selected in _LABELS.findall(expression):
        found |= {name.strip() for name in grouped.split(",") if name.strip()}
        found |= set(re.findall(r"(\w+)(?==|!)", selected))
    return found
