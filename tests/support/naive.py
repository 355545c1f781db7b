"""The reference: an exchange of one symbol in plain lists, without any cleverness."""

from protocol.commands import AmendOrder, CancelOrder, Command, PlaceOrder
from protocol.enums import OrderType, Side, StateReason
from protocol.events import (
    CommandRefused,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    Trade,
)


class Resting:
    def __init__(self, sequence: int, time_ms: int, command: PlaceOrder) -> None:
        self.sequence = sequence
        self.time_ms = time_ms
        self.command = command
        self.open = command.quantity
        self.turn = sequence


def refusal(order: Resting | None, command: CancelOrder | AmendOrder) -> str:
    """Why the command is not for this order, empty when it is."""
    if order is None or command.created_ms not in (0, order.time_ms):
        return "order_not_open"
    return "" if command.broker_id in ("", order.command.broker_id) else "not_owner"


class NaiveEngine:
    def __init__(self) -> None:
        self.orders: list[Resting] = []
        self.cash: dict[str, int] = {}
        self.trades = 0

    def apply(self, sequence: int, time_ms: int, command: Command) -> list[Event]:
        events: list[Event] = []
        due = [o for o in self.orders if (o.command.valid_until_ms or 0) <= time_ms]
        for order in sorted(due, key=lambda o: (o.command.valid_until_ms or 0, o.sequence)):
            self.orders.remove(order)
            events.append(OrderExpired(order.sequence, order.open))
        if isinstance(command, PlaceOrder):
            self._place(Resting(sequence, time_ms, command), events)
        elif isinstance(command, CancelOrder):
            self._cancel(command, events)
        elif isinstance(command, AmendOrder):
            self._amend(sequence, time_ms, command, events)
        return events

    def _amend(self, sequence: int, time_ms: int, command: AmendOrder, events: list[Event]) -> None:
        order = self._find(command.order_sequence)
        reason = refusal(order, command)
        if order is None or reason:
            events.append(CommandRefused(reason))
            return
        was = order.command
        if command.quantity is not None and command.quantity <= was.quantity - order.open:
            events.append(CommandRefused("quantity_below_filled"))
            return
        if command.valid_until_ms is not None and command.valid_until_ms <= time_ms:
            events.append(CommandRefused("valid_until_passed"))
            return
        price = was.price if command.price is None else command.price
        quantity = was.quantity if command.quantity is None else command.quantity
        until = command.valid_until_ms or was.valid_until_ms
        order.open += quantity - was.quantity
        order.command = PlaceOrder(
            *(was.broker_id, was.document_number, was.side, was.order_type),
            *(price, quantity, until),
        )
        keeps = price == was.price and quantity < was.quantity
        assert price is not None
        events.append(OrderAmended(order.sequence, price, order.open, until, keeps))
        if not keeps:
            self.orders.remove(order)
            order.turn = sequence
            self._match(order, events)
            if order.open:
                self.orders.append(order)

    def _cancel(self, command: CancelOrder, events: list[Event]) -> None:
        order = self._find(command.order_sequence)
        reason = refusal(order, command)
        if order is None or reason:
            events.append(CommandRefused(reason))
            return
        self.orders.remove(order)
        events.append(OrderCanceled(order.sequence, order.open, StateReason.USER_REQUEST))

    def _find(self, sequence: int) -> Resting | None:
        return next((o for o in self.orders if o.sequence == sequence), None)

    def _place(self, taker: Resting, events: list[Event]) -> None:
        command = taker.command
        events.append(OrderAccepted(taker.sequence))
        if command.valid_until_ms is not None and command.valid_until_ms <= taker.time_ms:
            events.append(OrderExpired(taker.sequence, taker.open))
            return
        self._match(taker, events)
        if not taker.open:
            return
        if command.order_type is OrderType.LIMIT:
            self.orders.append(taker)
            return
        untouched = taker.open == command.quantity
        reason = StateReason.NO_LIQUIDITY if untouched else StateReason.IOC_REMAINDER
        events.append(OrderCanceled(taker.sequence, taker.open, reason))

    def _match(self, taker: Resting, events: list[Event]) -> None:
        while taker.open:
            maker = self._best_for(taker.command)
            if maker is None:
                break
            self._trade(maker, taker, events)

    def _best_for(self, taker: PlaceOrder) -> Resting | None:
        """Of all resting orders that it may trade with, the best priced, then the oldest."""
        buying = taker.side is Side.BID
        candidates = []
        for order in self.orders:
            price = order.command.price
            assert price is not None
            if order.command.side is taker.side:
                continue
            if taker.price is not None and (price > taker.price if buying else price < taker.price):
                continue
            candidates.append((price if buying else -price, order.turn, order))
        return min(candidates)[2] if candidates else None

    def _trade(self, maker: Resting, taker: Resting, events: list[Event]) -> None:
        quantity = min(maker.open, taker.open)
        maker.open -= quantity
        taker.open -= quantity
        if not maker.open:
            self.orders.remove(maker)
        self.trades += 1
        price = maker.command.price
        assert price is not None
        buyer, seller = (taker, maker) if taker.command.side is Side.BID else (maker, taker)
        for order, sign in ((buyer, -1), (seller, 1)):
            broker = order.command.broker_id
            self.cash[broker] = self.cash.get(broker, 0) + sign * price * quantity
        events.append(
            Trade(
                self.trades,
                price,
                quantity,
                taker.command.side,
                maker.sequence,
                taker.sequence,
                maker.command.broker_id,
                taker.command.broker_id,
                maker.time_ms,
                taker.time_ms,
                maker.open,
                taker.open,
            )
        )
