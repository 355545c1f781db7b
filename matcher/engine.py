"""The engine of one partition: ``apply(command) -> events``.

Deterministic and total: the same commands give the same events with the same numbers, and every
command yields events; a command that changes nothing says so with a ``CommandRefused``. Time and
identity arrive with the command. Applying an entry first expires the symbol's orders whose time
has come by the entry's stamp, so time never enters but through the log.
"""

import hashlib

import msgspec

from matcher.amending import amend
from matcher.busts import bust
from matcher.market import Market
from matcher.mass_cancel import mass_cancel
from matcher.order import Order, SpecialOrder
from matcher.placing import expire, place
from matcher.refusals import INVALID_ORDER, cancel_refusal
from matcher.rules import is_easy
from matcher.sessions import (
    AUCTION_OVER,
    MATCHED,
    change_status,
    set_broker,
    set_instrument,
    set_status,
)
from matcher.trading import Trading, cancel
from protocol.commands import (
    AmendOrder,
    BustTrade,
    CancelOrder,
    Command,
    MassCancel,
    PlaceOrder,
    SetBroker,
    SetInstrument,
    SetStatus,
)
from protocol.enums import (
    ExecutionPrice,
    InstrumentStatus,
    OrderState,
    OrderType,
    Side,
    StateReason,
)
from protocol.events import CommandRefused, Event, OrderAccepted, OrderCanceled
from protocol.records import OrderRecord

# To look a member of an enumeration up takes ten times as long as to read a name.
_BID, _LIMIT, _MARKET = Side.BID, OrderType.LIMIT, OrderType.MARKET
_CANCELED, _USER_REQUEST = OrderState.CANCELED, StateReason.USER_REQUEST


class Engine(Trading):
    """Markets of one partition, and what their trades have moved."""

    __slots__ = ()

    def __init__(self, rule: ExecutionPrice = ExecutionPrice.MAKER) -> None:
        super().__init__(rule)

    def market(self, symbol: str, instrument_number: int) -> Market:
        """The market of a symbol, opened at its first entry."""
        market = self.markets.get(symbol)
        if market is None:
            market = self.markets[symbol] = Market(symbol, instrument_number)
        return market

    def apply(self, market: Market, sequence: int, time_ms: int, command: Command) -> list[Event]:
        """Apply the entry ``sequence`` of the market's log, stamped ``time_ms``."""
        market.sequence = sequence
        events: list[Event] = []
        if market.expiries.is_due(time_ms):
            self._expire(market, time_ms, events)
        if market.instrument is not None and 0 < market.auction_ends_ms <= time_ms:
            status = InstrumentStatus.OPEN
            change_status(self, market, time_ms, status, AUCTION_OVER, events)
            self.trigger(market, time_ms, events, reopens=True)
        kind = type(command)
        if kind is PlaceOrder and (market.is_plain or is_easy(market, command)):  # type: ignore[arg-type]
            self._place(market, sequence, time_ms, command, events)  # type: ignore[arg-type]
        elif kind is CancelOrder:
            self._cancel(market, time_ms, command, events)  # type: ignore[arg-type]
        else:
            self._apply_other(market, time_ms, command, events)
        return events

    def _apply_other(
        self, market: Market, time_ms: int, command: Command, events: list[Event]
    ) -> None:
        """What comes less often than plain orders and their cancels."""
        seen = len(events)
        was_open = market.status is InstrumentStatus.OPEN
        match command:
            case AmendOrder():
                amend(self, market, time_ms, command, events)
            case PlaceOrder():  # PlaceSpecialOrder is one too.
                place(self, market, time_ms, command, events)
            case MassCancel():
                mass_cancel(market, time_ms, command, events)
            case SetInstrument():
                set_instrument(market, time_ms, command, events)
            case SetStatus():
                set_status(self, market, time_ms, command, events)
            case SetBroker():
                set_broker(market, time_ms, command, events)
            case BustTrade():
                bust(self, market, time_ms, command, events)
        if market.book.stops.count:
            self.trigger(market, time_ms, events, seen, reopens=not was_open)

    def refuse(self, market: Market, sequence: int, reason: str) -> list[Event]:
        """Step over an entry that could not be read."""
        market.sequence = sequence
        return [CommandRefused(reason)]

    def restore(self, record: OrderRecord) -> None:
        """Let an open order rest again; call in the order of priority."""
        market = self.market(record.symbol, record.instrument_number)
        order = Order.restored(record)
        order.valid_until_ms = self.known_time(order.valid_until_ms)
        order.broker_id = self.known_broker(order.broker_id)
        if type(order) is SpecialOrder and order.special.is_waiting:
            market.wait(order)
        else:
            market.rest_again(order)

    def take_balances(self) -> dict[str, int]:
        """The cash of the brokers for whom it has changed since the last call, in cents."""
        if not self.cash_changed:
            return {}
        balances = {broker: self.balances[broker] for broker in sorted(self.cash_changed)}
        self.cash_changed.clear()
        return balances

    def _place(
        self,
        market: Market,
        sequence: int,
        time_ms: int,
        command: PlaceOrder,
        events: list[Event],
    ) -> None:
        is_limit = command.order_type is _LIMIT
        is_plain = is_limit or command.order_type is _MARKET
        if (command.price is None) is is_limit or command.quantity < 1 or not is_plain:
            events.append(CommandRefused(INVALID_ORDER))
            return
        order = Order(
            sequence,
            command.side,
            command.price,
            command.quantity,
            command.order_type,
            self._brokers.setdefault(command.broker_id, command.broker_id),
            command.document_number,
            time_ms,
            self.known_time(command.valid_until_ms),
            command.client_order_id,
        )
        market.changed[sequence] = order
        events.append(OrderAccepted(sequence))
        if command.valid_until_ms is not None and command.valid_until_ms <= time_ms:
            expire(order, StateReason.VALID_UNTIL_REACHED, time_ms, events)
            return
        book = market.book
        makers = book.asks if command.side is _BID else book.bids
        crosses = makers.crosses(order.price)
        if crosses:
            seen = len(events)
            self.match(market, order, time_ms, events, book.match(order))
        if order.open_quantity:
            if is_limit:
                book.add(order)  # A plain order hides nothing before it rests.
                market.expiries.add(order)
            else:
                filled = order.quantity - order.open_quantity
                reason = StateReason.IOC_REMAINDER if filled else StateReason.NO_LIQUIDITY
                cancel(order, reason, time_ms, events)
        if crosses and book.stops.count:
            self.trigger(market, time_ms, events, seen)

    def _cancel(
        self, market: Market, time_ms: int, command: CancelOrder, events: list[Event]
    ) -> None:
        sequence = command.order_sequence
        order = market.book.orders.get(sequence)
        refusal = cancel_refusal(order, command)
        if order is None or refusal:
            events.append(CommandRefused(refusal))
            return
        market.book.remove(order)
        market.changed[sequence] = order
        order.end(_CANCELED, _USER_REQUEST, time_ms)
        events.append(OrderCanceled(sequence, order.open_quantity, _USER_REQUEST))

    def _expire(self, market: Market, time_ms: int, events: list[Event]) -> None:
        while (order := market.expiries.pop_due(time_ms)) is not None:
            market.book.remove(order)
            market.changed[order.sequence] = order
            expire(order, StateReason.VALID_UNTIL_REACHED, time_ms, events)

    def check_invariants(self) -> None:
        """For tests and recovery."""
        assert sum(self.balances.values()) == 0, "cash was made or lost"
        for market in self.markets.values():
            assert sum(market.holdings.values()) == 0, "shares were made or lost"
            market.book.check_invariants(may_cross=market.status not in MATCHED)

    def state_hash(self) -> str:
        """SHA-256 over everything that a restart must bring back, in hex."""
        digest = hashlib.sha256()
        encode = msgspec.msgpack.Encoder().encode
        for symbol in sorted(self.markets):
            market = self.markets[symbol]
            numbers = (symbol, market.sequence, market.trade_number, market.last_price)
            holdings = sorted((b, shares) for b, shares in market.holdings.items() if shares)
            digest.update(encode((*numbers, holdings, market.instrument)))
            for sequence in sorted(market.book.orders):
                order = market.book.orders[sequence]
                digest.update(encode(order.record(symbol, market.instrument_number)))
        digest.update(encode(sorted((b, cash) for b, cash in self.balances.items() if cash)))
        return digest.hexdigest()
