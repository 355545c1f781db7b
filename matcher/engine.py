"""The engine of one partition: ``apply(command) -> events``.

Deterministic and total: the same commands give the same events with the same numbers, and every
command yields events; a command that changes nothing says so with a ``CommandRefused``. Time and
identity arrive with the command. Applying an entry first expires the symbol's orders whose time
has come by the entry's stamp, so time never enters but through the log.
"""

import hashlib

import msgspec

from matcher.market import Market
from matcher.order import Order
from matcher.pricing import execution_price
from protocol.commands import AmendOrder, CancelOrder, Command, PlaceOrder
from protocol.enums import ExecutionPrice, OrderState, OrderType, Side, StateReason
from protocol.events import (
    CommandRefused,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    Trade,
)
from protocol.records import OrderRecord

ORDER_NOT_OPEN = "order_not_open"
NOT_OWNER = "not_owner"
QUANTITY_BELOW_FILLED = "quantity_below_filled"
VERSION_MISMATCH = "version_mismatch"
VALID_UNTIL_PASSED = "valid_until_passed"
INVALID_ORDER = "invalid_order"


class Engine:
    """Markets of one partition and the cash its trades have moved.

    ``balances`` maps broker ids to cents; they sum to 0. ``cash_changed`` collects the brokers
    that the current batch has touched.
    """

    __slots__ = ("_brokers", "_rule", "_valid_until_ms", "balances", "cash_changed", "markets")

    def __init__(self, rule: ExecutionPrice = ExecutionPrice.MAKER) -> None:
        self._rule = rule
        self._brokers: dict[str, str] = {}  # One string object per broker, not one per order.
        self._valid_until_ms: int | None = None
        self.markets: dict[str, Market] = {}
        self.balances: dict[str, int] = {}
        self.cash_changed: set[str] = set()

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
        kind = type(command)
        if kind is PlaceOrder:
            self._place(market, sequence, time_ms, command, events)  # type: ignore[arg-type]
        elif kind is CancelOrder:
            self._cancel(market, time_ms, command, events)  # type: ignore[arg-type]
        elif kind is AmendOrder:
            self._amend(market, sequence, time_ms, command, events)  # type: ignore[arg-type]
        return events

    def refuse(self, market: Market, sequence: int, reason: str) -> list[Event]:
        """Step over an entry that could not be read."""
        market.sequence = sequence
        return [CommandRefused(reason)]

    def restore(self, record: OrderRecord) -> None:
        """Let an open order rest again; call in the order of priority."""
        market = self.market(record.symbol, record.instrument_number)
        order = Order.restored(record)
        order.valid_until_ms = self._known_time(order.valid_until_ms)
        order.broker_id = self._brokers.setdefault(order.broker_id, order.broker_id)
        market.rest(order)

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
        is_limit = command.order_type is OrderType.LIMIT
        if (command.price is None) is is_limit or command.quantity < 1:
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
            self._known_time(command.valid_until_ms),
            command.client_order_id,
        )
        market.changed[sequence] = order
        events.append(OrderAccepted(sequence))
        if command.valid_until_ms is not None and command.valid_until_ms <= time_ms:
            self._end_expired(order, time_ms, events)
            return
        makers = market.book.asks if order.side is Side.BID else market.book.bids
        if makers.crosses(order.price):
            self._match(market, order, time_ms, events)
        if not order.open_quantity:
            return
        if is_limit:
            market.rest(order)
        else:
            filled = order.quantity - order.open_quantity
            reason = StateReason.IOC_REMAINDER if filled else StateReason.NO_LIQUIDITY
            order.end(OrderState.CANCELED, reason, time_ms)
            events.append(OrderCanceled(sequence, order.open_quantity, reason))

    def _match(self, market: Market, taker: Order, time_ms: int, events: list[Event]) -> None:
        changed = market.changed
        for maker, quantity in market.book.match(taker):
            assert maker.price is not None, "only limit orders rest"
            price = execution_price(self._rule, maker.price, taker.price, taker.side)
            maker.fill(quantity, price, time_ms)
            taker.fill(quantity, price, time_ms)
            changed[maker.sequence] = maker
            market.trade_number += 1
            buyer, seller = (taker, maker) if taker.side is Side.BID else (maker, taker)
            self._settle(buyer.broker_id, seller.broker_id, quantity * price)
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
                    maker.open_quantity,
                    taker.open_quantity,
                )
            )

    def _settle(self, buyer_id: str, seller_id: str, notional: int) -> None:
        balances = self.balances
        balances[buyer_id] = balances.get(buyer_id, 0) - notional
        balances[seller_id] = balances.get(seller_id, 0) + notional
        self.cash_changed.add(buyer_id)
        self.cash_changed.add(seller_id)

    def _cancel(
        self, market: Market, time_ms: int, command: CancelOrder, events: list[Event]
    ) -> None:
        order_sequence = command.order_sequence
        order = market.book.orders.get(order_sequence)
        refusal = _refusal(order, command)
        if order is None or refusal:
            events.append(CommandRefused(refusal))
            return
        market.book.remove(order)
        market.changed[order_sequence] = order
        order.end(OrderState.CANCELED, StateReason.USER_REQUEST, time_ms)
        events.append(OrderCanceled(order_sequence, order.open_quantity, StateReason.USER_REQUEST))

    def _amend(
        self,
        market: Market,
        sequence: int,
        time_ms: int,
        command: AmendOrder,
        events: list[Event],
    ) -> None:
        """Priority is kept only when the price stays and the quantity goes down; anything else
        goes to the back of the queue, and a price that crosses matches at once."""
        order = market.book.orders.get(command.order_sequence)
        refusal = _amend_refusal(order, command, time_ms)
        if order is None or refusal:
            events.append(CommandRefused(refusal))
            return
        assert order.price is not None, "only limit orders rest"
        price = order.price if command.price is None else command.price
        quantity = order.quantity if command.quantity is None else command.quantity
        valid_until_ms = command.valid_until_ms or order.valid_until_ms
        change = quantity - order.quantity
        keeps = price == order.price and change < 0
        if keeps:
            market.book.resize(order, change)
        else:
            market.book.remove(order)
            order.priority = sequence
        order.amend(sequence, price, quantity, valid_until_ms, time_ms)
        market.changed[order.sequence] = order
        events.append(
            OrderAmended(order.sequence, price, order.open_quantity, valid_until_ms, keeps)
        )
        if keeps:
            market.expiries.add(order)  # Perhaps under another time; a second entry does no harm.
            return
        self._match(market, order, time_ms, events)
        if order.open_quantity:
            market.rest(order)

    def _expire(self, market: Market, time_ms: int, events: list[Event]) -> None:
        while (order := market.expiries.pop_due(time_ms)) is not None:
            market.book.remove(order)
            market.changed[order.sequence] = order
            self._end_expired(order, time_ms, events)

    def _end_expired(self, order: Order, time_ms: int, events: list[Event]) -> None:
        order.end(OrderState.EXPIRED, StateReason.VALID_UNTIL_REACHED, time_ms)
        events.append(OrderExpired(order.sequence, order.open_quantity))

    def _known_time(self, valid_until_ms: int | None) -> int | None:
        """One number object for orders in a row that end at the same time, as the day does."""
        if valid_until_ms != self._valid_until_ms:
            self._valid_until_ms = valid_until_ms
        return self._valid_until_ms

    def check_invariants(self) -> None:
        """For tests and recovery."""
        assert sum(self.balances.values()) == 0, "cash was made or lost"
        for market in self.markets.values():
            market.book.check_invariants()

    def state_hash(self) -> str:
        """SHA-256 over everything that a restart must bring back, in hex."""
        digest = hashlib.sha256()
        encode = msgspec.msgpack.Encoder().encode
        for symbol in sorted(self.markets):
            market = self.markets[symbol]
            digest.update(encode((symbol, market.sequence, market.trade_number)))
            for sequence in sorted(market.book.orders):
                order = market.book.orders[sequence]
                digest.update(encode(order.record(symbol, market.instrument_number)))
        digest.update(encode(sorted((b, cash) for b, cash in self.balances.items() if cash)))
        return digest.hexdigest()


def _refusal(order: Order | None, command: CancelOrder | AmendOrder) -> str:
    """Why a command is not for this order, empty when it is."""
    if order is None or command.created_ms not in (0, order.created_ms):
        return ORDER_NOT_OPEN
    if command.broker_id and command.broker_id != order.broker_id:
        return NOT_OWNER
    return ""


def _amend_refusal(order: Order | None, command: AmendOrder, time_ms: int) -> str:
    """Why an amendment leaves its order untouched, empty when it does not."""
    refusal = _refusal(order, command)
    if order is None or refusal:
        return refusal
    if command.expected_version not in (None, order.version):
        return VERSION_MISMATCH
    if command.quantity is not None and command.quantity <= order.quantity - order.open_quantity:
        return QUANTITY_BELOW_FILLED
    if command.valid_until_ms is not None and command.valid_until_ms <= time_ms:
        return VALID_UNTIL_PASSED
    return ""
