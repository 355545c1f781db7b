"""What the orders of a run say, added up: fills, cash, and orders that contradict themselves."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec


class TradeShown(msgspec.Struct):
    """A trade in an order's answer, as far as the checks need it."""

    price: int
    quantity: int
    trade_id: str | int | None = None
    id: str | int | None = None


class OrderShown(msgspec.Struct):
    """The answer to ``GET /orders/{id}``. The basic contract has no ``state`` and no
    ``filled_quantity``."""

    side: str
    symbol: str
    quantity: int
    remaining_quantity: int
    trades: list[TradeShown]
    status: str = "open"
    state: str | None = None
    filled_quantity: int | None = None

    @property
    def filled(self) -> int:
        """The quantity of the trades that it shows."""
        return sum(trade.quantity for trade in self.trades)


@dataclass(slots=True)
class Ledger:
    """Takes each order of a run once."""

    trade_ids: set[str | int] = field(default_factory=set)
    unnamed_trades: int = 0
    """Trades without an id, counted at their buyers."""
    cash: Counter[int] = field(default_factory=Counter)
    """By broker, sells minus buys, in cents."""
    surplus: Counter[str] = field(default_factory=Counter)
    """By symbol, what was bought more than sold."""
    incomplete: list[str] = field(default_factory=list)
    """Orders whose fills and rest are not their quantity."""
    contradicting: list[str] = field(default_factory=list)
    """Orders whose state or filled quantity is not what their trades say."""
    with_state: int = 0
    """How many orders showed a state or a filled quantity."""

    @property
    def trades(self) -> int:
        """How many trades the orders name."""
        return len(self.trade_ids) + self.unnamed_trades

    @property
    def unsettled(self) -> list[str]:
        """Symbols of which more was bought than sold, or less."""
        return [symbol for symbol, quantity in self.surplus.items() if quantity]

    def add(self, broker: int, order_id: str, order: OrderShown) -> None:
        """Take one order into account."""
        sign = 1 if order.side == "bid" else -1
        for trade in order.trades:
            self.cash[broker] -= sign * trade.price * trade.quantity
            name = trade.id if trade.trade_id is None else trade.trade_id
            if name is not None:
                self.trade_ids.add(name)
            elif order.side == "bid":
                self.unnamed_trades += 1
        self.surplus[order.symbol] += sign * order.filled
        if not _is_complete(order):
            self.incomplete.append(order_id)
        if order.state is not None or order.filled_quantity is not None:
            self.with_state += 1
            if not _is_consistent(order):
                self.contradicting.append(order_id)


def _is_complete(order: OrderShown) -> bool:
    """Fills and rest make the quantity. An exchange may show no rest of an order that was
    canceled; where there is no state either, nothing more can be said of it."""
    if order.status == "closed" and order.state is None and not order.remaining_quantity:
        return order.filled <= order.quantity
    return order.filled + order.remaining_quantity == order.quantity


def _is_consistent(order: OrderShown) -> bool:
    filled = order.filled
    if order.filled_quantity is not None and order.filled_quantity != filled:
        return False
    match order.state:
        case "new" | "rejected":
            return not filled
        case "partially_filled":
            return 0 < filled < order.quantity
        case "filled":
            return filled == order.quantity
    return True
