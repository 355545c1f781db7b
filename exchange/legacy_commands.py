"""Thin typer commands over the functions of the simulator, until ``exchange/commands`` is merged.

The merge of ``exchange/commands`` removes this file.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from exchange.engine_venue import EngineVenue
from simulator.baselines.compare import compare as run_compare
from simulator.baselines.contestants import VERSIONS
from simulator.demo import demo as run_demo
from simulator.errors import SimulationFailed
from simulator.listen import listen as run_listen
from simulator.recorded.replay import replay_recording as run_replay
from simulator.recorded.venue import http_venues
from simulator.simulate import simulate as run_simulate
from simulator.target import Target

URL = typer.Option("http://127.0.0.1:8000", envvar="EXCHANGE_URL", help="The exchange's address.")
ADMIN_KEY = typer.Option("", envvar="EXCHANGE_ADMIN_KEY", help="The key that registers brokers.")
DATABASE_URL = typer.Option("", envvar="EXCHANGE_DATABASE_URL", help="To count trades as well.")
AS_JSON = typer.Option(False, "--json", help="Print one JSON object on stdout.")


def _finish(work: Callable[[Console], dict[str, Any]], as_json: bool) -> None:
    """Run a command, print its result when asked for JSON, and end with its exit code."""
    console = Console(stderr=as_json)
    try:
        result = work(console)
    except SimulationFailed as error:
        console.print(f"[red]{error}[/red]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    raise typer.Exit(0 if result["passed"] else 1)


def demo(
    url: str = URL,
    admin_key: str = ADMIN_KEY,
    orders: int = typer.Option(300, min=1, max=100_000),
    seed: int = typer.Option(1),
    as_json: bool = AS_JSON,
) -> None:
    """Send crossing orders; print trades, a book and balances."""
    target = Target(url, admin_key)
    _finish(lambda console: run_demo(console, target, orders=orders, seed=seed), as_json)


def listen(
    secret: list[str] = typer.Option([], help="A webhook_secret; repeat for several brokers."),
    port: int = typer.Option(9100, min=1, max=65535, help="Port on 127.0.0.1."),
) -> None:
    """Receive webhooks on loopback and print whether their signatures hold."""
    run_listen(Console(), port=port, secret=secret)


def simulate(
    url: str = URL,
    admin_key: str = ADMIN_KEY,
    database_url: str = DATABASE_URL,
    scale: float = typer.Option(100.0, min=1.0, max=5_000.0, help="Percent of B3."),
    duration: float = typer.Option(60.0, min=1.0, max=3600.0, help="Seconds."),
    seed: int = typer.Option(42),
    processes: int = typer.Option(1, min=1, max=16),
    report_dir: Path = typer.Option(None, "--report"),
    find_capacity: bool = typer.Option(False, "--find-capacity"),
    webhooks: bool = typer.Option(False, "--webhooks"),
    as_json: bool = AS_JSON,
) -> None:
    """Replay B3's load and report what was seen."""
    target = Target(url, admin_key, database_url)
    _finish(
        lambda console: run_simulate(
            console,
            target,
            scale=scale,
            duration=duration,
            seed=seed,
            processes=processes,
            report_dir=report_dir,
            find_capacity=find_capacity,
            webhooks=webhooks,
        ),
        as_json,
    )


def compare(
    versions: str = typer.Option(",".join(VERSIONS)),
    scale: float = typer.Option(20.0, min=1.0),
    duration: float = typer.Option(15.0, min=2.0),
    seed: int = typer.Option(42),
    find_capacity: bool = typer.Option(False, "--find-capacity"),
    report_dir: Path = typer.Option(Path("compare"), "--report"),
    as_json: bool = AS_JSON,
) -> None:
    """Start each version in turn on one PostgreSQL and compare."""
    _finish(
        lambda console: run_compare(
            console,
            versions=versions.split(","),
            scale=scale,
            duration=duration,
            seed=seed,
            find_capacity=find_capacity,
            report_dir=report_dir,
        ),
        as_json,
    )


def replay_recording(
    lobster: tuple[Path, Path] = typer.Option(None, help="Messages and order book of one day."),
    b3: Path = typer.Option(None, help="A B3 order file."),
    engine: bool = typer.Option(False, "--engine", help="Through the engine, not over HTTP."),
    limit: int = typer.Option(0, min=0, help="How many messages of each file; 0 means all."),
    url: str = URL,
    admin_key: str = ADMIN_KEY,
    as_json: bool = AS_JSON,
) -> None:
    """Replay recorded order flow; report executions and books that agree."""
    with http_venues(Target(url, admin_key)) as over_http:
        venue = EngineVenue if engine else over_http
        _finish(
            lambda console: run_replay(console, venue, lobster=lobster, b3=b3, limit=limit), as_json
        )
