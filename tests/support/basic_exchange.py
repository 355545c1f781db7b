"""An exchange of somebody else: the basic contract and nothing more, in memory, in one thread's
lock. It shares no code with ours, so that the simulator can be shown to need none of our extras."""

import contextlib
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ORDER_FIELDS = {
    *("document_number", "side", "order_type", "symbol", "price", "quantity", "valid_until"),
}
SYMBOL = re.compile(r"[A-Z0-9.]{1,10}")


class Refused(Exception):
    """A status and a text; this exchange knows no problem codes."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ManyConnections(ThreadingHTTPServer):
    """A thread for each of many connections that come at once, and may end at any time."""

    request_queue_size = 256  # Five is the default; the others would have to try again.
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that ends in the middle of a call is no news."""


@dataclass
class Order:
    id: str
    broker: str
    body: dict[str, Any]
    remaining: int
    is_open: bool = True
    trades: list[dict[str, Any]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "side": self.body["side"],
            "order_type": self.body["order_type"],
            "symbol": self.body["symbol"],
            "price": self.body.get("price"),
            "quantity": self.body["quantity"],
            "remaining_quantity": self.remaining,
            "status": "open" if self.is_open else "closed",
            "trades": self.trades,
        }


@dataclass(frozen=True)
class Spelling:
    """How this exchange spells what the basic contract leaves open."""

    order_key: str = "order_id"
    cancel_status: int = 204
    count_key: str | None = None
    keyless: bool = False
    """Whether anybody may register, and a key of ours is refused."""


class BasicExchange:
    """Use as a context manager; ``url`` is where it answers."""

    def __init__(self, spelling: Spelling | None = None, admin_key: str = "admin") -> None:
        self.spelling = spelling or Spelling()
        self.admin_key = "" if self.spelling.keyless else admin_key
        self.refuse: tuple[int, str] | None = None
        """What every order is answered instead of being placed."""
        self.calls = 0
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._brokers: dict[str, str] = {}
        self._orders: dict[str, Order] = {}
        self._balances: dict[str, int] = {}
        self._trades = 0
        self._server = ManyConnections(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "BasicExchange":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def call(self, method: str, path: str, key: str, body: bytes) -> tuple[int, Any]:
        """Status and content of one call."""
        path, _, query = path.partition("?")
        parts = path.strip("/").split("/")
        with self._lock:
            self.calls += 1
            try:
                match (method, *parts):
                    case "POST", "register":
                        return 201, self._register(key, _content(body, {"name", "webhook_url"}))
                    case "GET", "debug", "trade-count" if self.spelling.count_key:
                        self._require(key == self.admin_key, 401)
                        return 200, {self.spelling.count_key: self._trades}
                broker = self._brokers.get(key)
                if broker is None:
                    raise Refused(401, "no such key")
                match (method, *parts):
                    case "POST", "orders":
                        order = self._place(broker, _content(body, ORDER_FIELDS))
                        return 201, {self.spelling.order_key: order.id}
                    case "GET", "orders", name:
                        return 200, self._own(broker, name).shown()
                    case "POST", "orders", name, "cancel":
                        self._own(broker, name).is_open = False
                        return self.spelling.cancel_status, {"canceled": True}
                    case "GET", "stocks", symbol, "book":
                        return 200, self._book(symbol, query)
                    case "GET", "stocks", symbol, "price":
                        return 200, self._price(symbol)
                    case "GET", "balance":
                        return 200, {"broker_id": broker, "balance": self._balances[broker]}
            except Refused as refused:
                return refused.status, {"error": str(refused)}
        return 404, {"error": "no such call"}

    def _require(self, holds: bool, status: int, text: str = "refused") -> None:
        if not holds:
            raise Refused(status, text)

    def _register(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        self._require(key == self.admin_key, 401, "not the admin key")
        broker = f"b{next(self._ids)}"
        self._brokers[f"key-of-{broker}"] = broker
        self._balances[broker] = 0
        return {"broker_id": broker, "api_key": f"key-of-{broker}", "tier": "gold"}

    def _place(self, broker: str, body: dict[str, Any]) -> Order:
        if self.refuse is not None:
            raise Refused(*self.refuse)
        is_limit = body.get("order_type") == "limit"
        self._require(body.get("side") in ("bid", "ask"), 422, "side")
        self._require(is_limit or body.get("order_type") == "market", 422, "order_type")
        self._require(SYMBOL.fullmatch(str(body.get("symbol"))) is not None, 422, "symbol")
        self._require(isinstance(body.get("quantity"), int), 422, "quantity")
        self._require(isinstance(body.get("price"), int) == is_limit, 422, "price")
        if is_limit:
            until = datetime.fromisoformat(body["valid_until"])
            self._require(until.tzinfo is not None, 422, "valid_until")
        order = Order(f"order-{next(self._ids)}", broker, body, body["quantity"])
        self._orders[order.id] = order
        self._match(order)
        if not order.remaining or not is_limit:
            order.is_open = False
        return order

    def _match(self, taker: Order) -> None:
        """Every resting order of the symbol is looked at, best price first, then first come."""
        sign = 1 if taker.body["side"] == "bid" else -1
        makers = [
            order
            for order in self._orders.values()
            if order.is_open
            and order.body["symbol"] == taker.body["symbol"]
            and order.body["side"] != taker.body["side"]
        ]
        for maker in sorted(makers, key=lambda order: sign * order.body["price"]):
            limit = taker.body.get("price")
            beyond = limit is not None and sign * maker.body["price"] > sign * limit
            if beyond or not taker.remaining:
                return
            self._trade(taker, maker, min(taker.remaining, maker.remaining))

    def _trade(self, taker: Order, maker: Order, quantity: int) -> None:
        self._trades += 1
        price = maker.body["price"]
        for order, other in ((taker, maker), (maker, taker)):
            order.remaining -= quantity
            order.is_open = order.remaining > 0
            cash = price * quantity * (1 if order.body["side"] == "ask" else -1)
            self._balances[order.broker] += cash
            order.trades.append(
                {
                    "trade_id": self._trades,
                    "price": price,
                    "quantity": quantity,
                    "counterparty_broker": other.broker,
                }
            )

    def _own(self, broker: str, name: str) -> Order:
        order = self._orders.get(name)
        if order is None:
            raise Refused(404, "no such order")
        self._require(order.broker == broker, 403, "another broker's")
        return order

    def _book(self, symbol: str, query: str) -> dict[str, Any]:
        depth = int(query.removeprefix("depth=") or 10)
        sides: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
        for order in self._orders.values():
            if order.is_open and order.body["symbol"] == symbol:
                levels = sides[order.body["side"]]
                levels[order.body["price"]] = levels.get(order.body["price"], 0) + order.remaining
        bids, asks = sorted(sides["bid"].items(), reverse=True), sorted(sides["ask"].items())
        return {
            "symbol": symbol,
            "bids": [{"price": p, "total_quantity": q} for p, q in bids[:depth]],
            "asks": [{"price": p, "total_quantity": q} for p, q in asks[:depth]],
        }

    def _price(self, symbol: str) -> dict[str, Any]:
        prices = [
            trade["price"]
            for order in self._orders.values()
            if order.body["symbol"] == symbol
            for trade in order.trades
        ]
        self._require(bool(prices), 404, "never traded")
        return {"symbol": symbol, "last_price": prices[-1], "average_price": prices[-1]}


def _content(body: bytes, fields: set[str]) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        raise Refused(422, "not JSON") from None
    if not isinstance(content, dict) or not set(content) <= fields:
        raise Refused(422, f"unknown fields beside {sorted(fields)}")
    return content


def _handler(exchange: BasicExchange) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # Head and body go out together.

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def _serve(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            key = self.headers.get("authorization", "").removeprefix("Bearer ")
            status, content = exchange.call(method, self.path, key, body)
            # Spaced JSON, and none where there must be none.
            answer = b"" if status == 204 else json.dumps(content, indent=1).encode()
            with contextlib.suppress(ConnectionError):  # A driver may end with a call in flight.
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if status != 204:
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler
