"""The engine against the naive reference: identical events, whatever the commands."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.engine import Engine
from protocol import books
from protocol.books import BookLevel
from protocol.commands import AmendOrder, CancelOrder, Command, Tick
from protocol.enums import Side
from protocol.units import BOOK_DEPTH_MAX
from tests.support.builders import START_MS, SYMBOL, place, written
from tests.support.naive import NaiveEngine

BROKERS = st.sampled_from([f"broker-{n}" for n in range(3)])
OWNERS = st.tuples(st.just("") | BROKERS, st.sampled_from([0, 0, 1]))  # 1: another time.
SIDES = st.sampled_from(Side)
PRICES = st.integers(995, 1005)
QUANTITIES = st.integers(1, 20)
# Time runs by at most 3 ms per command, so lives of up to 60 ms end within most runs.
LIVES = st.one_of(st.integers(0, 60), st.just(10**9))
STEPS = st.integers(0, 3)

PLACES = st.tuples(st.just("place"), SIDES, st.none() | PRICES, QUANTITIES, BROKERS, LIVES)
CANCELS = st.tuples(st.just("cancel"), st.floats(0, 1, exclude_max=True), OWNERS)
AMENDS = st.tuples(
    st.just("amend"),
    st.floats(0, 1, exclude_max=True),
    st.none() | PRICES,
    st.none() | QUANTITIES,
    st.none() | LIVES,
    OWNERS,
)
TICKS = st.tuples(st.just("tick"))
FLOWS = st.lists(
    st.tuples(STEPS, st.one_of(PLACES, PLACES, PLACES, CANCELS, AMENDS, TICKS)), max_size=120
)


def run_both(flow: list) -> tuple[Engine, NaiveEngine, bytes]:  # type: ignore[type-arg]
    """Both engines after the flow, and the book as commits of all lengths have stored it."""
    engine, naive = Engine(), NaiveEngine()
    market = engine.market(SYMBOL, 1)
    time_ms = START_MS
    stored = books.EMPTY
    for sequence, (step, (kind, *parts)) in enumerate(flow, 1):
        time_ms += step
        command: Command
        if kind == "place":
            side, price, quantity, broker, life = parts
            command = place(side, price, quantity, broker, time_ms + life)
        elif kind == "cancel":
            which, owner = parts
            command = CancelOrder(1 + int(which * sequence), *owner)
        elif kind == "amend":
            which, price, quantity, life, owner = parts
            until = None if life is None else time_ms + life
            order = 1 + int(which * sequence)
            command = AmendOrder(order, price, quantity, until, None, *owner)
        else:
            command = Tick()
        events = engine.apply(market, sequence, time_ms, command)
        assert events == naive.apply(sequence, time_ms, command)
        if sequence % 3 == 0 or sequence == len(flow):
            stored = written(stored, market.view.take(sequence))
    return engine, naive, stored


@given(FLOWS)
@settings(max_examples=300, deadline=None)
def test_the_engine_does_what_the_reference_does(flow: list) -> None:  # type: ignore[type-arg]
    engine, naive, stored = run_both(flow)
    engine.check_invariants()
    market = engine.markets[SYMBOL]
    assert {s: o.open_quantity for s, o in market.book.orders.items()} == {
        o.sequence: o.open for o in naive.orders
    }
    assert {b: c for b, c in engine.balances.items() if c} == {
        b: c for b, c in naive.cash.items() if c
    }
    book = books.parse(stored)
    assert (book.bids, book.asks) == naive_levels(naive)


def naive_levels(naive: NaiveEngine) -> tuple[list[BookLevel], list[BookLevel]]:
    """The visible bids and asks."""
    sides = []
    for side, sign in ((Side.BID, -1), (Side.ASK, 1)):
        resting = [o for o in naive.orders if o.command.side is side]
        levels = []
        for price in sorted({o.command.price or 0 for o in resting}, key=lambda p: p * sign):
            level = [o for o in resting if o.command.price == price]
            levels.append((price, sum(o.open for o in level), len(level)))
        sides.append(levels[:BOOK_DEPTH_MAX])
    return sides[0], sides[1]


def long_flow(seed: int) -> list:  # type: ignore[type-arg]
    """Five thousand commands, more than Hypothesis draws in one example."""
    draw = random.Random(seed)
    flow = []
    for _ in range(5_000):
        kind = draw.random()
        if kind < 0.7:
            command = (
                "place",
                draw.choice([Side.BID, Side.ASK]),
                None if draw.random() < 0.05 else draw.randint(980, 1020),
                draw.randint(1, 500),
                f"broker-{draw.randrange(5)}",
                draw.choice([5, 50, 500, 10**9]),
            )
        elif kind < 0.85:
            command = ("cancel", draw.random(), ("", 0))  # type: ignore[assignment]
        elif kind < 0.95:
            price = draw.choice([None, draw.randint(980, 1020)])
            quantity = draw.choice([None, 50, 300])
            command = ("amend", draw.random(), price, quantity, None, ("", 0))  # type: ignore[assignment]
        else:
            command = ("tick",)  # type: ignore[assignment]
        flow.append((draw.randint(0, 3), command))
    return flow


def test_thousands_of_commands_give_the_events_of_the_reference() -> None:
    engine, naive, _ = run_both(long_flow(seed=7))
    assert naive.trades > 1_000
    engine.check_invariants()


@pytest.mark.parametrize("seed", range(3))
def test_a_deep_book_is_stored_as_it_is(seed: int) -> None:
    _, naive, stored = run_both(deep_flow(seed))
    assert min(map(len, naive_levels(naive))) == BOOK_DEPTH_MAX
    book = books.parse(stored)
    assert (book.bids, book.asks) == naive_levels(naive)


def deep_flow(seed: int) -> list:  # type: ignore[type-arg]
    """Far more levels than a snapshot has; then sweeps, small orders and cancels."""
    draw = random.Random(seed)
    flow = []
    for number in range(1_500):
        side = draw.choice([Side.BID, Side.ASK])
        away = draw.randint(1, 250) * (1 if side is Side.ASK else -1)
        command = ("place", side, 1000 + away, draw.randint(1, 9), "broker-1", 10**9)
        if number > 700 and draw.random() < 0.4:
            command = ("cancel", draw.random(), ("", 0))  # type: ignore[assignment]
        elif number > 700 and draw.random() < 0.05:
            command = ("place", side, None, draw.randint(1, 60), "broker-2", 10**9)  # type: ignore[assignment]
        flow.append((0, command))
    return flow


def test_the_same_commands_give_the_same_state_hash() -> None:
    first, _, _ = run_both(long_flow(seed=11))
    second, _, _ = run_both(long_flow(seed=11))
    other, _, _ = run_both(long_flow(seed=12))
    assert first.state_hash() == second.state_hash()
    assert first.state_hash() != other.state_hash()
