"""``exchange run readapi`` alone: it serves the feed, says when it stops, and may be killed."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.eventually import eventually
from tests.support.feed import FeedClient
from tests.support.running import (
    EXCHANGE,
    BrokerClient,
    RunningExchange,
    clean_environment,
    free_port,
)


class Readapi:
    """One read API beside a running exchange."""

    def __init__(self, exchange: RunningExchange, log: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        addresses = exchange.addresses
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*EXCHANGE, "run", "readapi"],
                env=clean_environment(
                    EXCHANGE_REDIS_URL=addresses["redis_url"],
                    EXCHANGE_DATABASE_URL=addresses["database_url"],
                    EXCHANGE_PORT=str(port),
                    EXCHANGE_INSTANCE=f"readapi-{port}",
                    EXCHANGE_READAPI_FEED_HOLD_MS="1500",
                    EXCHANGE_READAPI_FEED_SESSIONS_MAX="3",
                    EXCHANGE_READAPI_FEED_SESSIONS_PER_BROKER_MAX="2",
                ),
                stdout=file,
                stderr=file,
            )

        def answers() -> bool:
            assert self.process.poll() is None, log.read_text()
            try:
                return httpx.get(f"{self.url}/health", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers, 30, "the read API to answer")


@pytest.fixture
def readapi(exchange: RunningExchange, tmp_path: Path) -> Iterator[Readapi]:
    one = Readapi(exchange, tmp_path / "log")
    yield one
    if one.process.poll() is None:
        one.process.send_signal(signal.SIGTERM)
        one.process.wait(20)


def test_before_it_stops_the_feed_says_so(
    readapi: Readapi, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    with FeedClient(readapi.url, alice.api_key) as feed:
        feed.subscribe(f"book:{symbol}", "orders", "ticker:*")
        feed.of(f"book:{symbol}", "snapshot")
        readapi.process.send_signal(signal.SIGTERM)
        shutdown = feed.until(lambda message: message["type"] == "server_shutdown")
        assert shutdown["closes_in_ms"] == 1000
        feed.send(op="ping", id=1)
        assert feed.until(lambda message: message.get("id") == 1)["type"] == "pong"
        assert feed.end() == (1012, "server_shutdown")
    assert readapi.process.wait(20) == 0


def test_the_orders_are_canceled_also_when_the_process_is_killed(
    readapi: Readapi, alice: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 100)
    with FeedClient(readapi.url, alice.api_key) as feed:
        feed.send(op="cancel_on_disconnect", enabled=True, id=1)
        assert feed.until(lambda message: message.get("id") == 1)["hold_ms"] == 1500
        feed.until(lambda message: message["type"] == "heartbeat")  # Longer than it holds.
        assert alice.order(order_id)["state"] == "new"
        os.kill(readapi.process.pid, signal.SIGKILL)
        readapi.process.wait()
        eventually(
            lambda: alice.order(order_id)["state_reason"] == "cancel_timer",
            what="the orders of the session to be canceled",
        )


def test_too_many_sessions_are_refused_before_the_upgrade(
    readapi: Readapi, alice: BrokerClient, bob: BrokerClient
) -> None:
    with (
        FeedClient(readapi.url, alice.api_key),
        FeedClient(readapi.url, alice.api_key),
    ):
        assert _refusal(readapi, alice) == (503, "too_many_sessions")
        with FeedClient(readapi.url) as feed:
            feed.send(op="auth", key=alice.api_key)
            assert feed.next()["code"] == "too_many_sessions"
            feed.send(op="auth", key=bob.api_key)
            assert feed.next()["broker_id"] == bob.broker_id
            assert _refusal(readapi, bob) == (503, "too_many_sessions")
    # In production nobody looks at the market without a key, and places are free again.
    with FeedClient(readapi.url) as feed:
        feed.send(op="auth")
        assert feed.next()["code"] == "unauthorized"


def _refusal(readapi: Readapi, broker: BrokerClient) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as raised:
        FeedClient(readapi.url, broker.api_key)
    response = raised.value.response
    assert response.headers["retry-after"] == "1"
    return response.status_code, json.loads(response.body)["code"]
