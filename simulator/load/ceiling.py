"""How fast the driver itself is: against a bare server that answers without thinking."""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import cast

import uvloop

from simulator.errors import SimulationFailed
from simulator.load.driver import Driver
from simulator.load.flow import ORDER, generate
from simulator.load.market import MarketLoad
from simulator.load.requests import Participants

SECONDS = 0.5
START_SECONDS_MAX = 60.0
OVERLOAD = 10_000  # Percent of B3: 70,000 orders a second.
_ANSWER = (
    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 52\r\n\r\n"
    b'{"order_id":"00000000-0000-8000-8000-000000000000"} '
)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Requests a second that one driver process can make, and its CPU for each."""

    requests_per_second: float
    cpu_microseconds_per_request: float


def measure() -> Ceiling:
    """Drive a bare server on this machine with orders as the simulation sends them. Raises
    :class:`~simulator.errors.SimulationFailed` when the bare server does not start."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    try:
        port = _port(ours)
        return _hammer(port)
    finally:
        server.terminate()
        server.join()


def _port(pipe: Pipe) -> int:
    """The port of the bare server once it listens."""
    if not pipe.poll(START_SECONDS_MAX):
        raise SimulationFailed(f"waited {START_SECONDS_MAX:g} s in vain for the bare server")
    try:
        return cast(int, pipe.recv())
    except EOFError as error:
        raise SimulationFailed("the bare server ended before it listened") from error


def _hammer(port: int) -> Ceiling:
    """The driver with more to send than it can: what it gets done is its ceiling."""
    participants = Participants("bare", [f"S{n}" for n in range(450)], ["k"] * 100, [1000] * 450)
    flow = generate(MarketLoad(OVERLOAD), participants, SECONDS, 1, 0, 1)
    flow.planned = [planned for planned in flow.planned if planned.kind == ORDER]
    driver = Driver("127.0.0.1", port, participants, flow)
    began, cpu = time.perf_counter(), time.process_time()
    driver.run(time.time())
    count = len(driver.samples)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Ceiling(count / elapsed, cpu / count * 1e6)


class _Bare(asyncio.Protocol):
    """Answers each chunk it gets, which is one request, without looking at it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        self._write(_ANSWER)


def _serve(pipe: Pipe) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Bare, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
