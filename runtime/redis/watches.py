"""Waiting for news on streams of several slots.

A connection can wait in one slot at a time, so each stream has a connection of its own, on which an
XREAD waits at the node. What it answers is handed over; a new one is sent when it is waited for
again.
"""

import select
import time
from collections.abc import Iterable, Mapping
from typing import Any

from redis.exceptions import MovedError

from runtime.redis.channel import Channel, RedisError, ResponseError
from runtime.redis.slots import SlotMap, slot_of

WAIT_MS = 2000
"""How long an XREAD waits at the node before it is sent anew."""
TIMEOUT_SECONDS = WAIT_MS / 1000 + 5
AWAY_SECONDS = 0.25
"""How long a stream is left alone whose node did not answer."""


class _Watch:
    """An XREAD that waits. ``position`` is the sequence that it follows, ``None`` while nothing is
    under way."""

    def __init__(self, url: str, name: str, stream: str, address: str) -> None:
        self.address = address
        self.stream = stream
        self.position: int | None = None
        self.count = 0
        self._channel = Channel(url, name, TIMEOUT_SECONDS)

    def send(self, position: int, count: int) -> None:
        command = ("XREAD", "COUNT", count, "BLOCK", WAIT_MS, "STREAMS", self.stream)
        self._channel.send([(*command, f"{position}-0")])
        self.position, self.count = position, count

    def fileno(self) -> int:
        return self._channel.fileno()

    def take(self) -> Any:
        self.position = None
        (reply,) = self._channel.receive(1)
        return reply

    def close(self) -> None:
        self._channel.close()


class Watches:
    """The connections that wait, by stream."""

    def __init__(self, slots: SlotMap, name: str) -> None:
        self._slots = slots
        self._name = name
        self._watches: dict[str, _Watch] = {}
        self._away: dict[str, float] = {}

    def wait(self, streams: Mapping[str, int], count: int, seconds: float) -> dict[str, Any]:
        """Wait until one of ``streams`` has something behind the sequence that is known of it. The
        reply has the entries (up to ``count``) of each that has answered, or its error. What has
        come on the others is left for the next call."""
        for name in self._watches.keys() - streams.keys():
            self._drop(name)
        deadline = time.monotonic() + seconds
        while True:
            found = self._send(streams, count)
            self._take(found, 0 if found else max(0.0, deadline - time.monotonic()))
            if found or time.monotonic() >= deadline:
                return found

    def _send(self, streams: Mapping[str, int], count: int) -> dict[str, Any]:
        """Let each stream be waited for. Returns the errors of those that cannot be."""
        failed: dict[str, Any] = {}
        for name, position in streams.items():
            watch = self._watches.get(name)
            if watch is not None and watch.position == position and watch.count == count:
                continue
            if time.monotonic() < self._away.get(name, 0.0):
                continue
            try:
                self._follow(name, position, count)
            except RedisError as error:
                self._lose(name)
                failed[name] = error
        return failed

    def _follow(self, name: str, position: int, count: int) -> None:
        address = self._slots.owner(slot_of(name))
        watch = self._watches.get(name)
        if watch is not None and watch.position is not None and watch.position < position:
            watch.take()  # What it has found is known already.
        if watch is not None and (watch.address != address or watch.position is not None):
            self._drop(name)
            watch = None
        if watch is None:
            url = self._slots.url(address)
            watch = self._watches[name] = _Watch(url, f"{self._name}-watch", name, address)
        watch.send(position, count)

    def _take(self, found: dict[str, Any], seconds: float) -> None:
        waiting = [watch for watch in self._watches.values() if watch.position is not None]
        for watch in _readable(waiting, seconds):
            try:
                reply = watch.take()
            except RedisError as error:
                self._lose(watch.stream)
                found[watch.stream] = error
                continue
            if isinstance(reply, MovedError):
                self._slots.move(slot_of(watch.stream), "{}:{}".format(*reply.node_addr))
                self._drop(watch.stream)
            elif isinstance(reply, ResponseError):
                self._lose(watch.stream)
                found[watch.stream] = reply
            elif reply:
                found[watch.stream] = reply[0][1]

    def _lose(self, name: str) -> None:
        self._drop(name)
        self._away[name] = time.monotonic() + AWAY_SECONDS

    def _drop(self, name: str) -> None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.close()

    def close(self) -> None:
        for name in list(self._watches):
            self._drop(name)
        self._away.clear()


def _readable(watches: Iterable[_Watch], seconds: float) -> list[_Watch]:
    poll = select.poll()
    by_number = {watch.fileno(): watch for watch in watches}
    for number in by_number:
        poll.register(number, select.POLLIN)
    if not by_number:
        time.sleep(seconds)
        return []
    return [by_number[number] for number, _ in poll.poll(max(0, round(1000 * seconds)))]
