"""Trades: how an order meets the other side, and what a trade moves.

The part of the engine that all commands share. ``matcher.engine`` says which command does what.
"""

from collections.abc import Iterable
from heapq import heappop, heappush

from matcher.careful import careful_matches, reachable
from matcher.market import Market
from matcher.order import Order, SpecialOrder
from matcher.pricing import execution_price
from matcher.rules import AT_ONCE, is_disabled
from protocol.enums import (
    ExecutionPrice,
    InstrumentStatus,
    OrderState,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.events import Event, OrderCanceled, OrderRejected, OrderTriggered, Trade

# To look a member of an enumeration up takes ten times as long as to read a name.
_BID, _ASK = Side.BID, Side.ASK


class Trading:
    """The cash that the trades of one partition have moved, and the markets of it.

    ``balances`` maps broker ids to cents; they sum to 0. ``cash_changed`` collects the brokers
    that the current batch has touched.
    """

    __slots__ = ("_brokers", "_rule", "_valid_until_ms", "balances", "cash_changed", "markets")

    def __init__(self, rule: ExecutionPrice) -> None:
        self._rule = rule
        self._brokers: dict[str, str] = {}
        self._valid_until_ms: int | None = None
        self.markets: dict[str, Market] = {}
        self.balances: dict[str, int] = {}
        self.cash_changed: set[str] = set()

    def known_broker(self, broker_id: str) -> str:
        """One string object per broker instead of one per order."""
        return self._brokers.setdefault(broker_id, broker_id)

    def known_time(self, valid_until_ms: int | None) -> int | None:
        """One number object for orders in a row that end at the same time, as the day does."""
        if valid_until_ms != self._valid_until_ms:
            self._valid_until_ms = valid_until_ms
        return self._valid_until_ms

    def enter(self, market: Market, order: Order, time_ms: int, events: list[Event]) -> None:
        """Match an order that is new, amended or triggered. What is left rests or is canceled.
        While an auction gathers, everything rests."""
        if market.status is InstrumentStatus.AUCTION:
            market.rest(order)
            return
        makers = market.book.asks if order.side is _BID else market.book.bids
        special = order.special
        if special is None and market.halt_band is None:
            if makers.crosses(order.price):
                self.match(market, order, time_ms, events, market.book.match(order))
        else:
            if special is not None and special.post_only and makers.crosses(order.price):
                reject(order, StateReason.POST_ONLY_WOULD_CROSS, time_ms, events)
                return
            is_fok = special is not None and special.time_in_force is TimeInForce.FOK
            if is_fok and reachable(market, order, self._rule) < order.open_quantity:
                cancel(order, StateReason.FOK_NOT_FILLED, time_ms, events)
                return
            matches = careful_matches(market, order, self._rule, time_ms, events)
            self.match(market, order, time_ms, events, matches)
        if order.open_quantity and not order.reason:
            _leave_rest(market, order, time_ms, events)

    def match(
        self,
        market: Market,
        taker: Order,
        time_ms: int,
        events: list[Event],
        matches: Iterable[tuple[Order, int]],
    ) -> None:
        """Make a trade of each of ``matches``: a maker, and the quantity that was taken from both.
        The market gets iceberg orders back before the next match is looked for."""
        changed = market.changed
        for maker, quantity in matches:
            assert maker.price is not None, "only limit orders rest"
            price = execution_price(self._rule, maker.price, taker.price, taker.side)
            if type(maker) is SpecialOrder:
                market.show_next_slice(maker)
            maker.fill(quantity, price, time_ms)
            taker.fill(quantity, price, time_ms)
            changed[maker.sequence] = maker
            self.trade(market, maker, taker, price, quantity, events)

    def trigger(
        self,
        market: Market,
        time_ms: int,
        events: list[Event],
        seen: int = 0,
        reopens: bool = False,
    ) -> None:
        """Let the stop orders enter that the trades among ``events[seen:]`` have triggered, one
        after the other in the order of their arrival. Their own trades may trigger more. A market
        that ``reopens`` looks at the last price of before too. After a halt the rest waits on."""
        stops = market.book.stops
        ready: list[tuple[int, int, SpecialOrder]] = []
        prices = [market.last_price] if reopens and market.last_price else []
        while market.status is InstrumentStatus.OPEN:
            prices += [event.price for event in events[seen:] if type(event) is Trade]
            seen = len(events)
            if prices:
                for order in stops.pop_triggered(min(prices), max(prices)):
                    heappush(ready, (order.priority, order.sequence, order))
            if not ready:
                return
            prices.clear()
            self.activate(market, heappop(ready)[2], time_ms, events)
        for _, _, order in ready:
            stops.add(order)

    def activate(
        self, market: Market, order: SpecialOrder, time_ms: int, events: list[Event]
    ) -> None:
        """Make a stop order the market or limit order that it is from now on."""
        if order.sequence in market.book.orders:  # Not a stop order that never waited.
            market.book.forget(order)
        market.changed[order.sequence] = order
        if is_disabled(market, order.broker_id):
            cancel(order, StateReason.BROKER_DISABLED, time_ms, events)
            return
        order.special.is_waiting = False
        order.touch(time_ms)
        market.give_turn(order)
        events.append(OrderTriggered(order.sequence, market.last_price))
        self.enter(market, order, time_ms, events)

    def settle(self, market: Market, buyer: str, seller: str, price: int, quantity: int) -> None:
        """Move cash from the buyer to the seller, and shares the other way."""
        cash = quantity * price
        balances, holdings = self.balances, market.holdings
        balances[buyer] = balances.get(buyer, 0) - cash
        balances[seller] = balances.get(seller, 0) + cash
        self.cash_changed.update((buyer, seller))
        holdings[buyer] = holdings.get(buyer, 0) + quantity
        holdings[seller] = holdings.get(seller, 0) - quantity
        market.holdings_changed.update((buyer, seller))

    def trade(
        self,
        market: Market,
        maker: Order,
        taker: Order,
        price: int,
        quantity: int,
        events: list[Event],
    ) -> None:
        buyer, seller = taker.broker_id, maker.broker_id
        if taker.side is _ASK:
            buyer, seller = seller, buyer
        # As ``settle`` does, without its call: this is the hottest place of the engine.
        cash = quantity * price
        balances, holdings = self.balances, market.holdings
        balances[buyer] = balances.get(buyer, 0) - cash
        balances[seller] = balances.get(seller, 0) + cash
        holdings[buyer] = holdings.get(buyer, 0) + quantity
        holdings[seller] = holdings.get(seller, 0) - quantity
        self.cash_changed.add(buyer)
        self.cash_changed.add(seller)
        market.holdings_changed.add(buyer)
        market.holdings_changed.add(seller)
        market.trade_number += 1
        market.last_price = price
        events.append(
            Trade(
                market.trade_number,
                price,
                quantity,
                taker.side,
                maker.sequence,
                taker.sequence,
                maker.broker_id,
                taker.broker_id,
                maker.created_ms,
                taker.created_ms,
                maker.open_quantity if type(maker) is Order else maker.total_quantity,
                taker.open_quantity if type(taker) is Order else taker.total_quantity,
            )
        )


def _leave_rest(market: Market, order: Order, time_ms: int, events: list[Event]) -> None:
    """What becomes of an order that met all it could meet and is not filled."""
    special = order.special
    if order.price is not None and (special is None or special.time_in_force not in AT_ONCE):
        market.rest(order)
        return
    filled = order.quantity - order.open_quantity
    reason = StateReason.IOC_REMAINDER if filled else StateReason.NO_LIQUIDITY
    if market.status is not InstrumentStatus.OPEN:
        reason = StateReason.SYMBOL_HALTED
    cancel(order, reason, time_ms, events)


def cancel(
    order: Order, reason: StateReason, time_ms: int, events: list[Event], prevented: int = 0
) -> None:
    """End an order that is not in the book."""
    order.end(OrderState.CANCELED, reason, time_ms)
    events.append(OrderCanceled(order.sequence, order.open_quantity, reason, prevented))


def reject(order: Order, reason: StateReason, time_ms: int, events: list[Event]) -> None:
    """End an order that may not live."""
    order.end(OrderState.REJECTED, reason, time_ms)
    events.append(OrderRejected(order.sequence, reason))
