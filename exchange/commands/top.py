"""``exchange top``: how a running exchange is, again and again, on 80 columns.

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
    from client.health import ExchangeState, Traffic

ANSWER_SECONDS_MAX = 2.0
SYMBOLS_SECONDS = 5.0  # All tickers are read for the busiest of them, so less often.
SYMBOLS_MAX = 5
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
    with Live(watch.look(), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            live.update(watch.look(), refresh=True)


class Watch:
    """Looks at an exchange. ``is_answered`` says whether the last look has found it."""

    def __init__(self, exchange: "Exchange", url: str) -> None:
        self.is_answered = False
        self._exchange = exchange
        self._url = url
        self._tickers: list[Ticker] = []
        self._tickers_at = float("-inf")

    def look(self) -> RenderableType:
        """The picture of now, or why there is none."""
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
        return picture(health, self._tickers)


def busiest(tickers: Iterable["Ticker"]) -> list["Ticker"]:
    """Those for which most money has changed hands today."""
    traded = [ticker for ticker in tickers if ticker.notional]
    return sorted(traded, key=lambda ticker: -ticker.notional)[:SYMBOLS_MAX]


def picture(health: "Health", tickers: Sequence["Ticker"]) -> RenderableType:
    """Everything on 80 columns, what matters most at the top."""
    parts: list[RenderableType] = [_wrong(health)]
    if health.state is not None:
        parts = [_figures(health.state), *parts, _workers(health.state)]
        if tickers:
            parts.append(_symbols(tickers))
        parts += [_owners(health.state), _partitions(health.state)]
    return Group(*parts)


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
    table = _table(("worker", "state"), ("requests/s", "p50", "p99", "memory"))
    for worker in state.workers:
        is_well = worker.alive and worker.health in ("ready", "unknown")
        said = worker.health if worker.alive else f"silent {worker.seen_ms_ago / 1000:.0f} s"
        traffic = worker.traffic
        table.add_row(
            Text(worker.instance),
            Text(said, style="" if is_well else "red"),
            "" if traffic is None else f"{traffic.requests_per_second:,.0f}",
            "" if traffic is None else _milliseconds(traffic.p50_ms),
            "" if traffic is None else _milliseconds(traffic.p99_ms),
            _mebibytes(worker.memory_bytes),
        )
    return table


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


def _owners(state: "ExchangeState") -> Table:
    """Partitions with the same three owners share a row."""
    table = _table(("partitions", "matcher", "persister", "notifier"), ())
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for number, partition in enumerate(state.partitions):
        owners = partition.owners
        trio = (owners.matcher, owners.persister, owners.notifier)
        groups.setdefault(trio, []).append(number)
    for names, numbers in groups.items():
        named = [Text(owner or "nobody", style="" if owner else "red") for owner in names]
        table.add_row(partition_ranges(numbers), *named)
    return table


def _partitions(state: "ExchangeState") -> Table:
    lags = ("open orders", "to match", "to store", "to notify")
    table = _table(("partition",), ("symbols", *lags))
    for partition in state.partitions:
        waiting = (partition.backlog, partition.to_store, partition.to_notify)
        figures = (partition.symbols, partition.open_orders, *waiting)
        table.add_row(partition.partition, *[f"{figure:,}" for figure in figures])
    return table


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
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
