"""The engine and the naive reference on the same flow of commands."""

from matcher.engine import Engine
from protocol import books
from protocol.books import BookLevel
from protocol.enums import ExecutionPrice, Side
from protocol.events import Trade
from protocol.records import OrderRecord
from protocol.units import BOOK_DEPTH_MAX
from tests.support.builders import START_MS, SYMBOL, written
from tests.support.flows import Flow, resolved
from tests.support.naive import NaiveEngine, NaiveOrder


def run_both(
    flow: Flow, rule: ExecutionPrice = ExecutionPrice.MAKER
) -> tuple[Engine, NaiveEngine, bytes]:
    """Both engines after the flow, and the book as commits of all lengths have stored it."""
    engine, naive = Engine(rule), NaiveEngine(rule)
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
