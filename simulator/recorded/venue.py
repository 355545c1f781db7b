"""Where a recorded market is replayed: the exchange over HTTP, or its engine alone."""

from typing import Any, Protocol

import httpx

from simulator.broker import Broker, connect
from simulator.errors import CallFailed
from simulator.load.tickers import SYMBOL_LENGTH_MAX, run_mark
from simulator.target import Target

Levels = list[tuple[int, int]]
VALID_UNTIL = "2999-01-01T00:00:00Z"


class Venue(Protocol):
    """One symbol. ``reference`` is the name of an order in the recording; unknown and closed ones
    are no error, because a recording begins in the middle of a day."""

    def place(self, reference: str, side: str, price: int | None, quantity: int) -> None:
        """A limit order, or with ``price`` ``None`` a market order."""

    def amend(self, reference: str, price: int, quantity: int) -> None:
        """``quantity`` is the new total."""

    def cancel(self, reference: str) -> None: ...

    def filled(self, reference: str) -> int:
        """How much of an order is filled, 0 for an unknown one."""

    def book(self, depth: int) -> tuple[Levels, Levels]:
        """Bids and asks as price and quantity, best first."""

    def settle(self) -> None:
        """Return when every command has been applied."""


class HttpVenue:
    """A running exchange; every command is a request of its own, in order."""

    def __init__(self, broker: Broker, symbol: str) -> None:
        self._broker = broker
        self._symbol = symbol
        self._order_ids: dict[str, str] = {}
        self._is_settled = True

    def place(self, reference: str, side: str, price: int | None, quantity: int) -> None:
        order: dict[str, Any] = {
            "document_number": "00000000000",
            "side": side,
            "symbol": self._symbol,
            "quantity": quantity,
            "order_type": "market",
        }
        if price is not None:
            order |= {"order_type": "limit", "price": price, "valid_until": VALID_UNTIL}
        self._order_ids[reference] = self._broker.place(order)
        self._is_settled = False

    def amend(self, reference: str, price: int, quantity: int) -> None:
        order_id = self._order_ids.get(reference)
        if order_id is None:
            return
        try:
            self._broker.amend(order_id, price, quantity)
        except CallFailed as error:
            # 409: the order has ended here, or more of it is filled than the recording says.
            if error.status != httpx.codes.CONFLICT:
                raise

    def cancel(self, reference: str) -> None:
        if reference in self._order_ids:
            self._broker.cancel(self._order_ids[reference])
            self._is_settled = True

    def filled(self, reference: str) -> int:
        order_id = self._order_ids.get(reference)
        if order_id is None:
            return 0
        self.settle()
        filled: int = self._broker.order(order_id)["filled_quantity"]
        return filled

    def book(self, depth: int) -> tuple[Levels, Levels]:
        self.settle()
        book = self._broker.book(self._symbol, depth)
        bids, asks = (
            [(level["price"], level["total_quantity"]) for level in book[side]]
            for side in ("bids", "asks")
        )
        return bids, asks

    def settle(self) -> None:
        """A cancel is answered after the matcher has applied all that was before it."""
        if not self._is_settled:
            self.place("settle", "bid", 1, 1)
            self.cancel("settle")


class HttpVenues:
    """Opens venues of one exchange, with one broker and symbols of this run alone. As a context
    manager it closes its connections at the end."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client = connect(target)
        self._mark = run_mark()
        self._broker: Broker | None = None

    def __call__(self, symbol: str) -> HttpVenue:
        """A venue for one symbol of a recording; the first one registers the broker."""
        if self._broker is None:
            name = f"replay {self._mark}"
            self._broker = Broker.register(self._client, self._target.admin_key, name)
        return HttpVenue(self._broker, symbol[: SYMBOL_LENGTH_MAX - len(self._mark)] + self._mark)

    def __enter__(self) -> "HttpVenues":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def http_venues(target: Target) -> HttpVenues:
    """Where to replay over HTTP: call it with a symbol to get a venue."""
    return HttpVenues(target)
