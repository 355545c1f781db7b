"""What the dashboard and the alerts ask for is what the processes of a running exchange show."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.process.asking import HEALTH_SUFFIX
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange
from tests.support.watching import (
    OF_PROMETHEUS,
    TARGET_LABELS,
    expressions,
    labels_of,
    metrics_of,
)

WORKERS = ("matcher", "persister", "notifier")


def texts(exchange: RunningExchange) -> list[str]:
    """The metrics of all processes: of HTTP on its port, of the others on their sockets."""
    found = [httpx.get(f"{exchange.url}/metrics", trust_env=False).text]
    for path in Path(exchange.addresses["health_sockets"]).glob(f"*{HEALTH_SUFFIX}"):
        if path.name.startswith(WORKERS):
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=str(path)), trust_env=False
            ) as client:
                found.append(client.get("http://worker/metrics").text)
    assert len(found) > len(WORKERS)
    return found


def test_every_metric_and_label_of_the_dashboard_and_the_alerts_is_there(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1000, 1)
    bob.bid(symbol, 1000, 1)
    shown: set[str] = set()
    labels = set(TARGET_LABELS)

    def are_stored() -> bool:
        """Once a trade is in PostgreSQL, all labels but those of webhooks have had a value."""
        return any('exchange_persister_rows_total{table="trades"}' in t for t in texts(exchange))

    eventually(are_stored)
    for text in texts(exchange):
        for family in text_string_to_metric_families(text):
            total = "_total" if family.type == "counter" else ""
            shown.add(family.name + total)
            for sample in family.samples:
                labels |= sample.labels.keys()
    labels.add("outcome")  # Of a counter of webhooks, which counts from the first one on.
    asked = list(expressions())
    assert len(asked) > 30
    for expression in asked:
        assert metrics_of(expression), expression
        assert metrics_of(expression) <= shown | OF_PROMETHEUS, expression
        assert labels_of(expression) <= labels, expression


def test_a_running_exchange_shows_all_partitions_with_their_owners(
    exchange: RunningExchange,
) -> None:
    def look() -> dict[str, float]:
        text = httpx.get(f"{exchange.url}/metrics", trust_env=False).text
        rows = re.findall(r"^(exchange_(?:partition|redis)_\S+) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in rows}

    shown = look()
    owned = [value for name, value in shown.items() if name.startswith("exchange_partition_owned")]
    assert owned == [1.0] * 16 * len(WORKERS)
    assert shown["exchange_redis_up"] == 1
    assert shown["exchange_redis_memory_bytes"] > 0

    def is_calm() -> bool:
        lags = [
            value
            for name, value in look().items()
            if name.startswith(("exchange_partition_backlog", "exchange_partition_to_"))
        ]
        assert len(lags) == 16 * 3
        assert min(lags) >= 0
        return max(lags) == 0

    eventually(is_calm)


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        (
            'sum by (le, job) (rate(exchange_x_bucket{a="b",c=~"d"}[1m]))',
            {"exchange_x"},
            "le job a c",
        ),
        ("up == 0", {"up"}, ""),
    ],
)
def test_what_an_expression_asks_for_is_found(
    expression: str, metrics: set[str], labels: str
) -> None:
    assert (metrics_of(expression), labels_of(expression)) == (metrics, set(labels.split()))
