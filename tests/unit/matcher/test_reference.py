"""The engine against the naive reference: identical events, whatever the commands."""

import random

import pytest
from hypothesis import given, settings

from matcher.engine import Engine
from protocol import books
from protocol.books import BookLevel
from protocol.commands import CancelOrder, PlaceOrder
from protocol.enums import OrderType, Side
from protocol.events import Trade
from protocol.records import OrderRecord
from protocol.units import BOOK_DEPTH_MAX
from tests.support.builders import START_MS, SYMBOL, written
from tests.support.flows import FLOWS, Flow, long_flow, resolved
from tests.support.naive import NaiveEngine, NaiveOrder


def run_both(flow: Flow) -> tuple[Engine, NaiveEngine, bytes]:
    """Both engines after the flow, and the book as commits of all lengths have stored it."""
    engine, naive = Engine(), NaiveEngine()
    market = engine.market(SYMBOL, 1)
    time_ms = START_MS
    stored = books.EMPTY
    filled: dict[int, int] = {}
    for sequence, (step, recipe) in enumerate(flow, 1):
        time_ms += step
        command = resolved(recipe, sequence, time_ms)
        events = engine.apply(market, sequence, time_ms, command)
        assert events == naive.apply(sequence, time_ms, command)
        for event in events:
            if isinstance(event, Trade):
                for order in (event.maker_sequence, event.taker_sequence):
                    filled[order] = filled.get(order, 0) + event.quantity
        if sequence % 3 == 0 or sequence == len(flow):
            stored = written(stored, market.view.take(sequence))
            for changed in market.take_changed():
                check_record(changed.record(SYMBOL, 1), filled)
    return engine, naive, stored


def check_record(record: OrderRecord, filled: dict[int, int]) -> None:
    """What an order says of itself is what its trades say."""
    assert record.filled_quantity == filled.get(record.sequence, 0)
    assert 0 <= record.shown_quantity <= record.open_quantity
    assert record.state.is_open is (not record.reason and record.open_quantity > 0)


@given(FLOWS)
@settings(max_examples=300, deadline=None)
def test_the_engine_does_what_the_reference_does(flow: Flow) -> None:
    engine, naive, stored = run_both(flow)
    check_same(engine, naive, stored)


def check_same(engine: Engine, naive: NaiveEngine, stored: bytes) -> None:
    """Both have the same open orders in the same order, cash and book."""
    engine.check_invariants()
    market = engine.markets[SYMBOL]
    assert {s: o.total_quantity for s, o in market.book.orders.items()} == {
        o.sequence: o.open for o in naive.orders
    }
    for side in (market.book.bids, market.book.asks):
        for level in side.levels():
            rests = [o for o in naive.orders if o.side is side.side and not o.waits]
            queue = sorted((o for o in rests if o.price == level.price), key=NaiveOrder.get_turn)
            assert [o.sequence for o in level] == [o.sequence for o in queue]
    assert {b: c for b, c in engine.balances.items() if c} == {
        b: c for b, c in naive.cash.items() if c
    }
    assert market.holdings == naive.shares
    assert sum(naive.shares.values()) == sum(naive.cash.values()) == 0
    assert market.status is naive.status
    book = books.parse(stored)
    assert (book.bids, book.asks) == naive_levels(naive)


def naive_levels(naive: NaiveEngine) -> tuple[list[BookLevel], list[BookLevel]]:
    """The visible bids and asks."""
    sides = []
    for side, sign in ((Side.BID, -1), (Side.ASK, 1)):
        resting = [o for o in naive.orders if o.side is side and not o.waits]
        levels = []
        for price in sorted({o.price or 0 for o in resting}, key=lambda p: p * sign):
            level = [o for o in resting if o.price == price]
            levels.append((price, sum(o.shown for o in level), len(level)))
        sides.append(levels[:BOOK_DEPTH_MAX])
    return sides[0], sides[1]


@pytest.mark.parametrize("seed", range(4))
def test_a_day_with_an_operator_gives_the_events_of_the_reference(seed: int) -> None:
    engine, naive, stored = run_both(long_flow(seed, 1_500, is_ruled=True))
    assert naive.trades > 100
    check_same(engine, naive, stored)


@pytest.mark.parametrize("seed", [7, 8])
def test_thousands_of_commands_give_the_events_of_the_reference(seed: int) -> None:
    engine, naive, stored = run_both(long_flow(seed, 3_000))
    assert naive.trades > 1_000
    check_same(engine, naive, stored)


@pytest.mark.parametrize("seed", range(3))
def test_a_deep_book_is_stored_as_it_is(seed: int) -> None:
    _, naive, stored = run_both(deep_flow(seed))
    assert min(map(len, naive_levels(naive))) == BOOK_DEPTH_MAX
    book = books.parse(stored)
    assert (book.bids, book.asks) == naive_levels(naive)


def deep_flow(seed: int) -> Flow:
    """Far more levels than a snapshot has; then sweeps, small orders and cancels."""
    draw = random.Random(seed)
    flow: Flow = []
    for number in range(1_500):
        side = draw.choice([Side.BID, Side.ASK])
        away = draw.randint(1, 250) * (1 if side is Side.ASK else -1)
        quantity = draw.randint(1, 9)
        recipe: PlaceOrder | CancelOrder = PlaceOrder(
            *("broker-1", "1", side, OrderType.LIMIT, 1000 + away, quantity, 10**9)
        )
        if number > 700 and draw.random() < 0.4:
            recipe = CancelOrder(draw.randrange(1000))
        elif number > 700 and draw.random() < 0.05:
            quantity = draw.randint(1, 60)
            recipe = PlaceOrder("broker-2", "1", side, OrderType.MARKET, None, quantity, None)
        flow.append((0, recipe))
    return flow


def test_the_same_commands_give_the_same_state_hash() -> None:
    first, _, _ = run_both(long_flow(11, 1_000))
    second, _, _ = run_both(long_flow(11, 1_000))
    other, _, _ = run_both(long_flow(12, 1_000))
    assert first.state_hash() == second.state_hash()
    assert first.state_hash() != other.state_hash()
