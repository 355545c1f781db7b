"""``exchange bench book``: pure matching, without any input or output.

The figures are medians over ``RUNS`` runs. They measure; nothing fails when they are slow.
"""

import random
import statistics
import time
from typing import Any, NamedTuple

from matcher.book import Book
from matcher.engine import Engine
from matcher.order import Order
from protocol.commands import CancelOrder, Command, PlaceOrder
from protocol.enums import OrderType, Side
from runtime.process.worker import tune_garbage_collection

RUNS = 3
SEED = 42
OPERATIONS = 300_000
LEVELS = 20  # Prices on either side, as near the touch as live orders are.


def bench_book() -> dict[str, Any]:
    """Pure matching on one book, and the same flow through the engine with its events."""
    tune_garbage_collection()
    rates = [_run_book(run) for run in range(RUNS)]
    engine_rates = [_run_engine(run) for run in range(RUNS)]
    return {
        "operations_per_second": round(statistics.median(rates)),
        "runs": [round(rate) for rate in rates],
        "engine_commands_per_second": round(statistics.median(engine_rates)),
        "setup": f"one book, {LEVELS} levels a side, {OPERATIONS:,} operations:"
        " 50 % resting orders, 30 % cancels, 20 % crossing orders, built ahead; one core, no I/O;"
        " the engine's figure includes building orders and events",
    }


class _Step(NamedTuple):
    """One planned operation: a new order, or the cancel of an earlier one."""

    place: PlaceOrder | None
    cancel_sequence: int


def _plan(run: int) -> list[_Step]:
    flow = random.Random(SEED + run)
    steps = []
    resting: list[int] = []
    for sequence in range(OPERATIONS):
        kind = flow.random()
        is_bid = flow.random() < 0.5
        quantity = flow.randint(1, 5) * 100
        if kind < 0.3 and resting:
            at = flow.randrange(len(resting))
            resting[at], resting[-1] = resting[-1], resting[at]
            steps.append(_Step(None, resting.pop()))
            continue
        if kind < 0.8:
            distance = 1 + flow.randrange(LEVELS)
            price = 1_000 - distance if is_bid else 1_000 + distance
            resting.append(sequence)
        else:
            price = 1_050 if is_bid else 950
        side = Side.BID if is_bid else Side.ASK
        steps.append(_Step(PlaceOrder("b", "1", side, OrderType.LIMIT, price, quantity, None), -1))
    return steps


def _run_book(run: int) -> float:
    orders: list[Order | None] = [
        None if place is None else Order(sequence, place.side, place.price, place.quantity)
        for sequence, (place, _) in enumerate(_plan(run))
    ]
    cancels = [cancel for _, cancel in _plan(run)]
    book = Book()
    started = time.perf_counter()
    for order, cancel in zip(orders, cancels, strict=True):
        if order is None:
            canceled = orders[cancel]
            if canceled is not None and canceled.level is not None:
                book.remove(canceled)
            continue
        for _ in book.match(order):
            pass
        if order.open_quantity:
            book.add(order)
    elapsed = time.perf_counter() - started
    book.check_invariants()
    return OPERATIONS / elapsed


def _run_engine(run: int) -> float:
    commands: list[Command] = [
        CancelOrder(cancel) if place is None else place for place, cancel in _plan(run)
    ]
    engine = Engine()
    market = engine.market("BENCH", 1)
    started = time.perf_counter()
    for sequence, command in enumerate(commands):
        engine.apply(market, sequence, sequence, command)
        market.changed.clear()
    elapsed = time.perf_counter() - started
    engine.check_invariants()
    return OPERATIONS / elapsed
