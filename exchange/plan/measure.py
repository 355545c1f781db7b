"""Make the constants anew: the stages alone, and a running exchange under B3's load."""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from exchange.bench.ingress import bench_ingress
from exchange.bench.matcher import bench_bulk
from exchange.bench.store import bench_store
from exchange.local.addresses import find_exchange
from exchange.plan.constants import Constants, Cost, Sizes
from protocol.version import VERSION
from runtime.process.errors import ExchangeError
from simulator.load.market import MarketLoad
from simulator.report.host import cores, processor
from simulator.simulate import simulate
from simulator.target import Target

FEW, MANY = 100.0, 300.0  # Percent of B3: each request wakes everybody up, and most do not.
SECONDS = 10.0
SEED = 42
START_SECONDS_MAX = 60.0
REFUSED_SHARE_MAX = 0.01
PROGRAMS = {"valkey-server": "redis"}
KINDS = ("http", "matcher", "persister", "notifier", "redis", "postgres")


class Run(NamedTuple):
    """Cores by kind of process while the load was ``scale`` percent of B3, and webhooks a
    second."""

    scale: float
    cores: dict[str, float]
    messages: float


def measure(console: Console) -> Constants:
    """Takes two or three minutes. Raises :class:`ExchangeError`."""
    with console.status("measuring the stages alone"):
        bench = {"ingress": bench_ingress(), "matcher": bench_bulk(), "store": bench_store()}
    quiet = Console(quiet=True)
    with console.status("measuring a running exchange"):
        few, many = (_run(quiet, scale, webhooks=False) for scale in (FEW, MANY))
        told = _run(quiet, FEW, webhooks=True)
    return constants_of(bench, few, many, told)


def constants_of(
    bench: Mapping[str, Mapping[str, Any]], few: Run, many: Run, told: Run
) -> Constants:
    """Put together what was measured. ``told`` is a run with webhooks."""
    store = bench["store"]
    busy = {
        "http": bench["ingress"]["cpu_microseconds_per_order"],
        "matcher": bench["matcher"]["cpu_microseconds_per_command"],
        "persister": store["persister_cpu_microseconds_per_command"],
        "redis": store["redis_cpu_microseconds_per_command"],
        "postgres": store["postgres_cpu_microseconds_per_command"],
    }
    costs = {kind: _cost(kind, value, few, many) for kind, value in busy.items()}
    message = round(told.cores["notifier"] / told.messages * 1e6, 1)
    costs["notifier"] = Cost("message", alone=message, busy=message, wake=0.0)
    return Constants(
        measured_on=datetime.now(UTC).date().isoformat(),
        commit=_commit(),
        machine=f"{cores()} cores, {processor()}",
        costs=costs,
        sizes=Sizes(
            redis_open_order=store["redis_bytes_per_open_order"],
            redis_recent_command=store["redis_bytes_per_recent_command"],
            redis_log_command=store["redis_log_bytes_per_command"],
            matcher_open_order=store["matcher_bytes_per_open_order"],
            postgres_command=store["postgres_bytes_per_command"],
            postgres_wal_command=store["postgres_wal_bytes_per_command"],
        ),
        open_orders_per_command=round(store["open_orders"] / store["commands"], 3),
        messages_per_command=round(told.messages / _rate("command", told.scale), 3),
    )


def _cost(kind: str, busy: float, few: Run, many: Run) -> Cost:
    """What is not explained by the busy cost of the units is waking up."""
    unit = "request" if kind == "http" else "command"
    alone = few.cores[kind] / _rate(unit, few.scale) * 1e6
    wake = many.cores[kind] - busy * _rate(unit, many.scale) / 1e6
    return Cost(unit, alone=round(alone, 1), busy=busy, wake=round(max(0.0, wake), 3))


def _rate(unit: str, scale: float) -> float:
    """Requests or commands a second."""
    load = MarketLoad(scale)
    if unit == "request":
        return load.requests_per_second
    return load.orders_per_second + load.cancels_per_second


def cores_by_kind(server: list[dict[str, Any]]) -> dict[str, float]:
    """From what `exchange simulate` tells of the processes of a server."""
    found: defaultdict[str, float] = defaultdict(float)
    for row in server:
        name = re.sub(r"-\d+$", "", row["process"])
        found[PROGRAMS.get(name, name)] += row["cores"]
    return dict(found)


def _run(console: Console, scale: float, *, webhooks: bool) -> Run:
    with _exchange() as data:
        found = find_exchange(data, "url", "admin_key")
        result = simulate(
            console,
            Target(found.url, found.admin_key, found.database_url),
            scale=scale,
            duration=SECONDS,
            seed=SEED,
            processes=1,
            report_dir=None,
            find_capacity=False,
            webhooks=webhooks,
        )
    if not result["passed"]:
        raise ExchangeError(f"the load of {scale:g} % failed: {result['checks']}")
    if result["refused"] > REFUSED_SHARE_MAX * result["requests"]:
        raise ExchangeError(
            f"{result['refused']} of {result['requests']} requests were refused at {scale:g} % of"
            " B3: this machine is too slow, or too busy with other work, to measure on"
        )
    told = result["trade_to_webhook_ms"]
    return Run(scale, cores_by_kind(result["server"]), told["messages"] / SECONDS if told else 0.0)


@contextmanager
def _exchange() -> Iterator[Path]:
    """The data directory of an exchange of its own, which runs meanwhile."""
    with tempfile.TemporaryDirectory(prefix="exchange-plan-") as name:
        Path(name).chmod(0o755)  # PostgreSQL may run as another user.
        data = Path(name) / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = [sys.executable, "-m", "exchange", "up", "--data", str(data), "--port", port]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own.
        try:
            _wait_until_up(process, data)
            yield data
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _wait_until_up(process: "subprocess.Popen[bytes]", data: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (data / "addresses.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ExchangeError("exchange up did not come up")
        time.sleep(0.1)


def _commit() -> str:
    """Of the source that runs, or its version where that is not a repository."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return VERSION
    return done.stdout.strip() or VERSION
