"""A worker that hangs is replaced, and trading goes on."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.running import RunningExchange

REPLACED_SECONDS_MAX = 15.0


@pytest.mark.timeout(180)
def test_stopped_workers_are_replaced_and_trading_goes_on(short_dir: Path) -> None:
    exchange = RunningExchange(short_dir / "h", "--ingress", "2")
    exchange.start()
    try:
        stopped = {name: exchange.pid(name) for name in ("matcher-1", "http-2")}
        began = time.monotonic()
        for pid in stopped.values():
            os.kill(pid, signal.SIGSTOP)
        for name, pid in stopped.items():
            left = REPLACED_SECONDS_MAX - (time.monotonic() - began)
            eventually(partial(_is_gone, pid), left, f"{name} to be killed")
        for name, pid in stopped.items():
            left = REPLACED_SECONDS_MAX - (time.monotonic() - began)
            eventually(partial(_is_replaced, exchange, name, pid), left, f"{name} to be replaced")
        output = exchange.data.with_suffix(".out").read_text()
        for name in stopped:
            assert f"{name} has not answered for 10 s; killed" in output
        eventually(lambda: _answers(exchange), 10, "HTTP again")
        seller, buyer = exchange.register("seller"), exchange.register("buyer")
        ask = seller.ask("PETR4", 1000, 10)
        buyer.bid("PETR4", 1000, 10)
        assert seller.order(ask)["state"] == "filled"
        for client in (seller, buyer):
            client.close()
        eventually(lambda: exchange.run("check").returncode == 0, 30, "a clean check")
    finally:
        assert exchange.stop() == 0
    assert list(exchange.data.glob("*.health")) == []


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def _is_replaced(exchange: RunningExchange, name: str, pid: int) -> bool:
    return exchange.pid(name) != pid


def _answers(exchange: RunningExchange) -> bool:
    """Both HTTP processes; a new connection goes to either."""
    for _ in range(20):
        try:
            if httpx.get(f"{exchange.url}/health", trust_env=False).status_code != 200:
                return False
        except httpx.TransportError:
            return False
    return True
