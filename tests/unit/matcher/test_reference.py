"""The engine against the naive reference: identical events, whatever the commands."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.engine import Engine
from protocol import books
from protocol.commands import AmendOrder, CancelOrder, Command, Tick
from protocol.enums import Side
from tests.support.builders import START_MS, SYMBOL, place
from tests.support.naive import NaiveEngine

BROKERS = st.sampled_from([f"broker-{n}" for n in range(3)])
SIDES = st.sampled_from(Side)
PRICES = st.integers(995, 1005)
QUANTITIES = st.integers(1, 20)
# Time runs by at most 3 ms per command, so lives of up to 60 ms end within most runs.
LIVES = st.one_of(st.integers(0, 60), st.just(10**9))
STEPS = st.integers(0, 3)

PLACES = st.tuples(st.just("place"), SIDES, st.none() | PRICES, QUANTITIES, BROKERS, LIVES)
CANCELS = st.tuples(st.just("cancel"), st.floats(0, 1, exclude_max=True))
AMENDS = st.tuples(
    st.just("amend"),
    st.floats(0, 1, exclude_max=True),
    st.none() | PRICES,
    st.none() | QUANTITIES,
    st.none() | LIVES,
)
TICKS = st.tuples(st.just("tick"))
FLOWS = st.lists(
    st.tuples(STEPS, st.one_of(PLACES, PLACES, PLACES, CANCELS, AMENDS, TICKS)), max_size=120
)


def run_both(flow: list) -> tuple[Engine, NaiveEngine]:  # type: ignore[type-arg]
    engine, naive = Engine(), NaiveEngine()
    market = engine.market(SYMBOL, 1)
    time_ms = START_MS
    for sequence, (step, (kind, *parts)) in enumerate(flow, 1):
        time_ms += step
        command: Command
        if kind == "place":
            side, price, quantity, broker, life = parts
            command = place(side, price, quantity, broker, time_ms + life)
        elif kind == "cancel":
            command = CancelOrder(1 + int(parts[0] * sequence))
        elif kind == "amend":
            which, price, quantity, life = parts
            until = None if life is None else time_ms + life
            command = AmendOrder(1 + int(which * sequence), price, quantity, until)
        else:
            command = Tick()
        events = engine.apply(market, sequence, time_ms, command)
        assert events == naive.apply(sequence, time_ms, command)
    return engine, naive


@given(FLOWS)
@settings(max_examples=300, deadline=None)
def test_the_engine_does_what_the_reference_does(flow: list) -> None:  # type: ignore[type-arg]
    engine, naive = run_both(flow)
    engine.check_invariants()
    market = engine.markets[SYMBOL]
    assert {s: o.open_quantity for s, o in market.book.orders.items()} == {
        o.sequence: o.open for o in naive.orders
    }
    assert {b: c for b, c in engine.balances.items() if c} == {
        b: c for b, c in naive.cash.items() if c
    }
    assert market.view.refresh(market.sequence) in (None, naive_snapshot(naive, market.sequence))


def naive_snapshot(naive: NaiveEngine, sequence: int) -> bytes:
    sides = []
    for side, sign in ((Side.BID, -1), (Side.ASK, 1)):
        prices = {o.command.price or 0 for o in naive.orders if o.command.side is side}
        text = ""
        for price in sorted(prices, key=lambda p: p * sign):
            level = [o for o in naive.orders if o.command.side is side and o.command.price == price]
            text += books.level(price, sum(o.open for o in level), len(level))
        sides.append(text)
    return books.snapshot(sequence, *sides)


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
            command = ("cancel", draw.random())  # type: ignore[assignment]
        elif kind < 0.95:
            price = draw.choice([None, draw.randint(980, 1020)])
            command = ("amend", draw.random(), price, draw.choice([None, 50, 300]), None)  # type: ignore[assignment]
        else:
            command = ("tick",)  # type: ignore[assignment]
        flow.append((draw.randint(0, 3), command))
    return flow


def test_thousands_of_commands_give_the_events_of_the_reference() -> None:
    engine, naive = run_both(long_flow(seed=7))
    assert naive.trades > 1_000
    engine.check_invariants()


def test_the_same_commands_give_the_same_state_hash() -> None:
    first, _ = run_both(long_flow(seed=11))
    second, _ = run_both(long_flow(seed=11))
    other, _ = run_both(long_flow(seed=12))
    assert first.state_hash() == second.state_hash()
    assert first.state_hash() != other.state_hash()
