"""``exchange simulate`` and ``exchange replay-recording`` against a real exchange."""

import json
import os
from pathlib import Path

import pytest

from tests.support.running import RunningExchange

FOLDER = os.environ.get("EXCHANGE_MARKETDATA", "")


def test_a_small_simulation_passes_its_checks_and_writes_its_report(
    exchange: RunningExchange, tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    done = exchange.run(
        *("simulate", "--scale", "10", "--duration", "4", "--processes", "2", "--webhooks"),
        *("--json", "--report", str(folder)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
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
    assert "127.0.0.1:9" in done.stderr


@pytest.mark.skipif(not FOLDER, reason="EXCHANGE_MARKETDATA does not name the market data folder")
def test_recorded_order_flow_is_replayed_over_http(exchange: RunningExchange) -> None:
    folder = Path(FOLDER)
    done = exchange.run(
        "replay-recording",
        "--lobster",
        str(folder / "lobster_AAPL_2012-06-21_0930-1030_message_50.csv.gz"),
        str(folder / "lobster_AAPL_2012-06-21_first_rows_orderbook_10.csv.gz"),
        "--b3",
        str(folder / "b3_PETR4F_VALE5F_2015-11-03_orders.csv.gz"),
        *("--limit", "200", "--json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["recordings"]
    assert [row["symbol"] for row in rows] == ["AAPL", "PETR4F", "VALE5F"]
    assert all(row["hit_first"] == row["judged"] > 0 for row in rows)
