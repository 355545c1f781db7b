"""``exchange top``: how a running exchange is, again and again, on 24 lines of 80 columns.

It asks with the Python client what the live page asks too: ``GET /admin/health`` and the tickers.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exchange.commands.options import AdminKey, Data, Url
from exchange.commands.report import complain
from protocol.partitions import partition_ranges

if TYPE_CHECKING:
    from client import Exchange, Health, Ticker
    from client.health import ExchangeState, PartitionState, Traffic

ANSWER_SECONDS_MAX = 2.0
SYMBOLS_SECONDS = 5.0  # All tickers are read for the busiest of them, so less often.
SYMBOLS_MAX = 5
ROWS_MIN = 3  # Of each table, however small the terminal is.
FRAME_LINES = 3  # Of a table, above its rows.
WELL = "All is well."


def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.2, max=60, help="Seconds from one look to the next.")
    ] = 1,
    url: Url = "",
    admin_key: AdminKey = "",
    data: Data = None,
) -> None:
    """Show how a running exchange is: requests, latency, lags, owners, memory, busiest symbols.

    Ctrl-C ends it. With --once the exit code is 1 when the exchange does not answer.
    """
    from client import Exchange
    from exchange.local.addresses import find_exchange
    from runtime.process.errors import ExchangeError

    given = {"url": url, "admin_key": admin_key}
    try:
        found = find_exchange(data, "url", "admin_key", given=given)
    except ExchangeError as error:
        complain(str(error))
        raise typer.Exit(1) from error
    with Exchange(found.url, found.admin_key, deadline_seconds=ANSWER_SECONDS_MAX) as exchange:
        watch = Watch(exchange, found.url)
        if once:
            Console().print(watch.look())
            raise typer.Exit(0 if watch.is_answered else 1)
        try:
            _again_and_again(watch, interval)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _again_and_again(watch: "Watch", interval: float) -> None:
    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(watch.look(live.console.height), refresh=True)
            time.sleep(interval)


class Watch:
    """Looks at an exchange. ``is_answered`` says whether the last look has found it."""

    def __init__(self, exchange: "Exchange", url: str) -> None:
        self.is_answered = False
        self._exchange = exchange
        self._url = url
        self._tickers: list[Ticker] = []
        self._tickers_at = float("-inf")

    def look(self, lines: int | None = None) -> RenderableType:
        """The picture of now on so many lines, or why there is none."""
        from client import Problem

        try:
            health = self._exchange.health()
            if time.monotonic() - self._tickers_at > SYMBOLS_SECONDS:
                self._tickers = busiest(self._exchange.tickers())
                self._tickers_at = time.monotonic()
        except Problem as problem:
            self.is_answered = False
            return Text(f"{self._url} does not answer: {problem}", style="red")
        self.is_answered = True
        return picture(health, self._tickers, lines)


def busiest(tickers: Iterable["Ticker"]) -> list["Ticker"]:
    """Those for which most money has changed hands today."""
    traded = [ticker for ticker in tickers if ticker.notional]
    return sorted(traded, key=lambda ticker: -ticker.notional)[:SYMBOLS_MAX]


def picture(
    health: "Health", tickers: Sequence["Ticker"], lines: int | None = None
) -> RenderableType:
    """Everything on 80 columns, what matters most at the top. Without ``lines`` all partitions are
    shown; otherwise the busiest ones, and the others as one row."""
    wrong = _wrong(health)
    if health.state is None:
        return wrong
    figures, state = _figures(health.state), health.state
    rows = len(state.partitions)
    if lines is not None:
        head = figures.plain.count("\n") + wrong.plain.count("\n") + 2
        left = lines - head - 3 * FRAME_LINES - len(state.workers)
        tickers = tickers[: max(left - ROWS_MIN, 0)]
        rows = max(left - len(tickers), ROWS_MIN)
    tables = [_workers(state), *([_symbols(tickers)] if tickers else []), _partitions(state, rows)]
    return Group(figures, wrong, *[part for table in tables for part in (Text(), table)])


def _wrong(health: "Health") -> Text:
    if not health.complaints:
        return Text(WELL, style="green")
    return Text("\n".join(health.complaints), style="red")


def _figures(state: "ExchangeState") -> Text:
    traffic = [worker.traffic for worker in state.workers if worker.traffic is not None]
    requests = sum(one.requests_per_second for one in traffic)
    slowest = max((one.p99_ms for one in traffic if one.p99_ms is not None), default=None)
    workers = sum(worker.memory_bytes or 0 for worker in state.workers if worker.alive)
    most = state.redis_memory_bytes_max
    limit = "" if most is None else f" of {_mebibytes(most)}"
    return Text(
        f"requests {requests:,.0f}/s   p50 {_milliseconds(_middle(traffic))}"
        f"   p99 {_milliseconds(slowest)}\nmemory of the workers {_mebibytes(workers)},"
        f" of Redis {_mebibytes(state.redis_memory_bytes)}{limit}"
    )


def _middle(traffic: Sequence["Traffic"]) -> float | None:
    """The mean of the processes' p50, each as often as it was asked."""
    asked = [(one.p50_ms, one.requests_per_second) for one in traffic if one.p50_ms is not None]
    total = sum(often for _, often in asked)
    return sum(p50 * often for p50, often in asked) / total if total else None


def _workers(state: "ExchangeState") -> Table:
    table = _table(("worker", "state", "partitions"), ("requests/s", "p50", "p99", "memory"))
    owned = _owned(state)
    for worker in state.workers:
        is_well = worker.alive and worker.health in ("ready", "unknown")
        said = worker.health if worker.alive else f"silent {worker.seen_ms_ago / 1000:.0f} s"
        traffic = worker.traffic
        table.add_row(
            Text(worker.instance),
            Text(said, style="" if is_well else "red"),
            partition_ranges(owned.get(worker.instance, [])),
            "" if traffic is None else f"{traffic.requests_per_second:,.0f}",
            "" if traffic is None else _milliseconds(traffic.p50_ms),
            "" if traffic is None else _milliseconds(traffic.p99_ms),
            _mebibytes(worker.memory_bytes),
        )
    return table


def _owned(state: "ExchangeState") -> dict[str, list[int]]:
    """The partitions of each worker. Those that nobody has are among what is wrong."""
    owned: dict[str, list[int]] = {}
    for number, partition in enumerate(state.partitions):
        owners = partition.owners
        for name in (owners.matcher, owners.persister, owners.notifier):
            if name is not None:
                owned.setdefault(name, []).append(number)
    return owned


def _symbols(tickers: Sequence["Ticker"]) -> Table:
    table = _table(("symbol",), ("last", "change", "bid", "ask", "volume", "trades"))
    for ticker in tickers:
        bid, ask = ticker.best_bid, ticker.best_ask
        table.add_row(
            ticker.symbol,
            _money(ticker.last_price),
            "" if ticker.change is None else f"{ticker.change / 100:+,.2f}",
            _money(None if bid is None else bid.price),
            _money(None if ask is None else ask.price),
            f"{ticker.volume:,}",
            f"{ticker.trades:,}",
        )
    return table


def _partitions(state: "ExchangeState", rows_max: int) -> Table:
    """The busiest first; those that do not fit are added up."""
    lags = ("open orders", "to match", "to store", "to notify")
    table = _table(("partition",), ("symbols", *lags))
    rows: list[tuple[str, tuple[int, ...]]] = [
        (p.partition, (p.symbols, p.open_orders, p.backlog, p.to_store, p.to_notify))
        for p in sorted(state.partitions, key=_busyness, reverse=True)
    ]
    if len(rows) > rows_max:
        rows, others = rows[: rows_max - 1], rows[rows_max - 1 :]
        sums = tuple(map(sum, zip(*[figures for _, figures in others], strict=True)))
        rows.append((f"{len(others)} others", sums))
    for name, figures in rows:
        table.add_row(name, *[f"{figure:,}" for figure in figures])
    return table


def _busyness(partition: "PartitionState") -> tuple[int, int]:
    waiting = partition.backlog + partition.to_store + partition.to_notify
    return waiting, partition.open_orders


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in left:
        table.add_column(column, overflow="fold")
    for column in right:
        table.add_column(column, justify="right", overflow="fold")
    return table


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:,.0f} MiB"


def _money(cents: int | None) -> str:
    return "" if cents is None else f"{cents / 100:,.2f}"
