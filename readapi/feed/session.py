"""One session of the feed: what a client asks, and what it is sent.

Requests are answered in their order. What channels tell is taken as bytes and written together. A
client that reads slowly loses messages of books, and gets the whole book when it has read what was
waiting; of trades nothing may be lost, so it is disconnected instead.
"""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from protocol.registry import Broker
from protocol.units import format_time
from readapi.feed.channel import Channel
from readapi.feed.messages import (
    Auth,
    CancelOnDisconnect,
    ChannelName,
    MessageId,
    Ping,
    Subscribe,
    Unsubscribe,
    error,
    frame,
    parse_channel,
    parse_request,
)
from runtime.http.problems import Problem, as_problem
from runtime.http.sockets import LATER, RESTART, VIOLATION, Socket, SocketRequest
from runtime.process.promise import drive, in_task

if TYPE_CHECKING:
    from readapi.feed.hub import Hub

AUTH_SECONDS_MAX = 5.0
HEARTBEAT_SECONDS = 5.0
GRACE_SECONDS = 1.0  # From server_shutdown to the end.
SUBSCRIPTIONS_MAX = 200
REQUESTS_WAITING_MAX = 100
WAITING_BYTES_MAX = 512 * 1024


class Session:
    """``asked`` is the request for the upgrade. ``authorization`` is the header that has let the
    session in; ``None`` before. ``broker`` is ``None`` for who only looks at the market."""

    def __init__(
        self,
        hub: "Hub",
        asked: SocketRequest,
        broker: Broker | None,
        is_from_elsewhere: bool,
    ) -> None:
        self.hub = hub
        self.asked = asked
        self.authorization = asked.authorization
        self.broker = broker
        self.is_from_elsewhere = is_from_elsewhere
        self.is_authorized = asked.authorization is not None
        self._socket: Socket
        self._channels: dict[ChannelName, Channel] = {}
        self._late: dict[Channel, None] = {}
        self._out: list[bytes] = []
        self._requests: deque[bytes] = deque()
        self._is_busy = False
        self._is_over = False
        self._is_closed = False
        self._id: MessageId = None
        self._timer: asyncio.TimerHandle | None = None

    # What the connection tells.

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        loop = asyncio.get_running_loop()
        if self.is_authorized:
            self._welcome()
        else:
            loop.call_later(AUTH_SECONDS_MAX, self._look_if_authorized)
        self._timer = loop.call_later(HEARTBEAT_SECONDS, self._beat)

    def received(self, message: bytes) -> None:
        if self._is_over:
            return
        if self._socket.waiting_bytes > WAITING_BYTES_MAX:
            self.end(_slow_reader(), LATER)  # Of answers that nobody reads.
        elif len(self._requests) >= REQUESTS_WAITING_MAX:
            self.end(Problem("rate_limited", "wait for the answers to your messages"))
        elif self._is_busy:
            self._requests.append(message)
        else:
            self._begin(message)

    def refused(self, problem: Problem) -> None:
        self._is_over = True
        self._send(error(problem))

    def drained(self) -> None:
        while self._late and not self._socket.is_paused and not self._is_over:
            channel = next(iter(self._late))
            del self._late[channel]
            self._send(channel.snapshot())

    def stopping(self) -> None:
        self._send(frame(type="server_shutdown", closes_in_ms=int(GRACE_SECONDS * 1000)))
        loop = asyncio.get_running_loop()
        loop.call_later(GRACE_SECONDS, self._socket.close, RESTART, "server_shutdown")

    def closed(self) -> None:
        self._is_over = self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.hub.forget(self, list(self._channels.values()))
        self._channels.clear()

    # What channels tell.

    def take(self, channel: Channel, frames: bytes) -> None:
        socket = self._socket
        if self._is_over:
            return
        if socket.is_paused:
            if channel.conflates:
                self._late[channel] = None
                return
            if socket.waiting_bytes > WAITING_BYTES_MAX:
                self.end(_slow_reader(), LATER)
                return
        if not self._out:
            self.hub.outbox.add(self)
        self._out.append(frames)

    def flush(self) -> None:
        """Send what was taken, in one write."""
        if self._out:
            out, self._out = self._out, []
            self._socket.write(b"".join(out))

    def _send(self, message: bytes) -> None:
        """Send a message behind everything that was taken before it."""
        self._out.append(message)
        self.flush()

    def end(self, problem: Problem, code: int = VIOLATION) -> None:
        """Tell why, and end the session."""
        if not self._is_over:
            self.refused(problem)
            self._socket.close(code, problem.code)

    # What the client asks.

    def _begin(self, message: bytes) -> None:
        self._is_busy, self._id = True, None
        drive(self._answer(message), self._answered, self._failed)

    def _answered(self, _nothing: None) -> None:
        self._is_busy = False
        self.hub.outbox.send()
        if self._requests and not self._is_over:
            self._begin(self._requests.popleft())

    def _failed(self, failure: Exception) -> None:
        if not self._is_over:
            self._send(error(as_problem(failure), self._id))
        self._answered(None)

    async def _answer(self, message: bytes) -> None:
        request = parse_request(message)
        self._id = request.id
        match request:
            case Ping():
                self._say(type="pong", time=format_time(time.time_ns() // 1_000_000))
            case Auth():
                await self._authorize(request.key)
            case Subscribe():
                await self._subscribe(request.channels)
            case Unsubscribe():
                self._unsubscribe(request.channels)
            case CancelOnDisconnect():
                await self._cancel_on_disconnect(request.enabled)

    async def _authorize(self, key: str) -> None:
        if self.is_authorized:
            raise Problem("invalid_message", "the session is authorized already")
        authorization = b"Bearer " + key.encode() if key else b""
        self.broker = await self.hub.authorize(self, authorization)
        self.authorization, self.is_authorized = authorization, True
        self._welcome()

    def _welcome(self) -> None:
        broker_id = self.broker.broker_id if self.broker is not None else None
        self._say(type="authorized", broker_id=broker_id)

    async def _subscribe(self, texts: list[str]) -> None:
        self._require_authorization()
        names = list(dict.fromkeys(parse_channel(text) for text in texts))
        added = [name for name in names if name not in self._channels]
        if len(self._channels) + len(added) > SUBSCRIPTIONS_MAX:
            raise Problem(
                "too_many_subscriptions", f"a session has at most {SUBSCRIPTIONS_MAX} channels"
            )
        channels: list[Channel] = []
        try:
            for name in added:
                channels.append(await self.hub.channel(name, self))  # noqa: PERF401 - for the end.
        except BaseException:
            self.hub.leave(self, channels)
            raise
        if self._is_over:
            self.hub.leave(self, channels)
            return
        self._say(type="subscribed", channels=[str(name) for name in names])
        for name, channel in zip(added, channels, strict=True):
            self._channels[name] = self.hub.join(self, channel)

    def _unsubscribe(self, texts: list[str]) -> None:
        self._require_authorization()
        names = list(dict.fromkeys(parse_channel(text) for text in texts))
        left = [self._channels.pop(name) for name in names if name in self._channels]
        for channel in left:
            self._late.pop(channel, None)
        self.hub.leave(self, left)
        self._say(type="unsubscribed", channels=[str(name) for name in names])

    async def _cancel_on_disconnect(self, enabled: bool) -> None:
        self._require_authorization()
        if self.broker is None:
            raise Problem("unauthorized", "only a session with the key of a broker has orders")
        await self.hub.require_trade(self)
        switches = self.hub.switches
        if not enabled:
            await in_task(switches.disarm(self))
        else:
            await in_task(switches.arm(self, self.broker.broker_id))
            if self._is_closed:
                switches.fire(self)  # It has ended while the switch was armed.
        self._say(type="cancel_on_disconnect", enabled=enabled, hold_ms=switches.hold_ms)

    def _require_authorization(self) -> None:
        if not self.is_authorized:
            raise Problem("unauthorized", 'send {"op":"auth","key":"xk_…"} first')

    def _say(self, **fields: object) -> None:
        self._send(frame(**fields, id=self._id))

    # What time brings.

    def _look_if_authorized(self) -> None:
        if not self.is_authorized:
            seconds = int(AUTH_SECONDS_MAX)
            self.end(Problem("unauthorized", f"no key has come within {seconds} seconds"))

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._beat)
        if self.is_authorized and not self.hub.is_valid(self):
            self.end(Problem("unauthorized", "the key was revoked, or has expired"))
        elif not self._is_over and not self._socket.is_paused:
            sequences = {
                str(name): channel.sequence
                for name, channel in self._channels.items()
                if channel.sequence is not None
            }
            now = format_time(time.time_ns() // 1_000_000)
            self._send(frame(type="heartbeat", time=now, sequences=sequences))
        self._socket.beat()


def _slow_reader() -> Problem:
    return Problem("slow_reader", "read faster, or subscribe to less")
