"""The uncross against a brute-force oracle, and the allocation against the naive one."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.auction import Uncross, allocate, eligible, uncross
from matcher.book import Book
from matcher.order import Order
from protocol.enums import OrderType, Side
from protocol.units import PRICE_MAX

HIGHEST = 40  # Of the orders; the oracle looks at prices far beyond.
SIDES = st.dictionaries(st.integers(1, HIGHEST), st.integers(1, 9), max_size=8)
MARKET = st.sampled_from([0, 0, 0, 1, 3, 8, 30])
REFERENCES = st.integers(0, HIGHEST + 15)
TICKS = st.sampled_from([1, 1, 2, 5, 7])


Levels = list[tuple[int, int]]


def best_first(bids: dict[int, int], asks: dict[int, int]) -> tuple[Levels, Levels]:
    return sorted(bids.items(), reverse=True), sorted(asks.items())


def oracle(
    bids: dict[int, int],
    asks: dict[int, int],
    market_bid: int,
    market_ask: int,
    reference: int,
    tick: int,
) -> Uncross | None:
    """Looks at every price there is, in the words of the rule."""
    orders = {*bids, *asks}
    first, last = (
        (1, HIGHEST + 30) if reference else (min(orders, default=1), max(orders, default=0))
    )
    prices = sorted({p for p in range(first, last + 1) if p % tick == 0} | orders)

    def demand(price: int) -> int:
        return market_bid + sum(q for p, q in bids.items() if p >= price)

    def supply(price: int) -> int:
        return market_ask + sum(q for p, q in asks.items() if p <= price)

    most = max((min(demand(p), supply(p)) for p in prices), default=0)
    if not most:
        return None
    left = [p for p in prices if min(demand(p), supply(p)) == most]
    least = min(abs(demand(p) - supply(p)) for p in left)
    left = [p for p in left if abs(demand(p) - supply(p)) == least]
    price = left[-1]
    if reference:
        on_tick = min(range(0, HIGHEST + 90, tick), key=lambda p: (abs(p - reference), -p))
        price = min(max(on_tick, left[0]), left[-1])
    return Uncross(price, most, demand(price) - supply(price))


@given(SIDES, SIDES, MARKET, MARKET, REFERENCES, TICKS)
@settings(max_examples=3_000, deadline=None)
def test_the_price_is_that_of_the_rule(
    bids: dict[int, int],
    asks: dict[int, int],
    market_bid: int,
    market_ask: int,
    reference: int,
    tick: int,
) -> None:
    sides = best_first(bids, asks)
    found = uncross(*sides, market_bid, market_ask, reference, tick)
    assert found == oracle(bids, asks, market_bid, market_ask, reference, tick)


@given(SIDES, SIDES, MARKET, MARKET, REFERENCES)
@settings(max_examples=1_000, deadline=None)
def test_nothing_that_could_have_traded_at_a_better_price_than_its_own_is_left(
    bids: dict[int, int],
    asks: dict[int, int],
    market_bid: int,
    market_ask: int,
    reference: int,
) -> None:
    """So the book does not cross after the auction, and nobody trades beyond his limit."""
    found = uncross(*best_first(bids, asks), market_bid, market_ask, reference)
    if found is None:
        assert not (market_bid and market_ask and reference)
        assert max(bids, default=0) < min(asks, default=PRICE_MAX)
        return
    better_bids = market_bid + sum(q for p, q in bids.items() if p > found.price)
    better_asks = market_ask + sum(q for p, q in asks.items() if p < found.price)
    assert min(better_bids, better_asks) <= found.quantity


def test_nothing_trades_when_nothing_crosses() -> None:
    assert uncross([], []) is None
    assert uncross([(999, 5)], [(1000, 5)], reference_price=1000) is None
    assert uncross([], [(1000, 5)], market_ask=7, reference_price=1000) is None


def test_market_orders_alone_trade_at_the_reference_and_not_at_all_without_one() -> None:
    assert uncross([], [], 30, 20, reference_price=1000) == Uncross(1000, 20, 10)
    assert uncross([], [], 30, 20) is None


def test_the_price_may_be_one_at_which_no_order_stands() -> None:
    assert uncross([(1010, 5)], [(1000, 5)], reference_price=1004) == Uncross(1004, 5, 0)
    assert uncross([(1010, 5)], [(1000, 5)], reference_price=1004, tick_size=5) == (1005, 5, 0)
    assert uncross([(1010, 5)], [(1000, 5)]) == Uncross(1010, 5, 0)


def test_levels_behind_the_crossing_ones_are_not_read() -> None:
    def levels(*prices: int) -> Iterator[tuple[int, int]]:
        for price in prices:
            yield price, 5
        pytest.fail("a level that cannot trade was read")

    assert uncross(levels(1010, 990), levels(1000, 1020)) == Uncross(1010, 5, 0)


def test_wide_prices_cost_nothing() -> None:
    bids, asks = [(PRICE_MAX, 5)], [(1, 5)]
    assert uncross(bids, asks, reference_price=123_456_789) == Uncross(123_456_789, 5, 0)


ORDERS = st.lists(
    st.tuples(st.sampled_from(Side), st.none() | st.integers(990, 1010), st.integers(1, 9)),
    max_size=40,
)


def gathered(orders: list[tuple[Side, int | None, int]]) -> tuple[Book, dict[Side, list[Order]]]:
    """A book in which orders have gathered, and the market orders of each side."""
    book, market = Book(), {side: list[Order]() for side in Side}
    for sequence, (side, price, quantity) in enumerate(orders, 1):
        if price is None:
            market[side].append(Order(sequence, side, None, quantity, OrderType.MARKET))
        else:
            book.add(Order(sequence, side, price, quantity))
    return book, market


def uncross_of(book: Book, market: dict[Side, list[Order]], reference: int) -> Uncross | None:
    bids = ((level.price, level.quantity) for level in book.bids.levels())
    asks = ((level.price, level.quantity) for level in book.asks.levels())
    market_bid, market_ask = (sum(o.quantity for o in market[s]) for s in (Side.BID, Side.ASK))
    return uncross(bids, asks, market_bid, market_ask, reference)


def priority(order: Order) -> tuple[bool, int, int]:
    """Market orders first, then the better price, then the earlier order."""
    if order.price is None:
        return False, 0, order.sequence
    return True, order.price if order.side is Side.ASK else -order.price, order.sequence


@given(ORDERS, st.integers(985, 1015))
@settings(max_examples=1_000, deadline=None)
def test_the_allocation_fills_by_priority_and_leaves_no_crossed_book(
    orders: list[tuple[Side, int | None, int]], reference: int
) -> None:
    book, market = gathered(orders)
    known = [*market[Side.BID], *market[Side.ASK], *book.orders.values()]
    found = uncross_of(book, market, reference)
    if found is None:
        book.check_invariants()
        return
    buyers = eligible(market[Side.BID], book.bids, found.price)
    sellers = eligible(market[Side.ASK], book.asks, found.price)
    traded = 0
    for buyer, seller, quantity in allocate(buyers, sellers):
        for order in (buyer, seller):
            if order.price is None:
                order.open_quantity -= quantity
            else:
                (book.bids if order.side is Side.BID else book.asks).fill(order, quantity)
                if not order.open_quantity:
                    del book.orders[order.sequence]
        traded += quantity
    assert traded == found.quantity
    book.check_invariants()
    for side in Side:
        mine = sorted((o for o in known if o.side is side), key=priority)
        filled = [o.quantity - o.open_quantity for o in mine]
        assert filled == by_priority([o.quantity for o in mine], found.quantity)
        for order, quantity in zip(mine, filled, strict=True):
            if quantity and order.price is not None:
                assert (order.price - found.price) * (1 if side is Side.BID else -1) >= 0


def by_priority(quantities: list[int], total: int) -> list[int]:
    """``total`` given out to the first, as far as it goes."""
    given_out = []
    for quantity in quantities:
        given_out.append(min(quantity, total))
        total -= given_out[-1]
    return given_out


def test_an_order_that_the_caller_ends_is_passed_over() -> None:
    buyer = Order(1, Side.BID, 1000, 10)
    own, other = Order(2, Side.ASK, 1000, 4), Order(3, Side.ASK, 1000, 10)
    ended: set[int] = set()
    pairs = []

    def left(order: Order) -> int:
        return 0 if order.sequence in ended else order.open_quantity

    for first, second, quantity in allocate([buyer], [own, other], left):
        if second is own:
            ended.add(own.sequence)
            continue
        pairs.append((first.sequence, second.sequence, quantity))
        first.open_quantity -= quantity
        second.open_quantity -= quantity
    assert pairs == [(1, 3, 10)]


def test_a_caller_that_fills_nothing_is_found_out() -> None:
    pairs = allocate([Order(1, Side.BID, 1000, 10)], [Order(2, Side.ASK, 1000, 4)])
    assert next(pairs)[2] == 4
    with pytest.raises(AssertionError, match="neither was filled"):
        next(pairs)
