"""What a session of the feed does when its client reads slowly, and how books become messages."""

import asyncio
import json
from collections.abc import Callable
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from protocol import books
from protocol.registry import Instrument
from readapi.feed.books import BookChannel
from readapi.feed.hub import Hub
from readapi.feed.messages import ChannelName, Kind
from readapi.feed.outbox import Outbox
from readapi.feed.session import WAITING_BYTES_MAX, Session
from readapi.feed.trades import TradesChannel
from runtime.http.sockets import SocketRequest
from tests.support.feed import FeedBook, Message

INSTRUMENT = Instrument("PETR4", 1, 0)


class ReadBySomebody:
    """A connection whose client takes what it is told to take."""

    def __init__(self) -> None:
        self.is_paused = False
        self.waiting_bytes = 0
        self.sent: list[Message] = []
        self.closed: tuple[int, str] | None = None

    def write(self, frames: bytes) -> None:
        while frames:
            length, head = frames[1], 2
            if length == 126:
                length, head = int.from_bytes(frames[2:4]), 4
            self.sent.append(json.loads(frames[head : head + length]))
            frames = frames[head + length :]

    def beat(self) -> None:
        raise AssertionError("no time passes")

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


class Touched:
    """As much of a hub as a session needs."""

    def __init__(self) -> None:
        self.outbox = Outbox(self._fail)

    def flush(self) -> None:
        self.outbox.send()

    def _fail(self) -> None:
        raise AssertionError("the feed failed")


def with_session(work: Callable[[Session, ReadBySomebody, Touched], None]) -> None:
    async def run() -> None:
        hub, socket = Touched(), ReadBySomebody()
        session = Session(cast("Hub", hub), SocketRequest("/feed", [], b"Bearer xk_"), None, False)
        session.opened(socket)
        socket.sent.clear()
        work(session, socket, hub)

    asyncio.run(run())


def book(sequence: int, bids: dict[int, int]) -> bytes:
    levels = [books.level(price, bids[price], 1) for price in sorted(bids, reverse=True)]
    return books.snapshot(sequence, "".join(levels), "")


def test_a_slow_reader_gets_the_whole_book_when_he_has_read() -> None:
    def work(session: Session, socket: ReadBySomebody, hub: Touched) -> None:
        channel = BookChannel(ChannelName(Kind.BOOK, "PETR4"), INSTRUMENT)
        channel.join(session)
        channel.read([book(1, {100: 5})])
        hub.flush()
        socket.is_paused = True
        for sequence in range(2, 500):
            channel.read([book(sequence, {100: sequence})])
            hub.flush()
        assert [message["type"] for message in socket.sent] == ["snapshot"]
        socket.is_paused = False
        session.drained()
        assert socket.sent[1] == {
            "channel": "book:PETR4",
            "type": "snapshot",
            "sequence": 499,
            "bids": [[100, 499, 1]],
            "asks": [],
        }
        channel.read([book(500, {100: 1})])
        hub.flush()
        assert socket.sent[2]["first_sequence"] == 500

    with_session(work)


def test_a_reader_who_is_too_slow_for_trades_is_told_and_left() -> None:
    def work(session: Session, socket: ReadBySomebody, hub: Touched) -> None:
        channel = TradesChannel(ChannelName(Kind.TRADES, "PETR4"), INSTRUMENT)
        channel.join(session)
        channel.begin(1)
        socket.is_paused = True
        channel.begin(2)
        hub.flush()
        assert [message["sequence"] for message in socket.sent] == [1, 2]
        socket.waiting_bytes = WAITING_BYTES_MAX + 1
        channel.begin(3)
        channel.begin(4)
        hub.flush()
        assert socket.closed == (1013, "slow_reader")
        assert [message.get("code") for message in socket.sent[2:]] == ["slow_reader"]

    with_session(work)


def test_a_client_that_asks_and_never_reads_is_left() -> None:
    def work(session: Session, socket: ReadBySomebody, _hub: Touched) -> None:
        session.received(b'{"op":"ping"}')
        assert socket.sent[0]["type"] == "pong"
        socket.waiting_bytes = WAITING_BYTES_MAX + 1
        session.received(b'{"op":"ping"}')
        assert socket.closed == (1013, "slow_reader")

    with_session(work)


def test_an_answer_comes_behind_what_was_taken_before_it() -> None:
    """A heartbeat, for example, names a sequence only when its message was sent."""

    def work(session: Session, socket: ReadBySomebody, hub: Touched) -> None:
        channel = TradesChannel(ChannelName(Kind.TRADES, "PETR4"), INSTRUMENT)
        channel.join(session)
        channel.begin(1)
        session.received(b'{"op":"ping"}')
        hub.flush()
        assert [message["type"] for message in socket.sent] == ["snapshot", "pong"]

    with_session(work)


SIDES = st.dictionaries(st.integers(1, 80), st.integers(1, 9), max_size=70)


@given(st.lists(SIDES, min_size=1, max_size=8))
def test_the_messages_of_any_books_make_the_last_one(states: list[dict[int, int]]) -> None:
    def work(session: Session, socket: ReadBySomebody, hub: Touched) -> None:
        channel = BookChannel(ChannelName(Kind.BOOK, "PETR4"), INSTRUMENT)
        channel.join(session)
        for sequence, bids in enumerate(states, 1):
            channel.read([book(sequence, bids)])
            hub.flush()
        followed = FeedBook()
        for message in socket.sent:
            followed.apply(message)
        shown = books.parse(book(1, states[-1])).bids
        assert followed.levels[0] == [list(level) for level in shown]

    with_session(work)
