"""The bytes of the requests that the simulation sends, prepared as far as they are known ahead."""

import time
from functools import lru_cache
from typing import NamedTuple

INSTANT_LENGTH = len("2026-11-22T14:45:58.123Z")


class Participants(NamedTuple):
    """What all processes share: names, keys, and the base price of each symbol in cents."""

    host: str
    """The value of the ``Host`` header."""
    symbols: list[str]
    api_keys: list[str]
    base_prices: list[int]


class OrderRequest(NamedTuple):
    """A ``POST /orders``: ``head`` + instant + ``tail``, or ``head`` alone for a market order."""

    broker: int
    symbol: int
    head: bytes
    tail: bytes
    life_seconds: float

    def at(self, wall: float) -> bytes:
        """The whole request when it is sent at ``wall``, in seconds since 1970."""
        if not self.tail:
            return self.head
        return b"".join((self.head, _instant(wall + self.life_seconds), self.tail))


class AboutOrders:
    """Requests about an order, put together from parts that are made once for each broker."""

    def __init__(self, participants: Participants) -> None:
        heads = [
            f"host: {participants.host}\r\nauthorization: Bearer {api_key}\r\n"
            for api_key in participants.api_keys
        ]
        self._status = [f" HTTP/1.1\r\n{head}\r\n".encode() for head in heads]
        self._cancel = [
            f"/cancel HTTP/1.1\r\n{head}content-type: application/json\r\n"
            "content-length: 0\r\n\r\n".encode()
            for head in heads
        ]

    def status(self, broker: int, order_id: bytes) -> bytes:
        """``GET /orders/{id}``."""
        return b"".join((b"GET /orders/", order_id, self._status[broker]))

    def cancel(self, broker: int, order_id: bytes) -> bytes:
        """``POST /orders/{id}/cancel``, without a body."""
        return b"".join((b"POST /orders/", order_id, self._cancel[broker]))


def post_head(participants: Participants, broker: int, path: str, length: int) -> bytes:
    """The head of a POST whose JSON body has ``length`` bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: {participants.host}\r\n"
        f"authorization: Bearer {participants.api_keys[broker]}\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


def get_request(participants: Participants, broker: int, path: str) -> bytes:
    """A whole GET request of a broker."""
    return (
        f"GET {path} HTTP/1.1\r\nhost: {participants.host}\r\n"
        f"authorization: Bearer {participants.api_keys[broker]}\r\n\r\n"
    ).encode()


def _instant(wall: float) -> bytes:
    """RFC 3339 with milliseconds, in UTC."""
    seconds = int(wall)
    return b"%s.%03dZ" % (_second(seconds), int((wall - seconds) * 1000))


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()
