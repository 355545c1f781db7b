"""The simulator and the demo against an exchange that has the basic contract and nothing more."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from simulator.demo import demo
from simulator.load.judge import NO_STATE
from simulator.simulate import simulate
from simulator.target import Target
from tests.support.basic_exchange import BasicExchange, Spelling

SPELLINGS = [
    Spelling(),
    Spelling(order_key="id", cancel_status=200, count_key="count", keyless=True),
    Spelling(cancel_status=202, count_key="trade_count"),
]
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


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_simulation_passes_and_names_the_checks_that_it_skips(spelling: Spelling) -> None:
    shown = io.StringIO()
    with BasicExchange(spelling) as exchange:
        result = simulate(
            Console(file=shown, width=160),
            Target(exchange.url, exchange.admin_key),
            scale=2,
            duration=2,
            seed=1,
            processes=1,
            report_dir=None,
            find_capacity=False,
            webhooks=False,
        )
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
    import importlib.util

    from simulator.errors import MissingExtra

    found = importlib.util.find_spec
    monkeypatch.setattr(
        "simulator.report.extra.find_spec", lambda n: None if n == "plotly" else found(n)
    )
    with BasicExchange() as exchange, pytest.raises(MissingExtra, match=r"\[report\]"):
        simulate(
            Console(quiet=True),
            Target(exchange.url, exchange.admin_key),
            scale=1,
            duration=1,
            seed=1,
            processes=1,
            report_dir=tmp_path,
            find_capacity=False,
            webhooks=False,
        )
    assert exchange.calls == 0
