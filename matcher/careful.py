"""Matching for orders that may not trade with everyone they meet. Pure.

:func:`careful_matches` is :meth:`matcher.book.Book.match` with a look at each maker before it is
touched. Plain orders in markets without rules never come here.
"""

from collections.abc import Iterator

from matcher.market import Market
from matcher.order import Order
from matcher.pricing import execution_price
from protocol.enums import (
    ExecutionPrice,
    InstrumentStatus,
    OrderState,
    SelfTradePrevention,
    Side,
    StateReason,
)
from protocol.events import Event, OrderCanceled, StatusChanged
from protocol.units import document_digits

CANCELS_RESTING = (SelfTradePrevention.CANCEL_RESTING, SelfTradePrevention.CANCEL_BOTH)
CANCELS_AGGRESSOR = (SelfTradePrevention.CANCEL_AGGRESSOR, SelfTradePrevention.CANCEL_BOTH)
VOLATILITY = "volatility"


def careful_matches(
    market: Market, taker: Order, rule: ExecutionPrice, time_ms: int, events: list[Event]
) -> Iterator[tuple[Order, int]]:
    """Yield what ``Book.match`` yields. Where self-trade prevention forbids a match, its orders
    are canceled instead. Where a trade would leave the band, an auction begins instead."""
    book = market.book
    makers = book.asks if taker.side is Side.BID else book.bids
    prevention = _prevention(taker)
    while taker.open_quantity and makers.crosses(taker.price):
        assert makers.best is not None, "it crosses, so there is a best level"
        maker = makers.best.first
        assert maker is not None, "a level in the book has orders"
        if prevention is not SelfTradePrevention.NONE and _same_owner(maker, taker):
            prevented = min(taker.open_quantity, maker.total_quantity)
            if prevention in CANCELS_RESTING:
                book.remove(maker)
                market.changed[maker.sequence] = maker
                _prevent(maker, prevented, time_ms, events)
            if prevention in CANCELS_AGGRESSOR:
                _prevent(taker, prevented, time_ms, events)
                return
            continue
        if _leaves_band(market, taker, rule, maker.price):
            _halt(market, time_ms, events)
            return
        quantity = min(taker.open_quantity, maker.open_quantity)
        book.fill(maker, quantity)
        taker.open_quantity -= quantity
        yield maker, quantity


def reachable(market: Market, taker: Order, rule: ExecutionPrice) -> int:
    """How much ``taker`` would trade at once; the sum stops when it is enough."""
    makers = market.book.asks if taker.side is Side.BID else market.book.bids
    prevention = _prevention(taker)
    total = 0
    for level in makers.levels():
        if total >= taker.open_quantity or not makers.reaches(level, taker.price):
            break
        if _leaves_band(market, taker, rule, level.price):
            break
        hidden = 0
        for maker in level:
            if prevention is not SelfTradePrevention.NONE and _same_owner(maker, taker):
                if prevention in CANCELS_AGGRESSOR:
                    return total  # What is hidden would come behind this one.
                continue
            total += maker.open_quantity
            hidden += maker.total_quantity - maker.open_quantity
        total += hidden
    return total


def _leaves_band(
    market: Market, taker: Order, rule: ExecutionPrice, maker_price: int | None
) -> bool:
    """Whether a trade with a maker of this price would be too far from the reference."""
    band = market.halt_band
    if band is None:
        return False
    assert maker_price is not None, "only limit orders rest"
    return not band[0] <= execution_price(rule, maker_price, taker.price, taker.side) <= band[1]


def _halt(market: Market, time_ms: int, events: list[Event]) -> None:
    length_ms = market.rules.auction_ms
    market.change_instrument(
        time_ms,
        status=InstrumentStatus.AUCTION,
        status_reason=VOLATILITY,
        auction_ends_ms=time_ms + length_ms if length_ms else 0,
    )
    events.append(StatusChanged(InstrumentStatus.AUCTION, VOLATILITY))


def _prevention(taker: Order) -> SelfTradePrevention:
    special = taker.special
    return SelfTradePrevention.NONE if special is None else special.self_trade_prevention


def _same_owner(one: Order, other: Order) -> bool:
    return one.broker_id == other.broker_id and (
        document_digits(one.document_number) == document_digits(other.document_number)
    )


def _prevent(order: Order, prevented: int, time_ms: int, events: list[Event]) -> None:
    order.end(OrderState.CANCELED, StateReason.SELF_TRADE_PREVENTION, time_ms)
    reason = StateReason.SELF_TRADE_PREVENTION
    events.append(OrderCanceled(order.sequence, order.open_quantity, reason, prevented))
