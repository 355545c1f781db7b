"""One run of the simulation: register, open the market, drive, and check."""

import time
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from simulator.broker import Broker, connect
from simulator.load.audience import Audience
from simulator.load.checks import Checks
from simulator.load.counts import TradeCounter, check_postgresql
from simulator.load.fleet import Assignment, Outcome, run_fleet
from simulator.load.flow import base_prices
from simulator.load.handlers import HandlerTimes
from simulator.load.judge import check_all
from simulator.load.market import MarketLoad
from simulator.load.probe import TradeProbe
from simulator.load.requests import Participants
from simulator.load.run_plan import Plan
from simulator.load.sink import WebhookSink
from simulator.load.tickers import run_mark, symbols
from simulator.report import machine
from simulator.report.host import HostTimes, host_given, host_times
from simulator.target import Target

PROBE_BROKERS = 3  # A seller and a buyer, who trade a symbol of their own; one for the feed.


@dataclass(frozen=True, slots=True)
class Costs:
    """``server`` is what each process of the server has cost, ``handler_ms`` the mean time of each
    kind of request inside the server, ``host`` what the machine gave."""

    server: list[dict[str, Any]]
    handler_ms: dict[str, float]
    host: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What a run has shown. ``order_to_trade_ms`` is the summary of its probe,
    ``trade_to_webhook_ms`` that of its sink, where it had one; ``costs`` is what it took from the
    machine and the server, and ``feed`` what subscribers saw, if there were any."""

    plan: Plan
    outcome: Outcome
    order_to_trade_ms: dict[str, Any]
    costs: Costs
    checks: Checks
    trade_to_webhook_ms: dict[str, Any] | None
    feed: dict[str, Any] | None


def run(
    console: Console,
    target: Target,
    plan: Plan,
    checked: bool = True,
    sink: WebhookSink | None = None,
) -> Run:
    """Carry out a plan. Without ``checked`` nothing is read back afterwards; with a ``sink`` the
    trades are told to it. Raises :class:`~simulator.errors.SimulationFailed` when the exchange
    does not register the brokers or does not take the orders of before the opening."""
    load, mark = MarketLoad(plan.scale), run_mark()
    with connect(target) as client:
        brokers = [
            _register(client, target.admin_key, n, mark, sink if n < load.brokers else None)
            for n in range(load.brokers + PROBE_BROKERS)
        ]
        assignment = _assignment(target, plan, load, mark, brokers[: load.brokers])
        probe = TradeProbe(brokers[-3], brokers[-2], f"PROBE{mark}")
        audience = Audience(target, plan, assignment.participants, brokers[-1], mark)
        counter = TradeCounter(client, target.admin_key)
        with audience:
            outcome, costs = _drive(console, assignment, probe, HandlerTimes(client), audience)
        checks = Checks()
        if checked:
            with console.status("checking: every acknowledged order, balances, books, trades"):
                checks = _check(target, assignment, outcome, counter, sink)
    told = None if sink is None else sink.summary(outcome.opened_at)
    return Run(plan, outcome, probe.summary(), costs, checks, told, audience.seen)


def _register(
    client: httpx.Client, admin_key: str, number: int, mark: str, sink: WebhookSink | None
) -> Broker:
    name = f"broker {number} of {mark}"
    if sink is None:
        return Broker.register(client, admin_key, name)
    broker = Broker.register(client, admin_key, name, sink.url(number))
    if broker.webhook_secret:
        sink.expect(number, broker.webhook_secret)
    return broker


def _assignment(
    target: Target, plan: Plan, load: MarketLoad, mark: str, brokers: list[Broker]
) -> Assignment:
    participants = Participants(
        target.authority,
        symbols(load.symbols, mark),
        [broker.api_key for broker in brokers],
        base_prices(plan.seed, load.symbols),
    )
    return Assignment(
        target.host, target.port, participants, load, plan.seconds, plan.seed, plan.processes
    )


def _drive(
    console: Console,
    assignment: Assignment,
    probe: TradeProbe,
    handlers: HandlerTimes,
    audience: Audience,
) -> tuple[Outcome, Costs]:
    """Run the fleet with a bar for people; also what it has cost."""
    expected = assignment.load.requests_per_second * assignment.seconds
    watched = machine.server_roots(assignment.port)
    if audience.port != assignment.port:
        watched += machine.server_roots(audience.port)
    before: dict[int, machine.ProcessUse] = {}
    host: list[HostTimes] = []
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )
    with progress:
        task = progress.add_task("opening the market", total=expected)

        def opening(_at: float) -> None:
            handlers.begin()
            before.update(machine.use(watched))
            host.append(host_times())
            progress.update(task, description=f"{assignment.load.scale:g} % of B3")

        def sent(count: int) -> None:
            progress.update(task, completed=count)

        def settle() -> None:
            audience.gather()
            machine.wait_until_idle(watched)

        with probe:
            outcome = run_fleet(assignment, sent, opening, settle)
        audience.leave()
        elapsed, ended = time.time() - outcome.opened_at, host_times()
        after = machine.use(watched)
        progress.update(task, completed=expected)
    server = machine.costs(before, after, len(outcome.samples), elapsed)
    return outcome, Costs(server, handlers.means(), host_given(host[0], ended))


def _check(
    target: Target,
    assignment: Assignment,
    outcome: Outcome,
    counter: TradeCounter,
    sink: WebhookSink | None,
) -> Checks:
    participants, all_known = assignment.participants, outcome.samples.all_answered
    checks = check_all(target.host, target.port, participants, outcome.order_ids, all_known)
    counter.check(checks)
    check_postgresql(target.database_url, participants.symbols, checks, all_known)
    if sink is not None:
        sink.check(checks)
    return checks
