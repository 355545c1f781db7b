"""Undoing a trade. Nothing of the past is changed: the bust is an event of its own."""

from bisect import insort

from msgspec import structs

from matcher.market import Market
from matcher.refusals import ALREADY_BUSTED, INVALID_COMMAND, TRADE_NOT_FOUND
from matcher.trading import Trading
from protocol.commands import BustTrade
from protocol.events import CommandRefused, Event, TradeBusted


def bust(
    trading: Trading, market: Market, time_ms: int, command: BustTrade, events: list[Event]
) -> None:
    """Give cash and shares back. Orders, the last price and the reference stay as they are."""
    busted = list(market.instrument.busted_trades) if market.instrument is not None else []
    if command.price < 1 or command.quantity < 1:
        events.append(CommandRefused(INVALID_COMMAND))
    elif not 1 <= command.trade_number <= market.trade_number:
        events.append(CommandRefused(TRADE_NOT_FOUND))
    elif command.trade_number in busted:
        events.append(CommandRefused(ALREADY_BUSTED))
    else:
        insort(busted, command.trade_number)
        market.change_instrument(time_ms, busted_trades=busted)
        buyer, seller = command.buyer_broker_id, command.seller_broker_id
        trading.settle(market, seller, buyer, command.price, command.quantity)  # The other way.
        events.append(TradeBusted(*structs.astuple(command)))
