"""``exchange simulate`` and ``exchange replay-market`` against a real exchange."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.running import RunningExchange

FOLDER = os.environ.get("EXCHANGE_MARKETDATA", "")


def test_a_small_simulation_passes_its_checks_and_writes_its_report(
    exchange: RunningExchange, tmp_path: Path
) -> None:
    figures, folder = tmp_path / "figures.json", tmp_path / "report"
    done = exchange.run(
        *("simulate", "--scale", "10", "--duration", "4", "--processes", "2", "--webhooks"),
        *("--json", str(figures), "--report", str(folder)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(figures.read_text())
    assert result["errors"] == 0
    assert result["requests"] > 200
    assert set(result["latency_ms"]) == {"overall", "order", "cancel", "read"}
    assert set(result["latency_ms"]["order"]) == {"p50", "p90", "p99", "p999", "max"}
    assert result["checks"] == {
        "acknowledged_orders_readable": True,
        "fills_and_rest_make_the_quantity": True,
        "balances_sum_to_zero": True,
        "no_book_crossed": True,
        "trades_as_in_postgresql": True,
        "webhooks_verified": True,
        "webhooks_received_as_sent": True,
    }
    assert {"matcher-1", "persister-1", "http-1"} <= {row["process"] for row in result["server"]}
    assert (folder / "report.html").stat().st_size > 100_000
    assert json.loads((folder / "report.json").read_text())["scale"] == 10


def test_a_simulation_against_nothing_says_so(exchange: RunningExchange) -> None:
    done = exchange.run("simulate", "--url", "http://127.0.0.1:9", "--duration", "1")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stdout


@pytest.mark.skipif(not FOLDER, reason="EXCHANGE_MARKETDATA does not name the market data folder")
def test_recorded_order_flow_is_replayed_over_http(exchange: RunningExchange) -> None:
    done = exchange.run("replay-market", FOLDER, "--messages", "200")
    assert done.returncode == 0, done.stdout + done.stderr
    shares = re.findall(r"([\d,]+) of ([\d,]+)\s+│\s+100.00%", done.stdout)
    assert len(shares) == 3, done.stdout
    assert re.search(r"(\d+) of \1\s", done.stdout), "books equal the published ones"
