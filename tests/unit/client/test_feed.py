"""The feed connects again whatever becomes of its connection. The exchange is a small server here,
so that each end of a connection can be brought about; tests/contract has the real one."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from client import (
    BookChanged,
    Connected,
    Disconnected,
    Feed,
    HistoryChanged,
    Missed,
    OrdersSnapshot,
    Problem,
)
from client.events import FeedEvent
from tests.support.running import free_port
from tests.unit.client.test_following import BOOK, TRADES, snapshot, trade, trades_so_far
from tests.unit.client.test_following_orders import body, orders_so_far, short

Behavior = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def exchange(*behaviors: Behavior, port: int = 0) -> AsyncIterator[str]:
    """Each connection gets the next behavior, when it has subscribed; the last one stays open."""
    waiting = list(behaviors)

    async def serve_one(connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.request.headers["authorization"] == "Bearer key"
        asked = json.loads(await connection.recv())
        assert asked == {"op": "subscribe", "channels": [BOOK, TRADES]}
        await waiting.pop(0)(connection)
        if not waiting:
            await connection.wait_closed()

    async with serve(serve_one, "127.0.0.1", port) as server:
        yield f"http://127.0.0.1:{port_of(server)}"


def port_of(server: Server) -> int:
    (socket, *_) = server.sockets
    port: int = socket.getsockname()[1]
    return port


def telling(*messages: dict[str, Any]) -> Behavior:
    async def behave(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(json.dumps(message))

    return behave


async def events_of(feed: Feed, count: int) -> list[FeedEvent]:
    found: list[FeedEvent] = []
    async with asyncio.timeout(20), aclosing(feed.__aiter__()) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"it ended after {found}")


def follow(url: str, **options: Any) -> Feed:
    return Feed(url, "key", BOOK, TRADES, **options)


def test_it_connects_again_and_names_what_it_has_missed() -> None:
    async def scene() -> None:
        first = telling(snapshot(7, []), trades_so_far(3), trade(4))
        second = telling(snapshot(9, []), trades_so_far(6), trade(7))
        async with exchange(first, second) as url, follow(url) as feed:
            events = await events_of(feed, 8)
        assert isinstance(events[3], Disconnected)
        assert isinstance(events[4], Connected)
        assert isinstance(events[5], BookChanged)
        assert events[6] == Missed(TRADES, 5, 6)

    asyncio.run(scene())


def test_it_says_why_the_exchange_has_ended_the_connection() -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.close(1012, "history_changed")

    async def scene() -> None:
        async with exchange(leave, telling()) as url, follow(url) as feed:
            events = await events_of(feed, 4)
        assert events[1:3] == [HistoryChanged(), Disconnected("history_changed")]

    asyncio.run(scene())


def test_a_connection_that_is_cut_is_told_as_lost() -> None:
    async def cut(connection: ServerConnection) -> None:
        connection.transport.abort()

    async def scene() -> None:
        async with exchange(cut, telling()) as url, follow(url) as feed:
            events = await events_of(feed, 3)
        assert events[1] == Disconnected("the connection was lost")

    asyncio.run(scene())


def test_a_connection_that_is_silent_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.feed.SILENT_SECONDS_MAX", 0.05)

    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def scene() -> None:
        async with exchange(silent, telling(snapshot(7, []))) as url, follow(url) as feed:
            events = await events_of(feed, 4)
        assert events[1] == Disconnected("nothing has come for 0.05 s")
        assert isinstance(events[3], BookChanged)

    asyncio.run(scene())


def test_it_waits_for_an_exchange_that_is_not_there_yet() -> None:
    async def scene() -> None:
        tried = asyncio.Event()

        def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            tried.set()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as nobody:
            port: int = nobody.sockets[0].getsockname()[1]
            feed = follow(f"http://127.0.0.1:{port}")
            waiting = asyncio.create_task(events_of(feed, 2))
            await tried.wait()
        async with exchange(telling(snapshot(7, [])), port=port), feed:
            connected, _ = await waiting
        assert isinstance(connected, Connected)
        assert connected.attempts > 1

    asyncio.run(scene())


def test_it_gives_up_when_it_was_told_to_and_says_why() -> None:
    async def scene() -> Problem:
        url = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(Problem) as failed:
            await events_of(follow(url, give_up_seconds=0.3), 1)
        return failed.value

    problem = asyncio.run(scene())
    assert problem.code == "no_answer"
    assert problem.attempts > 1
    assert problem.gave_up == "the deadline of 0.3 s"


def test_a_key_that_is_refused_is_raised_at_once() -> None:
    body = json.dumps({"code": "unauthorized", "status": 401, "detail": "no"})

    def refuse(connection: ServerConnection, _request: Request) -> Response:
        return connection.respond(HTTPStatus.UNAUTHORIZED, body)

    async def never(_connection: ServerConnection) -> None:
        raise AssertionError("it was let in")

    async def scene() -> Problem:
        async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
            feed = follow(f"http://127.0.0.1:{port_of(server)}")
            with pytest.raises(Problem) as failed:
                await events_of(feed, 1)
        return failed.value

    problem = asyncio.run(scene())
    assert (problem.code, problem.status) == ("unauthorized", 401)


def test_a_channel_that_is_refused_is_raised() -> None:
    error = {"type": "error", "code": "symbol_not_found", "detail": "nobody has listed PETR4"}

    async def scene() -> None:
        async with exchange(telling(error)) as url, follow(url) as feed:
            with pytest.raises(Problem, match="nobody has listed"):
                await events_of(feed, 2)

    asyncio.run(scene())


def test_to_close_it_ends_the_iterator() -> None:
    async def scene() -> list[FeedEvent]:
        async with exchange(telling(snapshot(7, []))) as url, follow(url) as feed:
            found: list[FeedEvent] = []
            async with asyncio.timeout(20):
                async for event in feed:
                    found.append(event)
                    if isinstance(event, BookChanged):
                        await feed.close()
            return found

    assert [type(event) for event in asyncio.run(scene())] == [Connected, BookChanged]


@asynccontextmanager
async def exchange_with_reports(
    snapshots: list[int], answers: list[tuple[HTTPStatus, dict[str, Any]]]
) -> AsyncIterator[tuple[str, list[str]]]:
    """Each connection gets the next snapshot of own orders and is cut but for the last, and each
    read of reports the next answer; what was read is in the list."""
    read: list[str] = []

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/feed":
            return None
        read.append(request.path)
        status, content = answers.pop(0)
        response = connection.respond(status, json.dumps(content))
        response.headers["Connection"] = "close"
        return response

    async def serve_one(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps(orders_so_far(snapshots.pop(0))))
        if snapshots:
            connection.transport.abort()
        await connection.wait_closed()

    async with serve(serve_one, "127.0.0.1", 0, process_request=answer) as server:
        yield f"http://127.0.0.1:{port_of(server)}", read


def page(*sequences: int) -> tuple[HTTPStatus, dict[str, Any]]:
    data = [body(sequence) for sequence in sequences]
    return HTTPStatus.OK, {"data": data, "next_after": sequences[-1], "has_more": False}


def follow_orders(url: str, **options: Any) -> Feed:
    return Feed(url, "key", "orders", http=httpx.AsyncClient(trust_env=False), **options)


def test_reports_that_were_missed_are_read() -> None:
    async def scene() -> None:
        async with (
            exchange_with_reports([3, 5], [page(4, 5, 6)]) as (url, read),
            follow_orders(url) as feed,
        ):
            events = await events_of(feed, 7)
        assert [type(event) for event in events[:4]] == [
            *(Connected, OrdersSnapshot, Disconnected, Connected)
        ]
        # Number 6 is behind the snapshot: the feed tells it.
        assert short(events[4:]) == [4, 5, (5,)]
        assert read == ["/events?after=3&limit=100"]

    asyncio.run(scene())


def test_a_program_that_knows_its_last_report_gets_what_follows() -> None:
    async def scene() -> None:
        async with (
            exchange_with_reports([5], [page(4, 5)]) as (url, _),
            follow_orders(url, orders_after=3) as feed,
        ):
            assert short((await events_of(feed, 4))[1:]) == [4, 5, (5,)]

    asyncio.run(scene())


def test_reports_that_are_not_kept_are_told_as_missed() -> None:
    expired = HTTPStatus.GONE, {"code": "cursor_expired", "detail": "begins after 4"}

    async def scene() -> None:
        async with (
            exchange_with_reports([5], [expired]) as (url, _),
            follow_orders(url, orders_after=3) as feed,
        ):
            assert short((await events_of(feed, 3))[1:]) == [Missed("orders", 4, 5), (5,)]

    asyncio.run(scene())


def test_when_reports_cannot_be_read_it_connects_again_until_it_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("client.feed.FILL_SECONDS_MAX", 0.01)
    away = HTTPStatus.SERVICE_UNAVAILABLE, {"code": "unavailable", "detail": "later"}

    async def scene() -> None:
        async with (
            exchange_with_reports([5, 5], [away, page(4, 5)]) as (url, _),
            follow_orders(url, orders_after=3) as feed,
        ):
            events = await events_of(feed, 6)
            assert events[1] == Disconnected("unavailable")
            assert short(events[3:]) == [4, 5, (5,)]
        async with (
            exchange_with_reports([5, 5], [away, away]) as (url, _),
            follow_orders(url, orders_after=3, give_up_seconds=0.01) as feed,
        ):
            with pytest.raises(Problem) as failed:
                await events_of(feed, 6)
        assert (failed.value.code, failed.value.attempts) == ("unavailable", 2)

    asyncio.run(scene())
