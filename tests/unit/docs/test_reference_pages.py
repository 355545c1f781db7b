"""Pages of docs/reference that list what the code has."""

import re
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

import matcher.metrics
import notifier.metrics
import persister.metrics
import runtime.http.metrics
from runtime.process import worker

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
METRICS: tuple[Any, ...] = (
    matcher.metrics,
    notifier.metrics,
    persister.metrics,
    runtime.http.metrics,
)


def declared() -> set[tuple[str, str, tuple[str, ...]]]:
    """Name, type and labels of every metric."""
    found = set()
    for module in METRICS:
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                (described,) = metric.describe()
                name = described.name + ("_total" if described.type == "counter" else "")
                found.add((name, described.type, tuple(metric._labelnames)))
    return found


def test_the_metrics_page_lists_every_metric_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(exchange_\w+)` \| (\w+) \| ([^|]*)\|",
        (REFERENCE / "metrics.md").read_text(),
        re.MULTILINE,
    )
    listed = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert listed == declared()


def test_the_exit_codes_page_lists_every_code_of_a_worker() -> None:
    page = (REFERENCE / "exit-codes.md").read_text().split("## Other commands")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert listed == {value for name, value in vars(worker).items() if name.startswith("EXIT_")}
