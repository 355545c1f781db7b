"""Which orders a market takes: its status, its ticks, lots and bands, and the limits of brokers.

Pure. The checks stand here in the order in which they are made, and the first that fails gives the
reason: the kill switch, the status, the instrument, the limits of the broker.
"""

from matcher.market import Market
from matcher.order import Order
from protocol.commands import AmendOrder, PlaceOrder, SetBroker
from protocol.enums import InstrumentStatus, OrderType, Side, StateReason, TimeInForce

FREE = SetBroker("")
BASIS_POINTS = 10_000
AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def is_disabled(market: Market, broker_id: str) -> bool:
    """Whether the kill switch of the broker is on."""
    return not _broker(market, broker_id).is_enabled


def is_easy(market: Market, command: PlaceOrder) -> bool:
    """Whether a plain limit order passes every check and can only trade within the band, so that
    it may be matched like one in a market without rules. A quick look; false proves nothing."""
    price, instrument = command.price, market.instrument
    if price is None or instrument is None or not market.is_open:
        return False
    broker = instrument.brokers.get(command.broker_id)
    if broker is not None and _is_limited(market, broker, price, command.quantity):
        return False
    rules = instrument.rules
    if price % rules.tick_size or command.quantity % rules.lot_size:
        return False
    if market.halt_band is None:
        return True
    low, high = market.halt_band
    if market.price_band is not None:
        low, high = max(low, market.price_band[0]), min(high, market.price_band[1])
    # All trades will lie between the best price of the other side and the limit.
    if command.side is Side.BID:
        best = market.book.asks.best
        return low <= price <= high and (best is None or best.price >= low)
    best = market.book.bids.best
    return low <= price <= high and (best is None or best.price <= high)


def placement_rejection(market: Market, order: Order) -> StateReason:
    """Why a new order may not live; ``NONE`` when it may."""
    broker = _broker(market, order.broker_id)
    special = order.special
    stop_price, display = (special.stop_price, special.display_quantity) if special else (None, 0)
    reason = (
        _status_reason(market, broker)
        or _auction_reason(market, order)
        or _instrument_reason(market, order.price, stop_price, order.quantity, display)
        or _limits_reason(market, broker, order.price, order.quantity)
    )
    return reason or _open_orders_reason(market, broker)


def amendment_rejection(market: Market, order: Order, command: AmendOrder) -> StateReason:
    """Why an order may not get these values; ``NONE`` when it may. What does not change is not
    looked at, because the rules may be younger than the order."""
    broker = _broker(market, order.broker_id)
    reason = _status_reason(market, broker) or _instrument_reason(
        market, command.price, None, command.quantity or 0, 0
    )
    if reason or (command.price is None and command.quantity is None):
        return reason
    price = order.price if command.price is None else command.price
    quantity = order.quantity if command.quantity is None else command.quantity
    return _limits_reason(market, broker, price, quantity)


def _broker(market: Market, broker_id: str) -> SetBroker:
    return FREE if market.instrument is None else market.instrument.brokers.get(broker_id, FREE)


def _status_reason(market: Market, broker: SetBroker) -> StateReason:
    if not broker.is_enabled:
        return StateReason.BROKER_DISABLED
    if market.status not in (InstrumentStatus.OPEN, InstrumentStatus.AUCTION):
        return StateReason.SYMBOL_HALTED
    return StateReason.NONE


def _auction_reason(market: Market, order: Order) -> StateReason:
    """An auction gathers what can rest."""
    if market.status is not InstrumentStatus.AUCTION:
        return StateReason.NONE
    special = order.special
    at_once = special is not None and (special.post_only or special.time_in_force in AT_ONCE)
    is_market = order.order_type is OrderType.MARKET
    return StateReason.NOT_IN_AUCTION if at_once or is_market else StateReason.NONE


def _instrument_reason(
    market: Market, price: int | None, stop_price: int | None, quantity: int, display: int
) -> StateReason:
    if market.instrument is None:
        return StateReason.NONE
    rules = market.instrument.rules
    if (price or 0) % rules.tick_size or (stop_price or 0) % rules.tick_size:
        return StateReason.INVALID_TICK
    if quantity % rules.lot_size or display % rules.lot_size:
        return StateReason.INVALID_LOT
    if price is not None and market.price_band is not None:
        low, high = market.price_band
        if not low <= price <= high:
            return StateReason.PRICE_BAND
    return StateReason.NONE


def _is_limited(market: Market, broker: SetBroker, price: int, quantity: int) -> bool:
    """Whether something that was set for the broker stands in the way."""
    if not broker.is_enabled or _limits_reason(market, broker, price, quantity):
        return True
    return bool(_open_orders_reason(market, broker))


def _open_orders_reason(market: Market, broker: SetBroker) -> StateReason:
    counts = market.book.counts
    if not broker.open_orders_max or counts is None:
        return StateReason.NONE
    is_full = counts[broker.broker_id] >= broker.open_orders_max
    return StateReason.OPEN_ORDERS_LIMIT if is_full else StateReason.NONE


def _limits_reason(
    market: Market, broker: SetBroker, price: int | None, quantity: int
) -> StateReason:
    last = market.last_price
    if broker.order_quantity_max and quantity > broker.order_quantity_max:
        return StateReason.ORDER_QUANTITY_LIMIT
    notional = quantity * (last if price is None else price)
    if broker.order_notional_max and notional > broker.order_notional_max:
        return StateReason.ORDER_NOTIONAL_LIMIT
    collar = broker.price_collar_basis_points
    if collar and price is not None and abs(price - last) * BASIS_POINTS > last * collar:
        return StateReason.PRICE_COLLAR if last else StateReason.NONE
    return StateReason.NONE
