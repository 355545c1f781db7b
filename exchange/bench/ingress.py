"""``exchange bench ingress``: orders acknowledged after fsync, one ingress process on one core.

The driver keeps a fixed number of requests in flight over kept-alive connections, with requests
prepared ahead, and looks at nothing of an answer but its status line.
"""

import asyncio
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import psutil
import uvloop

from exchange.local.servers import EmbeddedRedis

CONNECTIONS = 128
WARM_UP_SECONDS = 1.0
SECONDS = 3.0
RUNS = 3
SYMBOLS = 450
REQUESTS = 5_000
START_SECONDS_MAX = 20.0
SEED = 42
ADMIN_KEY = "ak_bench"  # Of a throw-away exchange on loopback.


def bench_ingress() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        redis = EmbeddedRedis(Path(directory))
        redis.start()
        try:
            return _measure(redis.url, redis.pid)
        finally:
            redis.stop()


def _measure(redis_url: str, redis_pid: int) -> dict[str, Any]:
    port = _free_port()
    cores = sorted(os.sched_getaffinity(0))
    ingress = subprocess.Popen(
        [sys.executable, "-m", "exchange", "run", "ingress"],
        env={
            **os.environ,
            "EXCHANGE_REDIS_URL": redis_url,
            "EXCHANGE_PORT": str(port),
            "EXCHANGE_ADMIN_KEY": ADMIN_KEY,
            "EXCHANGE_ENV": "development",
            "EXCHANGE_LOG_LEVEL": "WARNING",
            "EXCHANGE_INGRESS_BACKLOG_MAX": "10000000",  # No matcher takes anything off it.
        },
    )
    try:
        url = f"http://127.0.0.1:{port}"
        api_key = _register(url)
        os.sched_setaffinity(ingress.pid, cores[:1])
        others = cores[1:] or cores
        os.sched_setaffinity(redis_pid, others)
        os.sched_setaffinity(0, others)
        requests = _requests(api_key)
        busy = psutil.Process(ingress.pid)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_load(port, requests, WARM_UP_SECONDS))
            cpu = sum(busy.cpu_times()[:2])
            drivers = [runner.run(_load(port, requests, SECONDS)) for _ in range(RUNS)]
            cpu = sum(busy.cpu_times()[:2]) - cpu
    finally:
        os.sched_setaffinity(0, cores)
        ingress.send_signal(signal.SIGTERM)
        ingress.wait()
    rates = [round(driver.acknowledged / SECONDS) for driver in drivers]
    acknowledged = sum(driver.acknowledged for driver in drivers)
    milliseconds = sorted(seconds * 1000 for driver in drivers for seconds in driver.latencies)
    return {
        "orders_per_second": round(statistics.median(rates)),
        "runs": rates,
        "refused": sum(driver.refused for driver in drivers),
        "latency_ms_p50": round(statistics.median(milliseconds), 2),
        "latency_ms_p99": round(milliseconds[int(len(milliseconds) * 0.99)], 2),
        "cpu_microseconds_per_order": round(cpu / max(1, acknowledged) * 1e6, 1),
        "setup": f"one ingress process on one core, embedded Valkey (appendfsync always) and the"
        f" driver on the other, {CONNECTIONS} connections with one request in flight each,"
        f" {SYMBOLS} symbols, {RUNS} runs of {SECONDS:.0f} s, no matcher; {len(cores)} cores",
    }


def _register(url: str) -> str:
    deadline = time.monotonic() + START_SECONDS_MAX
    with httpx.Client(base_url=url, trust_env=False) as client:
        while True:
            try:
                answer = client.post(
                    "/register",
                    json={"name": "bench"},
                    headers={"authorization": f"Bearer {ADMIN_KEY}"},
                )
                api_key: str = answer.raise_for_status().json()["api_key"]
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)  # Not listening yet.
            else:
                return api_key


def _requests(api_key: str) -> list[bytes]:
    flow = random.Random(SEED)
    weights = [1 / (rank + 1) ** 0.95 for rank in range(SYMBOLS)]
    valid_until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    requests = []
    for symbol in flow.choices(range(SYMBOLS), weights, k=REQUESTS):
        body = msgspec.json.encode(
            {
                "document_number": "12345678901",
                "side": flow.choice(["bid", "ask"]),
                "order_type": "limit",
                "symbol": f"BENCH{symbol}",
                "price": flow.randint(900, 1_100),
                "quantity": flow.randint(50, 500),
                "valid_until": valid_until,
            }
        )
        requests.append(
            b"POST /orders HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s"
            % (api_key.encode(), len(body), body)
        )
    return requests


class _Driver:
    """Counts what all connections saw."""

    def __init__(self, requests: list[bytes], seconds: float) -> None:
        self.requests = requests
        self.ends = time.perf_counter() + seconds
        self.at = 0
        self.acknowledged = 0
        self.refused = 0
        self.latencies: list[float] = []
        self.open = 0
        self.done = asyncio.Event()

    def next(self) -> bytes:
        self.at = (self.at + 1) % len(self.requests)
        return self.requests[self.at]


class _Connection(asyncio.Protocol):
    """One request in flight; an answer comes in one piece, being smaller than a segment."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self._transport: asyncio.Transport
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass.
        self._driver.open += 1
        self._send()

    def data_received(self, data: bytes) -> None:
        driver = self._driver
        now = time.perf_counter()
        if data.startswith(b"HTTP/1.1 201"):
            driver.acknowledged += 1
            driver.latencies.append(now - self._sent)
        elif data.startswith(b"HTTP/1.1 "):
            driver.refused += 1
        else:
            return
        if now < driver.ends:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.open -= 1
        if self._driver.open == 0:
            self._driver.done.set()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._driver.next())


async def _load(port: int, requests: list[bytes], seconds: float) -> _Driver:
    driver = _Driver(requests, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Connection(driver), "127.0.0.1", port)
    async with asyncio.timeout(seconds + 10):
        await driver.done.wait()
    return driver


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
