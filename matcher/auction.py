"""The uncross of an auction: one price for all, the quantity at it, and who trades with whom.

Pure. ``docs/explanation/auctions.md`` has the rule, which is that of B3, with an example. Prices
are integers in cents, quantities whole shares.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile
from operator import attrgetter
from typing import NamedTuple

from matcher.book import BookSide
from matcher.order import Order
from protocol.units import PRICE_MAX

Levels = Iterable[tuple[int, int]]  # Price and quantity; each price once, best price first.
_open_quantity: Callable[[Order], int] = attrgetter("open_quantity")


class Uncross(NamedTuple):
    """What an auction would do if it ended now.

    ``imbalance`` is what is left at the price: positive when bids stay unfilled that could have
    traded at it, negative when asks do.
    """

    price: int
    quantity: int
    imbalance: int


class _Stretch(NamedTuple):
    """Prices from ``low`` to ``high`` at which the same quantities can be bought and sold."""

    low: int
    high: int
    demand: int
    supply: int

    @property
    def rank(self) -> tuple[int, int]:
        """More is better: first the executable quantity, then the smallest imbalance."""
        return min(self.demand, self.supply), -abs(self.demand - self.supply)


def uncross(
    bids: Levels,
    asks: Levels,
    market_bid: int = 0,
    market_ask: int = 0,
    reference_price: int = 0,
    tick_size: int = 1,
) -> Uncross | None:
    """The price at which an auction ends, or ``None`` when nothing can trade.

    ``market_bid`` and ``market_ask`` are the quantities of the market orders, which trade at any
    price. ``reference_price`` is the last price, 0 when there is none. The price is a multiple of
    ``tick_size``, or the limit of an order that is not one.

    The work grows with the number of levels that can trade, not with the width of the prices.
    Where no market order is on the other side, the levels behind those are not even read.
    """
    wanted, offered = _crossing(bids, asks, market_bid, market_ask)
    stretches = list(
        _stretches(wanted, offered, market_bid, market_ask, reference_price, tick_size)
    )
    best = max((stretch.rank for stretch in stretches), default=(0, 0))
    if not best[0]:
        return None
    # Demand falls with the price and supply grows, so the best stretches lie side by side.
    chosen = [stretch for stretch in stretches if stretch.rank == best]
    price = _nearest(reference_price, chosen[0].low, chosen[-1].high, tick_size)
    at = next(stretch for stretch in chosen if price <= stretch.high)
    return Uncross(price, best[0], at.demand - at.supply)


def _crossing(
    bids: Levels, asks: Levels, market_bid: int, market_ask: int
) -> tuple[dict[int, int], dict[int, int]]:
    """Price → quantity of the levels that can trade, best first."""
    bids, asks = iter(bids), iter(asks)
    wanted, offered = dict(islice(bids, 1)), dict(islice(asks, 1))
    highest, lowest = max(wanted, default=0), min(offered, default=PRICE_MAX + 1)
    for price, quantity in bids:
        if not market_ask and price < lowest:
            break
        wanted[price] = quantity
    for price, quantity in asks:
        if not market_bid and price > highest:
            break
        offered[price] = quantity
    return wanted, offered


def _stretches(
    wanted: dict[int, int],
    offered: dict[int, int],
    market_bid: int,
    market_ask: int,
    reference_price: int,
    tick_size: int,
) -> Iterator[_Stretch]:
    """Prices, lowest first: those of the orders and the ticks between them; with a reference,
    which could pull the price there, also the ticks outside."""
    # Two sorted runs one after the other: sorting only merges them.
    prices = sorted(dict.fromkeys([*reversed(wanted), *offered]))
    demand, supply = market_bid + sum(wanted.values()), market_ask
    below = 0 if reference_price else PRICE_MAX
    for price in prices:
        yield from _ticks(below, price, demand, supply, tick_size)
        supply += offered.get(price, 0)
        yield _Stretch(price, price, demand, supply)
        demand -= wanted.get(price, 0)
        below = price
    if reference_price:
        yield from _ticks(below, PRICE_MAX + 1, demand, supply, tick_size)


def _ticks(below: int, above: int, demand: int, supply: int, tick_size: int) -> Iterator[_Stretch]:
    """The ticks strictly between two prices, if there are any."""
    low = (below // tick_size + 1) * tick_size
    high = (above - 1) // tick_size * tick_size
    if low <= high:
        yield _Stretch(low, high, demand, supply)


def _nearest(reference_price: int, low: int, high: int, tick_size: int) -> int:
    """The price from ``low`` to ``high`` that is nearest to the reference, on a tick; of two that
    are equally near the higher one. Without a reference it is ``high``."""
    if not reference_price:
        return high
    on_tick = (2 * reference_price + tick_size) // (2 * tick_size) * tick_size
    return min(max(on_tick, low), high)


def eligible(market_orders: Iterable[Order], side: BookSide, price: int) -> list[Order]:
    """The orders of one side that may trade at ``price``, in their priority: the market orders,
    which the caller has in the sequence of their arrival, then the limit orders by price and
    time."""
    levels = takewhile(lambda level: level.key <= price * side.sign, side.levels())
    return [*market_orders, *chain.from_iterable(levels)]


def allocate(
    buyers: Sequence[Order], sellers: Sequence[Order], left: Callable[[Order], int] = _open_quantity
) -> Iterator[tuple[Order, Order, int]]:
    """Who trades with whom: buyer, seller and quantity of each trade, until one side has no more.

    The first of one side trades with the first of the other. Nothing is shared out among the
    orders of one price. The generator changes nothing: after each pair the caller fills the two
    orders, or ends one of them instead, and ``left`` says what remains of each.
    """
    buyer_at, seller_at = 0, 0
    while buyer_at < len(buyers) and seller_at < len(sellers):
        buyer, seller = buyers[buyer_at], sellers[seller_at]
        wanted, offered = left(buyer), left(seller)
        if not wanted:
            buyer_at += 1
        elif not offered:
            seller_at += 1
        else:
            yield buyer, seller, min(wanted, offered)
            assert left(buyer) + left(seller) < wanted + offered, "neither was filled nor ended"
