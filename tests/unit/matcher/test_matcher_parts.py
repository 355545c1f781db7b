"""Expiries, agenda, snapshots and recovery of the engine, each alone."""

from hypothesis import given
from hypothesis import strategies as st

from matcher.agenda import GRACE_MS, Agenda
from matcher.book import Book
from matcher.engine import Engine
from matcher.expiries import Expiries
from matcher.order import Order
from matcher.snapshots import BookView
from protocol.commands import AmendOrder
from protocol.enums import Side
from protocol.units import BOOK_DEPTH_MAX
from tests.support.builders import ALICE, SYMBOL, Pit, ask, bid


def resting(sequence: int, until: int) -> Order:
    return Order(sequence, Side.BID, 10, 1, valid_until_ms=until)


def test_a_day_of_canceled_orders_leaves_the_expiries_small() -> None:
    book = Book()
    expiries = Expiries(book)
    for sequence in range(10_000):
        order = resting(sequence, 10**9 + sequence)
        book.add(order)
        expiries.add(order)
        if sequence != 5_000:
            book.remove(order)
    assert len(expiries._heap) < 200
    assert expiries.next_ms() == 10**9 + 5_000


@given(st.lists(st.integers(0, 50)), st.integers(0, 60))
def test_expiries_give_what_is_due_earliest_first(untils: list[int], now: int) -> None:
    book = Book()
    expiries = Expiries(book)
    for sequence, until in enumerate(untils):
        order = resting(sequence, until)
        book.add(order)
        expiries.add(order)
    due = []
    while (order_due := expiries.pop_due(now)) is not None:
        book.remove(order_due)
        due.append((order_due.valid_until_ms, order_due.sequence))
    assert due == sorted((u, s) for s, u in enumerate(untils) if u <= now)


def test_a_tick_is_due_a_moment_after_the_expiry_and_once() -> None:
    agenda = Agenda()
    agenda.plan("A", 1000)
    agenda.plan("B", 2000)
    assert agenda.next_ms() == 1000 + GRACE_MS
    assert agenda.pop_due(1000 + GRACE_MS - 1) == []
    assert agenda.pop_due(1000 + GRACE_MS) == ["A"]
    assert agenda.pop_due(1000 + GRACE_MS) == []
    assert agenda.next_ms() == 2000 + GRACE_MS


def test_a_plan_that_changed_counts_as_it_is_now() -> None:
    agenda = Agenda()
    agenda.plan("A", 1000)
    agenda.plan("A", 500)
    assert agenda.pop_due(500 + GRACE_MS) == ["A"]
    agenda.plan("A", 3000)
    agenda.plan("A", None)
    assert agenda.pop_due(10_000) == []


def test_no_snapshot_is_written_for_what_lies_deeper_than_readers_see() -> None:
    book = Book()
    view = BookView(book)
    for n in range(BOOK_DEPTH_MAX + 5):
        book.add(Order(n, Side.ASK, 1000 + n, 1))
    assert view.refresh(1) is not None
    deep = Order(100, Side.ASK, 1000 + BOOK_DEPTH_MAX, 1)
    book.add(deep)
    assert view.refresh(2) is None
    book.remove(deep)
    assert view.refresh(3) is None
    book.add(Order(101, Side.ASK, 1000 + BOOK_DEPTH_MAX - 1, 1))
    assert view.refresh(4) is not None


def test_a_level_that_moves_up_into_sight_is_written() -> None:
    book = Book()
    view = BookView(book)
    orders = [Order(n, Side.ASK, 1000 + n, 1) for n in range(BOOK_DEPTH_MAX + 1)]
    for order in orders:
        book.add(order)
    first = view.refresh(1)
    assert first is not None
    assert b"1050" not in first
    book.remove(orders[0])
    second = view.refresh(2)
    assert second is not None
    assert b"1050" in second


def test_a_sweep_beyond_all_visible_levels_is_written() -> None:
    book = Book()
    view = BookView(book)
    for n in range(BOOK_DEPTH_MAX + 10):
        book.add(Order(n, Side.ASK, 1000 + n, 10))
    view.refresh(1)
    for _ in book.match(Order(100, Side.BID, 2000, 10 * (BOOK_DEPTH_MAX + 5) + 1)):
        pass
    swept = view.refresh(2)
    assert swept is not None
    assert swept.split(b"|")[2].startswith(b"1055,9,1;1056,10,1;")


def test_an_engine_restored_from_its_records_has_the_same_state() -> None:
    pit = Pit()
    pit.apply(ask(1000, 10), ask(1000, 5), bid(990, 7), bid(1000, 3, ALICE))
    pit.apply(AmendOrder(1, None, 20, None))  # Now behind the second.
    market = pit.market
    again = Engine()
    copy = again.market(SYMBOL, 1)
    copy.sequence, copy.trade_number = market.sequence, market.trade_number
    for order in sorted(market.book.orders.values(), key=lambda o: o.priority):
        again.restore(order.record(SYMBOL, 1))
    again.balances.update(pit.engine.balances)
    assert again.state_hash() == pit.engine.state_hash()
    again.check_invariants()
