"""The driver: any server's answers are read right, latencies are the server's, and what the
driver cannot send is told apart from what the server does wrong."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from simulator.load.driver import Driver
from simulator.load.flow import CANCEL, ORDER, STATUS, Flow, Planned
from simulator.load.pool import ConnectionPool
from simulator.load.reading import AnswerParser, AnswerRead, NotHttp, whole_answer
from simulator.load.requests import OrderRequest, Participants, post_head
from tests.support.eventually import eventually

PLAIN = b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
LOWER = b"HTTP/1.1 200 OK\r\ncontent-length:0\r\nx: 1\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\nhi"
HINTED = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN
PARTICIPANTS = Participants("x", ["S"], ["key"], [1000])


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (PLAIN, AnswerRead(201, b"hello", True)),
        (LOWER, AnswerRead(200, b"", True)),
        (EMPTY, AnswerRead(204, b"", True)),
    ],
)
def test_a_usual_answer_is_read_at_once_and_as_the_parser_reads_it(
    data: bytes, answer: AnswerRead
) -> None:
    assert whole_answer(data) == answer
    assert AnswerParser().feed(data) == answer


@pytest.mark.parametrize(
    "data",
    [
        *(PLAIN[:-1], PLAIN + b"x", PLAIN[:30], CHUNKED, CLOSING, HINTED),
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-content-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: +0\r\n\r\n",
        b"220 smtp ready\r\n\r\n",
    ],
)
def test_whatever_is_unusual_is_left_to_the_parser(data: bytes) -> None:
    assert whole_answer(data) is None


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (PLAIN, AnswerRead(201, b"hello", True)),
        (CHUNKED, AnswerRead(200, b"hello", True)),
        (CLOSING, AnswerRead(200, b"hi", False)),
        (HINTED, AnswerRead(201, b"hello", True)),
    ],
)
def test_the_parser_reads_an_answer_in_pieces(data: bytes, answer: AnswerRead) -> None:
    for cut in range(1, len(data)):
        parser = AnswerParser()
        assert parser.feed(data[:cut]) is None
        assert parser.feed(data[cut:]) == answer


def test_an_answer_that_is_no_http_is_quoted() -> None:
    with pytest.raises(NotHttp, match="220 smtp"):
        AnswerParser().feed(b"220 smtp ready\r\n")


@contextmanager
def answering(*pieces: bytes, after: float = 0.0, closes: bool = False) -> Iterator[int]:
    """The port of a server that answers each request with these pieces, some time after it, and
    may close the connection then without having said so."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                ended.wait(after)
                for piece in pieces:
                    connection.sendall(piece)
                if closes:
                    return

    def accept() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:  # It was closed.
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def collect(pool: ConnectionPool, answers: list[tuple[object, int, bytes]], count: int) -> None:
    def look() -> bool:
        pool.collect(0.1)
        return len(answers) == count

    eventually(look, what=f"{count} answers")


@pytest.mark.parametrize("pieces", [(PLAIN,), (PLAIN[:20], PLAIN[20:]), (HINTED,)])
def test_a_connection_serves_one_request_after_the_other(pieces: tuple[bytes, ...]) -> None:
    answers: list[tuple[object, int, bytes]] = []

    def answered(context: object, status: int, body: bytes, _arrived: float) -> None:
        answers.append((context, status, body))

    with answering(*pieces) as port:
        pool = ConnectionPool("127.0.0.1", port, answered, first=1)
        pool.open()
        for number in range(3):
            pool.send(number, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            collect(pool, answers, number + 1)
        pool.close()
    assert answers == [(number, 201, b"hello") for number in range(3)]


def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    answers: list[tuple[object, int, bytes]] = []
    with answering(PLAIN, closes=True) as port:
        pool = ConnectionPool(
            "127.0.0.1",
            port,
            lambda context, status, body, _: answers.append((context, status, body)),
            first=1,
        )
        pool.open()
        for number in range(3):
            pool.send(number, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            collect(pool, answers, number + 1)
            pool.collect(5)  # The end of the connection.
        pool.close()
    assert answers == [(number, 201, b"hello") for number in range(3)]


def test_a_latency_ends_when_the_answer_arrives_and_not_when_it_is_read() -> None:
    arrivals: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        pool = ConnectionPool(
            "127.0.0.1", port, lambda *answer: arrivals.append(answer[3]), first=1
        )
        pool.open()
        server, _ = listener.accept()

        def is_stamped() -> bool:
            began = time.perf_counter()
            pool.send(None, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            server.sendall(PLAIN)
            answered = time.perf_counter()
            pool.collect(5)
            return began <= arrivals[-1] <= answered

        with server:  # The kernel begins to stamp a moment after it was asked to.
            eventually(is_stamped, what="an arrival before the answer was read")
        pool.close()


def drive(port: int, planned: list[Planned], life_seconds: float = 60.0) -> Driver:
    """A run of one limit order and what is planned about it."""
    head = post_head(PARTICIPANTS, 0, "/orders", 24) + b'{"valid_until":"'
    flow = Flow([OrderRequest(0, 0, head, b'"}', life_seconds)], 0, planned)
    driver = Driver("127.0.0.1", port, PARTICIPANTS, flow)
    driver.run(time.time())
    return driver


def problem(status: int, code: str) -> bytes:
    body = f'{{"code":"{code}"}}'
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


ABOUT = [
    Planned(0.0, ORDER, 0, b""),
    Planned(0.0, CANCEL, 0, b""),
    Planned(0.0, STATUS, 0, b""),
    Planned(0.1, CANCEL, 0, b""),
]


def test_a_cancel_of_an_order_that_was_refused_is_no_error() -> None:
    with answering(problem(503, "overloaded")) as port:
        driver = drive(port, ABOUT)
    summary = driver.samples.summary(1)
    assert (summary["requests"], summary["refused"], summary["errors"]) == (1, 1, 0)
    assert summary["cancels_of_orders_not_taken"] == 2
    assert summary["refusal_kinds"] == {"order: 503 overloaded": 1}
    assert driver.order_ids == []


def test_a_cancel_waits_for_the_id_of_its_order_also_after_the_last_request() -> None:
    body = b'{"order_id":"7"}'
    taken = b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with answering(taken, after=0.05) as port:
        driver = drive(port, ABOUT[:2])
    assert driver.order_ids == [(0, "7")]
    summary = driver.samples.summary(1)
    assert summary["cancels_held_for_their_order"] == 1
    assert (summary["requests"], driver.samples.unsent) == (2, 0)
    assert summary["error_kinds"] == {"cancel: 201": 1}, "this server answers everything alike"


@pytest.mark.parametrize(("life_seconds", "kind"), [(0.01, "refused"), (60.0, "errors")])
def test_an_order_whose_time_is_over_when_it_is_answered_was_refused(
    life_seconds: float, kind: str
) -> None:
    with answering(problem(422, "valid_until_passed"), after=0.05) as port:
        summary = drive(port, ABOUT[:1], life_seconds).samples.summary(1)
    assert summary[kind] == 1
    assert summary["errors"] + summary["refused"] == 1


def test_what_is_not_answered_and_what_could_not_be_sent_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulator.load.pool.CONNECTIONS_MAX", 32)
    monkeypatch.setattr("simulator.load.driver.DRAIN_SECONDS_MAX", 0.05)
    with answering(after=60) as port:
        summary = drive(port, [Planned(0.0, ORDER, 0, b"")] * 40).samples.summary(1)
    assert summary["errors"] == 40
    assert sorted(summary["error_kinds"].values()) == [8, 32]


def test_the_driver_says_how_late_it_was() -> None:
    with answering(problem(503, "x")) as port:
        driver = drive(port, [Planned(n / 1000, ORDER, 0, b"") for n in range(50)])
    late = driver.samples.summary(1)["driver_late_ms"]
    assert len(driver.samples.late_ms) == driver.sent == 50
    assert 0 <= late["p50"] <= late["max"]
