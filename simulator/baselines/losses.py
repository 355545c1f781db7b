"""What a version loses when all of it is killed in the middle of its load."""

import threading
import time

from rich.console import Console

from simulator.answers import problem_text
from simulator.baselines.contestants import Contestant
from simulator.broker import Broker, connect
from simulator.errors import CallFailed
from simulator.load.calls import Calls
from simulator.load.connection import BROKEN
from simulator.load.fleet import Assignment, run_fleet
from simulator.load.flow import base_prices
from simulator.load.market import MarketLoad
from simulator.load.requests import Participants, get_request
from simulator.load.tickers import run_mark, symbols
from simulator.target import Target

HTTP_OK, NOT_FOUND = 200, 404
LOSS_SCALE_MAX = 20.0
KILL_AFTER_SECONDS = 2.0
LOSS_SECONDS = KILL_AFTER_SECONDS + 0.5  # So that the load has not ended before.


def count_losses(
    console: Console, contestant: Contestant, seed: int, scale: float
) -> dict[str, int]:
    """Kill the version in mid-load, start it again, and look for every acknowledged order. The
    load is that of ``scale``, in percent of B3, and of ``LOSS_SCALE_MAX`` at most."""
    load = MarketLoad(min(scale, LOSS_SCALE_MAX))
    target = Target(contestant.url, contestant.admin_key)
    with connect(target) as client:
        brokers = [
            Broker.register(client, target.admin_key, f"loss {n}") for n in range(load.brokers)
        ]
    return _kill_in_mid_load(console, contestant, seed, load, brokers)


def _kill_in_mid_load(
    console: Console,
    contestant: Contestant,
    seed: int,
    load: MarketLoad,
    brokers: list[Broker],
) -> dict[str, int]:
    host = f"127.0.0.1:{contestant.port}"
    participants = Participants(
        host,
        symbols(load.symbols, run_mark()),
        [broker.api_key for broker in brokers],
        base_prices(seed, load.symbols),
    )
    assignment = Assignment("127.0.0.1", contestant.port, participants, load, LOSS_SECONDS, seed, 1)
    killer: list[threading.Timer] = []

    def opening(at: float) -> None:
        timer = threading.Timer(at - time.time() + KILL_AFTER_SECONDS, contestant.kill)
        killer.append(timer)
        timer.start()

    with console.status(f"{contestant.version}: kill -9 in mid-load"):
        outcome = run_fleet(assignment, lambda _: None, opening)
        for timer in killer:
            timer.join()
        contestant.start()
        lost = _count_lost(contestant.port, participants, outcome.order_ids)
    console.print(f"killed in mid-load: {lost} of {len(outcome.order_ids)} acknowledged lost")
    return {"acknowledged": len(outcome.order_ids), "lost": lost}


def _count_lost(port: int, participants: Participants, order_ids: list[tuple[int, str]]) -> int:
    requests = [get_request(participants, broker, f"/orders/{name}") for broker, name in order_ids]
    answers = Calls("127.0.0.1", port, "the acknowledged orders").make(requests)
    for status, body in answers:
        if status not in (HTTP_OK, NOT_FOUND):
            said = body.decode() if status == BROKEN else problem_text(status, body)
            raise CallFailed(f"an acknowledged order cannot be looked for: {said}", status)
    return sum(status == NOT_FOUND for status, _ in answers)
