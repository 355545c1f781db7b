"""``exchange simulate`` and ``exchange replay-recording`` against a real exchange, and the
simulation against one that has the basic contract and nothing more."""

import importlib.util
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simulator.demo import demo
from simulator.errors import MissingExtra, SimulationFailed
from simulator.load.judge import NO_STATE
from simulator.simulate import simulate
from simulator.target import Target
from tests.support.basic_exchange import BasicExchange, Spelling
from tests.support.running import RunningExchange

SPELLINGS = [
    Spelling(),
    Spelling(order_key="id", cancel_status=200, count_key="count", keyless=True),
    Spelling(cancel_status=202, count_key="trade_count"),
]
CHECKS = (
    "acknowledged_orders_readable",
    "fills_and_rest_make_the_quantity",
    "states_agree_with_fills",
    "all_that_was_bought_was_sold",
    "balances_sum_to_zero",
    "balances_are_the_cash_of_the_fills",
    "no_book_crossed",
    "trade_count_has_grown_by_the_trades",
    "trades_as_in_postgresql",
    "webhooks_verified",
    "webhooks_received_as_sent",
)
BASIC_CHECKS = {
    "acknowledged_orders_readable": "passed",
    "fills_and_rest_make_the_quantity": "passed",
    "states_agree_with_fills": "skipped",
    "all_that_was_bought_was_sold": "passed",
    "balances_sum_to_zero": "passed",
    "balances_are_the_cash_of_the_fills": "passed",
    "no_book_crossed": "passed",
    "trades_as_in_postgresql": "skipped",
}
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
    assert result["checks"] == dict.fromkeys(CHECKS, "passed"), result["check_remarks"]
    assert {"matcher-1", "persister-1", "http-1"} <= {row["process"] for row in result["server"]}
    assert set(result["handler_ms_by_kind"]) == set(result["requests_by_kind"])
    assert result["machine"]["busy_percent"] > 0
    told = result["trade_to_webhook_ms"]
    assert 0 < told["p50"] <= told["p99"]
    assert 0 < told["messages"] <= 2 * result["checked"]["trades"]
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


def small_simulation(
    console: Console, exchange: BasicExchange, report_dir: Path | None = None
) -> dict[str, Any]:
    return simulate(
        console,
        Target(exchange.url, exchange.admin_key),
        scale=2,
        duration=2,
        seed=1,
        processes=1,
        report_dir=report_dir,
        find_capacity=False,
        webhooks=False,
    )


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_simulation_passes_and_names_the_checks_that_it_skips(spelling: Spelling) -> None:
    shown = io.StringIO()
    with BasicExchange(spelling) as exchange:
        result = small_simulation(Console(file=shown, width=160), exchange)
    assert result["passed"], result["check_remarks"]
    count = "passed" if spelling.count_key else "skipped"
    assert result["checks"] == BASIC_CHECKS | {"trade_count_has_grown_by_the_trades": count}
    assert result["checked"]["trades"] > 0
    assert (result["errors"], result["error_kinds"]) == (0, {})
    assert NO_STATE in shown.getvalue()
    assert result["order_to_trade_ms"]["failures"] == 0


def test_the_demo_runs_there_as_well() -> None:
    with BasicExchange(SPELLINGS[1]) as exchange:
        result = demo(Console(quiet=True), Target(exchange.url, ""), orders=80, seed=1)
    assert result["passed"]
    assert result["trades"] > 0


def test_a_report_without_plotly_is_refused_before_any_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "simulator.report.extra.find_spec", lambda n: None if n == "plotly" else found(n)
    )
    with BasicExchange() as exchange, pytest.raises(MissingExtra, match=r"\[report\]"):
        small_simulation(Console(quiet=True), exchange, report_dir=tmp_path)
    assert exchange.calls == 0


def test_a_simulation_whose_opening_is_refused_fails_with_the_answer() -> None:
    wanted = r"before the opening: 422 (?s:.*)no orders today"
    with BasicExchange() as exchange:
        exchange.refuse = (422, "no orders today")
        with pytest.raises(SimulationFailed, match=wanted):
            small_simulation(Console(quiet=True), exchange)
