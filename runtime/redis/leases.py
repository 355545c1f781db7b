"""Ownership of partitions: leases that members of one kind of worker share among themselves.

The lease decides who should try. It does not make anything safe: that is the token check inside
the commit (matcher), the cursor in PostgreSQL (persister) and the progress record per endpoint
(notifier). A token is new at every start of a process, and a process that was started again in
the place of a dead one (same ``instance``) takes its leases over at once instead of waiting.
"""

import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Iterable

import msgspec

from protocol import keys
from runtime.process.errors import Fenced, HistoryMismatch
from runtime.redis.channel import Channel
from runtime.redis.functions.library import call

log = logging.getLogger(__name__)

TTL_MS = 3000
TEND_SECONDS = 0.5
MEMBER_TIMEOUT_MS = 3000
MEMBER_FORGET_MS = 3_600_000


class Member(msgspec.Struct):
    """A heartbeat. ``seen_ms`` is Redis's clock, so that members agree on who is alive."""

    instance: str
    pid: int
    host: str
    seen_ms: int
    health_port: int | None = None


class Leases:
    """The leases of one worker; call :meth:`tend` at least every ``TEND_SECONDS``."""

    def __init__(
        self,
        channel: Channel,
        kind: str,
        instance: str,
        partitions: Iterable[int],
        health_port: int | None = None,
    ) -> None:
        self._channel = channel
        self._kind = kind
        self._instance = instance
        self._partitions = tuple(partitions)
        self._incarnation = secrets.token_hex(8)
        self._health_port = health_port
        self._next_tend = 0.0
        self._members: list[Member] = []
        self._clock_offset_ms = 0.0
        self.held: set[int] = set()

    @property
    def token(self) -> str:
        return f"{self._instance}/{self._incarnation}"

    @property
    def clock_ms(self) -> int:
        """Redis's clock, as of the last heartbeat and what has passed since."""
        return int(time.monotonic() * 1000 + self._clock_offset_ms)

    @property
    def seconds_to_tend(self) -> float:
        return max(0.0, self._next_tend - time.monotonic())

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._next_tend

    def tend(self) -> tuple[set[int], set[int]]:
        """Heartbeat, renew, share. Returns the partitions gained and those lost to others.

        Partitions given up for fairness are returned by :meth:`surplus` instead, so that the
        worker can finish with them before it calls :meth:`release`.
        """
        self._next_tend = time.monotonic() + TEND_SECONDS
        lost = self._renew()
        self._members = self._heartbeat()
        gained = self._acquire()
        return gained, lost

    def keep(self) -> None:
        """Renew in the middle of a long recovery, so that nobody takes us for dead."""
        if self.due:
            self._next_tend = time.monotonic() + TEND_SECONDS
            self._renew()
            self._members = self._heartbeat()

    def gap(self, partition: int, what: str) -> Fenced | HistoryMismatch:
        """The error for something missing from a stream: a worker that was paused for long finds
        what others have done and trimmed meanwhile, and only an owner has found a real gap."""
        if self._channel.execute("GET", keys.lease(partition, self._kind)) == self.token.encode():
            return HistoryMismatch(what)
        return Fenced(f"partition {partition} is another's by now ({what})")

    def surplus(self) -> set[int]:
        """The partitions that this worker should give up so that all members have their share."""
        return set(sorted(self.held)[self._share() :])

    def release(self, partitions: Iterable[int]) -> None:
        released = [p for p in partitions if p in self.held]
        self._channel.pipeline(
            [call("release", [keys.lease(p, self._kind)], [self.token]) for p in released]
        )
        self.held.difference_update(released)

    def leave(self) -> None:
        """Give everything up and say so, for a take-over without any wait."""
        self.release(set(self.held))
        self._channel.execute("HDEL", keys.workers(self._kind), self._instance)

    def _renew(self) -> set[int]:
        held = sorted(self.held)
        commands = [call("renew", [keys.lease(p, self._kind)], [TTL_MS, self.token]) for p in held]
        replies = self._channel.pipeline(commands)
        lost = {p for p, reply in zip(held, replies, strict=True) if reply != [1]}
        self.held -= lost
        return lost

    def _heartbeat(self) -> list[Member]:
        key = keys.workers(self._kind)
        seconds, microseconds = self._channel.execute("TIME")
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        self._clock_offset_ms = now_ms - time.monotonic() * 1000
        me = Member(self._instance, os.getpid(), socket.gethostname(), now_ms, self._health_port)
        _, flat = self._channel.pipeline(
            [call("beat", [key], [self._instance, msgspec.json.encode(me)]), ("HGETALL", key)]
        )
        members = [msgspec.json.decode(value, type=Member) for value in flat[1::2]]
        forgotten = [m.instance for m in members if now_ms - m.seen_ms > MEMBER_FORGET_MS]
        if forgotten:
            self._channel.execute("HDEL", key, *forgotten)
        return [m for m in members if now_ms - m.seen_ms <= MEMBER_TIMEOUT_MS]

    def _share(self) -> int:
        return math.ceil(len(self._partitions) / max(1, len(self._members)))

    def _acquire(self) -> set[int]:
        wanted = self._share() - len(self.held)
        free = [p for p in self._partitions if p not in self.held]
        if wanted <= 0 or not free:
            return set()
        # Each member starts looking at another place, so that they seldom try for the same one.
        start = hash(self._instance) % len(free)
        gained: set[int] = set()
        for partition in free[start:] + free[:start]:
            if len(gained) == wanted:
                break
            key = keys.lease(partition, self._kind)
            if self._channel.execute(
                *call("acquire", [key], [self._instance, self._incarnation, TTL_MS])
            ):
                gained.add(partition)
        self.held |= gained
        if gained:
            log.info("partitions gained", extra={"kind": self._kind, "partitions": sorted(gained)})
        return gained
