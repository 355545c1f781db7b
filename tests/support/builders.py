"""Builders with defaults, so that a test names only what it is about."""

from collections.abc import Iterable

from matcher.engine import Engine
from matcher.market import Market
from matcher.snapshots import BookWrite
from protocol.commands import CancelOrder, Command, PlaceOrder, PlaceSpecialOrder, Tick
from protocol.enums import ExecutionPrice, OrderType, Side
from protocol.events import Event, Trade

SYMBOL = "PETR4"
ALICE = "00000000-0000-4000-8000-00000000000a"
BOB = "00000000-0000-4000-8000-00000000000b"
START_MS = 1_800_000_000_000
FAR_MS = START_MS + 86_400_000


def bid(price: int | None, quantity: int, broker: str = ALICE, until: int = FAR_MS) -> PlaceOrder:
    return place(Side.BID, price, quantity, broker, until)


def ask(price: int | None, quantity: int, broker: str = BOB, until: int = FAR_MS) -> PlaceOrder:
    return place(Side.ASK, price, quantity, broker, until)


def place(
    side: Side, price: int | None, quantity: int, broker: str = ALICE, until: int = FAR_MS
) -> PlaceOrder:
    """A limit order, or with ``price=None`` a market order."""
    if price is None:
        return PlaceOrder(broker, "12345678901", side, OrderType.MARKET, None, quantity, None)
    return PlaceOrder(broker, "12345678901", side, OrderType.LIMIT, price, quantity, until)


def iceberg(plain: PlaceOrder, display: int) -> PlaceSpecialOrder:
    """The order, showing ``display`` at a time, without a ``valid_until``."""
    return PlaceSpecialOrder(
        *(plain.broker_id, plain.document_number, plain.side, plain.order_type, plain.price),
        *(plain.quantity, None),
        display_quantity=display,
    )


def stop(
    side: Side, stop_price: int, quantity: int, limit: int | None = None, broker: str = ALICE
) -> PlaceSpecialOrder:
    """A stop order, or with ``limit`` a stop limit order."""
    order_type = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return PlaceSpecialOrder(
        *(broker, "1", side, order_type, limit, quantity, None), stop_price=stop_price
    )


def cancel(sequence: int) -> CancelOrder:
    return CancelOrder(sequence)


class Pit:
    """An engine with one market; commands get the next sequence and a time that runs."""

    def __init__(self, rule: ExecutionPrice = ExecutionPrice.MAKER) -> None:
        self.engine = Engine(rule)
        self.market: Market = self.engine.market(SYMBOL, 1)
        self.time_ms = START_MS

    def apply(self, *commands: Command) -> list[list[Event]]:
        results = []
        for command in commands:
            self.time_ms += 1
            sequence = self.market.sequence + 1
            results.append(self.engine.apply(self.market, sequence, self.time_ms, command))
        return results

    def last(self, *commands: Command) -> list[Event]:
        """The events of the last of the commands."""
        return self.apply(*commands)[-1]

    def tick_at(self, time_ms: int) -> list[Event]:
        self.time_ms = time_ms - 1
        return self.last(Tick())

    def open_quantities(self) -> dict[int, int]:
        return {s: order.open_quantity for s, order in self.market.book.orders.items()}


def written(stored: bytes, write: BookWrite | None) -> bytes:
    """The stored book after a commit has written to it."""
    if write is None:
        return stored
    return write.text if write.is_snapshot else stored + write.text


def trades_of(events: Iterable[Event]) -> list[tuple[int, int, int, int]]:
    """Price, quantity, maker and taker of the trades among events."""
    return [
        (e.price, e.quantity, e.maker_sequence, e.taker_sequence)
        for e in events
        if isinstance(e, Trade)
    ]
