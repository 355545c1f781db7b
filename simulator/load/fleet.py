"""Driver processes: started together, opened together, their samples merged."""

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Any

from simulator.errors import SimulationFailed
from simulator.load.driver import PROGRESS_SECONDS, Driver
from simulator.load.flow import generate
from simulator.load.market import MarketLoad
from simulator.load.requests import Participants
from simulator.load.samples import Samples

LEAD_SECONDS = 0.5  # From the last process being ready to the opening.
READY_SECONDS_MAX = 600.0
OVERTIME_SECONDS_MAX = 60.0


class DriverFailed(SimulationFailed):
    """A driver process ended early; the text is its error."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What all processes of a run are told."""

    host: str
    port: int
    participants: Participants
    load: MarketLoad
    seconds: float
    seed: int
    processes: int


@dataclass(slots=True)
class Outcome:
    """``order_ids`` are broker and id of every acknowledged order, ``symbols`` counts orders."""

    samples: Samples
    order_ids: list[tuple[int, str]]
    opened_at: float
    cpu_seconds: float
    symbols: Counter[str]


def run_fleet(
    assignment: Assignment,
    progress: Callable[[int], None],
    opening: Callable[[float], None] = lambda _: None,
    settle: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run the load; ``progress`` gets the number of requests sent so far. Once the orders of before
    the opening are placed, ``settle`` may wait until the server has digested them; ``opening`` is
    then called once with the time at which the load begins."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Any] = []
    processes = []
    for number in range(assignment.processes):
        ours, theirs = context.Pipe()
        process = context.Process(target=_drive, args=(assignment, number, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        _await_ready(pipes)
        settle()
        opened_at = time.time() + LEAD_SECONDS
        for pipe in pipes:
            pipe.send(opened_at)
        opening(opened_at)
        return _collect(pipes, assignment.seconds, opened_at, progress)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _collect(
    pipes: list[Any], seconds: float, opened_at: float, progress: Callable[[int], None]
) -> Outcome:
    outcome = Outcome(Samples(), [], opened_at, 0.0, Counter())
    sent = [0] * len(pipes)
    waiting = set(range(len(pipes)))
    deadline = time.monotonic() + seconds + OVERTIME_SECONDS_MAX
    while waiting:
        if time.monotonic() > deadline:
            raise DriverFailed(
                f"the drivers did not finish within {OVERTIME_SECONDS_MAX:.0f} s of the end"
            )
        for number in sorted(waiting):
            if not pipes[number].poll(PROGRESS_SECONDS / len(pipes)):
                continue
            kind, content = _receive(pipes[number])
            if kind == "sent":
                sent[number] = content
            else:
                samples, order_ids, cpu_seconds, symbols = content
                outcome.symbols.update(symbols)
                outcome.samples.merge(samples)
                outcome.order_ids += order_ids
                outcome.cpu_seconds += cpu_seconds
                waiting.discard(number)
        progress(sum(sent))
    return outcome


def _await_ready(pipes: list[Any]) -> None:
    """Return once every process has placed its orders of before the opening; the first failure
    of any ends the waiting."""
    waiting = list(pipes)
    deadline = time.monotonic() + READY_SECONDS_MAX
    while waiting:
        ready = wait(waiting, timeout=max(0.0, deadline - time.monotonic()))
        if not ready:
            raise DriverFailed(
                f"waited {READY_SECONDS_MAX:.0f} s in vain for the orders of before the opening"
            )
        for pipe in ready:
            kind, _ = _receive(pipe)
            assert kind == "ready", f"a driver said {kind} instead of ready"
            waiting.remove(pipe)


def _receive(pipe: Any) -> tuple[str, Any]:
    try:
        kind, content = pipe.recv()
    except EOFError as error:
        raise DriverFailed("a driver process ended without a word") from error
    if kind == "failed":
        raise DriverFailed(content)
    return kind, content


def _drive(assignment: Assignment, number: int, pipe: Pipe) -> None:
    """The whole life of a driver process."""
    try:
        flow = generate(
            assignment.load,
            assignment.participants,
            assignment.seconds,
            assignment.seed,
            number,
            assignment.processes,
        )
        driver = Driver(assignment.host, assignment.port, assignment.participants, flow)
        driver.open_market()
        gc.freeze()  # The flow stays; to look through it again would stop the driver for long.
        pipe.send(("ready", None))
        opened_at: float = pipe.recv()
        began = time.process_time()
        driver.run(opened_at, lambda sent: pipe.send(("sent", sent)))
        cpu_seconds = time.process_time() - began
        names = assignment.participants.symbols
        symbols = Counter(names[order.symbol] for order in flow.orders[flow.opening :])
        pipe.send(("done", (driver.samples, driver.order_ids, cpu_seconds, symbols)))
    except SimulationFailed as error:
        pipe.send(("failed", str(error)))
    except Exception as error:  # noqa: BLE001 - the process boundary: the parent reports it.
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
