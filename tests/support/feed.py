"""A client of the feed, for tests."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.running import bearer

Message = dict[str, Any]


class FeedClient:
    """One session, and every message that it has received."""

    def __init__(self, url: str, key: str | None = None, **options: Any) -> None:
        address = url.replace("http", "ws", 1) + "/feed"
        headers = None if key is None else bearer(key)
        self._stack = ExitStack()
        self.socket = self._stack.enter_context(
            connect(address, additional_headers=headers, compression=None, proxy=None, **options)
        )
        self.received: list[Message] = []

    def __enter__(self) -> "FeedClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def subscribe(self, *channels: str) -> Message:
        """Returns the answer, whatever it is."""
        self.send(op="subscribe", channels=list(channels), id="subscribe")
        return self.until(lambda message: message.get("id") == "subscribe")

    def next(self, seconds: float = 10.0) -> Message:
        message: Message = json.loads(self.socket.recv(timeout=seconds))
        self.received.append(message)
        return message

    def until(self, is_it: Callable[[Message], bool], seconds: float = 10.0) -> Message:
        """The first message from now on of which this is true."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.next(deadline - time.monotonic())
            if is_it(message):
                return message

    def of(self, channel: str, kind: str) -> Message:
        """The next message of this channel and type."""
        return self.until(lambda m: m.get("channel") == channel and m["type"] == kind)

    def end(self) -> tuple[int | None, str]:
        """Read to the end; the close code and its reason."""
        try:
            while True:
                self.next()
        except ConnectionClosed as closed:
            received = closed.rcvd
            return (received.code, received.reason) if received is not None else (None, "")


class FeedBook:
    """A book that is put together from messages. It refuses a gap."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.sides: dict[str, dict[int, list[int]]] = {"bids": {}, "asks": {}}

    def apply(self, message: Message) -> None:
        if message["type"] == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        else:
            assert self.sequence is not None
            assert message["first_sequence"] == self.sequence + 1, (self.sequence, message)
        assert self.sequence is None or message["sequence"] >= self.sequence
        self.sequence = message["sequence"]
        for side, levels in self.sides.items():
            for level in message[side]:
                if level[1]:
                    levels[level[0]] = level
                else:
                    assert levels.pop(level[0], None) is not None, "a level goes that never came"

    @property
    def levels(self) -> tuple[list[list[int]], list[list[int]]]:
        """Bids and asks, best first."""
        bids, asks = self.sides["bids"], self.sides["asks"]
        return [bids[p] for p in sorted(bids, reverse=True)], [asks[p] for p in sorted(asks)]
