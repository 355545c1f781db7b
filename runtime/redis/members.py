"""Heartbeats: who of one kind of process is alive, by the clock of Redis."""

import os
import resource
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from protocol import keys
from runtime.redis.channel import Channel, FunctionCall
from runtime.redis.functions.beat import Pulse, beat, milliseconds

MEMBER_TIMEOUT_MS = 3000
MEMBER_FORGET_MS = 3_600_000


class Traffic(msgspec.Struct, frozen=True):
    """What an HTTP process has answered in the last seconds. The times are from the last byte of a
    request to its answer; ``None`` where nothing was asked."""

    requests_per_second: float
    p50_ms: float | None
    p99_ms: float | None


class Share(NamedTuple):
    """See :class:`Member`."""

    loads: dict[int, float] | None
    wants: list[int] | None


class Member(msgspec.Struct):
    """A heartbeat. ``seen_ms`` is the clock of Redis, so that all agree on who is alive.
    ``memory_bytes`` is what the process holds of the machine's memory; ``traffic`` is what HTTP
    processes tell. Workers that share partitions tell ``loads``, commands a second of each that
    they own, and ``wants``, what they are to get from others. ``None`` comes from a process that
    does not share, or of an earlier version."""

    instance: str
    pid: int
    host: str
    seen_ms: int
    health_port: int | None = None
    memory_bytes: int | None = None
    traffic: Traffic | None = None
    loads: dict[int, float] | None = None
    wants: list[int] | None = None


def redis_time_ms(channel: Channel) -> int:
    """The clock of Redis."""
    return milliseconds(channel.execute("TIME"))


def members(channel: Channel, kind: str) -> list[Member]:
    """The last heartbeat of every process of one kind, however long ago."""
    stored = channel.hash(keys.workers(kind))
    return [msgspec.json.decode(value, type=Member) for value in stored.values()]


def loads_told(heartbeats: Iterable[bytes]) -> dict[int, float]:
    """Commands a second of each partition, from the heartbeats of the workers that share them."""
    told = [msgspec.json.decode(heartbeat, type=Member) for heartbeat in heartbeats]
    told.sort(key=lambda member: member.seen_ms)
    return {p: load for member in told for p, load in (member.loads or {}).items()}


def memory_bytes() -> int:
    """What this process holds of the machine's memory (its resident set)."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return pages * resource.getpagesize()


class Heart:
    """The heartbeat of this process. ``port`` is where it can be asked, ``traffic`` says what it
    has answered, ``share`` what it owns and wants."""

    def __init__(
        self,
        channel: Channel,
        kind: str,
        instance: str,
        port: int | None,
        traffic: Callable[[], Traffic] | None = None,
        share: Callable[[], Share] | None = None,
    ) -> None:
        self._channel = channel
        self._kind = kind
        self._instance = instance
        self._port = port
        self._traffic = traffic
        self._share = share
        self._clock_offset_ms = 0.0
        self._knows_clock = False

    @property
    def clock_ms(self) -> int:
        """The clock of Redis, as of the last beat and what has passed since."""
        return int(time.monotonic() * 1000 + self._clock_offset_ms)

    def beat(self) -> list[Member]:
        """Say that this process is alive; returns all of its kind that are."""
        beating = self.beating()
        return self.heard(beating.read(self._channel.execute(*beating.command)))

    def beating(self) -> FunctionCall[Pulse]:
        """The call that says so, for a pipeline; its reply is for :meth:`heard`."""
        if not self._knows_clock:
            self._note_clock(redis_time_ms(self._channel))
        share = self._share() if self._share is not None else Share(None, None)
        me = Member(
            self._instance,
            os.getpid(),
            socket.gethostname(),
            self.clock_ms,
            self._port,
            memory_bytes(),
            self._traffic() if self._traffic is not None else None,
            share.loads,
            share.wants,
        )
        return beat(self._kind, self._instance, msgspec.json.encode(me))

    def heard(self, pulse: Pulse) -> list[Member]:
        """All of this kind that are alive. Who has not been for long is forgotten."""
        now_ms = pulse.now_ms
        self._note_clock(now_ms)
        known = [msgspec.json.decode(heartbeat, type=Member) for heartbeat in pulse.heartbeats]
        forgotten = [m.instance for m in known if now_ms - m.seen_ms > MEMBER_FORGET_MS]
        if forgotten:
            self._channel.execute("HDEL", keys.workers(self._kind), *forgotten)
        return [m for m in known if now_ms - m.seen_ms <= MEMBER_TIMEOUT_MS]

    def _note_clock(self, now_ms: int) -> None:
        self._clock_offset_ms = now_ms - time.monotonic() * 1000
        self._knows_clock = True

    def stop(self) -> None:
        """Say that this process has ended."""
        self._channel.execute("HDEL", keys.workers(self._kind), self._instance)
