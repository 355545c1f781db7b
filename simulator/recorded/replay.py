"""``exchange replay-recording``: recorded order flow through the exchange, and whom it executes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from simulator.errors import SimulationFailed
from simulator.recorded import b3day
from simulator.recorded import lobster as lobster_replay
from simulator.recorded.lobster_files import read_recording
from simulator.recorded.venue import Venue

AGREEMENT_MIN = 0.99  # Of the judged executions; a recording does not show everything.

OpenVenue = Callable[[str], Venue]


def replay_recording(
    console: Console,
    open_venue: OpenVenue,
    *,
    lobster: tuple[Path, Path] | None,
    b3: Path | None,
    limit: int,
) -> dict[str, Any]:
    """Replay recorded order flow and report the executions and books that agree.

    ``open_venue`` gives a place for one symbol; ``lobster`` is the message file and the order-book
    file of one day, ``b3`` a B3 order file. ``limit`` is how many messages of each file are
    replayed, 0 for all.
    """
    rows = []
    if lobster is not None:
        rows.append(_replay_lobster(console, lobster, open_venue, limit))
    if b3 is not None:
        rows += _replay_b3(b3, open_venue, limit)
    if not rows:
        raise SimulationFailed("there is nothing to replay: name LOBSTER files or a B3 file")
    console.print(_table(rows))
    agrees = all(row["hit_first"] >= AGREEMENT_MIN * row["judged"] for row in rows)
    return {"passed": agrees, "recordings": rows}


def _replay_lobster(
    console: Console, paths: tuple[Path, Path], open_venue: OpenVenue, limit: int
) -> dict[str, Any]:
    recording = read_recording(*paths)
    venue = open_venue(recording.symbol)
    replay = lobster_replay.Replay(venue, recording)
    began = time.perf_counter()
    replay.seed()
    chosen = recording.messages[:limit] if limit else recording.messages
    for message in track(chosen, recording.symbol, console=console, transient=True):
        replay.apply(message)
    venue.settle()
    result = replay.result
    row = _row(recording.symbol, result.messages, result.hit_first, result.judged, began)
    return row | {
        "books": result.books,
        "books_equal": result.books_equal,
        "unjudged": result.unjudged,
    }


def _replay_b3(path: Path, open_venue: OpenVenue, limit: int) -> list[dict[str, Any]]:
    rows = []
    for symbol, events in b3day.read_events(path).items():
        chosen = events[:limit] if limit else events
        # A cut between the two rows of a trade would leave half of one.
        while limit and chosen and chosen[-1].kind == "Trade":
            chosen.pop()
        began = time.perf_counter()
        result = b3day.Replay(open_venue(symbol)).run(chosen)
        rows.append(
            _row(symbol, result.events, result.hit_first, result.judged, began)
            | {"books": 0, "books_equal": 0, "unjudged": result.unseen}
        )
    return rows


def _row(symbol: str, events: int, hit: int, judged: int, began: float) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "events": events,
        "hit_first": hit,
        "judged": judged,
        "per_second": round(events / (time.perf_counter() - began)),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="real executions, and ours", title_justify="left")
    table.add_column("")
    for name in ("events", "agreeing executions", "share", "unjudged", "books equal", "events/s"):
        table.add_column(name, justify="right")
    for row in rows:
        judged = row["judged"]
        share = f"{row['hit_first'] / judged:.2%}" if judged else "-"
        table.add_row(
            row["symbol"],
            f"{row['events']:,}",
            f"{row['hit_first']:,} of {judged:,}",
            share,
            f"{row['unjudged']:,}",
            f"{row['books_equal']:,} of {row['books']:,}" if row["books"] else "-",
            f"{row['per_second']:,}",
        )
    return table
