"""Commands that judge an exchange: check, verify-journal, bench, simulate, compare,
replay-recording."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from exchange.commands.options import AdminKey, AsJson, Data, Seed, Url
from exchange.commands.report import report

HTTP_MESSAGES = 3_000  # A command over HTTP takes milliseconds, for it waits for the one before.


class Stage(str, Enum):
    """What `exchange bench` can measure."""

    ALL = "all"
    BOOK = "book"
    MATCHER = "matcher"
    INGRESS = "ingress"
    STORE = "store"
    SHARE = "share"
    DAY = "day"


LONG_STAGES = {Stage.DAY}
"""Only when they are asked for."""


def check(data: Data = None, as_json: AsJson = False) -> None:
    """Verify that Redis and PostgreSQL hold the same exchange.

    The balances sum to 0, orders, trades and balances are equal in both, and the hash chain of
    the journal is unbroken. The exit code is 1 when something is wrong. Orders may come in
    meanwhile.
    """
    from exchange.audit.check import check as look
    from exchange.local.addresses import find_exchange

    def produce(console: Console) -> dict[str, Any]:
        return look(console, find_exchange(data, "redis_url", "database_url"))

    report(as_json, produce)


def verify_journal(data: Data = None, as_json: AsJson = False) -> None:
    """Send the whole journal through a fresh engine and compare the results.

    Every event, order and balance and the final state must be equal to what PostgreSQL holds.
    The exit code is 1 when something differs. It takes a minute for a million commands or two.
    """
    from exchange.audit.replay import verify_journal as verify
    from exchange.local.addresses import find_exchange

    report(as_json, lambda console: verify(console, find_exchange(data, "database_url")))


def bench(
    stage: Annotated[Stage, typer.Argument(help="What to measure.")] = Stage.ALL,
    orders: Annotated[
        int, typer.Option(min=10_000, max=100_000_000, help="How many orders day sends.")
    ] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure how fast the stages are, each on servers of its own.

    book is matching in memory, matcher is from the log to committed results, ingress is orders
    that are acknowledged after they are on disk, store is from committed results to rows, with what
    a command takes in memory and on disk, and share is the work of a matcher done by one, two and
    four of them. day sends a whole trading day through the log to PostgreSQL, watches the memory,
    and verifies everything; it is not part of all. A running exchange is not touched.
    """
    from exchange.bench.stages import measure

    every = [s.value for s in Stage if s is not Stage.ALL and s not in LONG_STAGES]
    chosen = every if stage is Stage.ALL else [stage.value]
    report(as_json, lambda console: measure(console, chosen, orders))


def plan(
    percent: Annotated[
        float, typer.Option(min=1, max=10_000_000, help="Load in percent of B3's.")
    ] = 100,
    hours: Annotated[float, typer.Option(min=0.1, max=24, help="Hours of trading a day.")] = 7,
    webhooks: Annotated[
        float,
        typer.Option(min=0, max=100, help="Percent of the trades of which webhooks tell."),
    ] = 100,
    constants: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Calculate from what was measured into this file."),
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Measure on this machine first, and write it to FILE."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many processes and servers a load needs, and where it stops to grow.

    It is calculated from what was measured with `exchange bench` and `exchange simulate`, on the
    machine that it names. --measure does so on this machine, which takes some minutes.
    """
    from exchange.plan.constants import read, shipped, write
    from exchange.plan.model import Load
    from exchange.plan.model import plan as calculate
    from exchange.plan.show import as_data, show
    from simulator.errors import SimulationFailed

    def produce(console: Console) -> dict[str, Any]:
        if measure is not None:
            from exchange.plan.measure import measure as measure_here

            known = measure_here(console)
            write(measure, known)
        else:
            known = shipped() if constants is None else read(constants)
        answer = calculate(Load(percent, hours, webhooks / 100), known)
        show(console, answer, known)
        return as_data(answer, known)

    report(as_json, produce, SimulationFailed)


def simulate(
    scale: Annotated[float, typer.Option(min=1, max=5_000, help="Load in percent of B3's.")] = 100,
    duration: Annotated[float, typer.Option(min=1, max=3_600, help="Seconds of load.")] = 60,
    seed: Seed = 42,
    processes: Annotated[int, typer.Option(min=1, max=16, help="Number of load drivers.")] = 1,
    find_capacity: Annotated[
        bool, typer.Option("--find-capacity", help="Raise the load until it is too much.")
    ] = False,
    webhooks: Annotated[
        bool,
        typer.Option("--webhooks", help="Receive the webhooks of all trades too, and verify them."),
    ] = False,
    subscribers: Annotated[
        int, typer.Option(min=0, max=10_000, help="Sessions of the feed that follow ten symbols.")
    ] = 0,
    feed_url: Annotated[
        str, typer.Option(help="Where they connect, if not at the exchange itself.")
    ] = "",
    report_dir: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write report.html and report.json to DIR."),
    ] = None,
    url: Url = "",
    admin_key: AdminKey = "",
    database_url: Annotated[
        str,
        typer.Option(help="PostgreSQL of the exchange, where the trades are counted as well."),
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send the load of a B3 trading day to a running exchange, and check its answers.

    Orders are sent on a schedule, whether or not earlier ones were answered. It reports latency
    and throughput and then reads every order back. The exit code is 1 when a check failed.
    """
    from exchange.local.addresses import find_exchange
    from simulator.errors import SimulationFailed
    from simulator.simulate import simulate as drive
    from simulator.target import Target

    def produce(console: Console) -> dict[str, Any]:
        given = {"url": url, "admin_key": admin_key, "database_url": database_url}
        found = find_exchange(data, "url", "admin_key", given=given)
        return drive(
            console,
            Target(found.url, found.admin_key, found.database_url),
            scale=scale,
            duration=duration,
            seed=seed,
            processes=processes,
            report_dir=report_dir,
            find_capacity=find_capacity,
            webhooks=webhooks,
            subscribers=subscribers,
            feed_url=feed_url,
        )

    report(as_json, produce, SimulationFailed)


def compare(
    versions: Annotated[
        str, typer.Option(help="Which versions, in this order, with commas between.")
    ] = "v1,v2,v3,streams",
    scale: Annotated[float, typer.Option(min=1, help="Load in percent of B3's.")] = 20,
    duration: Annotated[float, typer.Option(min=2, help="Seconds of each run.")] = 15,
    seed: Seed = 42,
    find_capacity: Annotated[
        bool, typer.Option("--find-capacity", help="Raise the load until it is too much, too.")
    ] = False,
    report_dir: Annotated[
        Path,
        typer.Option("--report", metavar="DIR", help="Write compare.html and compare.json to DIR."),
    ] = Path("compare"),
    as_json: AsJson = False,
) -> None:
    """Run this exchange and its three earlier designs in turn, under the same load.

    It reports capacity, latency, cost, and how many acknowledged orders each loses when it is
    killed. It starts everything itself, on one PostgreSQL of its own.
    """
    from simulator.baselines.compare import compare as judge_all
    from simulator.errors import SimulationFailed

    def produce(console: Console) -> dict[str, Any]:
        return judge_all(
            console,
            versions=versions.split(","),
            scale=scale,
            duration=duration,
            seed=seed,
            find_capacity=find_capacity,
            report_dir=report_dir,
        )

    report(as_json, produce, SimulationFailed)


def replay_recording(
    lobster: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="MESSAGES ORDERBOOK", help="The two files of a LOBSTER recording."),
    ] = None,
    b3: Annotated[
        Path | None,
        typer.Option("--b3", metavar="ORDERS", help="The order file of a B3 recording."),
    ] = None,
    engine: Annotated[
        bool, typer.Option("--engine", help="Use the matching engine alone instead of HTTP.")
    ] = False,
    limit: Annotated[
        int,
        typer.Option(min=0, help="How many messages of each file. 0: all, or 3,000 over HTTP."),
    ] = 0,
    url: Url = "",
    admin_key: AdminKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send recorded order flow of NASDAQ or B3 through this exchange and compare the executions.

    It shows how often the order that was executed on the real market is the one that is executed
    here. Files may be plain, gzip or zip.
    """
    if lobster is None and b3 is None:
        raise typer.BadParameter("give --lobster MESSAGES ORDERBOOK, or --b3 ORDERS, or both")
    from exchange.engine_venue import EngineVenue
    from exchange.local.addresses import find_exchange
    from simulator.errors import SimulationFailed
    from simulator.recorded.replay import replay_recording as replay
    from simulator.recorded.venue import http_venues
    from simulator.target import Target

    def produce(console: Console) -> dict[str, Any]:
        if engine:
            return replay(console, EngineVenue, lobster=lobster, b3=b3, limit=limit)
        found = find_exchange(data, "url", "admin_key", given={"url": url, "admin_key": admin_key})
        with http_venues(Target(found.url, found.admin_key)) as venues:
            return replay(console, venues, lobster=lobster, b3=b3, limit=limit or HTTP_MESSAGES)

    report(as_json, produce, SimulationFailed)
