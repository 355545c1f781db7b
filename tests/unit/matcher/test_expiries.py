"""Orders that end by time: what is due, earliest first, and what canceled ones leave behind."""

from hypothesis import given
from hypothesis import strategies as st

from matcher.book import Book
from matcher.expiries import Expiries
from matcher.order import Order
from protocol.enums import Side


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
