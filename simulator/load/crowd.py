"""A crowd of subscribers of the feed, in a process of its own.

Nearly all of them only take the bytes, so that the crowd costs the machine little. A few of them,
spread evenly, read the messages of one book and note when each came.
"""

import asyncio
import json
import multiprocessing
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

from simulator.errors import SimulationFailed
from simulator.load.frames import PONG_EMPTY, masked_text, take_texts, upgrade_request

FEED_PATH = "/feed"
TIMED = 20  # Subscribers that read.
CONNECTING_MAX = 50  # At a time.
READY_SECONDS_MAX = 60.0
PONG_SECONDS = 10.0
_UPGRADED = b"HTTP/1.1 101 "


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """``timed_channel`` is one of ``channels``. The subscribers share the keys evenly."""

    host: str
    port: int
    authority: str
    api_keys: list[str]
    subscribers: int
    channels: list[str]
    timed_channel: str


@dataclass(slots=True)
class CrowdSeen:
    """``updates``: first and last sequence of each update that a reading subscriber got, and when
    in ms since the epoch. ``ended`` counts the sessions that did not last."""

    updates: list[tuple[int, int, float]] = field(default_factory=list)
    received_bytes: int = 0
    ended: int = 0
    cpu_seconds: float = 0.0


class Crowd:
    """Use as a context manager. :meth:`gather` opens the sessions, :meth:`leave` ends them and
    returns what they have seen."""

    def __init__(self, plan: CrowdPlan) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(plan, theirs), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> "Crowd":
        self._process.start()
        self._theirs.close()
        return self

    def gather(self) -> None:
        """Return when all are subscribed. Raises :class:`~simulator.errors.SimulationFailed`."""
        self._pipe.send("gather")
        self._receive()

    def leave(self) -> CrowdSeen:
        """End all sessions. Raises :class:`~simulator.errors.SimulationFailed`."""
        self._pipe.send("leave")
        seen: CrowdSeen = self._receive()
        return seen

    def _receive(self) -> Any:
        if not self._pipe.poll(READY_SECONDS_MAX):
            raise SimulationFailed("the subscribers do not answer")
        try:
            is_good, content = self._pipe.recv()
        except EOFError as error:
            raise SimulationFailed("the process of the subscribers has ended") from error
        if not is_good:
            raise SimulationFailed(content)
        return content

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


class _Subscriber(asyncio.Protocol):
    def __init__(self, plan: CrowdPlan, key: str, seen: CrowdSeen, is_timed: bool) -> None:
        self._plan = plan
        self._key = key
        self._seen = seen
        self._is_timed = is_timed
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._is_subscribed = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(upgrade_request(self._plan.authority, FEED_PATH, self._key))

    def data_received(self, data: bytes) -> None:
        self._seen.received_bytes += len(data)
        if self._is_subscribed and not self._is_timed:
            return
        self._buffer += data
        if not self._is_subscribed:
            self._become_ready()
        else:
            now_ms = time.time() * 1000
            for text in take_texts(self._buffer):
                self._note(text, now_ms)

    def connection_lost(self, _error: Exception | None) -> None:
        self._seen.ended += 1
        if not self.ready.done():
            self.ready.set_exception(SimulationFailed("a subscriber was refused by the feed"))

    def pong(self) -> None:
        """Whether or not it was asked for: it says that somebody is there."""
        self._transport.write(PONG_EMPTY)

    def _become_ready(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if found and head.startswith(_UPGRADED):
            self._buffer = rest
            request = {"op": "subscribe", "channels": self._plan.channels}
            self._transport.write(masked_text(json.dumps(request).encode()))
        elif found and head.startswith(b"HTTP/"):
            self._fail(head.split(b"\r\n")[0].decode("latin-1"))
        elif not self._buffer.startswith(b"HTTP/"):
            for text in take_texts(self._buffer):
                kind = json.loads(text)["type"]
                if kind == "error":
                    self._fail(text.decode())
                elif kind == "subscribed" and not self.ready.done():
                    self._is_subscribed = True
                    self.ready.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(SimulationFailed(f"the feed refuses a subscriber: {why}"))

    def _note(self, text: bytes, now_ms: float) -> None:
        message = json.loads(text)
        if message.get("channel") == self._plan.timed_channel and message["type"] == "update":
            self._seen.updates.append((message["first_sequence"], message["sequence"], now_ms))


def _run(plan: CrowdPlan, pipe: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live(plan, pipe))


async def _live(plan: CrowdPlan, pipe: Any) -> None:
    seen = CrowdSeen()
    await asyncio.to_thread(pipe.recv)
    try:
        subscribers = await _connect(plan, seen)
    except (SimulationFailed, OSError, TimeoutError) as error:
        pipe.send((False, str(error)))
        return
    begun = time.process_time()
    pipe.send((True, None))
    leaving = asyncio.create_task(asyncio.to_thread(pipe.recv))
    while not leaving.done():
        await asyncio.wait([leaving], timeout=PONG_SECONDS)
        for subscriber in subscribers:
            subscriber.pong()
    seen.cpu_seconds = time.process_time() - begun
    pipe.send((True, seen))


async def _connect(plan: CrowdPlan, seen: CrowdSeen) -> list[_Subscriber]:
    loop = asyncio.get_running_loop()
    every = max(1, plan.subscribers // TIMED)
    subscribers: list[_Subscriber] = []
    for first in range(0, plan.subscribers, CONNECTING_MAX):
        some = []
        for number in range(first, min(first + CONNECTING_MAX, plan.subscribers)):
            key = plan.api_keys[number % len(plan.api_keys)]
            one = _Subscriber(plan, key, seen, is_timed=number % every == 0)
            await loop.create_connection(lambda one=one: one, plan.host, plan.port)  # type: ignore[misc]
            some.append(one)
        async with asyncio.timeout(READY_SECONDS_MAX):
            await asyncio.gather(*[one.ready for one in some])
        subscribers += some
    return subscribers
