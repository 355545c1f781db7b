"""docs/explanation/capacity.md shows what `exchange plan` says."""

import re
from pathlib import Path

from exchange.plan.constants import shipped
from exchange.plan.model import ORDER, Load, plan

PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "capacity.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = re.findall(r"^\|(.+)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in table[2:]]


def number(text: str) -> float:
    return float(text.replace(",", "").rstrip(" %"))


def test_the_costs_are_those_that_come_along() -> None:
    known = shipped()
    shown = {
        kind: (unit, *(float(value) for value in values))
        for kind, unit, *values in rows("The model")[5:]
    }
    assert shown == {
        kind: (cost.unit, cost.alone, cost.busy, cost.wake) for kind, cost in known.costs.items()
    }
    assert known.measured_on in PAGE
    assert known.commit in PAGE


def test_the_plans_are_what_the_command_says() -> None:
    shown = rows("What it says")
    assert len(shown) == 4
    for percent, *cells in shown:
        answer = plan(Load(number(percent)), shipped())
        needs = {need.kind: need for need in answer.needs}
        counts = [str(needs[kind].count) for kind in ORDER[:-1]]
        cores = f"{needs['postgres'].cores:.1f}"
        disk = f"{(answer.postgres_day + answer.wal_day) / 1e9:,.0f}"
        memory = f"{answer.redis_memory / 1e9:,.0f}"
        matchers = f"{answer.matcher_memory / 1e9:,.0f}"
        assert cells == [*counts, cores, memory, matchers, disk], percent


def test_the_limits_are_those_of_the_command() -> None:
    limits = {round(limit.percent, -2) for limit in plan(Load(100), shipped()).limits}
    shown = [round(number(cells[0]), -2) for cells in rows("Where it stops to be linear")]
    assert sorted(shown) == sorted(limits)
