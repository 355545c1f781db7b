"""Matching in memory, as versions 2 and 3 did it: a sorted dict of prices, a deque per price."""

import uuid
from collections import Counter, defaultdict, deque
from datetime import UTC, datetime
from itertools import islice

from sortedcontainers import SortedDict

from simulator.baselines.contract import OPEN, Level, Order, Trade
from simulator.baselines.database import expired


class MemoryBook:
    """One symbol. Canceled and expired orders stay in their deques until they come up."""

    def __init__(self) -> None:
        self._bids: SortedDict = SortedDict()  # Negated price → deque.
        self._asks: SortedDict = SortedDict()

    def rest(self, order: Order) -> None:
        """Put a limit order behind the others at its price."""
        assert order.price is not None, "only limit orders rest"
        key = -order.price if order.side == "bid" else order.price
        side = self._bids if order.side == "bid" else self._asks
        queue = side.get(key)
        if queue is None:
            queue = side[key] = deque()
        queue.append(order)

    def match(self, taker: Order, now: datetime) -> list[tuple[Order, int]]:
        """Makers and quantities, booked on both sides."""
        side = self._asks if taker.side == "bid" else self._bids
        fills: list[tuple[Order, int]] = []
        while taker.remaining_quantity and side:
            key, queue = side.peekitem(0)
            if taker.price is not None:
                limit = taker.price if taker.side == "bid" else -taker.price
                if key > limit:
                    break
            while queue and taker.remaining_quantity:
                maker = queue[0]
                if expired(maker, now).state not in OPEN:
                    queue.popleft()
                    continue
                quantity = min(taker.remaining_quantity, maker.remaining_quantity)
                for order in (taker, maker):
                    order.remaining_quantity -= quantity
                    order.state = "partially_filled" if order.remaining_quantity else "filled"
                fills.append((maker, quantity))
                if not maker.remaining_quantity:
                    queue.popleft()
            if not queue:
                del side[key]
        return fills

    def levels(self, side: str, depth: int, now: datetime) -> list[Level]:
        """The best levels of one side, without what has expired."""
        levels = []
        for queue in islice((self._bids if side == "bid" else self._asks).values(), depth * 2):
            live = [order for order in queue if expired(order, now).state in OPEN]
            if live:
                levels.append(
                    Level(
                        price=live[0].price or 0,
                        total_quantity=sum(order.remaining_quantity for order in live),
                        order_count=len(live),
                    )
                )
        return levels[:depth]


class MemoryMarket:
    """All books, and what has changed since the last flush."""

    def __init__(self) -> None:
        self._books: defaultdict[str, MemoryBook] = defaultdict(MemoryBook)
        self.orders: dict[uuid.UUID, Order] = {}
        self.changed: dict[uuid.UUID, Order] = {}
        self.made: list[Trade] = []
        self.cash: Counter[uuid.UUID] = Counter()
        self.cash_changed: set[uuid.UUID] = set()

    def restore(self, order: Order) -> None:
        """Let an open order rest again after a start."""
        self.orders[order.order_id] = order
        self._books[order.symbol].rest(order)

    def place(self, order: Order) -> list[Trade]:
        """Match an order and let its rest rest; returns the trades."""
        now = datetime.now(UTC)
        book = self._books[order.symbol]
        self.orders[order.order_id] = self.changed[order.order_id] = order
        made = [
            self._trade(order, maker, quantity, now) for maker, quantity in book.match(order, now)
        ]
        if order.remaining_quantity and order.order_type == "limit":
            book.rest(order)
        elif order.remaining_quantity:
            order.state = "canceled"
        self.made += made
        return made

    def cancel(self, order_id: uuid.UUID) -> bool:
        """Close an order; whether it was open."""
        order = self.orders.get(order_id)
        if order is None or order.state not in OPEN:
            return False
        order.state = "canceled"
        self.changed[order_id] = order
        return True

    def levels(self, symbol: str, side: str, depth: int) -> list[Level]:
        """The best levels of one side of a symbol."""
        return self._books[symbol].levels(side, depth, datetime.now(UTC))

    def drain(self) -> tuple[list[Order], list[Trade], list[tuple[uuid.UUID, int]]]:
        """What a flush must write; closed orders may be forgotten by the caller."""
        changed, made = list(self.changed.values()), self.made
        cash = [(broker_id, self.cash[broker_id]) for broker_id in self.cash_changed]
        self.changed, self.made, self.cash_changed = {}, [], set()
        return changed, made, cash

    def _trade(self, taker: Order, maker: Order, quantity: int, now: datetime) -> Trade:
        bid, ask = (taker, maker) if taker.side == "bid" else (maker, taker)
        price = maker.price or 0
        self.changed[maker.order_id] = maker
        self.cash[bid.broker_id] -= price * quantity
        self.cash[ask.broker_id] += price * quantity
        self.cash_changed.update((bid.broker_id, ask.broker_id))
        return Trade(
            uuid.uuid4(),
            taker.symbol,
            price,
            quantity,
            bid.order_id,
            ask.order_id,
            bid.broker_id,
            ask.broker_id,
            now,
        )
