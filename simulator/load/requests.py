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
