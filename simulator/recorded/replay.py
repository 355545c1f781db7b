"""``exchange replay-market``: real order flow through the exchange, and whom it executes first."""

import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from simulator.broker import Broker, CallFailed, connect
from simulator.recorded import b3day, lobster
from simulator.recorded.venue import HttpVenue, Venue

LOBSTER_MESSAGES = "lobster_AAPL_2012-06-21_0930-1030_message_50.csv.gz"
LOBSTER_BOOKS = "lobster_AAPL_2012-06-21_first_rows_orderbook_10.csv.gz"
B3_ORDERS = "b3_PETR4F_VALE5F_2015-11-03_orders.csv.gz"
HTTP_MESSAGES = 3_000  # A command over HTTP takes milliseconds, for it waits for the one before.

Open = Callable[[str], Venue]


def replay_market(
    folder: Path = typer.Argument(
        ..., envvar="EXCHANGE_MARKETDATA", help="Where the market data files are."
    ),
    engine: bool = typer.Option(
        False, "--engine", help="Straight through the matcher's engine instead of over HTTP."
    ),
    messages: int = typer.Option(
        0, min=0, help="How many messages of each file; 0: all, over HTTP the first 3,000."
    ),
    url: str = typer.Option("http://127.0.0.1:8000", envvar="EXCHANGE_URL"),
    admin_key: str = typer.Option("", envvar="EXCHANGE_ADMIN_KEY"),
) -> None:
    """Replay NASDAQ's and B3's recorded orders; report executions and books that agree."""
    console = Console()
    limit = messages or (0 if engine else HTTP_MESSAGES)
    try:
        if engine:
            rows = replay_all(console, folder, open_engine(), limit)
        else:
            with connect(url) as client:
                rows = replay_all(console, folder, _http(client, admin_key), limit)
    except (httpx.TransportError, CallFailed, FileNotFoundError) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        raise typer.Exit(1) from error
    console.print(_table(rows))


def replay_all(console: Console, folder: Path, venue: Open, limit: int) -> list[dict[str, Any]]:
    rows = [replay_lobster(console, folder, venue("AAPL"), limit)]
    for symbol, events in b3day.read_events(folder / B3_ORDERS).items():
        chosen = events[:limit] if limit else events
        # A cut between the two rows of a trade would leave half of one.
        while limit and chosen and chosen[-1].kind == "Trade":
            chosen.pop()
        began = time.perf_counter()
        result = b3day.Replay(venue(symbol)).run(chosen)
        rows.append(
            _row(symbol, result.events, result.hit_first, result.judged, began)
            | {"books": "", "unseen": result.unseen}
        )
    return rows


def replay_lobster(console: Console, folder: Path, venue: Venue, limit: int) -> dict[str, Any]:
    recorded = list(lobster.read_messages(folder / LOBSTER_MESSAGES))
    chosen = recorded[:limit] if limit else recorded
    replay = lobster.Replay(venue, lobster.read_books(folder / LOBSTER_BOOKS))
    began = time.perf_counter()
    replay.seed(chosen[0])
    for message in track(chosen, "AAPL", console=console, transient=True):
        replay.apply(message)
    venue.settle()
    result = replay.result
    row = _row("AAPL", result.messages, result.hit_first, result.executions, began)
    return row | {"books": f"{result.books_equal} of {result.books}", "unseen": 0}


def _row(symbol: str, events: int, hit: int, judged: int, began: float) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "events": events,
        "hit_first": hit,
        "judged": judged,
        "per_second": round(events / (time.perf_counter() - began)),
    }


def open_engine() -> Open:
    """The engine comes by entry point, because the simulator imports no process."""
    (entry,) = entry_points(group="exchange.venues", name="engine")
    venue: Open = entry.load()
    return venue


def _http(client: httpx.Client, admin_key: str) -> Open:
    mark = f"{time.time_ns() // 10**8 % 10**5:05d}"
    broker = Broker.register(client, admin_key, f"replay {mark}")
    return lambda symbol: HttpVenue(client, broker, f"{symbol}.{mark}")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="real executions, and ours", title_justify="left")
    table.add_column("")
    for name in ("events", "agreeing executions", "share", "books equal", "unseen", "events/s"):
        table.add_column(name, justify="right")
    for row in rows:
        judged = row["judged"]
        share = f"{row['hit_first'] / judged:.2%}" if judged else "-"
        table.add_row(
            row["symbol"],
            f"{row['events']:,}",
            f"{row['hit_first']:,} of {judged:,}",
            share,
            row["books"],
            str(row["unseen"]),
            f"{row['per_second']:,}",
        )
    return table
