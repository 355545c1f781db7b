"""The reference: an exchange of one symbol in plain lists, without any cleverness.

It shares no code with the engine. Where the engine counts, sorts ahead or remembers, it looks
through everything again.
"""

from copy import deepcopy

from protocol.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    MassCancel,
    PlaceOrder,
    PlaceSpecialOrder,
)
from protocol.enums import OrderType, SelfTradePrevention, Side, StateReason, TimeInForce
from protocol.events import (
    CommandRefused,
    Event,
    MassCanceled,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderTriggered,
    Trade,
)


class NaiveOrder:
    """``turn`` is a number that grows: who has the lower one comes first at one price."""

    def __init__(self, sequence: int, time_ms: int, command: PlaceOrder) -> None:
        self.sequence = sequence
        self.time_ms = time_ms
        self.turn = 0
        self.broker = command.broker_id
        self.document = command.document_number
        self.side = command.side
        self.type = command.order_type
        self.price = command.price
        self.quantity = self.open = self.shown = command.quantity
        self.until = command.valid_until_ms
        self.lives = self._time_in_force(command)
        self.post_only = False
        self.prevention = SelfTradePrevention.NONE
        self.stop_price: int | None = None
        self.slice = 0
        if isinstance(command, PlaceSpecialOrder):
            self.post_only = command.post_only
            self.prevention = command.self_trade_prevention
            self.stop_price = command.stop_price
            self.slice = command.display_quantity
        self.waits = self.stop_price is not None

    def _time_in_force(self, command: PlaceOrder) -> TimeInForce:
        if isinstance(command, PlaceSpecialOrder) and command.time_in_force is not None:
            return command.time_in_force
        if self.type is OrderType.MARKET:
            return TimeInForce.IOC
        return TimeInForce.GTD if self.until is not None else TimeInForce.GTC

    @property
    def owner(self) -> tuple[str, list[str] | str]:
        digits = [c for c in self.document if c in "0123456789"]
        return self.broker, digits or self.document

    def get_turn(self) -> int:
        return self.turn

    def show_slice(self) -> None:
        self.shown = min(self.slice, self.open) if self.slice else self.open

    def accepts(self, price: int) -> bool:
        """Whether the order may trade at the price."""
        if self.price is None:
            return True
        return price <= self.price if self.side is Side.BID else price >= self.price

    def is_reached(self, price: int) -> bool:
        """Whether a trade at the price triggers this stop order."""
        assert self.stop_price is not None
        return price >= self.stop_price if self.side is Side.BID else price <= self.stop_price


def refusal(order: NaiveOrder | None, command: CancelOrder | AmendOrder) -> str:
    """Why the command is not for this order, empty when it is."""
    if order is None or command.created_ms not in (0, order.time_ms):
        return "order_not_open"
    return "" if command.broker_id in ("", order.broker) else "not_owner"


def makes_sense(order: NaiveOrder, command: PlaceOrder) -> bool:
    """Whether the fields of an order fit together; each line is one rule."""
    may_rest = order.lives in (TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTD)
    is_stop = order.type in (OrderType.STOP, OrderType.STOP_LIMIT)
    needs_price = order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    if order.quantity < 1:
        return False
    if needs_price != (order.price is not None):
        return False
    if is_stop != (order.stop_price is not None):
        return False
    if not isinstance(command, PlaceSpecialOrder):
        return True
    if (order.lives is TimeInForce.GTD) != (order.until is not None):
        return False
    if order.type is OrderType.MARKET and may_rest:
        return False
    if is_stop and not may_rest:
        return False
    if order.post_only and not (order.type is OrderType.LIMIT and may_rest):
        return False
    if order.slice:
        if not may_rest or not needs_price:
            return False
        if order.slice < 0 or order.slice > order.quantity or order.slice * 100 < order.quantity:
            return False
    return len(command.memo) <= 64


class NaiveEngine:
    def __init__(self) -> None:
        self.orders: list[NaiveOrder] = []
        self.cash: dict[str, int] = {}
        self.trades = 0
        self.turns = 0
        self.last_price = 0

    def apply(self, sequence: int, time_ms: int, command: Command) -> list[Event]:
        events: list[Event] = []
        due = [o for o in self.orders if o.until is not None and o.until <= time_ms]
        for order in sorted(due, key=lambda o: (o.until or 0, o.sequence)):
            self.orders.remove(order)
            events.append(OrderExpired(order.sequence, order.open))
        if isinstance(command, PlaceOrder):
            self._place(NaiveOrder(sequence, time_ms, command), command, events)
        elif isinstance(command, CancelOrder):
            self._cancel(command, events)
        elif isinstance(command, AmendOrder):
            self._amend(time_ms, command, events)
        elif isinstance(command, MassCancel):
            self._mass_cancel(command, events)
        self._trigger(events)
        return events

    def _next_turn(self, order: NaiveOrder) -> None:
        self.turns += 1
        order.turn = self.turns

    def _find(self, sequence: int) -> NaiveOrder | None:
        return next((o for o in self.orders if o.sequence == sequence), None)

    def _place(self, order: NaiveOrder, command: PlaceOrder, events: list[Event]) -> None:
        if not makes_sense(order, command):
            events.append(CommandRefused("invalid_order"))
            return
        events.append(OrderAccepted(order.sequence))
        self._next_turn(order)
        if order.until is not None and order.until <= order.time_ms:
            events.append(OrderExpired(order.sequence, order.open))
        elif not order.waits:
            self._enter(order, events)
        elif self.last_price and order.is_reached(self.last_price):
            self._activate(order, events)
        else:
            self.orders.append(order)

    def _activate(self, order: NaiveOrder, events: list[Event]) -> None:
        order.waits = False
        self._next_turn(order)
        events.append(OrderTriggered(order.sequence, self.last_price))
        self._enter(order, events)

    def _trigger(self, events: list[Event]) -> None:
        """After each order that entered, look at all trades of this entry again."""
        while True:
            prices = [e.price for e in events if isinstance(e, Trade)]
            reached = [o for o in self.orders if o.waits and any(map(o.is_reached, prices))]
            if not reached:
                return
            first = min(reached, key=NaiveOrder.get_turn)
            self.orders.remove(first)
            self._activate(first, events)

    def _enter(self, order: NaiveOrder, events: list[Event]) -> None:
        if order.post_only and self._best_for(order) is not None:
            events.append(OrderRejected(order.sequence, StateReason.POST_ONLY_WOULD_CROSS))
            return
        if order.lives is TimeInForce.FOK:
            trial, tried = deepcopy((self, order))
            trial._match(tried, [])
            if tried.open:
                reason = StateReason.FOK_NOT_FILLED
                events.append(OrderCanceled(order.sequence, order.open, reason))
                return
        if not self._match(order, events) or not order.open:
            return
        at_once = order.lives in (TimeInForce.IOC, TimeInForce.FOK)
        if order.price is not None and not at_once:
            order.show_slice()
            self.orders.append(order)
            return
        untouched = order.open == order.quantity
        reason = StateReason.NO_LIQUIDITY if untouched else StateReason.IOC_REMAINDER
        events.append(OrderCanceled(order.sequence, order.open, reason))

    def _match(self, taker: NaiveOrder, events: list[Event]) -> bool:
        """Whether the taker still lives."""
        while taker.open:
            maker = self._best_for(taker)
            if maker is None:
                break
            if taker.prevention is not SelfTradePrevention.NONE and taker.owner == maker.owner:
                if not self._prevent(taker, maker, events):
                    return False
                continue
            self._trade(maker, taker, events)
        return True

    def _prevent(self, taker: NaiveOrder, maker: NaiveOrder, events: list[Event]) -> bool:
        reason = StateReason.SELF_TRADE_PREVENTION
        prevented = min(taker.open, maker.open)
        if taker.prevention is not SelfTradePrevention.CANCEL_AGGRESSOR:
            self.orders.remove(maker)
            events.append(OrderCanceled(maker.sequence, maker.open, reason, prevented))
        if taker.prevention is SelfTradePrevention.CANCEL_RESTING:
            return True
        events.append(OrderCanceled(taker.sequence, taker.open, reason, prevented))
        return False

    def _best_for(self, taker: NaiveOrder) -> NaiveOrder | None:
        """Of all resting orders that it may trade with, the best priced, then the first."""
        candidates = []
        for order in self.orders:
            if order.waits or order.side is taker.side:
                continue
            assert order.price is not None
            if taker.accepts(order.price):
                sign = 1 if taker.side is Side.BID else -1
                candidates.append((order.price * sign, order.turn, order))
        return min(candidates)[2] if candidates else None

    def _trade(self, maker: NaiveOrder, taker: NaiveOrder, events: list[Event]) -> None:
        quantity = min(maker.shown, taker.open)
        maker.shown -= quantity
        maker.open -= quantity
        taker.open -= quantity
        if not maker.open:
            self.orders.remove(maker)
        elif not maker.shown:
            maker.show_slice()
            self._next_turn(maker)
        assert maker.price is not None
        self._record_trade(maker, taker, maker.price, quantity, events)

    def _record_trade(
        self, maker: NaiveOrder, taker: NaiveOrder, price: int, quantity: int, events: list[Event]
    ) -> None:
        self.trades += 1
        self.last_price = price
        buyer, seller = (taker, maker) if taker.side is Side.BID else (maker, taker)
        for order, sign in ((buyer, -1), (seller, 1)):
            self.cash[order.broker] = self.cash.get(order.broker, 0) + sign * price * quantity
        events.append(
            Trade(
                *(self.trades, price, quantity, taker.side, maker.sequence, taker.sequence),
                *(maker.broker, taker.broker, maker.time_ms, taker.time_ms),
                *(maker.open, taker.open),
            )
        )

    def _cancel(self, command: CancelOrder, events: list[Event]) -> None:
        order = self._find(command.order_sequence)
        reason = refusal(order, command)
        if order is None or reason:
            events.append(CommandRefused(reason))
            return
        self.orders.remove(order)
        events.append(OrderCanceled(order.sequence, order.open, StateReason.USER_REQUEST))

    def _mass_cancel(self, command: MassCancel, events: list[Event]) -> None:
        wanted = [c for c in command.document_number if c in "0123456789"]
        count = 0
        for order in sorted(self.orders, key=lambda o: o.sequence):
            if order.broker != command.broker_id:
                continue
            if command.side is not None and order.side is not command.side:
                continue
            if command.document_number and order.owner[1] != (wanted or command.document_number):
                continue
            self.orders.remove(order)
            events.append(OrderCanceled(order.sequence, order.open, command.reason))
            count += 1
        events.append(MassCanceled(command.mass_cancel_id, command.broker_id, count))

    def _amend(self, time_ms: int, command: AmendOrder, events: list[Event]) -> None:
        order = self._find(command.order_sequence)
        reason = refusal(order, command) or self._no_amendment(order, command, time_ms)
        if order is None or reason:
            events.append(CommandRefused(reason))
            return
        old_price, old_quantity = order.price, order.quantity
        filled = order.quantity - order.open
        order.price = old_price if command.price is None else command.price
        order.quantity = old_quantity if command.quantity is None else command.quantity
        order.until = command.valid_until_ms or order.until
        order.open = order.quantity - filled
        keeps = order.price == old_price and order.quantity < old_quantity
        events.append(
            OrderAmended(order.sequence, order.price or 0, order.open, order.until, keeps)
        )
        if keeps:
            order.shown = min(order.shown, order.open)  # What is hidden goes first.
            return
        self._next_turn(order)
        if not order.waits:
            self.orders.remove(order)
            self._enter(order, events)

    def _no_amendment(self, order: NaiveOrder | None, command: AmendOrder, time_ms: int) -> str:
        """Why an order cannot have these values, empty when it can."""
        if order is None:
            return ""
        if command.quantity is not None and command.quantity <= order.quantity - order.open:
            return "quantity_below_filled"
        if command.valid_until_ms is not None and command.valid_until_ms <= time_ms:
            return "valid_until_passed"
        if command.valid_until_ms is not None and order.lives is TimeInForce.DAY:
            return "valid_until_not_allowed"
        if command.price is not None and order.type is OrderType.STOP:
            return "invalid_order"
        if order.slice and (command.quantity or 0) > 100 * order.slice:
            return "invalid_order"
        changed = deepcopy(order)
        changed.price = order.price if command.price is None else command.price
        if order.post_only and self._best_for(changed) is not None:
            return "post_only_would_cross"
        return ""
