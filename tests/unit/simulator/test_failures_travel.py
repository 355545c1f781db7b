"""Whatever goes wrong while the load runs reaches the caller at once, with what was answered."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from simulator.errors import GaveUp, SimulationFailed, Unreachable
from simulator.load.calls import Calls
from simulator.load.connection import BROKEN
from simulator.load.driver import Driver
from simulator.load.flow import Flow, base_prices, generate
from simulator.load.market import MarketLoad
from simulator.load.pool import ConnectionPool
from simulator.load.probe import TradeProbe
from simulator.load.requests import Participants
from simulator.load.samples import Samples
from tests.support.basic_exchange import ManyConnections

PROBLEM = b'{"code": "symbol_unknown", "detail": "This symbol is not listed."}'
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
SECONDS_MAX = 20  # The old code waited 300.


@contextmanager
def serving(
    status: int = 0, body: bytes = b"", *, raw: bytes | None = None, protocol: str = "HTTP/1.1"
) -> Iterator[int]:
    """The port of a server that answers every POST alike: with a status and a body, with bytes
    that may be no HTTP, or, with neither, by closing the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if status:
                self.send_response(status)
                if protocol != "HTTP/1.0":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            elif raw is not None:
                self.wfile.write(raw)
                self.close_connection = True
            else:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ManyConnections(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def small() -> tuple[Participants, Flow]:
    load = MarketLoad(1)
    symbols = [f"S{number}" for number in range(load.symbols)]
    participants = Participants("x", symbols, ["a", "b"], base_prices(1, load.symbols))
    return participants, generate(load, participants, 1.0, 1, 0, 1)


def open_market(port: int) -> Driver:
    driver = Driver("127.0.0.1", port, *small())
    driver.open_market()
    return driver


@pytest.mark.parametrize("status", [422, 503])
def test_a_refused_opening_fails_at_once_with_the_answer(status: int) -> None:
    wanted = f"{status} symbol_unknown: This symbol is not listed"
    with serving(status, PROBLEM) as port, pytest.raises(SimulationFailed, match=wanted):
        open_market(port)


def test_an_answer_that_is_no_problem_document_is_quoted() -> None:
    with serving(500, b"out of order") as port, pytest.raises(SimulationFailed, match="500 out of"):
        open_market(port)


def test_a_closed_connection_fails_the_opening_at_once() -> None:
    with serving() as port, pytest.raises(SimulationFailed, match="closed without an answer"):
        open_market(port)


def test_nonsense_fails_the_opening_at_once_and_is_quoted() -> None:
    wanted = r"not HTTP.*220 smtp ready"
    with serving(raw=b"220 smtp ready\r\n") as port, pytest.raises(SimulationFailed, match=wanted):
        open_market(port)


def test_an_acknowledgement_without_an_id_fails_the_opening_at_once() -> None:
    wanted = r'201 {"ok": true}'
    with serving(201, b'{"ok": true}') as port, pytest.raises(SimulationFailed, match=wanted):
        open_market(port)


def test_an_opening_without_a_server_says_so() -> None:
    with socket.socket() as bound:  # Bound, but nobody listens.
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"no connection to 127.0.0.1"):
            open_market(bound.getsockname()[1])


def test_a_server_that_closes_after_each_answer_is_called_over_new_connections() -> None:
    with serving(201, b'{ "id": 17 }', protocol="HTTP/1.0") as port:
        assert {order_id for _, order_id in open_market(port).order_ids} == {"17"}


def test_what_looks_at_an_answer_ends_it_all_with_what_it_raises() -> None:
    def look(_at: int, _answer: object) -> None:
        raise KeyError("a defect of the driver")

    with serving(200, b"{}") as port, pytest.raises(KeyError, match="a defect of the driver"):
        Calls("127.0.0.1", port, "the calls").make([POST] * 200, look)


def test_a_run_ends_with_what_goes_wrong_with_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise KeyError("a defect of the driver")

    with serving(201, b'{"order_id":"1"}') as port:
        driver = Driver("127.0.0.1", port, *small())
        monkeypatch.setattr(Samples, "add", defect)
        with pytest.raises(KeyError, match="a defect"):
            driver.run(time.time())


def test_an_answer_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.load.calls.ANSWER_SECONDS_MAX", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(GaveUp, match=r"waited 0.05 s in vain for an answer to the calls"):
            Calls("127.0.0.1", port, "the calls").make([POST])


def ask(port: int) -> tuple[int, bytes]:
    answers: list[tuple[int, bytes]] = []
    pool = ConnectionPool("127.0.0.1", port, lambda _, s, body, __: answers.append((s, body)))
    pool.open()
    try:
        pool.send(None, POST)
        while not answers:
            pool.collect(SECONDS_MAX)
    finally:
        pool.close()
    return answers[0]


def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    with serving(200, b"all of it", protocol="HTTP/1.0") as port:
        assert ask(port) == (200, b"all of it")
    cut = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 99\r\n\r\nhalf of it"
    with serving(raw=cut) as port:
        assert ask(port)[0] == BROKEN


def test_a_defect_in_the_thread_of_the_probe_is_raised_at_its_end() -> None:
    class Defect:
        def place(self, _order: object) -> str:
            raise KeyError("a defect of the probe")

    probe = TradeProbe(Defect(), Defect(), "X")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="a defect of the probe"), probe:
        probe.wait(SECONDS_MAX)
