"""A channel to a Redis Cluster: one connection for each node.

A pipeline is cut into parts of one slot each. They are sent to all nodes first and read afterwards,
and the replies come back in the order of the commands. Parts of different nodes are executed in no
order; those of one slot are executed in theirs.

A part that a node has refused because the slot is elsewhere or on its way is sent again, for
``AGAIN_SECONDS`` at most. A part whose outcome is unknown is never sent again. An error of one node
is the reply to the parts of that node, and to no others.
"""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocol import keys
from runtime.redis.channel import (
    REPLY_TIMEOUT_SECONDS,
    Channel,
    FunctionCall,
    NotConnected,
    PackedCommand,
    RedisConnectionError,
    RedisError,
    RedisTimeoutError,
    raise_errors,
)
from runtime.redis.many import RedisCommand, StreamsRead
from runtime.redis.redirects import (
    AGAIN_SECONDS,
    AWAITED,
    NODE_ERRORS,
    PAUSE_SECONDS,
    SLOTS_COMMAND,
    Asked,
    NoNode,
    Part,
    ask,
    by_node,
    redirected,
    refused,
    with_asking,
)
from runtime.redis.slots import SlotMap
from runtime.redis.watches import Watches

AWAY_SECONDS = 0.25
"""A node that did not answer is not tried again for so long."""
LEARN_SECONDS = 0.25
"""Least time from one look at the slots to the next, while a node does not answer."""


LOST = (RedisConnectionError, RedisTimeoutError)
"""What says that a connection is no more."""


class _Node:
    """The connection to one node, and what is under way on it."""

    def __init__(self, url: str, name: str, timeout_seconds: float) -> None:
        self._channel = Channel(url, name, timeout_seconds)
        self._under_way: deque[Part | None] = deque()
        self._away_until = 0.0

    def send(self, parts: Sequence[Part], asking: bool = False) -> None:
        """Never raises a ``RedisError``: it becomes the reply of the parts."""
        if time.monotonic() < self._away_until:
            # Nothing was tried, so the time is not prolonged: whoever asks often finds it again.
            _answer(parts, NotConnected("the node did not answer a moment ago"))
            return
        commands = with_asking(parts) if asking else [part.command for part in parts]
        try:
            self._channel.send(commands)
        except RedisError as error:
            self._fail(error)
            _answer(parts, error)
            return
        for part in parts:
            self._under_way.extend((None, part) if asking else (part,))

    def read(self, wanted: Part) -> None:
        """Read the replies as far as that of ``wanted``."""
        while wanted.reply is AWAITED:
            try:
                (reply,) = self._channel.receive(1)
            except RedisError as error:
                self._fail(error)
            else:
                part = self._under_way.popleft()
                if part is not None:  # The reply to an ASKING.
                    part.reply = reply

    def _fail(self, error: RedisError) -> None:
        if isinstance(error, LOST):
            self._away_until = time.monotonic() + AWAY_SECONDS
        self._channel.close()
        while self._under_way:
            part = self._under_way.popleft()
            if part is not None:
                part.reply = error

    def close(self) -> None:
        self._fail(RedisError("the channel was closed"))


def _answer(parts: Sequence[Part], error: RedisError) -> None:
    for part in parts:
        part.reply = error


class ClusterChannel(Channel):
    """See the module. It offers what :class:`Channel` does."""

    is_cluster = True

    def __init__(self, url: str, name: str, timeout_seconds: float = REPLY_TIMEOUT_SECONDS) -> None:
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._slots = SlotMap(url)
        self._nodes: dict[str, _Node] = {}
        self._asked: deque[Asked] = deque()
        self._learned_at = 0.0
        self.watches = Watches(self._slots, name)

    def each_node(self, *command: Any) -> list[Any]:
        self._know_slots()
        parts = [Part(command, keys.REGISTRY) for _ in self._slots.nodes]
        self._send_parts({a: [p] for a, p in zip(self._slots.nodes, parts, strict=True)})
        self._read(parts)
        return [part.reply for part in parts if not isinstance(part.reply, LOST)]

    def each_replica(self, *command: Any) -> list[Any]:
        self._learn()
        replies = []
        for address in self._slots.replicas:
            channel = Channel(self._slots.url(address), self._name, LEARN_TIMEOUT)
            try:
                replies += channel.pipeline([command])
            except LOST:
                continue  # It cannot be asked.
            finally:
                channel.close()
        return replies

    def call_each(self, functions: Sequence[FunctionCall[Any]]) -> list[Any]:
        replies = self.pipeline([function.command for function in functions])
        answers: list[Any] = []
        for function, reply in zip(functions, replies, strict=True):
            if isinstance(reply, NODE_ERRORS):
                answers.append(reply)
            else:
                (reply,) = raise_errors([reply])
                answers.append(function.read(reply))
        return answers

    def pipeline(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """See :meth:`Channel.pipeline`. A connection that is lost is an error reply here, in the
        place of each command whose outcome is unknown for it."""
        replies: list[Any] = []
        first = 0
        for at, command in enumerate(commands):
            if isinstance(command, StreamsRead):
                replies += self._pipeline(commands[first:at])
                replies.append(self._read_streams(command))
                first = at + 1
        return replies + self._pipeline(commands[first:])

    def _pipeline(self, commands: Sequence[RedisCommand]) -> list[Any]:
        self.send(commands)
        return self.receive(len(commands))

    def send(self, commands: Sequence[RedisCommand | PackedCommand]) -> None:
        if not commands:
            return
        self._know_slots()
        asked = ask(commands)  # type: ignore[arg-type]  # Nothing that is packed is sent here.
        self._asked.extend(asked)
        self._send_parts(by_node([part for each in asked for part in each.parts], self._slots))

    def _send_parts(self, groups: Mapping[str, Sequence[Part]]) -> None:
        for address, parts in groups.items():
            node = self._node(address.lstrip("+"))
            node.send(parts, asking=address.startswith("+"))
            for part in parts:
                part.node = node

    def receive(self, count: int | None = None) -> list[Any]:
        answered = [
            self._asked.popleft() for _ in range(len(self._asked) if count is None else count)
        ]
        parts = [part for each in answered for part in each.parts]
        self._read(parts)
        if any(part.is_refused or isinstance(part.reply, NotConnected) for part in parts):
            self._again(parts)
        return [each.reply for each in answered]

    def _read(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if part.reply is AWAITED:
                part.node.read(part)

    def _again(self, parts: Sequence[Part]) -> None:
        """Send again what was refused, until it is taken or the time is over."""
        deadline = time.monotonic() + AGAIN_SECONDS
        lost = [part for part in parts if isinstance(part.reply, NotConnected)]
        if lost:
            self._find_again(lost)
        is_first = True
        while again := refused(parts):
            if time.monotonic() > deadline:
                return
            if not is_first or any(part.is_later for part in again):
                time.sleep(PAUSE_SECONDS)
            is_first = False
            if any(part.is_moved or part.is_later for part in again):
                self._learn()
            self._send_parts(redirected(again, self._slots))
            self._read(again)

    def _find_again(self, lost: Sequence[Part]) -> None:
        """Parts that were not sent, because their node is away: perhaps another has their slots."""
        before = {part.slot: self._slots.owner(part.slot) for part in lost}
        if time.monotonic() < self._learned_at + LEARN_SECONDS:
            return
        self._learn()
        moved = [p for p in lost if self._slots.owner(p.slot) not in ("", before[p.slot])]
        self._send_parts(redirected(moved, self._slots))
        self._read(moved)

    def _read_streams(self, read: StreamsRead) -> Any:
        """Wait for news, then read all streams; see :class:`StreamsRead`."""
        self._know_slots()
        if read.block_ms is not None:
            self.watches.wait(read.streams, 1, read.block_ms / 1000)
        found: list[Any] = []
        for names in in_turns(read.streams):
            replies = self._pipeline([read.part([name]) for name in names])
            for name, reply in zip(names, replies, strict=True):
                if isinstance(reply, Exception):
                    found.append((name.encode(), reply))
                else:
                    found += reply or ()
        return found

    def _know_slots(self) -> None:
        if not self._slots.is_known:
            self._learn()
            if not self._slots.is_known:
                raise NoNode("no node of the cluster answers")

    def _learn(self) -> None:
        """Ask the nodes for the slots; the first that answers is believed."""
        self._learned_at = time.monotonic()
        for address in dict.fromkeys((*self._slots.nodes, *self._slots.seeds)):
            channel = Channel(self._slots.url(address), f"{self._name}-slots", LEARN_TIMEOUT)
            try:
                self._slots.learn(channel.execute(*SLOTS_COMMAND), address)
            except LOST:
                continue  # The next one may answer; if none does, what is known stands.
            finally:
                channel.close()
            return

    def _node(self, address: str) -> _Node:
        node = self._nodes.get(address)
        if node is None:
            node = _Node(self._slots.url(address), self._name, self._timeout_seconds)
            self._nodes[address] = node
        return node

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()
        self._nodes.clear()
        self._asked.clear()
        self.watches.close()


LEARN_TIMEOUT = 1.0


def in_turns(streams: Iterable[str]) -> list[list[str]]:
    """First the streams of partitions, then that of the exchange."""
    of_partitions = [name for name in streams if not name.startswith("{exchange}")]
    of_exchange = [name for name in streams if name.startswith("{exchange}")]
    return [turn for turn in (of_partitions, of_exchange) if turn]
