"""A reader of the feed that connects again whenever it is disconnected, as docs/how-to says."""

import contextlib
import json
import socket
import threading
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from tests.support.feed import FeedBook, FeedClient, Message
from tests.support.running import bearer

AGAIN_SECONDS = 0.02


class FeedFollower:
    """Follows books and trades of ``symbols``, and the broker's own orders, in a thread; use as a
    context manager. A gap within a session is an error, which is raised at the end.

    ``reports`` has every report of the broker by its number, those that were missed from
    ``GET /events``; ``orders`` the state and the filled quantity of each order."""

    def __init__(self, url: str, api_key: str, symbols: list[str]) -> None:
        self.url = url
        self.symbols = symbols
        self.sessions = 0
        self.books: dict[str, FeedBook] = {}
        self.trades: dict[str, dict[int, Message]] = {symbol: {} for symbol in symbols}
        self.reports: dict[int, Message] = {}
        self.orders: dict[str, tuple[str, int]] = {}
        self._key = api_key
        self._last: dict[str, int] = {}
        self._client: FeedClient | None = None
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "FeedFollower":
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        self.disconnect()
        self._thread.join()
        if self._failure is not None and kind is None:
            raise self._failure

    def disconnect(self) -> None:
        """Cut the connection, without a word."""
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):
                client.socket.socket.shutdown(socket.SHUT_RDWR)

    def is_current(self, url: str) -> bool:
        """Whether every book is the one that ``url`` shows. Raises what went wrong before."""
        if self._failure is not None:
            raise self._failure
        for symbol in self.symbols:
            read = httpx.get(
                f"{url}/stocks/{symbol}/book?depth=50",
                headers=bearer(self._key),
                trust_env=False,
                timeout=10,
            )
            book = self.books.get(symbol)
            if read.status_code != 200 or book is None or book.levels != _levels(read.json()):
                return False
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except (WebSocketException, OSError, httpx.TransportError):
                self._stop.wait(AGAIN_SECONDS)
            except Exception as error:  # noqa: BLE001 - the end of a thread; it is raised later.
                self._failure = error
                return

    def _follow(self) -> None:
        with FeedClient(self.url, self._key) as client:
            self._client = client
            if self._stop.is_set():
                return
            self.sessions += 1
            self.books, self._last = {}, {}
            channels = [
                f"{kind}:{symbol}" for symbol in self.symbols for kind in ("book", "trades")
            ]
            client.send(op="subscribe", channels=["orders", *channels])
            for text in client.socket:
                self._take(json.loads(text))

    def _take(self, message: Message) -> None:
        kind, _, symbol = message.get("channel", "").partition(":")
        if kind == "book":
            self.books.setdefault(symbol, FeedBook()).apply(message)
        elif kind == "trades":
            sequence = message["sequence"]
            if message["type"] == "trade":
                assert sequence == self._last[symbol] + 1, message
                known = self.trades[symbol].setdefault(sequence, message)
                assert known == message
            self._last[symbol] = sequence
        elif kind == "orders" and message["type"] == "snapshot":
            self._catch_up(message["sequence"])
            for order in message["orders"]:
                filled = order["quantity"] - order["remaining_quantity"]
                self.orders[order["order_id"]] = order["state"], filled
        elif kind == "orders":
            self._report(message["report"])
        elif message["type"] == "error" and message["code"] != "unavailable":
            raise AssertionError(message)

    def _catch_up(self, sequence: int) -> None:
        """Read the reports that were missed, up to this one at least."""
        while len(self.reports) < sequence:
            answer = httpx.get(
                f"{self.url}/events?after={len(self.reports)}&limit=500",
                headers=bearer(self._key),
                trust_env=False,
                timeout=10,
            )
            if answer.status_code == 503:
                raise ConnectionError("try again")
            for report in answer.json()["data"]:
                self._report(report)

    def _report(self, report: Message) -> None:
        """A report that is known already changes nothing; one that is missing is an error."""
        sequence = report["sequence"]
        assert sequence <= len(self.reports) + 1, (len(self.reports), report)
        known = self.reports.setdefault(sequence, report)
        assert known == report
        if report["type"] != "trade.busted":
            self.orders[report["order_id"]] = report["state"], report["filled_quantity"]


def _levels(read: dict[str, Any]) -> tuple[list[list[int]], list[list[int]]]:
    bids, asks = (
        [[level["price"], level["total_quantity"], level["order_count"]] for level in read[side]]
        for side in ("bids", "asks")
    )
    return bids, asks
