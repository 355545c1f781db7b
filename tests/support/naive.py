"""The reference: an exchange of one symbol in plain lists, without any cleverness.

It shares no code with the engine. Where the engine counts, sorts ahead or remembers, it looks
through everything again.
"""

from copy import deepcopy

from protocol.commands import (
    AmendOrder,
    BustTrade,
    CancelOrder,
    Command,
    MassCancel,
    PlaceOrder,
    PlaceSpecialOrder,
    SetBroker,
    SetInstrument,
    SetStatus,
)
from protocol.enums import (
    ExecutionPrice,
    InstrumentStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.events import (
    BrokerChanged,
    CommandRefused,
    Event,
    InstrumentChanged,
    MassCanceled,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderTriggered,
    StatusChanged,
    Trade,
    TradeBusted,
    Uncrossed,
)

AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
OPEN, AUCTION, CLOSED = InstrumentStatus.OPEN, InstrumentStatus.AUCTION, InstrumentStatus.CLOSED


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
    def __init__(self, rule: ExecutionPrice = ExecutionPrice.MAKER) -> None:
        self.rule = rule
        self.orders: list[NaiveOrder] = []
        self.cash: dict[str, int] = {}
        self.trades = 0
        self.turns = 0
        self.last_price = 0
        self.shares: dict[str, int] = {}
        self.status = OPEN
        self.auction_ends = 0
        self.rules = SetInstrument()
        self.brokers: dict[str, SetBroker] = {}
        self.busted: list[int] = []
        self.time_ms = 0

    def apply(self, sequence: int, time_ms: int, command: Command) -> list[Event]:
        self.time_ms = time_ms
        events: list[Event] = []
        due = [o for o in self.orders if o.until is not None and o.until <= time_ms]
        for order in sorted(due, key=lambda o: (o.until or 0, o.sequence)):
            self.orders.remove(order)
            events.append(OrderExpired(order.sequence, order.open))
        if self.auction_ends and self.auction_ends <= time_ms:
            self._change_status(OPEN, "auction_over", events)
            self._trigger(events, [self.last_price])
        was_open = self.status is OPEN
        own: list[Event] = []
        self._obey(sequence, time_ms, command, own)
        self._trigger(own, [] if was_open else [self.last_price])
        return events + own

    def _obey(self, sequence: int, time_ms: int, command: Command, events: list[Event]) -> None:
        match command:
            case PlaceOrder():
                self._place(NaiveOrder(sequence, time_ms, command), command, events)
            case CancelOrder():
                self._cancel(command, events)
            case AmendOrder():
                self._amend(time_ms, command, events)
            case MassCancel():
                self._mass_cancel(command, events)
            case SetInstrument():
                self._set_rules(command, events)
            case SetStatus():
                if command.status is self.status:
                    events.append(CommandRefused("status_unchanged"))
                else:
                    self._change_status(command.status, command.reason, events)
            case SetBroker():
                self.brokers[command.broker_id] = command
                events.append(
                    BrokerChanged(
                        *(command.broker_id, command.is_enabled, command.open_orders_max),
                        *(command.order_quantity_max, command.order_notional_max),
                        command.price_collar_basis_points,
                    )
                )
            case BustTrade():
                self._bust(command, events)

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
        elif reason := self._rejection(order):
            events.append(OrderRejected(order.sequence, reason))
        elif not order.waits:
            self._enter(order, events)
        elif self.status is OPEN and self.last_price and order.is_reached(self.last_price):
            self._activate(order, events)
        else:
            self.orders.append(order)

    def _activate(self, order: NaiveOrder, events: list[Event]) -> None:
        if not self._broker(order).is_enabled:
            reason = StateReason.BROKER_DISABLED
            events.append(OrderCanceled(order.sequence, order.open, reason))
            return
        order.waits = False
        self._next_turn(order)
        events.append(OrderTriggered(order.sequence, self.last_price))
        self._enter(order, events)

    def _trigger(self, events: list[Event], before: list[int]) -> None:
        """After each order that entered, look at all trades of this entry again."""
        while self.status is OPEN:
            prices = before + [e.price for e in events if isinstance(e, Trade)]
            reached = [
                o for o in self.orders if o.waits and any(o.is_reached(p) for p in prices if p)
            ]
            if not reached:
                return
            first = min(reached, key=NaiveOrder.get_turn)
            self.orders.remove(first)
            self._activate(first, events)

    def _enter(self, order: NaiveOrder, events: list[Event]) -> None:
        if self.status is AUCTION:
            order.show_slice()
            self.orders.append(order)
            return
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
        if order.price is not None and order.lives not in AT_ONCE:
            order.show_slice()
            self.orders.append(order)
            return
        untouched = order.open == order.quantity
        reason = StateReason.NO_LIQUIDITY if untouched else StateReason.IOC_REMAINDER
        if self.status is AUCTION:
            reason = StateReason.SYMBOL_HALTED
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
            price = self._price_of(maker, taker)
            halt_band = self.rules.halt_band_basis_points or self.rules.price_band_basis_points
            if self._is_far(price, halt_band, self.rules.reference_price):
                self.status = AUCTION
                length = self.rules.auction_ms
                self.auction_ends = self.time_ms + length if length else 0
                events.append(StatusChanged(AUCTION, "volatility"))
                break
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
        self._record_trade(maker, taker, self._price_of(maker, taker), quantity, events)

    def _price_of(self, maker: NaiveOrder, taker: NaiveOrder) -> int:
        assert maker.price is not None
        if self.rule is ExecutionPrice.SELLER and taker.side is Side.ASK and taker.price:
            return taker.price
        return maker.price

    def _record_trade(
        self, maker: NaiveOrder, taker: NaiveOrder, price: int, quantity: int, events: list[Event]
    ) -> None:
        self.trades += 1
        self.last_price = price
        buyer, seller = (taker, maker) if taker.side is Side.BID else (maker, taker)
        for order, sign in ((buyer, -1), (seller, 1)):
            self.cash[order.broker] = self.cash.get(order.broker, 0) + sign * price * quantity
            self.shares[order.broker] = self.shares.get(order.broker, 0) - sign * quantity
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
            OrderAmended(
                *(order.sequence, order.price or 0, order.open, order.until, keeps),
                *(old_price or 0, old_quantity),
            )
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
        if broken := self._ruled_out(order, command):
            return broken
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

    def _ruled_out(self, order: NaiveOrder, command: AmendOrder) -> str:
        if not self._broker(order).is_enabled:
            return "broker_disabled"
        if self.status not in (OPEN, AUCTION):
            return "symbol_halted"
        if broken := self._broken_rule([command.price], [command.quantity], command.price):
            return broken.value
        if command.price is not None or command.quantity is not None:
            price = order.price if command.price is None else command.price
            quantity = order.quantity if command.quantity is None else command.quantity
            if broken := self._broken_limit(self._broker(order), price, quantity):
                return broken.value
        return ""

    def _broker(self, order: NaiveOrder) -> SetBroker:
        return self.brokers.get(order.broker) or SetBroker(order.broker)

    def _is_far(self, price: int, basis_points: int, center: int) -> bool:
        """Whether a price is further from the center than the rule says; without one it is not."""
        return (
            bool(basis_points and center) and abs(price - center) * 10_000 > center * basis_points
        )

    def _rejection(self, order: NaiveOrder) -> StateReason | None:
        broker = self._broker(order)
        if not broker.is_enabled:
            return StateReason.BROKER_DISABLED
        if self.status not in (OPEN, AUCTION):
            return StateReason.SYMBOL_HALTED
        if self.status is AUCTION and (
            order.type is OrderType.MARKET or order.post_only or order.lives in AT_ONCE
        ):
            return StateReason.NOT_IN_AUCTION
        broken = self._broken_rule(
            [order.price, order.stop_price], [order.quantity, order.slice], order.price
        ) or self._broken_limit(broker, order.price, order.quantity)
        if broken:
            return broken
        mine = [o for o in self.orders if o.broker == order.broker]
        if broker.open_orders_max and len(mine) >= broker.open_orders_max:
            return StateReason.OPEN_ORDERS_LIMIT
        return None

    def _broken_rule(
        self, prices: list[int | None], quantities: list[int | None], limit: int | None = None
    ) -> StateReason | None:
        """``limit`` is the price that must be within the band."""
        if any(price is not None and price % self.rules.tick_size for price in prices):
            return StateReason.INVALID_TICK
        if any(quantity is not None and quantity % self.rules.lot_size for quantity in quantities):
            return StateReason.INVALID_LOT
        band, reference = self.rules.price_band_basis_points, self.rules.reference_price
        if limit is not None and self._is_far(limit, band, reference):
            return StateReason.PRICE_BAND
        return None

    def _broken_limit(
        self, broker: SetBroker, price: int | None, quantity: int
    ) -> StateReason | None:
        if broker.order_quantity_max and quantity > broker.order_quantity_max:
            return StateReason.ORDER_QUANTITY_LIMIT
        worth = quantity * (self.last_price if price is None else price)
        if broker.order_notional_max and worth > broker.order_notional_max:
            return StateReason.ORDER_NOTIONAL_LIMIT
        collar = broker.price_collar_basis_points
        if price is not None and self._is_far(price, collar, self.last_price):
            return StateReason.PRICE_COLLAR
        return None

    def _set_rules(self, rules: SetInstrument, events: list[Event]) -> None:
        reference = rules.reference_price or self.rules.reference_price
        self.rules = SetInstrument(
            *(rules.tick_size, rules.lot_size, rules.price_band_basis_points, reference),
            *(rules.halt_band_basis_points, rules.auction_ms),
        )
        events.append(
            InstrumentChanged(
                *(rules.tick_size, rules.lot_size, rules.price_band_basis_points, reference),
                *(rules.halt_band_basis_points, rules.auction_ms),
            )
        )

    def _set_reference(self, price: int, events: list[Event]) -> None:
        if price and price != self.rules.reference_price:
            old = self.rules
            new = SetInstrument(
                *(old.tick_size, old.lot_size, old.price_band_basis_points, price),
                *(old.halt_band_basis_points, old.auction_ms),
            )
            self._set_rules(new, events)

    def _change_status(self, status: InstrumentStatus, reason: str, events: list[Event]) -> None:
        bids, asks = self._prices(Side.BID), self._prices(Side.ASK)
        crossed = bool(bids and asks) and max(bids) >= min(asks)
        if status in (OPEN, CLOSED) and (self.status is AUCTION or crossed):
            self._uncross(events)
        if status is CLOSED:
            self._set_reference(self.last_price, events)
        self.status = status
        self.auction_ends = 0
        events.append(StatusChanged(status, reason))
        if status is CLOSED:
            for order in sorted(self.orders, key=lambda o: o.sequence):
                if order.lives is TimeInForce.DAY:
                    self.orders.remove(order)
                    events.append(OrderExpired(order.sequence, order.open, StateReason.END_OF_DAY))

    def _prices(self, side: Side) -> list[int]:
        return [o.price or 0 for o in self.orders if o.side is side and not o.waits]

    def _uncross(self, events: list[Event]) -> None:
        """Try every price, then let the first bid trade with the first ask again and again."""
        price, volume = self._auction_price()
        events.append(Uncrossed(price, volume))
        while volume:
            bid = self._first(Side.BID, price)
            ask = self._first(Side.ASK, price)
            quantity = min(bid.open, ask.open)
            for order in (bid, ask):
                order.open -= quantity
                order.shown = min(order.shown, order.open)
                if not order.open:
                    self.orders.remove(order)
            maker, taker = (bid, ask) if bid.turn < ask.turn else (ask, bid)
            self._record_trade(maker, taker, price, quantity, events)
            volume -= quantity
        self._set_reference(price, events)

    def _first(self, side: Side, price: int) -> NaiveOrder:
        sign = 1 if side is Side.ASK else -1
        resting = [o for o in self.orders if o.side is side and not o.waits and o.accepts(price)]
        return min(resting, key=lambda o: ((o.price or 0) * sign, o.turn))

    def _auction_price(self) -> tuple[int, int]:
        limits = self._prices(Side.BID) + self._prices(Side.ASK)
        tick = self.rules.tick_size
        reference = self.last_price or self.rules.reference_price
        reference = (reference * 2 + tick) // (2 * tick) * tick
        found: list[tuple[int, int, int, int]] = []
        for price in range(min(limits, default=1), max(limits, default=0) + 1):
            if price % tick and price not in limits:
                continue
            bought, sold = (
                sum(
                    o.open
                    for o in self.orders
                    if o.side is side and not o.waits and o.accepts(price)
                )
                for side in (Side.BID, Side.ASK)
            )
            distance = abs(price - reference) if reference else 0
            found.append((min(bought, sold), -abs(bought - sold), -distance, price))
        volume, _, _, price = max(found, default=(0, 0, 0, 0))
        return (price, volume) if volume else (0, 0)

    def _bust(self, command: BustTrade, events: list[Event]) -> None:
        if not 1 <= command.trade_number <= self.trades:
            events.append(CommandRefused("trade_not_found"))
            return
        if command.trade_number in self.busted:
            events.append(CommandRefused("already_busted"))
            return
        self.busted.append(command.trade_number)
        for broker, sign in ((command.buyer_broker_id, 1), (command.seller_broker_id, -1)):
            self.cash[broker] = self.cash.get(broker, 0) + sign * command.price * command.quantity
            self.shares[broker] = self.shares.get(broker, 0) - sign * command.quantity
        trade = (command.trade_number, command.price, command.quantity)
        brokers = (command.buyer_broker_id, command.seller_broker_id)
        orders = (command.maker_sequence, command.taker_sequence)
        times = (command.executed_ms, command.maker_created_ms, command.taker_created_ms)
        told = (*trade, *brokers, *orders, command.reason, command.taker_side, *times)
        events.append(TradeBusted(*told))
