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
    """Follows books and trades of ``symbols`` in a thread; use as a context manager. A gap within a
    session is an error, which is raised at the end."""

    def __init__(self, url: str, api_key: str, symbols: list[str]) -> None:
        self.url = url
        self.symbols = symbols
        self.sessions = 0
        self.books: dict[str, FeedBook] = {}
        self.trades: dict[str, dict[int, Message]] = {symbol: {} for symbol in symbols}
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
            except (WebSocketException, OSError):
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
            client.send(op="subscribe", channels=channels)
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
        elif message["type"] == "error":
            raise AssertionError(message)


def _levels(read: dict[str, Any]) -> tuple[list[list[int]], list[list[int]]]:
    bids, asks = (
        [[level["price"], level["total_quantity"], level["order_count"]] for level in read[side]]
        for side in ("bids", "asks")
    )
    return bids, asks
