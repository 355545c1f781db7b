"""Whatever goes wrong while the load runs reaches the caller at once, with what was answered."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from simulator.errors import SimulationFailed, Unreachable
from simulator.load.connection import BROKEN, connect
from simulator.load.driver import Driver
from simulator.load.flow import Flow, base_prices, generate
from simulator.load.market import MarketLoad
from simulator.load.pool import ConnectionPool
from simulator.load.probe import TradeProbe
from simulator.load.requests import Participants
from simulator.load.waiting import GaveUp, Waiting
from tests.support.basic_exchange import ManyConnections

PROBLEM = b'{"code": "symbol_unknown", "detail": "This symbol is not listed."}'
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
    async def opened() -> Driver:
        driver = Driver("127.0.0.1", port, *small())
        async with asyncio.timeout(SECONDS_MAX):
            await driver.open_market()
        return driver

    return asyncio.run(opened())


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


def test_what_a_callback_raises_reaches_the_one_who_waits() -> None:
    async def wait() -> None:
        failed = Waiting()

        def answered(_context: object, _status: int, _body: bytes) -> None:
            raise KeyError("a defect of the driver")

        with serving(200, b"{}") as port:
            pool = ConnectionPool("127.0.0.1", port, answered, failed.fail)
            pool.send("context", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            try:
                await failed.wait(SECONDS_MAX, "the failure")
            finally:
                await pool.close()

    with pytest.raises(KeyError, match="a defect of the driver"):
        asyncio.run(wait())


def test_a_run_ends_with_what_a_callback_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise KeyError("a defect of the driver")

    async def run(port: int) -> None:
        driver = Driver("127.0.0.1", port, *small())
        monkeypatch.setattr(driver, "_finish", defect)
        async with asyncio.timeout(SECONDS_MAX):
            await driver.run(time.time())

    with serving(201, b'{"order_id":"1"}') as port, pytest.raises(KeyError, match="a defect"):
        asyncio.run(run(port))


def test_a_wait_says_for_what_it_waited() -> None:
    with pytest.raises(GaveUp, match=r"waited 0.01 s in vain for the sun"):
        asyncio.run(Waiting().wait(0.01, "the sun"))


def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    async def ask(port: int) -> tuple[int, bytes]:
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.Future()
        connection = await connect(
            "127.0.0.1",
            port,
            lambda _, status, body: answer.set_result((status, body)),
            lambda _, error: answer.set_exception(error),
        )
        connection.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        async with asyncio.timeout(SECONDS_MAX):
            return await answer

    with serving(200, b"all of it", protocol="HTTP/1.0") as port:
        assert asyncio.run(ask(port)) == (200, b"all of it")
    cut = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 99\r\n\r\nhalf of it"
    with serving(raw=cut) as port:
        assert asyncio.run(ask(port))[0] == BROKEN


def test_a_defect_in_the_thread_of_the_probe_is_raised_at_its_end() -> None:
    class Defect:
        def place(self, _order: object) -> str:
            raise KeyError("a defect of the probe")

    probe = TradeProbe(Defect(), Defect(), "X")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="a defect of the probe"), probe:
        probe.wait(SECONDS_MAX)
