"""``exchange bench day``: a whole trading day through the log, as fast as the machine goes.

A driver appends orders and their cancels as ingress does, with the same Function but without HTTP.
Matcher, persister and notifier are processes of their own. The driver waits when too much is in
flight, so the logs stay short. Memory is looked at all the time. At the end Redis and PostgreSQL
are compared, and the whole journal is replayed.
"""

import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from sqlalchemy import Engine, create_engine

from exchange.audit.check import findings
from exchange.audit.replay import replay_all
from exchange.bench.flow import Flow
from exchange.bench.reads import read_times, sizes
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from exchange.local.supervisor import Child, Supervisor
from exchange.migrate import upgrade
from protocol import keys
from protocol.commands import CancelOrder, PlaceOrder
from protocol.enums import OrderType
from protocol.partitions import all_partitions
from protocol.registry import BrokerRegistered, Instrument, RegistryEntry
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.errors import ExchangeError
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.functions.register import register
from runtime.redis.genesis import Genesis, found_or_join
from runtime.redis.lags import Lags, lag_commands, parse_lags

SEED = 42
AT_ONCE = 1000
CANCELED_SHARE = 0.6
"""Orders that are canceled, if they have not been filled before."""
RESTING_KNOWN = 2000
"""Resting orders of a symbol that the driver remembers, so that it can cancel them."""
BACKLOG_MAX = 30_000
UNSTORED_MAX = 3_000
LOOK_EVERY = 4
PAUSE_SECONDS = 0.01
SAMPLES = 40
CLOSED_SECONDS = 20
"""How long closed orders stay in Redis; at this speed the 600 s of a real day are far too long."""
SETTLE_SECONDS_MAX = 300.0
MEBIBYTE = 2**20
WORKERS = ("matcher", "persister", "notifier")


class DayFlow(Flow):
    """Orders of which most are canceled later, some while they are old. ``orders`` counts them."""

    def __init__(self, channel: Channel, genesis: Genesis, seed: int) -> None:
        super().__init__(channel, genesis, seed)
        self.orders = self.cancels = 0
        self._resting: dict[int, deque[int]] = {
            number: deque(maxlen=RESTING_KNOWN) for number in self._last
        }
        entry = RegistryEntry([BrokerRegistered(b, b[-4:], 1) for b in self._brokers])
        channel.call(register(genesis.history_id, entry))

    def _command(self, instrument: Instrument, now_ms: int) -> PlaceOrder | CancelOrder:
        resting = self._resting[instrument.number]
        if resting and self._draw.random() < CANCELED_SHARE / (1 + CANCELED_SHARE):
            self._last[instrument.number] += 1
            self.cancels += 1
            resting.rotate(-self._draw.randrange(len(resting)))
            return CancelOrder(resting.popleft())
        while True:
            sequence = self._last[instrument.number]
            command = super()._command(instrument, now_ms)
            if type(command) is PlaceOrder:
                break
            self._last[instrument.number] = sequence
        self.orders += 1
        if command.order_type is OrderType.LIMIT:
            resting.append(self._last[instrument.number])
        return command


class Sample(NamedTuple):
    """Where the day is, and what it needs. Memory is in MiB; that of PostgreSQL counts the pages
    that its processes share once."""

    seconds: float
    orders: int
    open_orders: int
    matcher: int
    persister: int
    notifier: int
    redis: int
    postgres: int


class Day:
    """The servers and workers of one run."""

    def __init__(self, directory: Path) -> None:
        self.redis = EmbeddedRedis(directory)
        self.postgres = EmbeddedPostgres(directory)
        self.supervisor = Supervisor([self.redis, self.postgres])
        self.happened: list[str] = []
        self._logs = directory
        self._started = time.perf_counter()

    def start(self) -> None:
        self.redis.start()
        self.postgres.start()
        upgrade(self.postgres.url)

    def start_workers(self) -> None:
        environment = {
            "EXCHANGE_REDIS_URL": self.redis.url,
            "EXCHANGE_DATABASE_URL": self.postgres.url,
            "EXCHANGE_CLOSED_SECONDS": str(CLOSED_SECONDS),
            "PYTHONPATH": ":".join(path for path in sys.path if path),
        }
        for worker in WORKERS:
            command = [sys.executable, "-m", "exchange", "run", worker]
            own = {**environment, "EXCHANGE_INSTANCE": worker}
            self.supervisor.add(Child(worker, command, own, self._logs / f"{worker}.log"))
        self._started = time.perf_counter()

    def watch(self) -> None:
        """Start again what has ended, and remember why."""
        for line in self.supervisor.watch():
            name = line.split()[0]
            log = self._logs / f"{name}.log"
            last = log.read_text(errors="replace")[-300:] if log.exists() else ""
            self.happened.append(f"{line}: {last}" if "ended" in line else line)

    def sample(self, channel: Channel, orders: int) -> Sample:
        counts = channel.all_ok([("HLEN", keys.open_orders(p)) for p in all_partitions(16)])
        workers = {child.name: _resident(child.pid or 0) for child in self.supervisor.children}
        seconds = round(time.perf_counter() - self._started, 1)
        servers = _resident(self.redis.pid), _proportional(self.postgres.pid)
        matcher, persister, notifier = (workers[name] for name in WORKERS)
        return Sample(seconds, orders, sum(counts), matcher, persister, notifier, *servers)


def bench_day(orders: int) -> dict[str, Any]:
    """Send ``orders`` orders and the cancels of most of them. Raises :class:`ExchangeError` when a
    worker ends."""
    with _directory() as directory:
        day = Day(directory)
        try:
            day.start()
            with closing(Channel(day.redis.url, "bench-day", timeout_seconds=60)) as channel:
                return _run(day, channel, orders)
        finally:
            day.supervisor.stop()


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="exchange-day-") as name:
        yield Path(name)


def _run(day: Day, channel: Channel, orders: int) -> dict[str, Any]:
    genesis = found_or_join(channel, load(Settings, {}, redis_url=day.redis.url))
    flow = DayFlow(channel, genesis, SEED)
    day.start_workers()
    started = time.perf_counter()
    curve = _drive(day, channel, flow, orders)
    _settle(day, channel)
    seconds = time.perf_counter() - started
    commands = flow.orders + flow.cancels
    curve.append(day.sample(channel, flow.orders))
    result = {
        "orders": flow.orders,
        "cancels": flow.cancels,
        "seconds": round(seconds, 1),
        "commands_per_second": round(commands / seconds),
        "happened": day.happened,
        **_cpu(day, commands),
        "curve": [sample._asdict() for sample in curve],
    }
    engine = create_engine(sqlalchemy_url(day.postgres.url))
    try:
        return {**result, **_judge(channel, engine), **_stored(engine, day.postgres.url)}
    finally:
        engine.dispose()


def _drive(day: Day, channel: Channel, flow: DayFlow, orders: int) -> list[Sample]:
    curve: list[Sample] = []
    calls = 0
    while flow.orders < orders:
        flow.append_many(AT_ONCE)
        calls += 1
        day.watch()
        if calls % LOOK_EVERY == 0:
            while _is_too_much(channel):
                day.watch()
                time.sleep(PAUSE_SECONDS)
        if flow.orders >= len(curve) * orders / SAMPLES:
            curve.append(day.sample(channel, flow.orders))
    return curve


def _lags(channel: Channel) -> list[Lags]:
    commands = [lag_commands(partition) for partition in all_partitions(16)]
    width = len(commands[0])
    replies = channel.all_ok([command for group in commands for command in group])
    return [parse_lags(replies[at : at + width]) for at in range(0, len(replies), width)]


def _is_too_much(channel: Channel) -> bool:
    lags = _lags(channel)
    unstored = sum(max(lag.to_store, lag.to_notify) for lag in lags)
    return sum(lag.backlog for lag in lags) > BACKLOG_MAX or unstored > UNSTORED_MAX


def _settle(day: Day, channel: Channel) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while any(lag.backlog or lag.to_store or lag.to_notify for lag in _lags(channel)):
        day.watch()
        if time.monotonic() > deadline:
            raise ExchangeError("the workers do not come to an end")
        time.sleep(PAUSE_SECONDS)


def _judge(channel: Channel, engine: Engine) -> dict[str, Any]:
    started = time.perf_counter()
    problems = [f.problem for f in findings(channel, engine.connect) if f.problem]
    checked = time.perf_counter()
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        problems += [found.problem for found in replay_all(connection) if found.problem]
    return {
        "check_seconds": round(checked - started, 1),
        "replay_seconds": round(time.perf_counter() - checked, 1),
        "own_memory_mebibytes": _resident(psutil.Process().pid),
        "problems": problems,
    }


def _stored(engine: Engine, url: str) -> dict[str, Any]:
    with engine.connect() as connection:
        return {"sizes_mebibytes": sizes(connection), "reads": read_times(url)}


def _cpu(day: Day, commands: int) -> dict[str, float]:
    """Processor time in microseconds for each command."""
    processes = {child.name: child.pid for child in day.supervisor.children}
    processes |= {"redis": day.redis.pid}
    used = {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in processes.items()}
    root = psutil.Process(day.postgres.pid)
    used["postgres"] = sum(
        sum(process.cpu_times()[:2]) for process in [root, *root.children(recursive=True)]
    )
    return {f"{name}_microseconds": round(s / commands * 1e6, 1) for name, s in used.items()}


def _resident(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss) // MEBIBYTE


def _proportional(pid: int) -> int:
    root = psutil.Process(pid)
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue  # A worker of PostgreSQL that has just ended.
    return total // MEBIBYTE
