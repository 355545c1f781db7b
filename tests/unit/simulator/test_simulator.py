"""The simulator's arithmetic: the flow it sends, and the figures it reports."""

import json
from collections import Counter
from typing import Any

import httpx
import pytest
from rich.console import Console

from simulator.load.capacity import search_capacity, sustained, too_much
from simulator.load.ceiling import Ceiling
from simulator.load.flow import (
    BOOK,
    CANCEL,
    KINDS,
    ORDER,
    PRICE,
    STATUS,
    Flow,
    base_prices,
    generate,
)
from simulator.load.handlers import HandlerTimes
from simulator.load.market import MarketLoad
from simulator.load.requests import Participants
from simulator.load.run_plan import Plan
from simulator.load.samples import ERROR, OK, REFUSED, Samples, percentiles
from simulator.load.tickers import symbols
from simulator.report.host import HostTimes, host_given, host_times
from simulator.report.page import render
from simulator.target import Target

SECONDS = 20.0


def flow(scale: float = 100, seed: int = 1, process: int = 0, processes: int = 1) -> Flow:
    load = MarketLoad(scale)
    participants = Participants(
        "x",
        symbols(load.symbols, "R"),
        [f"key{n}" for n in range(load.brokers)],
        base_prices(seed, load.symbols),
    )
    return generate(load, participants, SECONDS, seed, process, processes)


@pytest.fixture(scope="module")
def day() -> Flow:
    return flow()


def test_rates_are_those_of_b3(day: Flow) -> None:
    counts = Counter(planned.kind for planned in day.planned)
    assert counts[ORDER] / SECONDS == pytest.approx(700, rel=0.05)
    assert counts[CANCEL] / SECONDS == pytest.approx(245, rel=0.05)
    reads = sum(count for kind, count in counts.items() if kind >= STATUS)
    assert reads / len(day.planned) == pytest.approx(0.28, abs=0.01)
    assert counts[STATUS] / reads == pytest.approx(0.35, abs=0.03)
    assert counts[PRICE] / reads == pytest.approx(0.30, abs=0.03)
    assert counts[BOOK] / reads == pytest.approx(0.25, abs=0.03)


def test_symbols_follow_zipf(day: Flow) -> None:
    traded = Counter(order.symbol for order in day.orders[day.opening :])
    total = sum(traded.values())
    # 1 / sum(k ** -0.95 for k in 1..450) is 12.9 %.
    assert traded[0] / total == pytest.approx(0.129, abs=0.01)
    assert sum(traded[n] for n in range(10)) / total == pytest.approx(0.40, abs=0.03)


def test_orders_are_those_of_b3(day: Flow) -> None:
    bodies = [_body(order.head, order.tail) for order in day.orders[day.opening :]]
    markets = [b for b in bodies if b["order_type"] == "market"]
    assert len(markets) / len(bodies) == pytest.approx(0.05, abs=0.01)
    limits = [o for o in day.orders[day.opening :] if o.tail]
    lives = Counter(
        "short" if o.life_seconds <= 1 else "day" if o.life_seconds > 60 else "some" for o in limits
    )
    assert lives["short"] / len(limits) == pytest.approx(0.10, abs=0.02)
    assert lives["day"] / len(limits) == pytest.approx(0.70, abs=0.03)
    assert all(50 <= b["quantity"] <= 500 for b in bodies)


def _body(head: bytes, tail: bytes) -> dict[str, Any]:
    text, _, body = head.partition(b"\r\n\r\n")
    instant = b"2026-11-22T14:45:58.123Z" if tail else b""
    whole = body + instant + tail
    assert b"content-length: %d" % len(whole) in text
    content: dict[str, Any] = json.loads(whole)
    return content


def test_the_book_is_filled_before_the_opening(day: Flow) -> None:
    assert day.opening == 450 * 40
    assert len({order.symbol for order in day.orders[: day.opening]}) == 450


def test_an_order_is_canceled_at_most_once_and_after_it_was_placed(day: Flow) -> None:
    placed = {p.order: p.at for p in day.planned if p.kind == ORDER}
    canceled = [p for p in day.planned if p.kind == CANCEL]
    assert len({p.order for p in canceled}) == len(canceled)
    assert all(placed.get(p.order, -1.0) <= p.at for p in canceled)
    assert all(day.orders[p.order].tail for p in canceled), "a market order never rests"


def test_the_same_seed_gives_the_same_flow_and_another_another() -> None:
    assert flow(10, seed=3).planned == flow(10, seed=3).planned
    assert flow(10, seed=3).orders != flow(10, seed=4).orders


def test_processes_share_the_load_and_the_opening() -> None:
    parts = [flow(50, process=n, processes=2) for n in range(2)]
    assert sum(part.opening for part in parts) == 225 * 40
    assert sum(len(part.planned) for part in parts) / SECONDS == pytest.approx(
        MarketLoad(50).requests_per_second, rel=0.06
    )


def test_below_full_scale_symbols_and_brokers_shrink_and_above_only_rates_grow() -> None:
    assert (MarketLoad(10).symbols, MarketLoad(10).brokers) == (45, 10)
    assert (MarketLoad(1000).symbols, MarketLoad(1000).brokers) == (450, 100)
    assert MarketLoad(1000).orders_per_second == 7000
    assert len(symbols(450, "ABCD")) == len(set(symbols(450, "ABCD"))) == 450
    assert all(len(name) <= 10 for name in symbols(450, "ABCD"))


def test_percentiles_are_by_nearest_rank() -> None:
    ordered = [float(n) for n in range(1, 1001)]
    assert percentiles(ordered) == {
        "p50": 501.0,
        "p90": 901.0,
        "p99": 991.0,
        "p999": 1000.0,
        "max": 1000.0,
    }
    assert percentiles([])["p99"] == 0.0


def samples() -> Samples:
    seen = Samples()
    seen.late_ms.extend([0.5, 0.5, 3.0])
    for n in range(100):
        seen.add(n % len(KINDS), n / 10, float(n), OK)
    seen.add(ORDER, 1.5, 9.0, ERROR)
    seen.add(ORDER, 1.6, 9.0, REFUSED)
    return seen


def test_a_summary_counts_errors_and_refusals_apart_and_keeps_them_out_of_the_latency() -> None:
    both = Samples()
    both.merge(samples())
    both.merge(samples())
    summary = both.summary(10)
    assert (summary["requests"], summary["errors"], summary["refused"]) == (204, 2, 2)
    assert summary["throughput_per_second"] == 20.0
    assert summary["latency_ms"]["overall"]["max"] == 99.0
    assert (summary["driver_late_ms"]["p50"], summary["driver_late_ms"]["max"]) == (0.5, 3.0)
    seconds = both.by_second(10)
    assert (len(seconds[1][0]), seconds[1][1], seconds[1][2]) == (20, 2, 2)


def test_what_the_machine_gave_is_told_in_shares_of_its_cores() -> None:
    given = host_given(HostTimes(10, 10, 10, 10), HostTimes(70, 40, 15, 15))
    assert (given["busy_percent"], given["idle_percent"]) == (60.0, 30.0)
    assert (given["iowait_percent"], given["steal_percent"]) == (5.0, 5.0)
    assert given["cores"] >= 1
    assert sum(host_times()) > 0


METRICS = """
process_start_time_seconds {started}
exchange_http_request_seconds_count{{endpoint="/orders/{{order_id}}/cancel"}} {count}
exchange_http_request_seconds_sum{{endpoint="/orders/{{order_id}}/cancel"}} {seconds}
exchange_http_request_seconds_sum{{endpoint="/balance"}} 1.0
"""


@pytest.mark.parametrize(
    ("started", "means"), [(1.5, {"cancel": 20.0}), (2.5, {})], ids=["same", "another process"]
)
def test_the_time_inside_the_server_is_that_of_the_run(
    started: float, means: dict[str, float]
) -> None:
    texts = [
        METRICS.format(started=1.5, count=10, seconds=7),
        METRICS.format(started=started, count=60, seconds=8),
    ]
    answers = httpx.MockTransport(lambda _: httpx.Response(200, text=texts.pop(0)))
    with httpx.Client(transport=answers, base_url="http://x") as client:
        times = HandlerTimes(client)
        times.begin()
        assert times.means() == means


def test_a_server_without_metrics_tells_no_times() -> None:
    answers = httpx.MockTransport(lambda _: httpx.Response(404))
    with httpx.Client(transport=answers, base_url="http://x") as client:
        times = HandlerTimes(client)
        times.begin()
        assert times.means() == {}


def result(p99: float = 5, errors: int = 0, late: bool = False) -> dict[str, object]:
    return {
        "latency_ms": {"overall": {"p99": p99}},
        "errors": errors,
        "refused": 0,
        "requests": 1000,
        "driver": {"late": late},
        "driver_late_ms": {"max": 70.0},
    }


def test_a_step_is_too_much_by_latency_errors_or_a_late_driver() -> None:
    assert too_much(result(p99=49.9)) == ""
    assert "p99" in too_much(result(p99=50))
    assert "1 errors" in too_much(result(errors=1))
    assert "late" in too_much(result(late=True))
    assert sustained([{"scale": 50, "sustained": True}, {"scale": 75, "sustained": False}]) == 50


def test_the_search_doubles_the_load_and_halves_the_gap_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[float] = []

    def attempt(
        _console: object, _target: object, step: Plan, _own: object
    ) -> tuple[dict[str, Any], str]:
        tried.append(step.scale)
        why = "p99 60 ms" if step.scale > 55 else ""
        return {"latency_ms": {"overall": {"p99": 1.0}}, "throughput_per_second": 1.0}, why

    monkeypatch.setattr("simulator.load.capacity._attempt", attempt)
    plan, own = Plan(100, 1, 1, 1), Ceiling(1.0, 1.0)
    steps, _ = search_capacity(Console(quiet=True), Target("http://x", ""), plan, own)
    assert tried == [10, 20, 40, 80, 60, 50]
    assert sustained(steps) == 50


def test_the_page_is_one_file_without_addresses_to_load() -> None:
    seen = samples()
    report = {
        "url": "http://127.0.0.1:1<",
        "scale": 100,
        "duration_seconds": 10,
        "seed": 1,
        "started_at": "now",
        **seen.summary(10),
        "driver": {"late": False, "cpu_microseconds_per_request": 31.5},
        "handler_ms_by_kind": {"order": 1.234},
        "machine": host_given(HostTimes(10, 10, 10, 10), HostTimes(70, 40, 15, 15)),
        "server": [
            {"process": "a<b", "cpu_microseconds_per_request": 1.0, "cores": 0.1, "rss_mib": 5.0}
        ],
        "checked": {"orders": 12, "trades": 3},
        "checks": {"balances_sum_to_zero": "passed", "no_book_crossed": "failed", "c": "skipped"},
        "check_remarks": {"no_book_crossed": "crossed: <X>", "c": "it has none"},
        "series": {
            "second": [0],
            **{name: [1.0] for name in ("p50", "p90", "p99", "max")},
            **{name: [1] for name in ("answered", "errors", "refused")},
        },
        "distribution": {"order": [[1, 2.0]]},
        "top_symbols": [["PETR4", 5]],
    }
    page = render(report)
    assert "<script src" not in page
    assert "<link" not in page
    assert "crossed: &lt;X&gt;" in page
    assert "a&lt;b" in page
    assert "skipped: it has none" in page
    assert "<td>order</td><td>17</td><td>1</td><td>1</td><td>1.23</td>" in page
    assert "<td>balance</td><td>16</td><td>0</td><td>0</td><td>-</td>" in page
    assert "<td>given to other machines (steal), %</td><td>5.0</td>" in page
    assert "<td>0.50, 3.00, 3.0</td>" in page
    assert "1/2" in page, "a skipped check is not counted"
